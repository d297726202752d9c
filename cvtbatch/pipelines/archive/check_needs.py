"""What a bundle needs of a manifest and the manifest lacks: told before a night's work, and not after it."""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.clinical_columns import to_number
from cvtbatch.dlrn.clinical_terms import ClinicalTerm, levels_of, names_of
from cvtbatch.dlrn.combat import FEWEST_CASES
from cvtbatch.manifest import Case, Manifest, Reading
from cvtbatch.pipelines.shared.outcomes import UNLISTED, class_number, outcome_in
from cvtbatch.pipelines.shared.readings import is_method
from cvtbatch.validation.outcome import EXPANSION, Outcome

NO_AUC = "the report will have no AUC, no calibration and no decision curve, and the exit code is 3"


@dataclass(frozen=True, slots=True)
class Lack:
    """A thing that a bundle needs of every case, and that some cases do not have.

    Attributes:
        need: "outline", a clinical column of the nomogram, "outcome", "both_outcomes": cases with the event and cases without, or
            "own_cases": enough of a new centre, where these put it onto the scale of training.
        columns: of the manifest that would say it; one of them is enough.
        cases: that lack it.
        first_row: manifest row of the first of them.
        message: what is lacking, for what, in how many cases, and what will be missing for it.
    """

    need: str
    columns: tuple[str, ...]
    cases: int
    first_row: int
    message: str

    def to_document(self) -> dict[str, object]:
        """Return what may be shared: all of it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class _Need:
    """A thing that every case needs.

    Attributes:
        missing: what there will not be where no case has it.
    """

    columns: tuple[str, ...]
    words: str
    missing: str
    is_met: Callable[[Case, Mapping[str, object]], bool]


def check_needs(manifest: Manifest, bundle: Bundle, reader: str | None = None) -> list[Lack]:
    """Return what the bundle needs to score and to validate, and cases of the manifest lack.

    Args:
        reader: whose outlines are to be scored; by default whom the bundle was fitted on. What a method outlines is needed of no
            manifest.
    """
    outcome = bundle.description.outcome
    needs = _needs(_reading(manifest, bundle.description.primary, reader), bundle.model.clinical, outcome)
    counts, first = dict.fromkeys(needs, 0), dict.fromkeys(needs, 0)
    known, centers, first_of = Counter[int](), Counter[str](), dict[str, int]()
    first_known = 0
    for case in manifest:
        centers[case.center] += 1
        first_of.setdefault(case.center, case.manifest_row)
        values = {**json.loads(case.extra), **case.clinical_values()}
        if (told := _told(values, outcome)) is not None:
            known[told] += 1
            first_known = first_known or case.manifest_row
        for name, need in needs.items():
            if not need.is_met(case, values):
                counts[name] += 1
                first[name] = first[name] or case.manifest_row
    lacks = [
        Lack(
            name,
            need.columns,
            counts[name],
            first[name],
            f"the bundle needs {need.words}: {counts[name]} of {len(manifest)} cases lack it (first: row {first[name]})"
            + (f"; {need.missing}" if counts[name] == len(manifest) else ""),
        )
        for name, need in needs.items()
        if counts[name]
    ]
    return [*lacks, *_of_one_class(known, first_known, outcome), *_of_own_cases(centers, first_of, bundle)]


def _told(values: Mapping[str, Any], outcome: Outcome) -> int | None:
    """Return a case's outcome, where a manifest says it."""
    if outcome.is_several:
        name = values.get(outcome.column)
        return class_number(name, outcome.classes) if name else None
    return values["cvt"] if outcome.is_cvt else outcome_in(values, outcome.column)


def _columns(outcome: Outcome) -> tuple[str, ...]:
    """Return the columns of the manifest that say an outcome."""
    return ("cvt", "etiology") if outcome.is_cvt else (outcome.column,)


def _of_one_class(known: Mapping[int, int], first_row: int, outcome: Outcome) -> list[Lack]:
    """Return what is lacking where all known outcomes, cases by 0 and 1, are the same."""
    if len(known) != 1:
        return []
    [(event, cases)] = known.items()
    if outcome.is_several:
        own = outcome.classes[event] if event != UNLISTED else "none of the bundle's classes"
        told = f"the report needs cases of every class: all {cases} known ones are {own} (first: row {first_row}); {NO_AUC}"
        return [Lack("both_outcomes", _columns(outcome), cases, first_row, told)]
    told = (
        f"the report needs cases with {outcome.event} and cases without: all {cases} with a known outcome are "
        f"{'with' if event else 'without'} (first: row {first_row}); {NO_AUC}"
    )
    return [Lack("both_outcomes", _columns(outcome), cases, first_row, told)]


def _of_own_cases(cases: Mapping[str, int], first_rows: Mapping[str, int], bundle: Bundle) -> list[Lack]:
    """Return which new centres have too few cases, of a bundle that moves them by these; numbers are by centre."""
    found = bundle.model.harmonisation
    if found is None or found.base is None:
        return []
    few = {center: count for center, count in cases.items() if count < FEWEST_CASES and center not in found.centers}
    return [
        Lack(
            "own_cases",
            ("center",),
            count,
            first_rows[center],
            f"the bundle puts a new centre onto the scale of training by {FEWEST_CASES} or more of its own cases, and {center!r} "
            f"has {count} here: nothing of it is scored unless the store has as many of it, or has moved it before",
        )
        for center, count in few.items()
    ]


def _reading(manifest: Manifest, fitted: Reading, reader: str | None) -> Reading:
    """Return whose outlines are to be scored: of a reader's in the manifest the first."""
    if reader is None or reader == fitted.reader:
        return fitted
    numbers = (roi.reading for case in manifest for roi in case.masked_rois() if roi.reader == reader)
    return Reading(reader, min(numbers, default=1))


def _needs(reading: Reading, clinical: Sequence[ClinicalTerm], outcome: Outcome) -> dict[str, _Need]:
    outline = _Need(
        ("mask", "reader", "reading"),
        f"an outline of reader {reading} to score",
        "no case will have a score",
        lambda case, _: any(Reading(roi.reader, roi.reading) == reading for roi in case.masked_rois()),
    )
    return {
        **({} if is_method(reading.reader) else {"outline": outline}),
        **{name: _of_term(name, clinical) for name in names_of(clinical)},
        # No row of a manifest says of itself whether the hematoma expanded.
        **({} if outcome.column == EXPANSION else {"outcome": _of_outcome(outcome)}),
    }


def _of_outcome(outcome: Outcome) -> _Need:
    columns = _columns(outcome)
    missing = NO_AUC if outcome.is_cvt else "there will be no report"
    return _Need(
        columns, f"{' or '.join(columns)} to validate", missing, lambda _, values: _told(values, outcome) is not None
    )


def _of_term(name: str, clinical: Sequence[ClinicalTerm]) -> _Need:
    """Return the need of a clinical column: a number, or one of the levels that training had."""
    levels = levels_of(clinical, name)
    told = f" ({', '.join(levels)})" if levels else ""

    def is_met(_: Case, values: Mapping[str, object]) -> bool:
        value = values.get(name)
        if value is None or levels:
            return value in levels
        return not math.isnan(to_number(str(value)))

    return _Need(
        (name,),
        f"{name}{told} for the DLRN",
        "no case will have a score of the DLRN, nor the report an AUC of it",
        is_met,
    )
