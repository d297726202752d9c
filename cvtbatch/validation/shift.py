"""How far a centre lies from what a model was trained on: features, embeddings, scores, and what explains it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist

from cvtbatch.validation.baseline import Value
from cvtbatch.validation.decisions import wilson
from cvtbatch.validation.values import Estimate, Floats, Maybe, NotComputable, Significance, finite

LARGE_DIFFERENCE = 0.5
"""A standardised difference that is called a shift (a medium effect: Cohen, Statistical Power Analysis, 1988)."""
NO_SPREAD = 1e-5
"""A spread that is so much smaller than the difference is rounding, as of a tilt that all cases share."""
SMALL_P = 0.05
FAR = 0.95
NAMED = 4


@dataclass(frozen=True, slots=True)
class FeatureShift:
    """One column, the centre against training.

    Attributes:
        difference: of the means in pooled standard deviations (Austin, Stat Med 2009;28:3083), centre less training.
        ks: two-sample Kolmogorov-Smirnov test; its P is Holm's over the columns that were looked at together.
        outside: share of the centre's cases outside the training range.
        range_test: whether as many outside are explained by chance; its P is Holm's too. Were all cases alike, the number
            outside the range of n others would be beta-binomial (2, n - 1): Wilks, Ann Math Stat 1941;12:91.
        shifted, unseen: what `find_shifts` concludes: distributions differ; more cases outside than chance explains.
    """

    feature: str
    n: int
    unknown: int
    training_mean: float
    center_mean: Maybe[float]
    difference: Maybe[float]
    ks: Maybe[Significance]
    outside: Maybe[Estimate]
    range_test: Maybe[Significance]
    shifted: bool
    unseen: bool


@dataclass(frozen=True, slots=True)
class Novelty:
    """How far cases lie from the nearest training case.

    Attributes:
        far: share of the centre's cases farther from their nearest training case than 95 % of training cases are from theirs.
        percentiles: of each of the centre's cases among the training cases' own distances, 0 to 100.
    """

    training_n: int
    columns: int
    far: Estimate
    percentiles: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CovariateEffect:
    """What an acquisition covariate explains of the score beyond the outcome.

    Attributes:
        explained: share of the score's variance (partial R squared).
        test: partial F; its P is Holm's over the covariates.
    """

    covariate: str
    n: int
    explained: Maybe[float]
    test: Maybe[Significance]


@dataclass(frozen=True, slots=True)
class Support:
    """How far cases lie from the training cohort, by what the bundle itself keeps of it.

    Attributes:
        outside: share of the cases with a selected column outside the training range.
        far: share of the cases farther from the training mean than 95 % of training cases are.
    """

    outside: Estimate
    far: Maybe[Estimate]


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


def find_shifts(training: Mapping[str, Floats], center: Mapping[str, Floats]) -> tuple[FeatureShift, ...]:
    """Compare columns of the same names; NaN is unknown."""
    rows = [_compare(name, training[name], center[name]) for name in training]
    adjusted = [
        iter(holm([test.p_value for row in rows if isinstance(test := getattr(row, name), Significance)]))
        for name in ("ks", "range_test")
    ]
    return tuple(
        _conclude(row, row.ks, next(adjusted[0]), row.range_test, next(adjusted[1]))
        if isinstance(row.ks, Significance) and isinstance(row.range_test, Significance)
        else row
        for row in rows
    )


def _known(values: Floats) -> Floats:
    return values[np.isfinite(values)]


def _compare(name: str, training: Floats, center: Floats) -> FeatureShift:
    seen, new = _known(training), _known(center)
    unknown = len(center) - len(new)
    if len(seen) < 2 or len(new) == 0:
        reason = NotComputable("no known value at this centre" if len(seen) > 1 else "no known values in training")
        mean = float(seen.mean()) if len(seen) else 0.0
        return FeatureShift(name, len(new), unknown, mean, reason, reason, reason, reason, reason, False, False)
    result = stats.ks_2samp(seen, new)
    outside = int(((new < seen.min()) | (new > seen.max())).sum())
    return FeatureShift(
        feature=name,
        n=len(new),
        unknown=unknown,
        training_mean=float(seen.mean()),
        center_mean=float(new.mean()),
        difference=standardised_difference(seen, new),
        ks=Significance("Kolmogorov-Smirnov", finite(result.statistic), finite(result.pvalue)),
        outside=wilson(outside, len(new)),
        range_test=Significance("outside the range", float(outside), chance_outside(len(seen), len(new), outside)),
        shifted=False,
        unseen=False,
    )


def standardised_difference(training: Floats, center: Floats) -> Maybe[float]:
    """Return the difference of means, centre less training, over the root of the mean of the two variances."""
    if min(len(training), len(center)) < 2:
        return NotComputable("a standard deviation needs two values")
    spread = float(np.sqrt((training.var(ddof=1) + center.var(ddof=1)) / 2))
    difference = float(center.mean() - training.mean())
    if difference == 0:
        return 0.0
    if spread <= NO_SPREAD * abs(difference):
        return NotComputable("neither group has any spread to measure the difference by")
    return finite(difference / spread)


def chance_outside(training: int, center: int, outside: int) -> float:
    """Return the chance that at least so many of `center` cases lie outside the range of `training` cases like them."""
    if outside == 0:
        return 1.0
    return finite(stats.betabinom.sf(outside - 1, center, 2, training - 1))


def _conclude(
    row: FeatureShift, ks: Significance, ks_p: float, outside: Significance, outside_p: float
) -> FeatureShift:
    """Put adjusted P values in, and say what follows."""
    large = not isinstance(row.difference, NotComputable) and abs(row.difference) >= LARGE_DIFFERENCE
    return replace(
        row,
        ks=replace(ks, p_value=ks_p),
        range_test=replace(outside, p_value=outside_p),
        shifted=ks_p < SMALL_P and large,
        unseen=outside_p < SMALL_P,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return P values adjusted by Holm (Scand J Stat 1979;6:65), in the order given."""
    order = sorted(range(len(p_values)), key=lambda k: p_values[k])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def novelty(training: Floats, center: Floats) -> Maybe[Novelty]:
    """Compare distances to the nearest training case.

    Args:
        training, center: float (cases, columns) without NaN; columns are standardised by the training cases here.
    """
    if len(training) < 20:
        return NotComputable(f"too few training cases for a distance: {len(training)}, 20 are needed")
    if len(center) == 0:
        return NotComputable("no case of this centre has all the columns")
    spread = training.std(axis=0, ddof=1)
    used = spread > 0
    if not used.any():
        return NotComputable("the training cases are all alike")
    seen, new = ((part[:, used] - training[:, used].mean(axis=0)) / spread[used] for part in (training, center))
    among = cdist(seen, seen)
    np.fill_diagonal(among, np.inf)
    own = np.sort(among.min(axis=1))
    distances = cdist(new, seen).min(axis=1)
    percentiles = 100 * np.searchsorted(own, distances, side="right") / len(own)
    far = int((distances > np.quantile(own, FAR)).sum())
    return Novelty(len(training), int(used.sum()), wilson(far, len(new)), tuple(map(float, percentiles)))


