"""Tables of what a model is worth: discrimination, decisions, calibration, decision curves, subgroups.

A statistic is shown by a column here: a heading, the value, its decimals.
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from cvtbatch.validation import published
from cvtbatch.validation.calibration import EXTREME
from cvtbatch.validation.decision_curve import describe
from cvtbatch.validation.decisions import Decisions
from cvtbatch.validation.evaluate import Validation
from cvtbatch.validation.inputs import Scale
from cvtbatch.validation.model_result import ModelComparison, ModelResult, MovedModel
from cvtbatch.validation.recalibration import Recalibration
from cvtbatch.validation.report.case_words import epilepsy_decides
from cvtbatch.validation.report.digits import counted_share, decimal, decimals_of
from cvtbatch.validation.report.tables import Cell, Column, ReportTable, part_of, tabulate
from cvtbatch.validation.set_coverage import SetCoverage
from cvtbatch.validation.subgroups import Subgroup
from cvtbatch.validation.values import Maybe, NotComputable

# Of sets at a centre.
SEEN_NOT_PROMISED = (
    "What is seen here, and no promise: the bundle's is of cases that are exchangeable with training's, which a new centre's are "
    "not known to be. Wilson's interval; a patient's scans count together."
)
_THRESHOLDS = {"youden": "Youden", "sens90": "sensitivity 0.90", "sens95": "sensitivity 0.95"}


@dataclass(frozen=True, slots=True)
class _Decided:
    """A model's decisions at a threshold."""

    model: str
    threshold: str
    decisions: Maybe[Decisions]


def _four_counts(found: Decisions) -> str:
    counts = (found.true_positive, found.false_positive, found.false_negative, found.true_negative)
    return "\u00a0/\u00a0".join(map(str, counts))


def _degrees_of_freedom(model: ModelResult) -> Cell:
    found = model.calibration.hosmer_lemeshow
    return None if isinstance(found, NotComputable) else found.degrees_of_freedom


def _slopes(model: ModelResult) -> Cell:
    """Return slopes at several clips and how many votes each clips; nothing where none is clipped."""
    found = model.calibration.slopes
    if not any(row.clipped for row in found):
        return None
    return "; ".join(
        f"{row.clip:g}:\u00a0{'none' if isinstance(row.slope, NotComputable) else decimal(row.slope.value, 2)}"
        f"\u00a0({row.clipped})"
        for row in found
    )


_SCALES: Mapping[Scale, str] = {
    "recalibrated votes": "Recalibrated votes: a forest's votes are no probabilities (SMOTE makes the classes equal); a logistic "
    "step, fitted on training's out-of-fold votes, turns them into probabilities. Ranks, AUC and decisions are those of the votes.",
    "uncalibrated votes": "Uncalibrated votes: the bundle has no step from these votes to probabilities. What is said of them "
    "here is not comparable with the DLRN's.",
}

