"""A hematoma's slices to one embedding: arithmetic in one written order, so that its bits depend on no other hematoma."""

from enum import StrEnum

import numpy as np

from cvtbatch.dlrn.arrays import Floats, Floats32, Integers


class Pooling(StrEnum):
    """How the embeddings of a hematoma's slices make one.

    LARGEST: that of the slice with the largest area, as the study has it.
    AREA_MEAN: their mean, weighted by the area of the hematoma in each slice.
    MEAN_MAX: their mean, each slice alike, and behind it the largest of each value: twice as many numbers.
    """

    LARGEST = "largest"
    AREA_MEAN = "area_mean"
    MEAN_MAX = "mean_max"

    @property
    def column(self) -> str:
        """Column that holds such embeddings; no two ways share a name, so that none is scored for another."""
        return "embedding" if self is Pooling.LARGEST else f"embedding_{self.value}"


def pool_slices(slices: Floats32, areas: Floats, starts: Integers, pooling: Pooling) -> Floats32:
    """Return an embedding of each hematoma: (n, E), or (n, 2 E) of mean and maximum.

    Args:
        slices: (m, E), those of a hematoma together; they are added up in this order, in float64.
        areas: (m,) of the hematoma in each, above 0; in any unit.
        starts: (n + 1,) where each hematoma's slices begin, and m.
        pooling: AREA_MEAN or MEAN_MAX.
    """
    counts = np.diff(starts)
    weights = areas if pooling is Pooling.AREA_MEAN else np.ones(len(slices))
    total, whole = np.zeros((len(counts), slices.shape[1])), np.zeros((len(counts), 1))
    highest = np.full((len(counts), slices.shape[1]), -np.inf, np.float32)
    for rank in range(int(counts.max(initial=0))):
        own = np.flatnonzero(counts > rank)
        places = starts[own] + rank
        total[own] += weights[places, None] * slices[places]
        whole[own] += weights[places, None]
        highest[own] = np.maximum(highest[own], slices[places])
    mean = (total / whole).astype(np.float32)
    return mean if pooling is Pooling.AREA_MEAN else np.concatenate([mean, highest], axis=1)