def covariate_effects(
    score: Floats, outcome: Floats, covariates: Mapping[str, Sequence[Value]]
) -> tuple[CovariateEffect, ...]:
    """Say what covariates explain of a score (log odds) beyond the outcome: partial F of a linear model, Holm-adjusted.

    Args:
        score, outcome: float (n,); the outcome 0, 1, or NaN where unknown.
        covariates: numbers, or texts as categories; None where unknown.
    """
    effects = [_effect(name, score, outcome, values) for name, values in covariates.items()]
    adjusted = iter(holm([effect.test.p_value for effect in effects if isinstance(effect.test, Significance)]))
    return tuple(
        replace(effect, test=replace(effect.test, p_value=next(adjusted)))
        if isinstance(effect.test, Significance)
        else effect
        for effect in effects
    )


def _effect(name: str, score: Floats, outcome: Floats, values: Sequence[Value]) -> CovariateEffect:
    known = np.isfinite(outcome) & np.array([value is not None for value in values], dtype=bool)
    used = [value for value, keep in zip(values, known, strict=True) if keep]
    n = len(used)

    def no(reason: str) -> CovariateEffect:
        return CovariateEffect(name, n, NotComputable(reason), NotComputable(reason))

    if len(set(used)) < 2:
        return no("the same in all cases" if used else "unknown in all cases with an outcome")
    columns = _design(used)
    base = np.column_stack([np.ones(n), outcome[known]])
    full = np.column_stack([base, columns])
    left = n - int(np.linalg.matrix_rank(full))
    gained = int(np.linalg.matrix_rank(full)) - int(np.linalg.matrix_rank(base))
    if left < 10:
        return no(f"too few cases: {n} for {columns.shape[1]} terms")
    if gained == 0:
        return no("it follows from the outcome")
    before, after = (_residual(part, score[known]) for part in (base, full))
    if before <= 0 or after <= 0:
        return no("the score does not vary")
    f = (before - after) / gained / (after / left)
    test = Significance(f"partial F ({gained}, {left})", finite(f), finite(stats.f.sf(f, gained, left)))
    return CovariateEffect(name, n, max(0.0, finite((before - after) / before)), test)


