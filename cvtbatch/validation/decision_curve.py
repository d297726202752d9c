"""Decision curves: the net benefit of acting on a model, against treating all or none.

Vickers and Elkin, Med Decis Making 2006;26:565: net benefit = TP / n - FP / n x t / (1 - t) at the threshold
probability t, a case being treated where its probability is at least t.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from cvtbatch.validation.clustering import clustered_variance, t_quantile
from cvtbatch.validation.values import Bools, Estimate, Floats, Maybe, NotComputable, Scored, Z, wald

A = TypeVar("A")
B = TypeVar("B")
Map = Callable[[Callable[[A], B], Iterable[A]], Iterable[B]]

THRESHOLDS: tuple[float, ...] = tuple(round(0.01 * k, 2) for k in range(1, 100))
REPLICATES = 1000
CHUNK = 100
"""Replicates that share a random stream: a fixed number, so that results do not depend on the number of workers."""


@dataclass(frozen=True, slots=True)
class Range:
    """Threshold probabilities from `low` to `high`."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class DecisionCurve:
    """Net benefit by threshold probability, each a tuple along `thresholds`.

    Attributes:
        low, high: pointwise percentile bootstrap limits (95 %) of the model's net benefit, patients being drawn.
        helpful: where the model's net benefit exceeds that of treating all and of treating none.
        surely_helpful: where the lower bootstrap limit of that excess is above 0.
        replicates: of the bootstrap.
    """

    thresholds: tuple[float, ...]
    model: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    treat_all: tuple[float, ...]
    helpful: tuple[Range, ...]
    surely_helpful: tuple[Range, ...]
    replicates: int


def net_benefit(scored: Scored, thresholds: Floats) -> tuple[Floats, Floats]:
    """Return the net benefit of the model and of treating all, both (thresholds,)."""
    model, every = weighted_net_benefits(scored, np.ones((1, scored.n)), thresholds)
    return model[0], every[0]


def decision_curve(
    scored: Scored,
    seed: int,
    map_: "Map[np.random.SeedSequence, tuple[Floats, Floats]]" = map,
    replicates: int = REPLICATES,
) -> Maybe[DecisionCurve]:
    """Return a decision curve with its bootstrap; scores are probabilities.

    Args:
        seed: equal seeds give equal limits, whatever `map_` spreads the work over.
        map_: as the built-in `map`, in order.
    """
    if lack := scored.lacks():
        return lack
    thresholds = np.array(THRESHOLDS)
    model, every = net_benefit(scored, thresholds)
    streams = np.random.SeedSequence(seed).spawn(-(-replicates // CHUNK))
    parts = list(map_(partial(_replicate, scored, thresholds), streams))
    models, everys = (np.concatenate([part[side] for part in parts])[:replicates] for side in (0, 1))
    low, high = np.quantile(models, [0.025, 0.975], axis=0)
    excess = np.quantile(models - np.maximum(everys, 0), 0.025, axis=0)
    return DecisionCurve(
        thresholds=THRESHOLDS,
        model=tuple(map(float, model)),
        low=tuple(map(float, low)),
        high=tuple(map(float, high)),
        treat_all=tuple(map(float, every)),
        helpful=tuple(_ranges(model - np.maximum(every, 0) > 1e-12)),
        surely_helpful=tuple(_ranges(excess > 1e-12)),
        replicates=replicates,
    )


def standardised_net_benefit(scored: Scored, threshold: float) -> Maybe[Estimate]:
    """Return the net benefit at a threshold divided by the share of events, with a Wald interval; scores are probabilities.

    Riley et al., Stat Med 2021;40:4230, section 3.4 (after Marsh, Janes and Pepe, Biometrics 2020;76:843).
    """
    if lack := scored.lacks(2 if scored.repeated else 1):
        return lack
    if not 0 < threshold < 1:
        return NotComputable(f"at a threshold of {threshold:g} a false positive has no weight")
    positive, share = scored.score >= threshold, scored.events / scored.n
    of_events, of_others = (float(positive[members].mean()) for members in (scored.outcome, ~scored.outcome))
    weight = (1 - share) / share * threshold / (1 - threshold)
    # What a case adds by its decision, and by its outcome, which moves the weight.
    decided = np.where(
        scored.outcome,
        (positive - of_events) / scored.events,
        -weight * (positive - of_others) / (scored.n - scored.events),
    )
    weighed = weight * of_others * (scored.outcome - share) / (scored.n * share * (1 - share))
    error = math.sqrt(clustered_variance(decided + weighed, scored))
    value = of_events - weight * of_others
    return wald(value, error, quantile=t_quantile(scored.rarer) if scored.repeated else Z)


def _replicate(scored: Scored, thresholds: Floats, stream: np.random.SeedSequence) -> tuple[Floats, Floats]:
    """Return the net benefits of CHUNK resamples of the patients, each with all its cases."""
    rng = np.random.default_rng(stream)
    patients, clusters = scored.patients, scored.clusters
    drawn = rng.integers(0, patients, (CHUNK, patients))
    weights = np.stack([np.bincount(row, minlength=patients)[clusters] for row in drawn]).astype(np.float64)
    return weighted_net_benefits(scored, weights, thresholds)


def weighted_net_benefits(scored: Scored, weights: Floats, thresholds: Floats) -> tuple[Floats, Floats]:
    """Return net benefits of the model and of treating all, both (replicates, thresholds), for case weights (replicates, n)."""
    order = np.argsort(-scored.score, kind="stable")
    treated = np.searchsorted(-scored.score[order], -thresholds, side="right")
    outcome, sorted_weights = scored.outcome[order], weights[:, order]
    nothing = np.zeros((len(weights), 1))
    true_positive, false_positive = (
        np.concatenate([nothing, np.cumsum(sorted_weights * members, axis=1)], axis=1)
        for members in (outcome, ~outcome)
    )
    n = sorted_weights.sum(axis=1)[:, None]
    odds = thresholds / (1 - thresholds)
    model = true_positive[:, treated] / n - false_positive[:, treated] / n * odds
    every = true_positive[:, -1:] / n - false_positive[:, -1:] / n * odds
    return model, every


def _ranges(inside: Bools) -> Iterator[Range]:
    """Yield the unbroken runs of thresholds."""
    start: int | None = None
    for index, yes in enumerate([*inside.tolist(), False]):
        if yes and start is None:
            start = index
        elif not yes and start is not None:
            yield Range(THRESHOLDS[start], THRESHOLDS[index - 1])
            start = None


def describe(ranges: tuple[Range, ...]) -> str:
    """Name ranges in words, e.g. "0.05 to 0.42 and 0.47"."""
    texts = [f"{run.low:.2f} to {run.high:.2f}" if run.high > run.low else f"{run.low:.2f}" for run in ranges]
    if len(texts) < 2:
        return texts[0] if texts else "none"
    return ", ".join(texts[:-1]) + " and " + texts[-1]
