"""Distances between surfaces, against all pairs of points, and where faces lie."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from cvtbatch.geometry import Grid
from cvtbatch.location.surface import Solid, distances_mm, find_surface

GRID = Grid((24, 20, 8), (0.5, 0.5, 5.0), (-3.0, 7.0, 11.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))


def block(z: slice, y: slice, x: slice) -> np.ndarray:
    mask = np.zeros(GRID.shape_zyx, dtype=bool)
    mask[z, y, x] = True
    return mask


def gap_mm(one: np.ndarray, other: np.ndarray) -> float:
    return Solid(find_surface(one, GRID).points_mm).gap_mm(find_surface(other, GRID).points_mm)


def test_gap_is_what_lies_between_voxels() -> None:
    one = block(slice(2, 4), slice(5, 9), slice(3, 7))
    assert gap_mm(one, block(slice(2, 4), slice(5, 9), slice(7, 9))) == pytest.approx(0)
    assert gap_mm(one, block(slice(2, 4), slice(5, 9), slice(10, 12))) == pytest.approx(1.5)
    assert gap_mm(one, block(slice(5, 7), slice(5, 9), slice(3, 7))) == pytest.approx(5)


def test_surface_is_that_of_a_box_without_the_ends_of_the_scan() -> None:
    surface = find_surface(block(slice(2, 4), slice(5, 9), slice(3, 7)), GRID)
    assert surface.areas_mm2.sum() == pytest.approx(2 * (2 * 2 + 2 * 10 + 2 * 10))
    assert surface.points_mm.min(axis=0) == pytest.approx([1.25, 2.25, 7.5])
    assert surface.points_mm.max(axis=0) == pytest.approx([3.25, 4.25, 17.5])
    assert find_surface(block(slice(0, 4), slice(5, 9), slice(3, 7)), GRID).points_mm[:, 2].min() == pytest.approx(0)


@given(seed=st.integers(0, 10_000))
def test_gap_of_scattered_voxels_is_the_least_of_all_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = (rng.random(GRID.shape_zyx) < 0.002 for _ in range(2))
    one[3, 4, 5] = other[5, 12, 17] = True
    pairs = cdist(find_surface(one, GRID).points_mm, find_surface(other, GRID).points_mm)
    assert gap_mm(one, other) == pytest.approx(pairs.min())
    points = find_surface(one, GRID).points_mm
    assert distances_mm(points, find_surface(other, GRID).points_mm) == pytest.approx(pairs.min(axis=1))
