"""What models that were judged on the same cases differ by: paired intervals, for each by itself and for all together. Pure.

All models are judged by scores that no model's fit has seen, in one or several repeats (repeated cross-validation): a value is the
mean over the repeats. Intervals resample patients, each with all cases, repeats and models, so that what the models share cancels
out. They say how uncertain the cases leave a difference between these scores; that another training cohort would select and fit
otherwise they see through the repeats alone.

A difference of one among many models that look alike is large by chance. The simultaneous intervals hold for all models at once:
value +- c x standard error, c being the 95th percentile of the largest |resampled - observed| / standard error of all (the
max-statistic: Westfall and Young, Resampling-Based Multiple Testing, Wiley 1993; single-step, studentised).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np

from cvtbatch.errors import InternalError
from cvtbatch.validation.calibration import brier, terms
from cvtbatch.validation.decision_curve import weighted_net_benefits
from cvtbatch.validation.resampling import draw_patients, has_both, pairwise_wins, weighted_aucs
from cvtbatch.validation.values import (
    CONFIDENCE,
    Bools,
    Estimate,
    Floats,
    Integers,
    Interval,
    Maybe,
    NotComputable,
    Scored,
    finite,
)

NO_PROBABILITY = "its scores are no probabilities"
TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)


@dataclass(frozen=True, slots=True, eq=False)
class ModelScores:
    """One model's scores of the cases.

    Attributes:
        scores: (repeats, n), finite; the larger, the likelier the event. Of several classes (repeats, n, K).
        probability: whether they are probabilities of the event, or of the classes.
    """

    name: str
    scores: Floats
    probability: bool


@dataclass(frozen=True, slots=True)
class MeanCalibration:
    """Calibration intercept and slope, and Brier's score, each the mean over the repeats."""

    intercept: Maybe[float]
    slope: Maybe[float]
    brier: Maybe[float]


@dataclass(frozen=True, slots=True)
class Difference:
    """A model's value less that of the reference.

    Attributes:
        estimate: with the percentile interval of this difference by itself.
        simultaneous: of all models' differences at once.
    """

    estimate: Estimate
    simultaneous: Interval


