"""Tables of the cohort and the model: flow, failures, flags, baseline, scanners, terms, importances, cases."""

from collections.abc import Iterator

from cvtbatch.reporting.flag_words import meaning_of
from cvtbatch.validation.baseline import BaselineRow, LevelSummary, NumberSummary, Summary
from cvtbatch.validation.evaluate import CaseResult, Validation
from cvtbatch.validation.inputs import Case, FlowStep, Importance
from cvtbatch.validation.nomogram import Term
from cvtbatch.validation.outcome import Outcome
from cvtbatch.validation.report.case_words import beyond_in_words
from cvtbatch.validation.report.cohort_words import unrecorded_in_words
from cvtbatch.validation.report.column_words import image_pattern_notes, variable_in_words
from cvtbatch.validation.report.digits import decimal
from cvtbatch.validation.report.gallery import case_links, order_cases
from cvtbatch.validation.report.tables import Cell, Column, ReportTable, percent, tabulate
from cvtbatch.validation.values import Maybe, NotComputable

HOW_FAR = "features outside the training range: how far (times the range)"
FARTHEST = 3
"""Features outside the training range that a row of a case names."""
NAMED = 5
"""Cases that a step leaves out for one reason, at most, which its row names."""
FINER = 3
"""Decimals, at most, that tell two medians apart beyond those of every number."""
_NOT_STATED = (
    "Unknown scanner, kernel or voltage: the source files do not name it, as NIfTI and NRRD files and synthetic archives do not, "
    "or name it in words that are not on the list of makers, models and kernels: others are not kept, since such fields may "
    "hold anything."
)
_SUMMARIES = (
    "Numbers: median (first to third quartile), and mean ± SD where both groups look normal. Categories: count (share). "
    "P values are not adjusted for the number of rows."
)
_IMPORTANCES: tuple[Column[Importance], ...] = (
    Column("feature", lambda row: row.feature),
    Column("importance", lambda row: row.importance),
    Column("LASSO coefficient", lambda row: row.coefficient),
)


def cohort_tables(validation: Validation) -> Iterator[ReportTable]:
    """Yield the tables of cohort, model and cases, in the order of the page."""
    yield _flow_table(validation)
    for name, title, counts in (
        ("failures", "Failures by kind", validation.failures),
        ("flags", "Flags of analysed cases", validation.flags),
    ):
        rows = tuple((_words(row.kind), row.cases, meaning_of(row.kind)) for row in counts)
        yield ReportTable(name, title, ("kind", "cases", "meaning"), rows, place="inclusion")
    event, others = validation.outcome.event, validation.outcome.others
    yield _baseline("baseline_by_class", f"{event} and {others}", (event, others), validation.baseline_by_class)
    against, title = validation.baseline_against_training, "This centre and training"
    if isinstance(against, NotComputable):
        yield ReportTable("baseline_against_training", title, ("variable",), ((against,),), place="cohort")
    else:
        yield _baseline("baseline_against_training", title, ("this centre", "training"), against)
    yield _baseline(
        "protocol", "Scanner and protocol", ("this centre", "training"), validation.protocol, (_NOT_STATED,)
    )
    yield _term_table(validation)
    yield tabulate(
        "importances",
        "Selected features",
        _IMPORTANCES,
        validation.importances,
        place="model",
        notes=image_pattern_notes((row.feature for row in validation.importances), validation.provenance.settings),
    )
    yield _case_table(validation)


def _flow_table(validation: Validation) -> ReportTable:
    """Return the steps; where a criterion is not recorded of all who count as eligible, a column says so."""
    asked = any(step.unrecorded for step in validation.flow)
    rows = [(step.name, step.left, _left_out(step), unrecorded_in_words(step)) for step in validation.flow]
    header = ("step", "cases", "left out here", "not recorded (leaves nobody out)")
    return ReportTable(
        "flow",
        "Cases at each step",
        header if asked else header[:-1],
        tuple(rows if asked else (row[:-1] for row in rows)),
        place="inclusion",
    )


def _left_out(step: FlowStep) -> str:
    """Return whom a step leaves out: each reason with its count, and the cases where they are few."""
    return "; ".join(
        f"{reason} ({count})" + (f": {', '.join(keys)}" if count <= NAMED else "")
        for (reason, count), keys in zip(step.excluded, step.keys, strict=True)
    )


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _baseline(
    name: str, title: str, groups: tuple[str, str], rows: tuple[BaselineRow, ...], more: tuple[str, ...] = ()
) -> ReportTable:
    cells: list[tuple[Cell, ...]] = []
    for row in rows:
        test: Cell = row.test
        variable = variable_in_words(row.variable)
        label = variable + (f" ({row.unit})" if row.unit not in ("", "category", "yes/no") else "")
        how = "" if isinstance(row.test, NotComputable) else row.test.name
        finer = _finer(row.first, row.second)
        sides = (_summary(summary, row.normal, finer) for summary in (row.first, row.second))
        cells.append((label, *sides, test, how))
    return ReportTable(
        name,
        title,
        ("variable", *groups, "P", "test"),
        tuple(cells),
        notes=(_SUMMARIES, *more) if cells else (),
        place="cohort",
    )


def _finer(first: Maybe[Summary], second: Maybe[Summary]) -> int:
    """Return how many decimals more tell two numbers apart; 0 where no few of them do, or there are no two."""
    if not isinstance(first, NumberSummary) or not isinstance(second, NumberSummary):
        return 0
    return next((more for more in range(FINER + 1) if _quartiles(first, more) != _quartiles(second, more)), 0)