def _design(values: Sequence[Value]) -> Floats:
    """Return columns (n, terms): the number itself, or an indicator for each level but the first."""
    if all(isinstance(value, int | float) for value in values):
        return np.array(values, dtype=np.float64)[:, None]
    levels = sorted({str(value) for value in values})[1:]
    return np.array([[str(value) == level for level in levels] for value in values], dtype=np.float64)


def _residual(design: Floats, score: Floats) -> float:
    coefficients, *_ = np.linalg.lstsq(design, score, rcond=None)
    return float(((score - design @ coefficients) ** 2).sum())


def support(outside: Sequence[bool], percentiles: Sequence[float | None]) -> Maybe[Support]:
    """Sum up what every case's score says of its distance from training.

    Args:
        outside: of each case, whether a selected column lies outside the training range.
        percentiles: of each case's distance among the training cases' own, 0 to 100; None where a column is missing.
    """
    if not outside:
        return NotComputable("no case has a score")
    known = [value for value in percentiles if value is not None]
    far: Maybe[Estimate] = NotComputable("no case has all the selected columns")
    if known:
        far = wilson(sum(value > 100 * FAR for value in known), len(known))
    return Support(wilson(sum(outside), len(outside)), far)


def assess(
    features: Maybe[tuple[FeatureShift, ...]],
    scores: Maybe[ScoreShift],
    acquisition: Maybe[tuple[FeatureShift, ...]],
    within: Maybe[Support],
    nearest: Maybe[Novelty],
    covariates: tuple[CovariateEffect, ...],
) -> Shift:
    """Join the parts and say in plain words what they mean."""
    sentences = [
        _of_features(features),
        _of_distance(within, nearest),
        _of_acquisition(acquisition),
        _of_scores(scores),
        _of_covariates(covariates),
    ]
    verdict = " ".join(sentence for sentence in sentences if sentence)
    return Shift(verdict, features, scores, acquisition, within, nearest, covariates)


def _of_features(features: Maybe[tuple[FeatureShift, ...]]) -> str:
    judged = [] if isinstance(features, NotComputable) else [row for row in features if _odd(row) is not None]
    if not judged:
        return "The training values of the selected features are not in this store: they are not compared."
    odd = [row.feature for row in judged if _odd(row)]
    if odd:
        return (
            f"This centre differs from training, or lies outside what the model has seen, in {len(odd)} of {len(judged)} "
            f"selected features: {_named(odd)}."
        )
    return f"None of {len(judged)} selected features is distributed clearly differently from training."


def _odd(row: FeatureShift) -> bool | None:
    """Say whether a row is shifted or unseen; None where it could not be judged."""
    return row.shifted or row.unseen if isinstance(row.ks, Significance) else None


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _of_distance(within: Maybe[Support], nearest: Maybe[Novelty]) -> str:
    if isinstance(nearest, Novelty):
        return (
            f"{100 * nearest.far.value:.0f} % of its embeddings are farther from the nearest training case than 95 % of training "
            "cases are (5 % if alike)."
        )
    if isinstance(within, NotComputable) or isinstance(within.far, NotComputable):
        return ""
    return (
        f"{100 * within.far.value:.0f} % of its cases are farther from the training mean than 95 % of training cases are "
        "(5 % if alike)."
    )


def _of_acquisition(acquisition: Maybe[tuple[FeatureShift, ...]]) -> str:
    odd = [] if isinstance(acquisition, NotComputable) else [row.feature for row in acquisition if _odd(row)]
    return f"It was scanned otherwise: {_named(odd)}." if odd else ""


def _of_scores(scores: Maybe[ScoreShift]) -> str:
    odd = [] if isinstance(scores, NotComputable) else [row.feature for row in scores.rows if _odd(row)]
    return f"Scores lie elsewhere than in training: {_named(odd)}." if odd else ""


def _of_covariates(covariates: tuple[CovariateEffect, ...]) -> str:
    causes = [
        effect.covariate
        for effect in covariates
        if isinstance(effect.test, Significance) and effect.test.p_value < SMALL_P
    ]
    return f"The score moves with {_named(causes)}, beyond what the outcome explains." if causes else ""
