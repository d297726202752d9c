"""Tables of the cohort: flow, baseline, scanners, failures, importances, shift, readers, cases."""

from collections.abc import Iterator

from cvtbatch.validation.baseline import BaselineRow, LevelSummary, NumberSummary, Summary
from cvtbatch.validation.evaluate import CaseResult, Validation
from cvtbatch.validation.feature_shift import LARGE_DIFFERENCE, FeatureShift
from cvtbatch.validation.report.gallery import order_cases, page_name, page_names
from cvtbatch.validation.report.tables import Cell, ReportTable, counted, decimal, percent
from cvtbatch.validation.values import Maybe, NotComputable

_VARIABLES = {"cvt": "CVT", "onset_to_ct_h": "onset to CT", "volume_ml": "hematoma volume"}
_SHIFT_NOTES = (
    "Difference of the means in standard deviations; K-S: Kolmogorov-Smirnov, P is Holm's over the rows. Shifted: |difference| at "
    "least 0.5 and P below 0.05. Unseen: more cases outside the training range than chance explains (Holm's P below 0.05). "
    "Unclear: |difference| at least 0.5, which chance may explain in so few cases.",
)
_SCORE_NOTES = (
    "Log odds. Training's scores are out of fold: each case's, from models that had not seen it. All cases also differ where the "
    "share of CVT does; within a class they do not.",
)
_MEANINGS = {
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


def cohort_tables(validation: Validation) -> Iterator[ReportTable]:
    """Yield the tables of cohort and cases, in the order of the page."""
    yield ReportTable(
        "flow",
        "Inclusion flow",
        ("step", "cases", "left out here"),
        tuple((step.name, step.left, counted(step.excluded)) for step in validation.flow),
    )
    yield _baseline("baseline_by_class", "CVT and other causes", ("CVT", "other causes"), validation.baseline_by_class)
    against = validation.baseline_against_training
    if isinstance(against, NotComputable):
        yield ReportTable("baseline_against_training", "This centre and training", ("variable",), ((against,),))
    else:
        yield _baseline("baseline_against_training", "This centre and training", ("this centre", "training"), against)
    yield _baseline(
        "protocol", "Scanner and protocol", ("this centre", "training"), validation.protocol, (_NOT_STATED,)
    )
    for name, title, counts in (
        ("failures", "Failures by kind", validation.failures),
        ("flags", "Flags of analysed cases", validation.flags),
    ):
        rows = tuple((_words(row.kind), row.cases, _MEANINGS.get(row.kind, "")) for row in counts)
        yield ReportTable(name, title, ("kind", "cases", "meaning"), rows)
    yield ReportTable(
        "importances",
        "Selected features",
        ("feature", "importance", "LASSO coefficient"),
        tuple((row.feature, row.importance, row.coefficient) for row in validation.importances),
    )
    yield _term_table(validation)
    yield from _shift_tables(validation)
    yield from _reader_tables(validation)
    yield _case_table(validation)


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _baseline(
    name: str, title: str, groups: tuple[str, str], rows: tuple[BaselineRow, ...], more: tuple[str, ...] = ()
) -> ReportTable:
    cells: list[tuple[Cell, ...]] = []
    for row in rows:
        test: Cell = row.test
        variable = _VARIABLES.get(row.variable, _words(row.variable))
        label = variable + (f" ({row.unit})" if row.unit not in ("", "category", "yes/no") else "")
        how = "" if isinstance(row.test, NotComputable) else row.test.name
        cells.append((label, _summary(row.first, row.normal), _summary(row.second, row.normal), test, how))
    return ReportTable(
        name, title, ("variable", *groups, "P", "test"), tuple(cells), notes=(_SUMMARIES, *more) if cells else ()
    )


def _summary(summary: Maybe[Summary], normal: bool) -> Cell:
    match summary:
        case NumberSummary():
            text = f"{_plain(summary.median)} ({_plain(summary.q1)} to {_plain(summary.q3)})"
            if normal and isinstance(summary.sd, float):
                text += f"; {_plain(summary.mean)} ± {_plain(summary.sd)}"
        case LevelSummary():
            text = ", ".join(f"{row.level}: {row.count} ({percent(row.share)})" for row in summary.levels if row.count)
        case _:
            return summary
    return text + (f"; unknown: {summary.unknown}" if summary.unknown else "")


def _plain(value: float) -> str:
    return decimal(value, 0 if abs(value) >= 100 else 1)


def _term_table(validation: Validation) -> ReportTable:
    found = validation.nomogram
    rows: tuple[tuple[Cell, ...], ...] = ((found, None, None),) if isinstance(found, NotComputable) else ()
    if not isinstance(found, NotComputable):
        terms = tuple((term.name, term.coefficient, term.odds_ratio) for term in found.terms)
        rows = (("intercept", found.intercept, None), *terms)
    return ReportTable(
        "terms",
        f"Terms of {validation.primary}",
        ("term", "coefficient", "odds ratio (95 % CI)"),
        rows,
        digits=(0, 3, 2),
        notes=(
            "Logistic regression: log odds = intercept + sum of coefficient × value; DLR signature: 0 to 1; epilepsy: 0 or 1. "
            "Odds ratios are of one unit, as fitted in training.",
        ),
    )


def _shift_tables(validation: Validation) -> Iterator[ReportTable]:
    found = validation.shift
    scores = found.scores if isinstance(found.scores, NotComputable) else found.scores.rows
    for name, title, rows, notes in (
        ("shift_features", "Selected features against training", found.features, _SHIFT_NOTES),
        ("shift_scores", "Scores against training's out-of-fold scores", scores, _SCORE_NOTES),
        ("shift_acquisition", "Acquisition against training", found.acquisition, ()),
    ):
        if isinstance(rows, NotComputable):
            yield ReportTable(name, title, ("column",), ((rows,),))
            continue
        yield ReportTable(
            name,
            title,
            (
                "column",
                "cases",
                "unknown",
                "training mean",
                "mean here",
                "difference (SD)",
                "K-S D",
                "K-S P",
                "outside range",
                "verdict",
            ),
            tuple(_shift_row(row) for row in rows),
            digits=(0, 0, 0, 2, 2, 2, 2, 3, 2, 0),
            notes=notes,
        )
    yield ReportTable(
        "shift_covariates",
        "What acquisition explains of the score beyond the outcome",
        ("covariate", "cases", "share of variance", "P"),
        tuple((row.covariate, row.n, row.explained, row.test) for row in found.covariates),
        notes=("Log odds of the score; partial F test, P is Holm's over the rows.",),
    )


def _shift_row(row: FeatureShift) -> tuple[Cell, ...]:
    distance: Cell = row.ks if isinstance(row.ks, NotComputable) else row.ks.statistic
    return (
        row.feature,
        row.n,
        row.unknown,
        row.training_mean,
        row.center_mean,
        row.difference,
        distance,
        row.ks,
        row.outside,
        _shift_verdict(row),
    )


def _shift_verdict(row: FeatureShift) -> str:
    """Name what was found; a large difference that chance may explain is neither a shift nor none."""
    if isinstance(row.ks, NotComputable):
        return ""
    found = ", ".join(word for word, yes in (("shifted", row.shifted), ("unseen", row.unseen)) if yes)
    large = isinstance(row.difference, float) and abs(row.difference) >= LARGE_DIFFERENCE
    return found or ("unclear" if large else "none found")


def _reader_tables(validation: Validation) -> Iterator[ReportTable]:
    for number, study in enumerate(validation.readers, 1):
        rows: list[tuple[Cell, ...]] = [
            (row.feature_class, row.features, row.not_computable, row.median_icc, row.strong) for row in study.classes
        ]
        title = f"{study.kind[0].upper()}{study.kind[1:]}: {study.first} against {study.second}, {study.cases} cases"
        yield ReportTable(
            f"readers_{number}_classes",
            title,
            ("feature class", "features", "without ICC", "median ICC", "share above 0.80"),
            tuple(rows),
            digits=(0, 0, 0, 2, 2),
        )
        yield ReportTable(
            f"readers_{number}_features",
            f"{title}, by feature",
            ("feature", "ICC (95 % CI)"),
            tuple((row.feature, row.icc) for row in study.features),
            digits=(0, 2),
            long=True,
        )
        yield _outline_table(number, validation)


def _outline_table(number: int, validation: Validation) -> ReportTable:
    study = validation.readers[number - 1]
    ordered = sorted(study.dice)
    rows: list[tuple[Cell, ...]] = []
    if ordered:
        middle = ordered[len(ordered) // 2]
        rows.append(
            (
                "Dice: median (lowest to highest)",
                f"{decimal(middle, 2)} ({decimal(ordered[0], 2)} to {decimal(ordered[-1], 2)})",
            )
        )
    volume = study.volume_ml
    rows.append(
        ("volume (ml), second less first: mean (limits of agreement)", volume)
        if isinstance(volume, NotComputable)
        else (
            "volume (ml), second less first: mean (limits of agreement)",
            f"{decimal(volume.mean, 1)} ({decimal(volume.low, 1)} to {decimal(volume.high, 1)})",
        )
    )
    for score in study.scores:
        if not isinstance(score.differences, NotComputable):
            span = score.differences
            text = (
                f"{decimal(span.mean)} ({decimal(span.low)} to {decimal(span.high)}), largest {decimal(score.largest)}"
            )
            rows.append((f"{score.model} probability, second less first: mean (limits of agreement)", text))
        kappa = score.kappa if isinstance(score.kappa, NotComputable) else decimal(score.kappa, 2)
        rows.append((f"{score.model} decisions that change", f"{score.changed_decisions} of {score.n}"))
        rows.append((f"{score.model} decisions, kappa", kappa))
    return ReportTable(f"readers_{number}_outlines", "Outline, score and decision", ("what", "agreement"), tuple(rows))


def _case_table(validation: Validation) -> ReportTable:
    models = [model.name for model in validation.models]
    rows = tuple(_case_row(result, models) for result in validation.cases)
    files = page_names(order_cases(validation))
    return ReportTable(
        "cases",
        "All cases",
        ("case", "outcome", *models, "decision", "judged", "unusual columns", "flags"),
        rows,
        digits=(0, 0, *[3] * len(models), 0, 0, 0, 0),
        links=tuple(
            f"{'' if files[result.number] == page_name(0) else files[result.number]}#case-{result.number}"
            for result in validation.cases
        ),
        long=True,
        keyed=True,
    )


def _case_row(result: CaseResult, models: list[str]) -> tuple[Cell, ...]:
    case = result.case
    return (
        case.key,
        outcome_word(case.outcome),
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