@dataclass(frozen=True, slots=True)
class ComparedClass:
    """One of several classes, by one model: against all others, by the class's own score.

    Attributes:
        told: how many cases of this class are told to be of each class, in the order of all: means over the repeats.
    """

    name: str
    auc: Estimate
    calibration: Maybe[MeanCalibration]
    told: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ComparedModel:
    """One model among those that are compared.

    Attributes:
        auc: area under the ROC curve, of several classes Hand and Till's M, with its percentile interval.
        auc_difference: to the reference; None for the reference itself.
        net_benefit, net_benefit_difference: in the order of `Comparison.thresholds`.
        accuracy: of several classes, share of cases that are told to be of their class; else None.
        classes: where there are several.
    """

    name: str
    auc: Estimate
    auc_difference: Difference | None
    calibration: Maybe[MeanCalibration]
    net_benefit: Maybe[tuple[Estimate, ...]]
    net_benefit_difference: Maybe[tuple[Difference, ...]] | None
    accuracy: Estimate | None = None
    classes: tuple[ComparedClass, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Models on the same cases.

    Attributes:
        reference: name of the model to which differences are taken; it comes first in `models`.
        events: None of several classes.
        by_class: cases of each of several classes; else empty.
        thresholds: threshold probabilities at which net benefits are compared.
        treat_all: net benefit of treating all, at each of them.
        quantile: c of the simultaneous intervals of AUC differences; 0 where no model differs from the reference.
    """

    reference: str
    cases: int
    events: int | None
    patients: int
    repeats: int
    resamples: int
    thresholds: tuple[float, ...]
    treat_all: tuple[float, ...]
    quantile: float
    models: tuple[ComparedModel, ...]
    by_class: Mapping[str, int] = field(default_factory=dict)

    @property
    def measure(self) -> str:
        """What a model's `auc` is called."""
        return "M" if self.by_class else "AUC"


def scored_rows(scores: Floats) -> Bools:
    """Say which cases have a score in every repeat, and of every class: (n,).

    Args:
        scores: (repeats, n) or (repeats, n, K), NaN where there is none.
    """
    known: Bools = np.asarray(np.isfinite(scores).all(axis=(0, *range(2, scores.ndim))))
    return known


def compare_models(
    outcome: Bools,
    patient: Integers,
    models: Sequence[ModelScores],
    thresholds: Sequence[float],
    resamples: int,
    seed: int,
) -> Comparison:
    """Compare models with the first of them, the reference.

    Args:
        outcome: (n,) true for an event.
        patient: (n,) of each case, numbered from 0 without a gap.
        models: all with scores of the same cases and repeats.
        thresholds: threshold probabilities, each above 0 and below 1.
        resamples: of the patients; those without both outcomes are left out.

    Raises:
        InternalError: scores are not finite, or of another shape than the first model's; an outcome has no case.
    """
    shape = models[0].scores.shape
    for model in models:
        if model.scores.shape != shape or not np.isfinite(model.scores).all():
            raise InternalError("bad_scores", f"scores of {model.name} are {model.scores.shape}, or not finite")
    if outcome.all() or not outcome.any():
        raise InternalError("bad_scores", "models are compared on cases of one outcome")
    weights = draw_patients(patient, resamples, seed)
    weights = weights[has_both(outcome, weights)]
    aucs = [resampled_aucs(model, outcome, weights) for model in models]
    auc_differences, quantile = paired_differences(aucs)
    at = np.asarray(thresholds, dtype=np.float64)
    benefits = {
        place: _net_benefits(model, outcome, weights, at) for place, model in enumerate(models) if model.probability
    }
    benefit_differences = _benefit_differences(benefits, len(at)) if 0 in benefits else {}
    every = weighted_net_benefits(Scored(outcome, models[0].scores[0]), np.ones((1, len(outcome))), at)[1][0]
    return Comparison(
        reference=models[0].name,
        cases=len(outcome),
        events=int(outcome.sum()),
        patients=int(patient.max()) + 1,
        repeats=shape[0],
        resamples=len(weights),
        thresholds=tuple(thresholds),
        treat_all=tuple(map(float, every)),
        quantile=quantile,
        models=tuple(
            ComparedModel(
                name=model.name,
                auc=percentile_estimate(*aucs[place]),
                auc_difference=auc_differences[place] if place else None,
                calibration=mean_calibration(model, outcome) if model.probability else NotComputable(NO_PROBABILITY),
                net_benefit=_benefit_estimates(*benefits[place])
                if place in benefits
                else NotComputable(NO_PROBABILITY),
                net_benefit_difference=_benefit_difference(place, benefits, benefit_differences) if place else None,
            )
            for place, model in enumerate(models)
        ),
    )


# A value, and what it is in each resample (samples,).
Resampled = tuple[float, Floats]


def percentile_estimate(value: float, resampled: Floats) -> Estimate:
    """Return a value with the percentile interval of its resamples."""
    low, high = np.quantile(resampled, TAILS)
    return Estimate(value, Interval(float(low), float(high)))


def resampled_aucs(model: ModelScores, outcome: Bools, weights: Floats) -> Resampled:
    """Return a model's AUC, the mean over the repeats, and that of each resample."""
    wins: Floats = np.mean([pairwise_wins(outcome, scores) for scores in model.scores], axis=0)
    return float(wins.mean()), weighted_aucs(outcome, wins, weights)


def paired_differences(found: Sequence[Resampled]) -> tuple[list[Difference], float]:
    """Return each value less the first one, with intervals, and c; the first difference is 0 throughout."""
    reference, resampled_reference = found[0]
    differences = [(value - reference, resampled - resampled_reference) for value, resampled in found]
    errors = [float(resampled.std(ddof=1)) for _, resampled in differences]
    deviations = [
        np.abs(resampled - value) / error
        for (value, resampled), error in zip(differences, errors, strict=True)
        if error > 0
    ]
    quantile = float(np.quantile(np.max(deviations, axis=0), CONFIDENCE)) if deviations else 0.0
    return [
        Difference(
            percentile_estimate(value, resampled),
            Interval(value - finite(quantile) * error, value + finite(quantile) * error),
        )
        for (value, resampled), error in zip(differences, errors, strict=True)
    ], quantile


def _net_benefits(model: ModelScores, outcome: Bools, weights: Floats, thresholds: Floats) -> list[Resampled]:
    """Return the net benefit by threshold probability, the mean over the repeats."""
    whole = np.ones((1, len(outcome)))
    both = np.concatenate([whole, weights])
    benefits = np.mean(
        [weighted_net_benefits(Scored(outcome, scores), both, thresholds)[0] for scores in model.scores], axis=0
    )
    return [(float(column[0]), column[1:]) for column in benefits.T]


def _benefit_estimates(*found: Resampled) -> tuple[Estimate, ...]:
    return tuple(percentile_estimate(value, resampled) for value, resampled in found)


def _benefit_differences(benefits: Mapping[int, Sequence[Resampled]], thresholds: int) -> dict[int, list[Difference]]:
    """Return the differences by model; intervals hold for all models at a threshold probability at once."""
    places = sorted(benefits)
    by_threshold = [paired_differences([benefits[place][at] for place in places])[0] for at in range(thresholds)]
    return {place: [column[number] for column in by_threshold] for number, place in enumerate(places)}


def _benefit_difference(
    place: int, benefits: Mapping[int, Sequence[Resampled]], differences: Mapping[int, Sequence[Difference]]
) -> Maybe[tuple[Difference, ...]]:
    if place not in benefits:
        return NotComputable(NO_PROBABILITY)
    return tuple(differences[place]) if differences else NotComputable(f"of the reference: {NO_PROBABILITY}")


def mean_calibration(model: ModelScores, outcome: Bools) -> MeanCalibration:
    """Return the means over the repeats; a value that one of them lacks is lacking."""
    scored = [Scored(outcome, scores) for scores in model.scores]
    of_terms = [terms(each) for each in scored]
    return MeanCalibration(
        _mean([found.intercept for found in of_terms]),
        _mean([found.slope for found in of_terms]),
        _mean([found if isinstance(found, NotComputable) else found.score for found in map(brier, scored)]),
    )


def _mean(values: Sequence[Maybe[Estimate]]) -> Maybe[float]:
    lacking = next((value for value in values if isinstance(value, NotComputable)), None)
    return lacking or fmean(value.value for value in values if isinstance(value, Estimate))
