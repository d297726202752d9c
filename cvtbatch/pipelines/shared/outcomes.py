"""The outcome of each case by the column that a job or a bundle names: CVT, expansion, etiology, or an x_ column."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cvtbatch import contracts
from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.manifest import Reading
from cvtbatch.nearest import did_you_mean
from cvtbatch.store import View, pair_rows
from cvtbatch.validation.outcome import CVT, ETIOLOGY, EXPANSION

# What a cell of an x_ column says, in small letters.
SAYS: Mapping[str, int] = {"1": 1, "yes": 1, "true": 1, "0": 0, "no": 0, "false": 0}
# The class of all that have none of their own, where it is one of those that are told.
OTHER = "OTHER"
# The outcome of a case of a class that is not told.
UNLISTED = -1
NO_SUCH_OUTCOME = "no_such_outcome"
Outcomes = Mapping[str, int | None]


def read_outcomes(
    view: View,
    cases: Iterable[Mapping[str, Any]],
    column: str,
    reading: Reading,
    spec_ids: Sequence[str] = (),
    classes: Sequence[str] = (),
) -> Outcomes:
    """Return the outcome of cases, by case_key: 1 with the event, 0 without, None where it is not known.

    Of several classes it is the class's number, from 0; of a class that is not told that of OTHER, or else UNLISTED.

    That of `expansion` is told of a patient's first study, by the first later one in which its outline was outlined again; other
    studies have none.

    Args:
        cases: rows of `cases`.
        reading: whose outlines tell an expansion.
        spec_ids: specifications that these are restricted to.
        classes: names of several classes; none for yes or no.

    Raises:
        InputError: "no_such_outcome": none of the cases has the x_ column, patients have no pair of studies, or a class is no
            etiology.
        ProblemsError: "bad_outcome", with every cell that is neither; "bad_timepoints".
    """
    cases = list(cases)
    if classes:
        return _classes(cases, column, classes)
    if column == CVT.column:
        return {case["case_key"]: case["cvt"] for case in cases}
    if column != EXPANSION:
        return _own(cases, column)
    keys = {case["case_key"] for case in cases}
    expanded = {key: value for key, value in _expansions(view, reading, spec_ids).items() if key in keys}
    if cases and not expanded:
        raise InputError(
            NO_SUCH_OUTCOME,
            f"the outcome is expansion, and of these cases no patient has two studies with an outline by {reading}, in an order "
            "that is known: see `cvtbatch export pairs`",
        )
    return {key: expanded.get(key) for key in keys}


def outcome_in(extra: Mapping[str, str], column: str) -> int | None:
    """Return what the x_ columns of a case say of an outcome; None where they say nothing, or nothing that is one."""
    return SAYS.get(extra.get(column, "").casefold())


def _classes(cases: Sequence[Mapping[str, Any]], column: str, classes: Sequence[str]) -> Outcomes:
    names: Mapping[str, str | None]
    if column == ETIOLOGY:
        allowed = contracts.manifest_fields()[ETIOLOGY].enum
        if unknown := [name for name in classes if name not in allowed]:
            raise InputError(
                NO_SUCH_OUTCOME,
                f"fit.classes names {unknown[0]!r}, which is no etiology; {did_you_mean(unknown[0], allowed)}there are "
                f"{', '.join(allowed)}",
            )
        names = {case["case_key"]: case[ETIOLOGY] for case in cases}
    else:
        names = {key: extra.get(column) or None for key, extra in _extras(cases, column).items()}
    return {key: None if name is None else class_number(name, classes) for key, name in names.items()}


def class_number(name: str, classes: Sequence[str]) -> int:
    """Return the number of a class, from 0: of one that is not told that of OTHER, or else UNLISTED."""
    own = name if name in classes else OTHER
    return classes.index(own) if own in classes else UNLISTED


def _extras(cases: Sequence[Mapping[str, Any]], column: str) -> Mapping[str, Mapping[str, str]]:
    """Return the x_ columns of cases, by case_key.

    Raises:
        InputError: "no_such_outcome": no case has the column.
    """
    extras = {case["case_key"]: json.loads(case["extra"]) for case in cases}
    known = {name for extra in extras.values() for name in extra}
    if cases and column not in known:
        there = f"there are {', '.join(sorted(known))}" if known else "they have no such column of their own"
        raise InputError(
            NO_SUCH_OUTCOME,
            f"the outcome is the manifest's column {column}, which none of these cases has; {did_you_mean(column, known)}{there}",
        )
    return extras


def _own(cases: Sequence[Mapping[str, Any]], column: str) -> Outcomes:
    extras = _extras(cases, column)
    wrong = [
        f"case {key}: {extra[column]!r} is neither 1, yes or true, with the event, nor 0, no or false, without"
        for key, extra in extras.items()
        if column in extra and outcome_in(extra, column) is None
    ]
    if wrong:
        raise ProblemsError.of("bad_outcome", f"column {column}, the outcome,", wrong)
    return {key: outcome_in(extra, column) for key, extra in extras.items()}


def _expansions(view: View, reading: Reading, spec_ids: Sequence[str]) -> dict[str, int]:
    columns = ["center", "patient", "reader", "reading", "baseline_roi_key", "expansion"]
    found: dict[str, int] = {}
    for row in pair_rows(view, columns, None, spec_ids).rows.to_pylist():
        if Reading(row["reader"], row["reading"]) == reading and row["expansion"] is not None:
            found.setdefault(row["baseline_roi_key"].rsplit("/", 3)[0], int(row["expansion"]))
    return found
