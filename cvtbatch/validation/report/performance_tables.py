"""Tables of what a model is worth: discrimination, decisions, calibration, decision curves, subgroups, power."""

import shlex
from collections.abc import Iterator

from cvtbatch.validation import published
from cvtbatch.validation.decision_curve import describe
from cvtbatch.validation.decisions import Decisions
from cvtbatch.validation.evaluate import Validation
from cvtbatch.validation.model_result import ModelResult
from cvtbatch.validation.recalibration import Recalibration
from cvtbatch.validation.report.tables import Cell, ReportTable
from cvtbatch.validation.values import Maybe, NotComputable

_THRESHOLDS = {"youden": "Youden", "sens90": "sensitivity 0.90", "sens95": "sensitivity 0.95"}
_DECISIONS = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "accuracy": "accuracy",
    "PPV": "positive_predictive_value",
    "NPV": "negative_predictive_value",
    "LR+": "positive_likelihood_ratio",
    "LR−": "negative_likelihood_ratio",
}


def performance_tables(validation: Validation) -> Iterator[ReportTable]:
    """Yield the tables of models, in the order of the page."""
    yield _auc_table(validation)
    yield _comparison_table(validation)
    yield _decision_table(validation)
    yield _published_table(validation)
    yield _calibration_table(validation)
    yield _recalibration_table(validation)
    yield _benefit_table(validation)
    yield _net_benefit_values(validation)
    yield _subgroup_table(validation)
    yield _power_table(validation)


def _auc_table(validation: Validation) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    for model in validation.models:
        found = model.precision_recall
        average: Cell = found if isinstance(found, NotComputable) else found.average_precision
        rows.append((model.name, model.n, model.events, model.unscored, model.auc, average))
    return ReportTable(
        "discrimination",
        "Discrimination at this centre",
        ("model", "cases", "events", "not scored", "AUC (95 % CI)", "average precision (95 % CI)"),
        tuple(rows),
        notes=("AUC: DeLong's interval. Average precision: logit interval.",),
    )


def _comparison_table(validation: Validation) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    for row in validation.comparisons:
        names = f"{row.first} less {row.second}"
        if isinstance(row.result, NotComputable):
            rows.append((names, row.n, row.result, row.result))
        else:
            rows.append((names, row.n, row.result.difference, row.result.test))
    return ReportTable(
        "comparisons",
        "Models compared on the same cases",
        ("difference of AUC", "cases", "difference (95 % CI)", "P (DeLong, paired)"),
        tuple(rows),
        notes=("P values are not adjusted for the number of comparisons.",),
    )


def _decision_table(validation: Validation) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    for model in validation.models:
        named: list[tuple[str, Maybe[Decisions]]] = [
            (
                f"frozen: {_THRESHOLDS.get(point.name, point.name)}" + (" (primary)" if place == 0 else ""),
                point.decisions,
            )
            for place, point in enumerate(model.points)
        ]
        named.append(("own best point (optimistic)", model.best))
        rows += [_decision_row(model, name, decisions) for name, decisions in named]
    return ReportTable(
        "decisions",
        "Decisions at thresholds",
        ("model", "threshold", "at", "TP\u00a0/\u00a0FP\u00a0/\u00a0FN\u00a0/\u00a0TN", *_DECISIONS),
        tuple(rows),
        digits=(0, 0, 3, 0, 2, 2, 2, 2, 2, 2, 2),
        notes=(
            "Frozen thresholds were set in training: at Youden's point, and at sensitivities of 0.90 and 0.95 there. "
            "A case is positive at or above them. "
            "The own best point (Youden) is chosen and judged on the same cases, and so is optimistic. "
            "Intervals (95 %): Wilson's for shares, the log one for likelihood ratios.",
        ),
    )


def _decision_row(model: ModelResult, name: str, decisions: Maybe[Decisions]) -> tuple[Cell, ...]:
    if isinstance(decisions, NotComputable):
        return (model.name, name, decisions, decisions, *[decisions] * len(_DECISIONS))
    d = decisions
    counts = (
        f"{d.true_positive}\u00a0/\u00a0{d.false_positive}\u00a0/\u00a0{d.false_negative}\u00a0/\u00a0{d.true_negative}"
    )
    return (model.name, name, d.threshold, counts, *(getattr(d, field) for field in _DECISIONS.values()))


def _published_table(validation: Validation) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    for model in validation.models:
        rows.append((model.name, "this centre", model.auc, ""))
        rows += [(model.name, row.protocol, row.auc, row.caution) for row in model.training]
        if model.published_auc:
            rows.append((model.name, "published, external", model.published_auc, "another implementation and cohort"))
    return ReportTable(
        "auc_beside_training",
        "AUC here, in training and as published",
        ("model", "estimate", "AUC (95 % CI)", "caution"),
        tuple(rows),
        notes=(f"Published: {published.SOURCE}.",),
    )


