"""How far cases lie from the training cohort: from the nearest training case, and by what a bundle keeps of training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.spatial.distance import cdist

from cvtbatch.validation.decisions import wilson
from cvtbatch.validation.values import Estimate, Floats, Maybe, NotComputable

FAR = 0.95
SHARES = tuple(round(0.05 * k, 2) for k in range(1, 20))
"""Of the training cases' distances that a bundle keeps: the last is FAR."""
FEWEST = 20


@dataclass(frozen=True, slots=True)
class Novelty:
    """How far cases lie from training cases.

    Attributes:
        reference: what distances are from, of the centre's cases as of training's own: the nearest (other) training case, or the
            mean of the (other) training cases, where a bundle keeps no more.
        far: share of the centre's cases farther from it than 95 % of training cases are.
        percentiles: of each of the centre's cases among the training cases' own distances, 0 to 100; from the mean, 5 to 95.
    """

    reference: Literal["nearest training case", "training mean"]
    training_n: int
    columns: int
    far: Estimate
    percentiles: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class KeptEmbedding:
    """What a bundle keeps of the training cases' embeddings.

    Attributes:
        cases: at least 20.
        mean, sd: (columns,); sd with n - 1.
        distances: quantiles at SHARES of each case's distance from the mean of the others, in their standard deviations: root mean
            square over the columns that vary.
    """

    cases: int
    mean: Floats
    sd: Floats
    distances: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Support:
    """How far cases lie from the training cohort, by what the bundle itself keeps of it.

    Attributes:
        cases: that have a score.
        columns: that the models use, each with its training range.
        outside: share of the cases with one of these outside its range.
        per_case: how many are outside, on average over the cases.
        expected: as many as that of cases like the training cases. A value like n others lies outside their range with the
            probability 2 / (n + 1) (Wilks, Ann Math Stat 1941;12:91), however columns depend on each other.
        known: cases that have all the columns by which the distance is measured.
        far: share of these farther from the training mean than 95 % of training cases are.
    """

    cases: int
    columns: int
    outside: Estimate
    per_case: float
    expected: float
    known: int
    far: Maybe[Estimate]


def novelty(training: Floats, center: Floats) -> Maybe[Novelty]:
    """Compare distances to the nearest training case.

    Args:
        training, center: float (cases, columns) without NaN; columns are standardised by the training cases here.
    """
    if len(training) < FEWEST:
        return NotComputable(f"too few training cases for a distance: {len(training)}, {FEWEST} are needed")
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
    shares = tuple(map(float, percentiles))
    return Novelty("nearest training case", len(training), int(used.sum()), wilson(far, len(new)), shares)


def keep_embedding(training: Floats) -> KeptEmbedding | None:
    """Return what is kept of embeddings (cases, columns) without NaN; None with too few cases."""
    n = len(training)
    if n < FEWEST:
        return None
    mean, variance = training.mean(axis=0), training.var(axis=0, ddof=1)
    away = (training - mean)[:, variance > 0]
    # Mean and variance of the others follow from those of all.
    others = ((n - 1) * variance[variance > 0] - away**2 * n / (n - 1)) / (n - 2)
    squares = np.divide((away * n / (n - 1)) ** 2, others, out=np.zeros_like(away), where=others > 0)
    own = np.sqrt(squares.mean(axis=1)) if squares.size else np.zeros(n)
    return KeptEmbedding(n, mean, np.sqrt(variance), tuple(map(float, np.quantile(own, SHARES))))


def novelty_of_kept(kept: KeptEmbedding, center: Floats) -> Maybe[Novelty]:
    """Compare distances from the training mean.

    Args:
        center: float (cases, columns) without NaN.
    """
    if len(center) == 0:
        return NotComputable("no case of this centre has all the columns")
    used = kept.sd > 0
    if not used.any():
        return NotComputable("the training cases are all alike")
    scaled = (center[:, used] - kept.mean[used]) / kept.sd[used]
    distances = np.sqrt((scaled**2).mean(axis=1))
    percentiles = 100 * np.interp(distances, kept.distances, SHARES)
    far = int((distances > kept.distances[SHARES.index(FAR)]).sum())
    shares = tuple(map(float, percentiles))
    return Novelty("training mean", kept.cases, int(used.sum()), wilson(far, len(center)), shares)


def support(
    outside: Sequence[int], percentiles: Sequence[float | None], columns: int, training_n: int
) -> Maybe[Support]:
    """Sum up what every case's score says of its distance from training.

    Args:
        outside: of each case, how many of the models' columns lie outside the training range.
        percentiles: of each case's distance among the training cases' own, 0 to 100; None where a column is missing.
        columns: that the models use.
        training_n: cases whose range it is.
    """
    if not outside:
        return NotComputable("no case has a score")
    known = [value for value in percentiles if value is not None]
    far: Maybe[Estimate] = NotComputable("no case has all the selected columns")
    if known:
        far = wilson(sum(value > 100 * FAR for value in known), len(known))
    return Support(
        cases=len(outside),
        columns=columns,
        outside=wilson(sum(count > 0 for count in outside), len(outside)),
        per_case=sum(outside) / len(outside),
        expected=2 * columns / (training_n + 1),
        known=len(known),
        far=far,
    )