def _quartiles(summary: NumberSummary, finer: int) -> str:
    median, low, high = (_plain(value, finer) for value in (summary.median, summary.q1, summary.q3))
    return f"{median} ({low} to {high})"


def _summary(summary: Maybe[Summary], normal: bool, finer: int) -> Cell:
    match summary:
        case NumberSummary():
            text = _quartiles(summary, finer)
            if normal and isinstance(summary.sd, float):
                text += f"; {_plain(summary.mean, finer)} ± {_plain(summary.sd, finer)}"
        case LevelSummary():
            text = ", ".join(f"{row.level}: {row.count} ({percent(row.share)})" for row in summary.levels if row.count)
        case _:
            return summary
    return text + (f"; unknown: {summary.unknown}" if summary.unknown else "")


def _plain(value: float, finer: int) -> str:
    return decimal(value, finer + (0 if abs(value) >= 100 else 1))


def _term_table(validation: Validation) -> ReportTable:
    found = validation.nomogram
    rows: tuple[tuple[Cell, ...], ...] = ((found, None, None),) if isinstance(found, NotComputable) else ()
    told = "DLR signature: 0 to 1"
    notes = []
    if not isinstance(found, NotComputable):
        told = "; ".join([told, *(f"{term.name}: {_values(term)}" for term in found.terms[1:])])
        terms = [row for term in found.terms for row in _coefficients(term)]
        rows = (("intercept", found.intercept, None), *terms)
        notes += [
            f"The coefficient of {term.name} is negative: a higher value lowers the probability."
            for term in found.terms
            if term.coefficient < 0 and not (term.levels or term.more)
        ]
    notes.insert(
        0,
        f"Logistic regression: log odds = intercept + sum of coefficient × value; {told}. "
        "Odds ratios are of one unit, as fitted in training.",
    )
    return ReportTable(
        "terms",
        f"Terms of {validation.primary}",
        ("term", "coefficient", "odds ratio (95 % CI)"),
        rows,
        digits=(0, 3, 2),
        place="beside-model",
        notes=tuple(notes),
    )


def _values(term: Term) -> str:
    """Say what a clinical term's coefficients are of."""
    if term.knots:
        knots = ", ".join(f"{knot:.4g}" for knot in term.knots)
        return f"restricted cubic spline in rms's basis, knots at {knots}; {_range(term)}"
    if term.levels and not _is_answer(term):
        return f"1 at the level named, else 0; reference {term.levels[0][1]}"
    return "0 or 1" if term.levels else _range(term)


def _range(term: Term) -> str:
    return f"{term.low:g} to {term.high:g} in training"


def _coefficients(term: Term) -> Iterator[tuple[Cell, ...]]:
    """Yield the rows of a term: one of a line, or one of each column of a spline, or of each level but the reference."""
    if not term.more:
        level = f": {term.levels[1][1]}" if term.levels and not _is_answer(term) else ""
        yield f"{term.name}{level}", term.coefficient, term.odds_ratio
        return
    for place, coefficient in enumerate(term.coefficients):
        name = term.name + "'" * place if term.knots else f"{term.name}: {term.levels[place + 1][1]}"
        yield name, coefficient, None


def _is_answer(term: Term) -> bool:
    return [name for _, name in term.levels] == ["no", "yes"]


def _case_table(validation: Validation) -> ReportTable:
    models = [model.name for model in validation.models]
    scores = [model.name if model.scale == "probability" else f"{model.name} votes" for model in validation.models]
    recalibrated = [model.name for model in validation.models if model.scale == "recalibrated votes"]
    rows = tuple(_case_row(result, models, recalibrated, validation.outcome) for result in validation.cases)
    links = case_links(order_cases(validation))
    return ReportTable(
        "cases",
        "All cases",
        ("case", "outcome", *recalibrated, *scores, "decision", "judged", HOW_FAR, "flags"),
        rows,
        digits=(0, 0, *[3] * len([*recalibrated, *scores]), 0, 0, 0, 0),
        notes=_outside_notes(validation),
        links=tuple(links[result.case.key] for result in validation.cases),
        place="cases",
        long=True,
        keyed=True,
    )


def _outside_notes(validation: Validation) -> tuple[str, ...]:
    """Return how to read the columns of what lies outside, if anything does."""
    outside = [name for result in validation.cases for name in result.case.outside]
    if not outside:
        return ()
    return (
        "Outside the training range: beyond the nearer end of the range that the training cases have, in widths of that range; 1.0 "
        "above is as far above its upper end as that lies above the lower. The farthest come first, and all stand in the case's "
        "explanation below. There a model extrapolates.",
        *image_pattern_notes(outside, validation.provenance.settings),
    )


def _case_row(result: CaseResult, models: list[str], recalibrated: list[str], outcome: Outcome) -> tuple[Cell, ...]:
    case = result.case
    return (
        case.key,
        outcome_word(case, outcome),
        *(case.probabilities.get(name) for name in recalibrated),
        *(case.scores.get(name) for name in models),
        decision_word(result, outcome),
        judgement(result),
        beyond_in_words(case, FARTHEST),
        ", ".join(_words(flag) for flag in case.flags),
    )


def outcome_word(case: Case, outcome: Outcome) -> str:
    """Name the outcome of a case."""
    return {True: outcome.event, False: outcome.classes[0], None: "unknown"}[case.outcome]


def decision_word(result: CaseResult, outcome: Outcome) -> str:
    """Name a decision."""
    return {True: outcome.event, False: outcome.classes[0], None: "none"}[result.called]


def judgement(result: CaseResult) -> str:
    """Name what a decision is worth."""
    return {True: "wrong", False: "right", None: "open"}[result.wrong]
