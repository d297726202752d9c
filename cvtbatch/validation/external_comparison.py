"""Models side by side at a centre that none of them has seen: a case has one score of each, so that DeLong's test holds. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cvtbatch.validation.decision_curve import net_benefit
from cvtbatch.validation.model_comparison import (
    NO_PROBABILITY,
    ComparedClass,
    MeanCalibration,
    ModelScores,
    mean_calibration,
)
from cvtbatch.validation.roc import AucComparison, auc, compare_auc
from cvtbatch.validation.values import Bools, Estimate, Floats, Integers, Maybe, NotComputable, Scored


@dataclass(frozen=True, slots=True)
class ExternalModel:
    """One model at a centre.

    Attributes:
        auc: with DeLong's interval, or Obuchowski's where a patient has several cases; M of several classes with the bootstrap's.
        auc_difference: less that of the reference, with the paired test; None for the reference itself.
        net_benefit: in the order of `Comparison.thresholds`.
        accuracy, classes: as of `ComparedModel`.
    """

    name: str
    auc: Maybe[Estimate]
    auc_difference: Maybe[AucComparison] | None
    calibration: Maybe[MeanCalibration]
    net_benefit: Maybe[tuple[float, ...]]
    accuracy: Estimate | None = None
    classes: tuple[ComparedClass, ...] = ()


@dataclass(frozen=True, slots=True)
class ExternalCenter:
    """A centre that took no part in any fit.

    Attributes:
        events: None of several classes.
        treat_all: net benefit of treating all, at each threshold probability.
        by_class: cases of each of several classes; else empty.
    """

    center: str
    cases: int
    events: int | None
    patients: int
    treat_all: tuple[float, ...]
    models: tuple[ExternalModel, ...]
    by_class: Mapping[str, int] = field(default_factory=dict)


def compare_at_center(
    center: str,
    outcome: Bools,
    patient: Integers,
    models: Sequence[ModelScores],
    thresholds: Sequence[float],
) -> ExternalCenter:
    """Compare models with the first of them, the reference, on a centre's cases.

    Args:
        outcome: (n,) true for an event.
        patient: (n,) equal for cases of one patient.
        models: all with scores (1, n) of these cases.
        thresholds: threshold probabilities.
    """
    scored = [Scored(outcome, model.scores[0], patient) for model in models]
    at = np.asarray(thresholds, dtype=np.float64)
    return ExternalCenter(
        center=center,
        cases=scored[0].n,
        events=scored[0].events,
        patients=scored[0].patients,
        treat_all=_numbers(net_benefit(scored[0], at)[1]),
        models=tuple(
            ExternalModel(
                name=model.name,
                auc=auc(own),
                auc_difference=compare_auc(own, scored[0]) if place else None,
                calibration=mean_calibration(model, outcome) if model.probability else NotComputable(NO_PROBABILITY),
                net_benefit=_numbers(net_benefit(own, at)[0]) if model.probability else NotComputable(NO_PROBABILITY),
            )
            for place, (model, own) in enumerate(zip(models, scored, strict=True))
        ),
    )


def _numbers(values: Floats) -> tuple[float, ...]:
    return tuple(map(float, values))
