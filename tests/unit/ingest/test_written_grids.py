"""Grids on which a case is written: what is drawn there is read again as it was drawn, whatever the series' slices."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid, SliceStack, stored_grid
from cvtbatch.imaging import place_mask
from cvtbatch.imaging.placement import mask_volume_ml
from cvtbatch.ingest import SourceMask, read_mask
from cvtbatch.ingest.nrrd import write_nrrd
from cvtbatch.ingest.slicer_writing import NamedMask, write_segmentation
from cvtbatch.ingest.written_grids import lay_on, lay_on_slices, series_grid, with_margin
from tests.support.mask_files import ORIENTATIONS, UNEVEN, Ball, ball, roi, slices_of

# No stored plane of 5 mm lies halfway between two slices, where the last bit would decide.
EVEN = (4.2,) * 15


def downwards(stack: SliceStack) -> SliceStack:
    """The same slices as an image file has them whose z runs the other way: left-handed."""
    normal = tuple((-np.array(stack.slice_axis)).tolist())
    return SliceStack(
        stack.columns, stack.rows, stack.pixel_mm, stack.row_axis, stack.column_axis, normal, stack.positions_mm[::-1]
    )


def back(path: Path, stack: SliceStack, segment: str | None = None) -> SourceMask:
    return read_mask(roi(path, segment=segment), lambda: slices_of(stack))


def write(path: Path, voxels: np.ndarray, grid: Grid) -> Path:
    write_segmentation(path, [NamedMask("hematoma/A/1", voxels)], grid)
    return path


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("tilt", [0.0, 18.5, -18.5])
def test_a_mask_on_the_series_own_slices_comes_back_voxel_by_voxel(
    tmp_path: Path, orientation: str, tilt: float, down: bool
) -> None:
    drawn = ball(EVEN, tilt, orientation)
    stack, voxels = (downwards(drawn.stack), drawn.mask()[::-1]) if down else (drawn.stack, drawn.mask())
    grid = series_grid(stack)
    assert grid is not None
    assert grid.is_sheared == bool(tilt)
    corners = np.array([[0.0, 0, z] for z in range(len(stack.positions_mm))])
    assert np.abs(grid.to_point(corners) - np.array(stack.positions_mm)).max() < 1e-9
    mask = back(write(tmp_path / "m.seg.nrrd", voxels, grid), stack)
    assert np.array_equal(mask.voxels_zyx, voxels)
    assert mask.flags == ()
    assert isinstance(mask.place, Grid)
    assert np.allclose(mask.place.to_point(corners), stack.positions_mm, atol=1e-9)
    assert mask.volume_ml == pytest.approx(mask_volume_ml(voxels, stack), rel=1e-9)
    stored = stored_grid(stack, (0.5, 0.5, 5.0))
    placed = place_mask(mask.voxels_zyx, mask.place, stored)
    by_slices = place_mask(voxels, stack, stored)
    overlap = 2 * (placed & by_slices).sum() / (placed.sum() + by_slices.sum())
    # Upright ones equal but for pixels halfway between two; tilted ones go through the grid's shear, and not slice by slice.
    assert overlap > (0.995 if not tilt else 0.98)


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("tilt", [0.0, 18.5])
@pytest.mark.parametrize("gaps", [UNEVEN, (4.6, 5.4) * 7])
def test_a_mask_on_the_stored_grid_comes_back_by_its_place(
    tmp_path: Path, gaps: tuple[float, ...], tilt: float, cut: bool
) -> None:
    """Also where the series has the stored grid's pixels, so that its slices may be taken for the series', and where it is cut."""
    drawn = ball(gaps, tilt)
    columns, rows, axes = 80, 72, (drawn.stack.row_axis, drawn.stack.column_axis, drawn.stack.slice_axis)
    stack = SliceStack(columns, rows, (0.5, 0.5), *axes, drawn.stack.positions_mm)
    assert series_grid(stack) is None
    stored = stored_grid(stack, (0.5, 0.5, 5.0))
    voxels = Ball(stack, drawn.center_mm, 12.0).on(stored).astype(np.uint8)
    grid, margin = with_margin(stored)
    padded = np.pad(voxels, ((0, 0), (0, 0), (margin, 0)))
    path = write(tmp_path / "m.seg.nrrd", padded, grid)
    if cut:
        path = cropped(path, tmp_path / "cut.seg.nrrd")
    mask = back(path, stack)
    assert mask.flags == ("other_slices",)
    assert np.array_equal(place_mask(mask.voxels_zyx, mask.place, stored), voxels)
    assert mask.volume_ml == pytest.approx(int(voxels.sum()) * 1.25e-3)


def cropped(path: Path, out: Path) -> Path:
    """As Slicer cuts a file to its segments: the offset says where in the whole that is."""
    image = sitk.ReadImage(str(path))
    z, y, x = (np.flatnonzero(sitk.GetArrayViewFromImage(image).any(axis=axes)) for axes in [(1, 2), (0, 2), (0, 1)])
    part = image[int(x[0]) : int(x[-1]) + 1, int(y[0]) : int(y[-1]) + 1, int(z[0]) : int(z[-1]) + 1]
    for key in image.GetMetaDataKeys():
        if key.startswith("Segment"):
            part.SetMetaData(key, image.GetMetaData(key))
    part.SetMetaData("Segmentation_ReferenceImageExtentOffset", f"{x[0]} {y[0]} {z[0]}")
    sitk.WriteImage(part, str(out))
    return out


def test_without_the_margin_the_stored_grid_may_be_taken_for_the_series(tmp_path: Path) -> None:
    """What the margin is for: fifteen slices of 0.5 mm pixels, which the stored grid has too."""
    drawn = ball((4.6, 5.4) * 7)
    axes = (drawn.stack.row_axis, drawn.stack.column_axis, drawn.stack.slice_axis)
    stack = SliceStack(80, 72, (0.5, 0.5), *axes, drawn.stack.positions_mm)
    stored = stored_grid(stack, (0.5, 0.5, 5.0))
    assert stored.size_xyz == (80, 72, 15)
    voxels = Ball(stack, drawn.center_mm, 12.0).on(stored).astype(np.uint8)
    assert back(write(tmp_path / "m.seg.nrrd", voxels, stored), stack).flags == ("placed_by_index",)


def test_a_jitter_of_thin_slices_is_no_unevenness() -> None:
    """Positions rounded to 0.01 mm: gaps of 0.62 and 0.63 mm differ by 1.6 percent, and one step holds all slices."""
    depths = np.round(np.arange(120) * 0.625, 2)
    positions = tuple((0.0, 0.0, float(depth)) for depth in depths)
    stack = SliceStack(8, 8, (0.5, 0.5), (1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), positions)
    assert not stack.is_even()
    grid = series_grid(stack)
    assert grid is not None
    assert grid.size_xyz == (8, 8, 120)


@pytest.mark.parametrize("tilt", [0.0, 18.5])
def test_a_mask_on_another_order_or_grid_is_laid_on_the_series(tilt: float) -> None:
    drawn = ball(EVEN, tilt)
    grid = series_grid(drawn.stack)
    assert grid is not None
    turned = lay_on(np.ascontiguousarray(drawn.mask()[::-1]), downwards(drawn.stack), grid)
    assert np.array_equal(turned, drawn.mask())
    stored = stored_grid(drawn.stack, (0.5, 0.5, 2.0))
    laid = lay_on(drawn.on(stored).astype(np.uint8), stored, grid)
    assert 2 * (laid & drawn.mask()).sum() / (laid.sum() + drawn.mask().sum()) > 0.96
    assert mask_volume_ml(laid, grid) == pytest.approx(4 / 3 * np.pi * drawn.radius_mm**3 / 1000, rel=0.03)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_itk_reads_the_image_as_it_was_written(tmp_path: Path, dtype: type) -> None:
    drawn = ball(EVEN, 18.5, "oblique")
    grid = series_grid(drawn.stack)
    assert grid is not None
    hu = drawn.hu().astype(dtype)
    write_nrrd(tmp_path / "image.nrrd", hu, grid, {})
    image = sitk.ReadImage(str(tmp_path / "image.nrrd"))
    assert np.array_equal(sitk.GetArrayFromImage(image), hu)
    assert sitk.GetArrayFromImage(image).dtype == dtype
    for k, position in enumerate(drawn.stack.positions_mm):
        assert np.allclose(image.TransformIndexToPhysicalPoint((0, 0, k)), position, atol=1e-9)
    x, y = np.array(drawn.stack.row_axis) * 0.9, np.array(drawn.stack.column_axis) * 0.8
    expected = np.array(drawn.stack.positions_mm[3]) + 79 * x + 71 * y
    assert np.allclose(image.TransformIndexToPhysicalPoint((79, 71, 3)), expected, atol=1e-9)


@pytest.mark.parametrize("orientation", ["axial", "oblique"])
def test_a_grid_laid_on_tilted_and_uneven_slices_is_what_lies_at_each_pixel(orientation: str) -> None:
    """As ITK finds the voxel of every pixel's centre."""
    drawn = ball(UNEVEN, 12.0, orientation)
    grid = stored_grid(ball(EVEN, 0.0, "axial").stack, (0.51, 0.53, 4.9))
    voxels = Ball(ball(EVEN).stack, np.array(drawn.center_mm)).on(grid).astype(np.uint8)
    assert voxels.any()
    laid = lay_on_slices(voxels, grid, drawn.stack)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    rng, centers = np.random.default_rng(1), np.stack(list(drawn.pixel_centers()))
    there = [tuple(place) for place in np.argwhere(laid)[::97]]
    anywhere = [tuple(rng.integers(0, laid.shape)) for _ in range(400)]
    for place in (*there, *anywhere):
        index = image.TransformPhysicalPointToIndex(centers[place].tolist())
        inside = all(0 <= i < n for i, n in zip(index, image.GetSize(), strict=True))
        assert laid[place] == (image.GetPixel(index) if inside else 0)
    assert len(there) > 20


def test_a_mask_between_the_slices_is_lost_and_said_to_be() -> None:
    stack = ball((6.0,) * 10).stack
    grid = stored_grid(ball((1.0,) * 60).stack, (0.5, 0.5, 1.0))
    voxels = np.zeros(grid.shape_zyx, np.uint8)
    voxels[3, 40:60, 40:60] = 1
    with pytest.raises(InputError) as raised:
        lay_on_slices(voxels, grid, stack)
    assert raised.value.kind == "mask_lost"
