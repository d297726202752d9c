import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid, SliceStack, box_of, stored_grid, voxels_of

SPACING = (0.5, 0.5, 5.0)


def stack(gaps, shift_y_per_mm=0.0, size=(40, 50), pixel=(0.5, 0.5)) -> SliceStack:
    depths = np.concatenate([[0.0], np.cumsum(gaps)])
    positions = tuple((0.0, float(depth * shift_y_per_mm), float(depth)) for depth in depths)
    return SliceStack(size[0], size[1], pixel, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), positions)


def test_size_is_ceil_of_extent_over_spacing() -> None:
    grid = stored_grid(stack([2.5] * 63, size=(512, 512), pixel=(0.48828125, 0.48828125)), SPACING)
    assert grid.size_xyz == (500, 500, 32)
    assert grid.origin_mm == (0.0, 0.0, 0.0)


def test_round_off_of_positions_adds_no_slice() -> None:
    grid = stored_grid(stack([0.1 + 0.2 - 0.0] * 99), (0.5, 0.5, 3.0))
    assert grid.size_xyz[2] == 10


def test_uneven_depth_is_last_minus_first_plus_the_median_gap() -> None:
    uneven = stack([4.0] * 13 + [1.08] + [7.0] * 13)
    assert not uneven.is_even()
    depth = 13 * 4.0 + 1.08 + 13 * 7.0 + 4.0
    assert stored_grid(uneven, SPACING).size_xyz[2] == int(np.ceil(depth / 5.0))


@pytest.mark.parametrize("slope", [0.3, -0.3])
def test_tilted_grid_covers_every_slice(slope: float) -> None:
    tilted = stack([5.0] * 9, slope)
    grid = stored_grid(tilted, SPACING)
    assert grid.size_xyz == (40, 50 + 27, 10)
    for position in tilted.positions_mm:
        first = np.array(position)
        last = first + np.array([39 * 0.5, 49 * 0.5, 0])
        index = grid.to_index(np.array([first, last]))
        assert (index >= -1e-9).all()
        assert (index <= np.array(grid.size_xyz) - 1 + 1e-9).all()
    assert tilted.tilt_deg() == pytest.approx(np.degrees(np.arctan(0.3)))


@pytest.mark.parametrize(
    ("gaps", "missing"),
    [
        ([5.0] * 10, 0),
        ([5.0, 5.0, 10.0], 1),
        ([5.0] * 5 + [15.2] + [5.0] * 5, 2),
        ([5.0] * 5 + [10.0] + [5.0] * 5 + [10.0] + [5.0] * 3, 2),
        ([4.0] * 13 + [1.08] + [7.0] * 13, 0),
        ([2.5] * 10 + [5.0] * 10, 0),
        ([5.0] * 5 + [7.4] + [5.0] * 5, 0),
        ([5.0, 10.0] * 4, 4),
        ([10.0, 5.0] * 4 + [10.0], 5),
        ([5.0] * 4 + [10.0, 10.0] + [5.0] * 4, 2),
        ([2.5, 2.5, 5.0, 5.0], 0),
        ([2.5] * 6 + [5.0] * 6 + [2.5] * 6, 0),
        ([5.0] * 9 + [10.0], 1),
        ([15.0] + [5.0] * 9, 2),
        ([5.0] * 4 + [9.6] + [5.0] * 4 + [15.4] + [5.0], 3),
        ([5.0] * 5 + [22.5] + [5.0] * 5, 4),
        ([2.5] * 10 + [3.7] + [5.0] * 10, 0),
        ([0.62, 0.63] * 20, 0),
        ([5.0] * 5 + [2.5] + [5.0] * 5, 0),
    ],
)
def test_missing_slices_are_isolated_multiples(gaps: list[float], missing: int) -> None:
    assert stack(gaps).missing_slices() == missing


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"positions_mm": ((0.0, 0.0, 0.0),)}, "single_slice"),
        ({"positions_mm": ((0.0, 0.0, 0.0), (0.0, 0.0, 0.001))}, "duplicate_slices"),
        ({"positions_mm": ((0.0, 0.0, 0.0), (0.0, 0.0, -5.0))}, "unordered_slices"),
        ({"column_axis": (0.1, 1.0, 0.0)}, "bad_orientation"),
        ({"pixel_mm": (0.0, 0.5)}, "bad_geometry"),
        ({"positions_mm": ((0.0, 0.0, 0.0), (0.0, 0.0, float("nan")))}, "bad_geometry"),
    ],
)
def test_what_is_no_stack_is_refused(change, kind: str) -> None:
    good = {
        "columns": 4,
        "rows": 4,
        "pixel_mm": (0.5, 0.5),
        "row_axis": (1.0, 0.0, 0.0),
        "column_axis": (0.0, 1.0, 0.0),
        "slice_axis": (0.0, 0.0, 1.0),
        "positions_mm": ((0.0, 0.0, 0.0), (0.0, 0.0, 5.0)),
    }
    with pytest.raises(InputError) as raised:
        SliceStack(**{**good, **change})
    assert raised.value.kind == kind


def test_points_and_indices_are_inverse_on_an_oblique_grid() -> None:
    axes = np.linalg.qr(np.array([[1.0, 0.2, 0.1], [-0.2, 1.0, 0.3], [0.0, -0.3, 1.0]]))[0]
    grid = Grid((4, 5, 6), (0.5, 0.7, 5.0), (1.0, -2.0, 3.0), tuple(axes.ravel()))
    indices = np.array([[0.0, 0.0, 0.0], [3.0, 4.0, 5.0], [1.5, 0.25, 2.0]])
    assert np.allclose(grid.to_index(grid.to_point(indices)), indices, atol=1e-12)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 1.0])
@pytest.mark.parametrize("dtype", [np.uint8, np.bool_])
def test_voxels_of_a_mask_are_those_of_numpy_and_its_box_holds_them_tightly(share: float, dtype: type) -> None:
    mask = np.asarray(np.random.default_rng(2).random((7, 30, 41)) < share, dtype=dtype)
    expected = np.nonzero(mask)
    assert all(np.array_equal(found, right) for found, right in zip(voxels_of(mask), expected, strict=True))
    ends = [(int(index.min()), int(index.max()) + 1) if share else (0, 0) for index in expected]
    assert [(axis.start, axis.stop) for axis in box_of(mask)] == ends


@settings(deadline=None)
@given(
    array_shapes(min_dims=3, max_dims=3, max_side=12).flatmap(lambda shape: arrays(np.bool_, shape)).filter(np.any),
    st.tuples(*[st.integers(0, 3)] * 3),
)
def test_a_wider_box_is_the_one_that_scipy_finds_and_ends_where_the_array_does(mask, wider) -> None:
    around = ndimage.binary_dilation(mask, np.ones([2 * steps + 1 for steps in wider]))
    assert [box_of(mask, wider)] == ndimage.find_objects(around.astype(np.uint8))
