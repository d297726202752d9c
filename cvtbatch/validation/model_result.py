"""A model at a centre: every statistic that is a model's own, and models against each other."""

from dataclasses import dataclass, replace

import numpy as np

from cvtbatch.validation import published
from cvtbatch.validation.calibration import Calibration, calibrate
from cvtbatch.validation.decision_curve import DecisionCurve, Map, decision_curve
from cvtbatch.validation.decisions import Decisions, decide, decide_at_best
from cvtbatch.validation.inputs import BundleFacts, CenterCohort, ModelFacts, Scale, TrainingEstimate, scored_cases
from cvtbatch.validation.roc import AucComparison, Curve, PrecisionRecall, auc, compare_auc, precision_recall, roc_curve
from cvtbatch.validation.values import Estimate, Floats, Maybe, Scored


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What a frozen threshold is worth here."""

    name: str
    decisions: Maybe[Decisions]


@dataclass(frozen=True, slots=True)
class ModelResult:
    """One model at this centre: ranks and decisions by its scores, calibration and net benefit by their probabilities.

    Attributes:
        scale: what these probabilities are.
        unscored: cases with an outcome that the model could not score.
        points: the frozen thresholds, the primary one first.
        best: the centre's own best point; optimistic.
    """

    name: str
    scale: Scale
    n: int
    events: int
    unscored: int
    roc: Maybe[Curve]
    auc: Maybe[Estimate]
    precision_recall: Maybe[PrecisionRecall]
    points: tuple[OperatingPoint, ...]
    best: Maybe[Decisions]
    calibration: Calibration
    decision_curve: Maybe[DecisionCurve]
    training: tuple[TrainingEstimate, ...]
    published_auc: Estimate | None


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """Two models on the cases that both scored."""

    first: str
    second: str
    n: int
    result: Maybe[AucComparison]


def evaluate_model(
    cohort: CenterCohort, facts: ModelFacts, seed: int, map_: "Map[np.random.SeedSequence, tuple[Floats, Floats]]"
) -> ModelResult:
    """Compute every statistic of a model on the cases that have both an outcome and its score.

    Args:
        seed, map_: as for `evaluate`.
    """
    scored, kept = scored_cases(cohort.cases, facts.name)
    probability = np.array([case.probability(facts.name) for case in kept], dtype=np.float64)
    probable = Scored(scored.outcome, probability, scored.patient)
    return ModelResult(
        name=facts.name,
        scale=facts.scale,
        n=scored.n,
        events=scored.events,
        unscored=sum(case.outcome is not None for case in cohort.cases) - len(kept),
        roc=roc_curve(scored),
        auc=auc(scored),
        precision_recall=precision_recall(scored),
        points=tuple(OperatingPoint(name, decide(scored, value)) for name, value in facts.thresholds.items()),
        best=decide_at_best(scored),
        calibration=calibrate(probable),
        decision_curve=decision_curve(probable, seed, map_),
        training=facts.training,
        published_auc=published.AUC.get(facts.name),
    )


@dataclass(frozen=True, slots=True)
class MovedModel:
    """A model whose features of this centre are on the scale of training by the centre's own cases, and were not.

    Attributes:
        n: cases with an outcome that it scores both ways.
        moved, as_they_are: AUC on that scale, and of the features as they are.
        comparison: of the two.
        decided_otherwise: cases, with and without an outcome, that are on the other side of the first frozen threshold.
    """

    name: str
    n: int
    moved: Maybe[Estimate]
    as_they_are: Maybe[Estimate]
    comparison: Maybe[AucComparison]
    decided_otherwise: int


def moved_models(cohort: CenterCohort, bundle: BundleFacts) -> tuple[MovedModel, ...]:
    """Compare each model's scores of moved features with those of the features as they are; nothing where none are moved."""
    found = []
    for facts in bundle.models:
        both = tuple(case for case in cohort.cases if facts.name in case.scores and facts.name in case.as_they_are)
        if not both:
            continue
        threshold = next(iter(facts.thresholds.values()))
        changed = sum(
            (case.scores[facts.name] >= threshold) != (case.as_they_are[facts.name] >= threshold) for case in both
        )
        moved, _ = scored_cases(both, facts.name)
        former, _ = scored_cases(tuple(replace(case, scores=case.as_they_are) for case in both), facts.name)
        found.append(MovedModel(facts.name, moved.n, auc(moved), auc(former), compare_auc(moved, former), changed))
    return tuple(found)


def compare_models(cohort: CenterCohort, bundle: BundleFacts) -> tuple[ModelComparison, ...]:
    """Compare the AUC of every two models, each pair on the cases that both scored."""
    names = [facts.name for facts in bundle.models]
    found = []
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            both = tuple(case for case in cohort.cases if {first, second} <= set(case.scores))
            pair = [scored_cases(both, name)[0] for name in (second, first)]
            found.append(ModelComparison(second, first, pair[0].n, compare_auc(pair[0], pair[1])))
    return tuple(found)
