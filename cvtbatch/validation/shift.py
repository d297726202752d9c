"""How far a centre lies from what a model was trained on: features, embeddings, scores, and what explains it."""

from dataclasses import dataclass

import numpy as np

from cvtbatch.validation.baseline import to_floats
from cvtbatch.validation.calibration import log_odds
from cvtbatch.validation.covariate_effects import CovariateEffect, covariate_effects
from cvtbatch.validation.feature_shift import FeatureShift, find_shifts
from cvtbatch.validation.inputs import (
    NO_OUT_OF_FOLD,
    NO_TRAINING,
    BundleFacts,
    Case,
    CenterCohort,
    ModelFacts,
    Training,
    scored_cases,
)
from cvtbatch.validation.kept_columns import NOT_KEPT, KeptLevels, KeptNumbers
from cvtbatch.validation.outcome import Outcome
from cvtbatch.validation.shift_verdict import shift_verdict
from cvtbatch.validation.training_distance import KeptEmbedding, Novelty, Support, novelty, novelty_of_kept, support
from cvtbatch.validation.values import Floats, Maybe, NotComputable


@dataclass(frozen=True, slots=True)
class ScoreDistribution:
    """Scores of one class, ascending: of training cases out of fold, and of this centre's cases."""

    group: str
    training: tuple[float, ...]
    center: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ScoreShift:
    """Scores against training's out-of-fold ones.

    Attributes:
        rows: log odds by model: all cases, those with the event, those without.
        distributions: probabilities of the primary model.
    """

    rows: tuple[FeatureShift, ...]
    distributions: tuple[ScoreDistribution, ...]


@dataclass(frozen=True, slots=True)
class Shift:
    """A centre's shift in all its parts, and what it means in plain words."""

    verdict: str
    features: Maybe[tuple[FeatureShift, ...]]
    scores: Maybe[ScoreShift]
    acquisition: Maybe[tuple[FeatureShift, ...]]
    support: Maybe[Support]
    novelty: Maybe[Novelty]
    covariates: tuple[CovariateEffect, ...]


def find_shift(cohort: CenterCohort, bundle: BundleFacts, training: Training | None) -> Shift:
    """Compare a centre with training in all parts; training is None where its values are not at hand."""
    scored, kept = scored_cases(cohort.cases, bundle.models[-1].name)
    names = dict.fromkeys(name for case in cohort.cases for name in case.acquisition)
    covariates = covariate_effects(
        log_odds(scored.score),
        scored.outcome.astype(np.float64),
        {name: [case.acquisition.get(name) for case in kept] for name in names},
    )
    features = NO_TRAINING if training is None else _feature_shift(cohort, training)
    scores = _score_shift(cohort.cases, bundle.models, bundle.outcome)
    acquisition = NO_TRAINING if training is None else _acquisition_shift(cohort, training)
    within = support(
        [len(case.outside) for case in cohort.cases],
        [case.distance_percentile for case in cohort.cases],
        bundle.columns,
        bundle.development.cases,
    )
    nearest = NO_TRAINING if training is None else _novelty(cohort, training)
    rows = scores.rows if isinstance(scores, ScoreShift) else scores
    verdict = shift_verdict(features, rows, acquisition, within, nearest, covariates)
    return Shift(verdict, features, scores, acquisition, within, nearest, covariates)


def _feature_shift(cohort: CenterCohort, training: Training) -> Maybe[tuple[FeatureShift, ...]]:
    known = {name: training.features[name] for name in cohort.features if name in training.features}
    return find_shifts(known, cohort.features, training.ranges) if known else NOT_KEPT


def _novelty(cohort: CenterCohort, training: Training) -> Maybe[Novelty]:
    if training.embedding is None or cohort.embedding is None:
        return NotComputable("embeddings of training or of this centre are not at hand")
    own = _complete(cohort.embedding)
    if isinstance(training.embedding, KeptEmbedding):
        return novelty_of_kept(training.embedding, own)
    return novelty(_complete(training.embedding), own)


def _complete(rows: Floats) -> Floats:
    return rows[np.isfinite(rows).all(axis=1)]


def _score_shift(cases: tuple[Case, ...], models: tuple[ModelFacts, ...], outcome: Outcome) -> Maybe[ScoreShift]:
    """Compare log odds with training's out-of-fold ones: of all cases, whatever the mix of classes, and class by class."""
    training: dict[str, Floats] = {}
    center: dict[str, Floats] = {}
    for facts in models:
        if isinstance(facts.out_of_fold, NotComputable):
            continue
        every = np.array([case.scores[facts.name] for case in cases if facts.name in case.scores], dtype=np.float64)
        own, seen = scored_cases(cases, facts.name)[0], facts.out_of_fold
        for group, then, now in (
            ("all cases", seen.score, every),
            (outcome.event, seen.score[seen.outcome], own.score[own.outcome]),
            (outcome.others, seen.score[~seen.outcome], own.score[~own.outcome]),
        ):
            training[f"{facts.name} ({group})"], center[f"{facts.name} ({group})"] = then, now
    if not training:
        return NO_OUT_OF_FOLD
    primary = models[-1].name
    distributions = tuple(
        ScoreDistribution(
            group, *(tuple(map(float, np.sort(side[f"{primary} ({group})"]))) for side in (training, center))
        )
        for group in (outcome.event, outcome.others, "all cases")
        if f"{primary} ({group})" in training
    )
    odds = [{name: log_odds(values) for name, values in side.items()} for side in (training, center)]
    return ScoreShift(find_shifts(odds[0], odds[1]), distributions)


def _acquisition_shift(cohort: CenterCohort, training: Training) -> tuple[FeatureShift, ...]:
    """Compare the numbers of acquisition, the scaling maximum of four filters among them."""
    then: dict[str, Floats | KeptNumbers] = {}
    now: dict[str, Floats] = {}
    for name, column in training.acquisition.items():
        own = [case.acquisition.get(name) for case in cohort.cases]
        if any(isinstance(value, str) for value in own) or isinstance(column, KeptLevels | NotComputable):
            continue
        if isinstance(column, KeptNumbers):
            then[name], now[name] = column, to_floats(own)
        elif not any(isinstance(value, str) for value in column) and {*column, *own} != {None}:
            then[name], now[name] = to_floats(column), to_floats(own)
    return find_shifts(then, now)
