"""A hematoma's slices to one embedding: arithmetic in one written order, so that its bits depend on no other hematoma."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from cvtbatch.dlrn.arrays import Floats, Floats32, Integers


class Pooling(StrEnum):
    """How the embeddings of a hematoma's slices make one.

    LARGEST: that of the slice with the largest area, as the study has it.
    AREA_MEAN: their mean, weighted by the area of the hematoma in each slice.
    MEAN_MAX: their mean, each slice alike, and behind it the largest of each value: twice as many numbers.
    ATTENTION: their mean, weighted by what a model was fitted to look at (`attention`); before a model, all of them.
    """

    LARGEST = "largest"
    AREA_MEAN = "area_mean"
    MEAN_MAX = "mean_max"
    ATTENTION = "attention"

    @property
    def column(self) -> str:
        """Column that holds such embeddings; no two ways share a name, so that none is scored for another."""
        return "embedding" if self is Pooling.LARGEST else f"embedding_{self.value}"


@dataclass(frozen=True, slots=True, eq=False)
class Slices:
    """The slices of n hematomas.

    Attributes:
        values: (m, E) embeddings, those of a hematoma together.
        starts: (n + 1,) where each hematoma's slices begin, and m.
    """

    values: Floats32
    starts: Integers


def pool_slices(slices: Floats32, areas: Floats, starts: Integers, pooling: Pooling) -> Floats32:
    """Return an embedding of each hematoma: (n, E), or (n, 2 E) of mean and maximum.

    Args:
        slices: (m, E), those of a hematoma together; they are added up in this order, in float64.
        areas: (m,) of the hematoma in each, above 0; in any unit.
        starts: (n + 1,) where each hematoma's slices begin, and m.
        pooling: AREA_MEAN or MEAN_MAX.
    """
    if pooling is Pooling.AREA_MEAN:
        return weighted_means(slices, areas, starts)
    counts = np.diff(starts)
    highest = np.full((len(counts), slices.shape[1]), -np.inf, np.float32)
    for rank in range(int(counts.max(initial=0))):
        own = np.flatnonzero(counts > rank)
        highest[own] = np.maximum(highest[own], slices[starts[own] + rank])
    return np.concatenate([weighted_means(slices, np.ones(len(slices)), starts), highest], axis=1)


def weighted_means(slices: Floats32, weights: Floats, starts: Integers) -> Floats32:
    """Return the weighted mean of each hematoma's slices: (n, E), NaN where there is no slice; arguments as for `pool_slices`."""
    counts = np.diff(starts)
    total, whole = np.zeros((len(counts), slices.shape[1])), np.zeros((len(counts), 1))
    for rank in range(int(counts.max(initial=0))):
        own = np.flatnonzero(counts > rank)
        places = starts[own] + rank
        total[own] += weights[places, None] * slices[places]
        whole[own] += weights[places, None]
    with np.errstate(invalid="ignore"):
        return (total / whole).astype(np.float32)