def _calibration_table(validation: Validation) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    for model in validation.models:
        found = model.calibration
        brier: Cell = found.brier if isinstance(found.brier, NotComputable) else found.brier.score
        scaled: Cell = found.brier if isinstance(found.brier, NotComputable) else found.brier.scaled
        fit = found.hosmer_lemeshow
        test: Cell = fit if isinstance(fit, NotComputable) else fit.test
        freedom: Cell = None if isinstance(fit, NotComputable) else fit.degrees_of_freedom
        rows.append(
            (
                model.name,
                found.terms.intercept,
                found.terms.slope,
                found.observed_over_expected,
                brier,
                scaled,
                test,
                freedom,
            )
        )
    extremes = [
        f"{model.name}: {model.calibration.terms.extremes}"
        for model in validation.models
        if model.calibration.terms.extremes
    ]
    notes = [
        "Ideal: intercept 0, slope 1, O/E 1. A slope below 1: probabilities are too extreme. Scaled Brier: 1 is perfect, "
        "0 no better than the prevalence."
    ]
    caveats = {
        model.calibration.hosmer_lemeshow.caveat
        for model in validation.models
        if not isinstance(model.calibration.hosmer_lemeshow, NotComputable)
    }
    notes += [f"Hosmer-Lemeshow (H-L): {caveat}" for caveat in sorted(caveats)]
    if extremes:
        notes.append(
            f"Probabilities beyond 0.001 and 0.999 were taken as these for intercept and slope: {', '.join(extremes)}."
        )
    return ReportTable(
        "calibration",
        "Calibration",
        (
            "model",
            "intercept (95 % CI)",
            "slope (95 % CI)",
            "O/E (95 % CI)",
            "Brier (95 % CI)",
            "scaled Brier",
            "H-L P",
            "df",
        ),
        tuple(rows),
        digits=(0, 2, 2, 2, 3, 3, 3, 0),
        notes=tuple(notes),
    )


def _recalibration_table(validation: Validation) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    for method, found in validation.recalibrations.items():
        if isinstance(found, Recalibration):
            rows.append((method, found.intercept, found.slope or "1 (fixed)", found.caution))
        else:
            rows.append((method, found, found, ""))
    notes = [
        "New log odds = intercept + slope × old log odds. Nothing in this report is recalibrated; a recalibrated model is a bundle "
        "of its own, with its own digest, and is refused at the centre that it was recalibrated on."
    ]
    if any(isinstance(found, Recalibration) for found in validation.recalibrations.values()):
        notes.append(
            f"To write it: cvtbatch recalibrate --bundle BUNDLE --store STORE --center {shlex.quote(validation.provenance.center)} "
            f"--snapshot {validation.provenance.snapshot} --method METHOD --out NEW_BUNDLE"
        )
    return ReportTable(
        "recalibration",
        f"Offered recalibration of {validation.primary}",
        ("method", "intercept (95 % CI)", "slope (95 % CI)", "caution"),
        tuple(rows),
        notes=tuple(notes),
    )


def _benefit_table(validation: Validation) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    for model in validation.models:
        curve = model.decision_curve
        if isinstance(curve, NotComputable):
            rows.append((model.name, curve, curve))
        else:
            rows.append((model.name, describe(curve.helpful), describe(curve.surely_helpful)))
    return ReportTable(
        "helpful_thresholds",
        "Where the model helps",
        ("model", "net benefit above treating all and none", "its lower 95 % limit is above 0"),
        tuple(rows),
        notes=(
            "Threshold probabilities. Limits: percentile bootstrap of whole cases, seeded, for one threshold at a time.",
        ),
    )


def _net_benefit_values(validation: Validation) -> ReportTable:
    curve = validation.primary_result.decision_curve
    rows: tuple[tuple[Cell, ...], ...] = ((curve, None, None, None, None),) if isinstance(curve, NotComputable) else ()
    if not isinstance(curve, NotComputable):
        rows = tuple(
            row
            for row in zip(curve.thresholds, curve.model, curve.low, curve.high, curve.treat_all, strict=True)
            if round(row[0] * 100) % 5 == 0
        )
    return ReportTable(
        "net_benefit",
        f"Net benefit of {validation.primary}",
        ("threshold", "model", "low", "high", "treat all"),
        rows,
        digits=(2, 3, 3, 3, 3),
    )


def _subgroup_table(validation: Validation) -> ReportTable:
    rows = tuple(
        (
            row.variable,
            row.level,
            row.n,
            row.events,
            row.auc,
            row.observed_over_expected,
            row.terms.intercept,
            row.terms.slope,
        )
        for row in validation.subgroups
    )
    return ReportTable(
        "subgroups",
        f"Subgroups, {validation.primary}",
        (
            "variable",
            "level",
            "cases",
            "events",
            "AUC (95 % CI)",
            "O/E (95 % CI)",
            "intercept (95 % CI)",
            "slope (95 % CI)",
        ),
        rows,
        digits=(0, 0, 0, 0, 2, 2, 2, 2),
        notes=("Levels were fixed before any result. Small subgroups have wide intervals, which are the result.",),
    )


def _power_table(validation: Validation) -> ReportTable:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (target.measure, target.anticipated, target.now, target.width, target.n, target.events)
        for target in validation.power.targets
    )
    return ReportTable(
        "power",
        "How many cases would give a 95 % interval of a width",
        ("measure", "value here", "width here", "width asked for", "cases needed", "events among them"),
        rows,
        digits=(0, 3, 3, 2, 0, 0),
        notes=(
            "At the share of events of this centre. AUC: Newcombe 2006; O/E: Riley 2021, at O/E 1; sensitivity: Wilson.",
        ),
    )
