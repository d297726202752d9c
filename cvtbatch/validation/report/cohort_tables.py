"""Tables of the cohort and the model: flow, failures, flags, baseline, scanners, terms, importances, cases."""

from collections.abc import Iterator

from cvtbatch.validation.baseline import BaselineRow, LevelSummary, NumberSummary, Summary
from cvtbatch.validation.evaluate import CaseResult, Validation
from cvtbatch.validation.inputs import FlowStep, Importance
from cvtbatch.validation.report.column_words import image_pattern_notes, variable_in_words
from cvtbatch.validation.report.gallery import case_links, order_cases
from cvtbatch.validation.report.tables import Cell, Column, ReportTable, decimal, percent, tabulate
from cvtbatch.validation.values import Maybe, NotComputable

NAMED = 5
"""Cases that a step leaves out for one reason, at most, which its row names."""
FINER = 3
"""Decimals, at most, that tell two medians apart beyond those of every number."""
MEANINGS = {
    "tilted": "the gantry was tilted; resampled by the slices' own positions",
    "unverified_slices": "a tilted image file has one step for all gaps, which nothing verifies",
    "two_places": "sform and qform of the NIfTI file differ; the sform is taken",
    "uneven_slices": "slice distances differ; resampled by the slices' own positions",
    "missing_slices": "slices are missing, and the manifest allows it",
    "duplicate_slices": "some slices were there twice",
    "contrast": "hints of contrast medium",
    "not_axial": "slices are not axial",
    "no_head": "less than 200 ml of brain",
    "vertex_cut": "the series ends below the vertex",
    "base_cut": "the series begins above the skull base",
    "noisy": "noise above 10 HU",
    "metal": "0.05 ml of metal or more",
    "displaced_slices": "a jump of 2 mm or more between slices",
    "overlapping_passes": "two passes of the scanner overlap by a slice, which is left out",
    "interleaved_passes": "passes lie in the middle of one another's gaps: one scan's odd and even slices, or a second scan",
    "slice_location_disagrees": "the slices' two statements of their places contradict each other",
    "lossy_compressed": "the pixels are, or once were, compressed with loss",
    "tiny": "a very small outline",
    "many_components": "the outline has many parts",
    "implausible_hu": "the outline's HU are not those of blood",
    "border_contact": "the outline touches the image's border",
    "volume_changed": "stored and drawn volume differ by more than 3 %",
    "contours_ignored": "some contours have no area, and were left out",
    "contours_between_slices": "some contours lie between slices, and went to the nearest one",
    "overlapping_contours": "contours overlap without one lying in the other",
    "skipped_slices": "slices are left out between outlines that cover one another",
    "other_slices": "drawn on other slices than the image's, and placed by position",
    "placed_by_index": "the outline's file has other slice positions than the series, and went slice by slice",
    "auto": "the outline was found by a method, not drawn",
    "disagreement": "the method's networks differ over the outline",
    "several": "the method found further hematomas beside the outline",
    "mostly_ivh": "more than half of the outline is blood in the ventricles, by the method",
    "mostly_extra_axial": "more than half of the outline is blood around the brain, by the method",
    "infratentorial": "the outline seems to lie below the tentorium",
    "not_for_inference": "the outline's method is for demos and second opinions",
    "epilepsy_unknown": "no DLRN score",
    "no_embedding": "no DL, DLR and DLRN score",
    "feature_missing": "no score of the signatures that need it",
    "feature_replaced": "the training mean stands in for a missing feature",
    "outside_training_range": "a selected feature outside the training range",
}
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
    yield ReportTable(
        "flow",
        "Cases at each step",
        ("step", "cases", "left out here"),
        tuple((step.name, step.left, _left_out(step)) for step in validation.flow),
        place="inclusion",
    )
    for name, title, counts in (
        ("failures", "Failures by kind", validation.failures),
        ("flags", "Flags of analysed cases", validation.flags),
    ):
        rows = tuple((_words(row.kind), row.cases, MEANINGS.get(row.kind, "")) for row in counts)
        yield ReportTable(name, title, ("kind", "cases", "meaning"), rows, place="inclusion")
    yield _baseline("baseline_by_class", "CVT and other causes", ("CVT", "other causes"), validation.baseline_by_class)
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
        notes=image_pattern_notes(row.feature for row in validation.importances),
    )
    yield _case_table(validation)


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
    notes = [
        "Logistic regression: log odds = intercept + sum of coefficient × value; DLR signature: 0 to 1; epilepsy: 0 or 1. "
        "Odds ratios are of one unit, as fitted in training."
    ]
    if not isinstance(found, NotComputable):
        terms = tuple((term.name, term.coefficient, term.odds_ratio) for term in found.terms)
        rows = (("intercept", found.intercept, None), *terms)
        notes += [
            f"The coefficient of {term.name} is negative: a higher value lowers the probability."
            for term in found.terms
            if term.coefficient < 0 and not term.levels
        ]
    return ReportTable(
        "terms",
        f"Terms of {validation.primary}",
        ("term", "coefficient", "odds ratio (95 % CI)"),
        rows,
        digits=(0, 3, 2),
        place="beside-model",
        notes=tuple(notes),
    )


def _case_table(validation: Validation) -> ReportTable:
    models = [model.name for model in validation.models]
    scores = [model.name if model.scale == "probability" else f"{model.name} votes" for model in validation.models]
    recalibrated = [model.name for model in validation.models if model.scale == "recalibrated votes"]
    rows = tuple(_case_row(result, models, recalibrated) for result in validation.cases)
    links = case_links(order_cases(validation))
    return ReportTable(
        "cases",
        "All cases",
        ("case", "outcome", *recalibrated, *scores, "decision", "judged", "unusual columns", "flags"),
        rows,
        digits=(0, 0, *[3] * len([*recalibrated, *scores]), 0, 0, 0, 0),
        links=tuple(links[result.case.key] for result in validation.cases),
        place="cases",
        long=True,
        keyed=True,
    )


def _case_row(result: CaseResult, models: list[str], recalibrated: list[str]) -> tuple[Cell, ...]:
    case = result.case
    return (
        case.key,
        outcome_word(case.outcome),
        *(case.probabilities.get(name) for name in recalibrated),
        *(case.scores.get(name) for name in models),
        decision_word(result.called),
        judgement(result),
        len(case.outside),
        ", ".join(_words(flag) for flag in case.flags),
    )


def outcome_word(outcome: bool | None) -> str:
    """Name an outcome."""
    return {True: "CVT", False: "other", None: "unknown"}[outcome]


def decision_word(called: bool | None) -> str:
    """Name a decision."""
    return {True: "CVT", False: "other", None: "none"}[called]


def judgement(result: CaseResult) -> str:
    """Name what a decision is worth."""
    return {True: "wrong", False: "right", None: "open"}[result.wrong]