_DISCRIMINATION: tuple[Column[ModelResult], ...] = (
    Column("model", lambda model: model.name),
    Column("cases", lambda model: model.n),
    Column("events", lambda model: model.events),
    Column("not scored", lambda model: model.unscored),
    Column("AUC (95 % CI)", lambda model: model.auc),
    Column(
        "average precision (95 % CI)",
        lambda model: part_of(model.precision_recall, lambda found: found.average_precision),
    ),
)
_COMPARISONS: tuple[Column[ModelComparison], ...] = (
    Column("difference of AUC", lambda row: f"{row.first} less {row.second}"),
    Column("cases", lambda row: row.n),
    Column("difference (95 % CI)", lambda row: part_of(row.result, lambda found: found.difference)),
    Column("P (paired)", lambda row: part_of(row.result, lambda found: found.test)),
)
_MOVED: tuple[Column[MovedModel], ...] = (
    Column("model", lambda row: row.name),
    Column("cases", lambda row: row.n),
    Column("AUC, moved (95 % CI)", lambda row: row.moved),
    Column("AUC, as they are (95 % CI)", lambda row: row.as_they_are),
    Column("difference (95 % CI)", lambda row: part_of(row.comparison, lambda found: found.difference)),
    Column("P (paired)", lambda row: part_of(row.comparison, lambda found: found.test)),
    Column("cases decided otherwise", lambda row: row.decided_otherwise),
)
_SETS: tuple[Column[SetCoverage], ...] = (
    Column("cases", lambda row: "with the event" if row.event else "without it"),
    Column("with a set", lambda row: row.n),
    Column("without a set", lambda row: row.unknown),
    Column("sets that hold their class (95 % CI)", lambda row: row.held),
    Column("of one class", lambda row: row.alone),
    Column("of both", lambda row: row.both),
    Column("empty", lambda row: row.empty),
)
_DECISIONS: tuple[Column[_Decided], ...] = (
    Column("model", lambda row: row.model),
    Column("threshold", lambda row: row.threshold),
    Column("at", lambda row: part_of(row.decisions, lambda found: found.threshold)),
    Column("TP\u00a0/\u00a0FP\u00a0/\u00a0FN\u00a0/\u00a0TN", lambda row: part_of(row.decisions, _four_counts)),
    Column("sensitivity", lambda row: part_of(row.decisions, partial(counted_share, "sensitivity")), 2),
    Column("specificity", lambda row: part_of(row.decisions, partial(counted_share, "specificity")), 2),
    Column("accuracy", lambda row: part_of(row.decisions, partial(counted_share, "accuracy")), 2),
    Column("PPV", lambda row: part_of(row.decisions, partial(counted_share, "positive_predictive_value")), 2),
    Column("NPV", lambda row: part_of(row.decisions, partial(counted_share, "negative_predictive_value")), 2),
    Column("LR+", lambda row: part_of(row.decisions, lambda found: found.positive_likelihood_ratio), 2),
    Column("LR−", lambda row: part_of(row.decisions, lambda found: found.negative_likelihood_ratio), 2),
)
_CALIBRATION: tuple[Column[ModelResult], ...] = (
    Column("model", lambda model: model.name),
    Column("rests on", lambda model: model.scale),
    Column("intercept (95 % CI)", lambda model: model.calibration.terms.intercept, 2),
    Column("slope (95 % CI)", lambda model: model.calibration.terms.slope, 2),
    Column("slope by clip (clipped)", _slopes),
    Column("O/E (95 % CI)", lambda model: model.calibration.observed_over_expected, 2),
    Column("Brier (95 % CI)", lambda model: part_of(model.calibration.brier, lambda found: found.score)),
    Column("scaled Brier", lambda model: part_of(model.calibration.brier, lambda found: found.scaled), 2),
    Column("H-L P, df g", lambda model: part_of(model.calibration.hosmer_lemeshow, lambda found: found.test)),
    Column("g", _degrees_of_freedom),
    Column("H-L P, df g − 2", lambda model: part_of(model.calibration.hosmer_lemeshow, lambda found: found.fitted)),
)
_BENEFIT: tuple[Column[ModelResult], ...] = (
    Column("model", lambda model: model.name),
    Column(
        "net benefit above treating all and none",
        lambda model: part_of(model.decision_curve, lambda curve: describe(curve.helpful)),
    ),
    Column(
        "lower 95 % limit of that gain above 0",
        lambda model: part_of(model.decision_curve, lambda curve: describe(curve.surely_helpful)),
    ),
)
_SUBGROUPS: tuple[Column[Subgroup], ...] = (
    Column("variable", lambda row: row.variable),
    Column("level", lambda row: row.level),
    Column("cases", lambda row: row.n),
    Column("events", lambda row: row.events),
    Column("AUC (95 % CI)", lambda row: row.auc, 2),
    Column("O/E (95 % CI)", lambda row: row.observed_over_expected, 2),
    Column("intercept (95 % CI)", lambda row: row.terms.intercept, 2),
    Column("slope (95 % CI)", lambda row: row.terms.slope, 2),
)


def performance_tables(validation: Validation) -> Iterator[ReportTable]:
    """Yield the tables of models, in the order of the page."""
    yield from _discrimination_tables(validation)
    yield from _calibration_tables(validation)
    yield from _benefit_tables(validation)
    yield _subgroup_table(validation)


def _discrimination_tables(validation: Validation) -> Iterator[ReportTable]:
    yield tabulate(
        "discrimination",
        "Discrimination at this centre",
        _DISCRIMINATION,
        validation.models,
        place="discrimination",
        notes=(
            "AUC: DeLong's interval; where a patient has several scans, Obuchowski's (1997), of the log odds. Average precision: "
            "logit interval.",
        ),
    )
    yield tabulate(
        "comparisons",
        "Models compared on the same cases",
        _COMPARISONS,
        validation.comparisons,
        place="discrimination",
        notes=(
            "DeLong's paired test; where a patient has several scans, Obuchowski's. P values are not adjusted for the number of "
            "comparisons.",
        ),
    )
    if validation.moved:
        yield tabulate(
            "moved",
            "Features on the scale of training by the centre's own cases, and as they are",
            _MOVED,
            validation.moved,
            place="discrimination",
            notes=(
                "All else in this report is of the moved features. What moves them was found of the centre's own cases without "
                "their outcomes. Decided otherwise: on the other side of the frozen threshold, with and without an outcome.",
            ),
        )
    yield tabulate(
        "decisions",
        "Decisions at thresholds",
        _DECISIONS,
        _decided(validation),
        place="discrimination",
        notes=(
            "Frozen thresholds were set in training: at Youden's point, and at sensitivities of 0.90 and 0.95 there. "
            "A case is positive at or above them; those of signatures are shares of votes. "
            "The own best point (Youden) is chosen and judged on the same cases, and so is optimistic. "
            "Intervals (95 %): Wilson's for shares, the log one for likelihood ratios; a patient's scans count together.",
            *filter(None, [epilepsy_decides(validation)]),
        ),
    )
    if validation.sets:
        yield tabulate(
            "sets",
            "Prediction sets",
            _SETS,
            validation.sets,
            place="discrimination",
            notes=(SEEN_NOT_PROMISED,),
        )
    yield _published_table(validation)


