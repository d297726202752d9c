"""How far cases lie from the training cohort: from the nearest training case, and by what a bundle keeps of training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from cvtbatch.validation.decisions import wilson
from cvtbatch.validation.values import Estimate, Floats, Maybe, NotComputable

FAR = 0.95


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
class Support:
    """How far cases lie from the training cohort, by what the bundle itself keeps of it.

    Attributes:
        outside: share of the cases with a selected column outside the training range.
        far: share of the cases farther from the training mean than 95 % of training cases are.
    """

    outside: Estimate
    far: Maybe[Estimate]


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
