"""Slices of a hematoma to one embedding."""

from itertools import pairwise

import numpy as np
import pytest

from cvtbatch.dlrn.pooling import Pooling, pool_slices

POOLED = (Pooling.AREA_MEAN, Pooling.MEAN_MAX)


def drawn(counts: list[int], length: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    slices = rng.normal(size=(sum(counts), length)).astype(np.float32)
    return slices, rng.integers(1, 900, sum(counts)) * 0.25, np.concatenate([[0], np.cumsum(counts)])


def test_means_and_maxima_are_numpys() -> None:
    slices, areas, starts = drawn([3, 1, 5])
    parts = [slice(*pair) for pair in pairwise(starts)]
    mean = [np.average(slices[own].astype(np.float64), axis=0, weights=areas[own]) for own in parts]
    np.testing.assert_allclose(pool_slices(slices, areas, starts, Pooling.AREA_MEAN), mean, rtol=1e-6)
    both = [np.r_[slices[own].astype(np.float64).mean(axis=0), slices[own].max(axis=0)] for own in parts]
    found = pool_slices(slices, areas, starts, Pooling.MEAN_MAX)
    np.testing.assert_allclose(found, both, rtol=1e-6)
    assert (found[1] == np.tile(slices[3], 2)).all()


@pytest.mark.parametrize("pooling", POOLED)
def test_bits_do_not_depend_on_other_hematomas(pooling: Pooling) -> None:
    slices, areas, starts = drawn([4, 1, 9, 2])
    whole = pool_slices(slices, areas, starts, pooling)
    for place, (first, last) in enumerate(pairwise(starts)):
        alone = pool_slices(slices[first:last], areas[first:last], np.array([0, last - first]), pooling)
        assert (alone[0] == whole[place]).all()


def test_each_way_has_a_column_of_its_own_and_nothing_makes_nothing() -> None:
    assert len({way.column for way in Pooling}) == len(Pooling)
    none = pool_slices(np.empty((0, 7), np.float32), np.empty(0), np.array([0]), Pooling.MEAN_MAX)
    assert none.shape == (0, 14)
