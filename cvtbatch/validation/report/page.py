"""Writes the report: `report.html` (and further pages of cases), `report.json`, `results.md`, `figures/`, `tables/`."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cvtbatch import contracts
from cvtbatch.errors import InputError, InternalError
from cvtbatch.file_errors import why
from cvtbatch.reporting.outlined_slice import OutlinedSlice, to_data_url
from cvtbatch.validation.evaluate import CaseResult, Validation
from cvtbatch.validation.readers import FEWEST
from cvtbatch.validation.report.calculator import calculator_data
from cvtbatch.validation.report.case_words import (
    beyond_in_words,
    clinical_in_words,
    conclusion_in_words,
    epilepsy_decides,
    extrapolated,
    moved_in_words,
    outside_training,
    points_in_words,
    terms_in_words,
)
from cvtbatch.validation.report.checklists import Checklist, fill_checklists
from cvtbatch.validation.report.cohort_tables import cohort_tables, decision_word, judgement, outcome_word
from cvtbatch.validation.report.cohort_words import others_in_words, uncompared_in_words, unrecorded_criteria
from cvtbatch.validation.report.column_words import in_words
from cvtbatch.validation.report.digits import Counted, counted_share, decimal, estimate_text
from cvtbatch.validation.report.document import to_document
from cvtbatch.validation.report.drawing import Drawing, standalone
from cvtbatch.validation.report.gallery import (
    Pictures,
    anchor,
    case_links,
    order_cases,
    page_name,
)
from cvtbatch.validation.report.model_figures import draw_model, worked_example
from cvtbatch.validation.report.performance_figures import draw_performance
from cvtbatch.validation.report.performance_tables import performance_tables
from cvtbatch.validation.report.reader_tables import reader_tables
from cvtbatch.validation.report.rendering import render
from cvtbatch.validation.report.repeat_words import repeats_in_words
from cvtbatch.validation.report.results_text import results_text
from cvtbatch.validation.report.shift_tables import shift_tables
from cvtbatch.validation.report.size_tables import size_tables
from cvtbatch.validation.report.tables import ReportTable
from cvtbatch.validation.report.visible_text import with_visible_text
from cvtbatch.validation.values import NotComputable
from cvtbatch.whole_files import written_whole

SCHEMA = "report.json"
TABLES = (cohort_tables, performance_tables, shift_tables, reader_tables, size_tables)


@dataclass(frozen=True, slots=True)
class Card:
    """A case as the gallery shows it.

    Attributes:
        outside: what lies outside the training range, by name: then the card gives no number that rests on it.
        conclusion: what the primary model makes of the case, in a sentence.
    """

    result: CaseResult
    picture: str | None
    outcome: str
    decision: str
    judgement: str
    outside: tuple[str, ...]
    conclusion: str


def write_report(
    validation: Validation, pictures: Pictures, folder: Path, on_page: Callable[[int, int], None] | None = None
) -> Path:
    """Write a report into a folder and return its page.

    Args:
        pictures: gives the slice of a case by its key.
        on_page: told how many pages are written, of how many.

    Raises:
        InputError: the folder cannot be written.
    """
    document = to_document(validation)
    if problems := contracts.problems_of(document, SCHEMA):
        raise InternalError("bad_report", f"the report breaks its own contract: {problems[0]}")
    # The document is for programs, and has every text as it is; pictures are asked for by such a key too.
    pages = order_cases(validation)
    validation = with_visible_text(validation)
    try:
        for part in (folder, folder / "figures", folder / "tables"):
            part.mkdir(parents=True, exist_ok=True)
        drawings = {drawing.name: drawing for drawing in (*draw_model(validation), *draw_performance(validation))}
        checklists = fill_checklists(validation)
        tables = {table.name: table for make in TABLES for table in make(validation)}
        _write_text(folder / "report.json", json.dumps(document, indent=1, allow_nan=False) + "\n")
        _write_text(folder / "results.md", results_text(validation, drawings.values()))
        for table in tables.values():
            _write_text(folder / "tables" / f"{table.name}.csv", table.to_csv())
        for checklist in checklists:
            _write_text(folder / checklist.file, checklist.to_table().to_csv())
        for drawing in drawings.values():
            _write_text(folder / "figures" / f"{drawing.name}.svg", standalone(drawing))
            (folder / "figures" / f"{drawing.name}.png").write_bytes(drawing.png)
        for place in reversed(range(len(pages))):
            cards = [_card(with_visible_text(result), pictures(result.case.key), validation) for result in pages[place]]
            text = _render(validation, place, pages, cards, tables, drawings, checklists)
            _write_text(folder / page_name(place), text)
            if on_page:
                on_page(len(pages) - place, len(pages))
    except OSError as error:
        raise InputError("cannot_write", f"the report cannot be written: {why(error)}", str(folder)) from None
    return folder / page_name(0)


def _write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with written_whole(path) as aside:
        aside.write_text(text, encoding="utf-8")


def _card(result: CaseResult, picture: OutlinedSlice | None, validation: Validation) -> Card:
    return Card(
        result,
        to_data_url(picture) if picture else None,
        outcome_word(result.case, validation.outcome),
        decision_word(result, validation.outcome),
        judgement(result),
        outside_training(result.case, validation.nomogram),
        conclusion_in_words(result, validation),
    )


def _render(
    validation: Validation,
    place: int,
    pages: Sequence[Sequence[CaseResult]],
    cards: Iterable[Card],
    tables: Mapping[str, ReportTable],
    drawings: Mapping[str, Drawing],
    checklists: Sequence[Checklist],
) -> str:
    return render(
        "report.html.j2" if place == 0 else "cases.html.j2",
        {
            function.__name__: function
            for function in (anchor, beyond_in_words, clinical_in_words, points_in_words, moved_in_words)
        },
        v=validation,
        cards=list(cards),
        place=place,
        pages=[(page_name(number), len(page)) for number, page in enumerate(pages)],
        links=case_links(order_cases(validation)),
        tables=tables,
        drawings=drawings,
        checklists=checklists,
        example=worked_example(validation),
        calculator=calculator_data(validation.nomogram),
        regressed_on=terms_in_words(validation.nomogram),
        readers=list(enumerate(validation.readers, 1)),
        summary=_summary(validation),
        repeats=repeats_in_words(validation),
        unrecorded=unrecorded_criteria(validation),
        others=others_in_words(validation),
        uncompared=uncompared_in_words(validation),
        fewest=FEWEST,
    )


def _summary(validation: Validation) -> list[tuple[str, str]]:
    """Return what a reader in a hurry needs: label and text."""
    primary = validation.primary_result
    counts = f"{len(validation.cases)} of {validation.patients} patients"
    lines = [
        (
            "cases",
            f"{counts}; {validation.known} with a known outcome, {validation.events} of them with {validation.outcome.event}",
        )
    ]
    auc = primary.auc
    told = f"not computable: {auc.reason}" if isinstance(auc, NotComputable) else estimate_text(auc)
    lines.append((f"AUC of {primary.name}", told))
    beside = (("extrapolation", extrapolated(validation)), ("epilepsy alone", epilepsy_decides(validation)))
    lines.extend((label, text) for label, text in beside if text)
    decisions = primary.points[0].decisions
    if not isinstance(decisions, NotComputable):
        found = [(name, counted_share(name, decisions)) for name in ("sensitivity", "specificity")]
        parts = [f"{name} {estimate_text(share, 2)}" for name, share in found if isinstance(share, Counted)]
        lines.append(
            (f"at the frozen threshold {decimal(decisions.threshold)}", ", ".join(parts) or "no case of either class")
        )
    lines.append(("shift", in_words(validation.shift.verdict)))
    lines.append(("power", validation.power.verdict))
    return lines