def _calibration_tables(validation: Validation) -> Iterator[ReportTable]:
    clips = any(_slopes(model) for model in validation.models)
    columns = [column for column in _CALIBRATION if clips or column.value is not _slopes]
    yield tabulate(
        "calibration",
        "Calibration",
        columns,
        validation.models,
        place="calibration",
        notes=tuple(_calibration_notes(validation)),
    )
    yield _recalibration_table(validation)


def _benefit_tables(validation: Validation) -> Iterator[ReportTable]:
    yield tabulate(
        "helpful_thresholds",
        "Where the model helps",
        _BENEFIT,
        validation.models,
        place="beside-decision-curve",
        notes=(
            "Threshold probabilities. Limits: percentile bootstrap of patients (all their scans), seeded, one threshold at a time.",
            *_scale_notes(validation),
        ),
    )
    yield _net_benefit_values(validation)


def _subgroup_table(validation: Validation) -> ReportTable:
    return tabulate(
        "subgroups",
        f"Subgroups, {validation.primary}",
        _SUBGROUPS,
        validation.subgroups,
        place="subgroups",
        notes=(
            "Levels were fixed before any result. Small subgroups have wide intervals, which are the result. Hematoma volume: "
            "on the stored grid.",
        ),
    )


def _decided(validation: Validation) -> Iterator[_Decided]:
    """Yield each model's frozen thresholds, the primary one first, and its own best point."""
    for model in validation.models:
        for place, point in enumerate(model.points):
            name = _THRESHOLDS.get(point.name, point.name)
            yield _Decided(model.name, f"frozen: {name}" + (" (primary)" if place == 0 else ""), point.decisions)
        yield _Decided(model.name, "own best point (optimistic)", model.best)


def _published_table(validation: Validation) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    for model in validation.models:
        rows.append((model.name, "this centre", model.auc, ""))
        rows += [(model.name, row.protocol, row.auc, row.caution) for row in model.training]
        if model.published_auc:
            rows.append((model.name, "published, external", model.published_auc, "another implementation and cohort"))
    of_study = validation.outcome.is_cvt
    return ReportTable(
        "auc_beside_training",
        "AUC here, in training and as published" if of_study else "AUC here and in training",
        ("model", "estimate", "AUC (95 % CI)", "caution"),
        tuple(rows),
        place="discrimination",
        notes=(f"Published: {published.SOURCE}.",) if of_study else (),
    )


def _scale_notes(validation: Validation) -> list[str]:
    return [text for scale, text in _SCALES.items() if any(model.scale == scale for model in validation.models)]


def _calibration_notes(validation: Validation) -> list[str]:
    notes = [
        "Ideal: intercept 0, slope 1, O/E 1. A slope below 1: probabilities are too extreme. Scaled Brier: 1 is perfect, "
        "0 no better than the prevalence."
    ]
    notes += _scale_notes(validation)
    caveats = {
        model.calibration.hosmer_lemeshow.caveat
        for model in validation.models
        if not isinstance(model.calibration.hosmer_lemeshow, NotComputable)
    }
    notes += [f"Hosmer-Lemeshow (H-L): {caveat}" for caveat in sorted(caveats)]
    if caveats:
        notes.append(
            "H-L: min(10, cases / 5) groups of like size; equal probabilities stay together, which may leave fewer (g). A model "
            "that was fitted elsewhere has g degrees of freedom; SPSS, which the study used, always takes g − 2."
        )
    if any(row.clipped for model in validation.models for row in model.calibration.slopes):
        notes.append(
            f"Probabilities beyond {EXTREME:g} and {1 - EXTREME:g} count as these for intercept and slope. Slope by clip: what the "
            "slope is with other ends, and how many probabilities lie beyond them. Where these slopes differ, the clip decides."
        )
    return notes


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
        place="calibration",
        notes=tuple(notes),
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
        digits=(2, *[decimals_of(validation.primary_result.n)] * 4),
        place="decision-curve",
    )
