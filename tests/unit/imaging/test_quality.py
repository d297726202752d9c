"""Triage finds what was planted: noise, metal, moved slices, a cut head. The head is round, so that its areas are known."""

import numpy as np
import pytest

from cvtbatch.geometry import SliceStack
from cvtbatch.imaging import quality
from cvtbatch.imaging.quality import measure_series
from cvtbatch.synthesis import plan_cohort, render

GAP_MM, PIXEL_MM, RADIUS_MM = 5.0, 1.0, 70.0
SLICES, SIDE = 34, 176


def stack_of_slices(slices: int = SLICES, normal=(0.0, 0.0, 1.0), slope: float = 0.0) -> SliceStack:
    row, column = ((1.0, 0, 0), (0, 1.0, 0)) if abs(normal[2]) == 1 else ((1.0, 0, 0), (0, 0, 1.0))
    column = tuple(-value for value in column) if normal[2] == -1 else column
    places = np.arange(slices)[:, None] * (np.array(normal) * GAP_MM + np.array(column) * slope * GAP_MM)
    return SliceStack(SIDE, SIDE, (PIXEL_MM, PIXEL_MM), row, column, normal, tuple(map(tuple, places.tolist())))


def ball_head(noise_hu: float = 4.0, seed: int = 0) -> np.ndarray:
    """A ball of brain in a skull of 7 mm, a table below it, air around; noise everywhere."""
    rng = np.random.default_rng(seed)
    z = (np.arange(SLICES) - (SLICES - 1) / 2)[:, None, None] * GAP_MM
    y, x = (np.arange(SIDE) - SIDE / 2)[:, None] * PIXEL_MM, (np.arange(SIDE) - SIDE / 2)[None] * PIXEL_MM
    distance = np.sqrt(x**2 + y**2 + z**2)
    hu = np.where(distance < RADIUS_MM, 35.0, np.where(distance < RADIUS_MM + 7, 1200.0, -1000.0))
    hu[:, -6:-3, 20:-20] = 100.0
    return np.rint(hu + rng.normal(0, noise_hu, hu.shape)).astype(np.int16)


@pytest.mark.parametrize("noise_hu", [2.0, 4.0, 14.0])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_noise_is_the_planted_one(noise_hu: float, dtype: type) -> None:
    measured = measure_series(ball_head(noise_hu).astype(dtype), stack_of_slices())
    assert measured.noise_hu == pytest.approx(noise_hu, rel=0.06)
    assert ("noisy" in measured.flags) == (noise_hu > 10)


def test_extent_is_the_balls() -> None:
    measured = measure_series(ball_head(), stack_of_slices())
    assert measured.brain_ml == pytest.approx(4 / 3 * np.pi * RADIUS_MM**3 / 1000, rel=0.06)
    assert measured.head_coverage_mm == pytest.approx(2 * (RADIUS_MM + 7), abs=GAP_MM)
    assert measured.flags == ()


@pytest.mark.parametrize("upward", [True, False])
def test_a_cut_vertex_and_a_cut_base_are_told_apart(upward: bool) -> None:
    hu = ball_head()
    stack = stack_of_slices(SLICES - 12, (0.0, 0.0, 1.0 if upward else -1.0))
    low, high = hu[12:], hu[:-12]
    assert measure_series(low, stack).flags == (("base_cut",) if upward else ("vertex_cut",))
    assert measure_series(high, stack).flags == (("vertex_cut",) if upward else ("base_cut",))


def test_slices_of_another_plane_and_of_no_head_are_flagged() -> None:
    assert "not_axial" in measure_series(ball_head(), stack_of_slices(normal=(0.0, -1.0, 0.0))).flags
    air = measure_series(np.full((SLICES, SIDE, SIDE), -1000, np.int16), stack_of_slices())
    assert (air.head_coverage_mm, air.brain_ml, air.noise_hu, air.slice_jump_mm) == (0.0, 0.0, None, None)
    assert air.flags == ("no_head",)


def test_metal_is_measured_and_dense_bone_is_not_metal() -> None:
    hu = ball_head()
    hu[10:12, 60:70, 60:70] = 2400
    assert measure_series(hu, stack_of_slices()).metal_ml == 0
    hu[15, 80:86, 90:95] = 3071
    measured = measure_series(hu, stack_of_slices())
    assert measured.metal_ml == pytest.approx(6 * 5 * GAP_MM / 1000)
    assert measured.flags == ("metal",)


@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_a_moved_slice_is_found_and_a_tilted_stack_is_not_moved(slope: float) -> None:
    hu = ball_head()
    for k in range(SLICES):
        hu[k] = np.roll(hu[k], -round((k - SLICES // 2) * slope * GAP_MM / PIXEL_MM), axis=0)
    still = measure_series(hu, stack_of_slices(slope=slope))
    assert still.slice_jump_mm is not None
    assert still.slice_jump_mm < 1.0
    hu[17] = np.roll(hu[17], 6, axis=1)
    moved = measure_series(hu, stack_of_slices(slope=slope))
    assert moved.slice_jump_mm == pytest.approx(6.0, abs=0.5)
    assert moved.flags == ("displaced_slices",)


def test_synthetic_patients_that_moved_are_told_from_those_that_lay_still() -> None:
    plans = [plan for plan in plan_cohort(24, 2, 1, "small") if plan.case_id in {"C1-0001", "C1-0012", "C2-0001"}]
    for case in map(render, plans):
        step = np.asarray(case.slice_step_mm)
        positions = tuple(tuple((np.asarray(case.origin_mm) + k * step).tolist()) for k in range(len(case.hu_zyx)))
        normal = np.cross(case.row_direction, case.column_direction)
        axes = (case.row_direction, case.column_direction, tuple(normal.tolist()))
        rows, columns = case.hu_zyx.shape[1:]
        stack = SliceStack(columns, rows, case.spacing_xyz_mm[:2], *axes, positions)
        moved = case.clinical["quality"] == "inadequate"
        assert ("displaced_slices" in measure_series(case.hu_zyx, stack).flags) == moved
    assert len(plans) == 3


def test_blocks_are_what_numpy_makes_of_them() -> None:
    hu = np.random.default_rng(2).integers(-1024, 3071, (3, 11, 14)).astype(np.int16)
    total, squares, highest, metal = quality._reduce_to_blocks(hu, 4, 3)
    tiles = hu[:, :8, :12].reshape(3, 2, 4, 4, 3).astype(np.float64)
    assert np.array_equal(total, tiles.sum(axis=(2, 4)))
    assert np.allclose(squares, (tiles**2).sum(axis=(2, 4)), rtol=1e-6, atol=0)
    assert np.array_equal(highest, tiles.max(axis=(2, 4)))
    assert np.array_equal(metal, (tiles > 2500).sum(axis=(1, 2, 3, 4)))
