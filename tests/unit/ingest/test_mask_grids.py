"""Masks with a grid of their own on images whose slices lie elsewhere: which voxel is which, by what other programs write.

The twins of `cases/ge` and its kin: a ball on tilted and uneven slices, and its mask as dcm2niix 1.0.20260724 and ITK 5.4 put it.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid, SliceStack, stored_grid
from cvtbatch.imaging import place_mask
from cvtbatch.ingest import ImageSlices, SourceMask, read_mask, read_volume
from cvtbatch.ingest.writing import SeriesTags, write_series
from tests.support.mask_files import Ball, ball, datasets, roi, slices_of, write_seg
from tests.support.nifti_files import forms, nifti1
from tests.support.outside_data import outside
from tests.support.series import case

EYE = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
SPACING = (0.5, 0.5, 5.0)
SERIES = {
    "even": ((4.0,) * 15, 0.0),
    "tilted": ((4.0,) * 15, 18.5),
    "tilted the other way": ((4.0,) * 15, -18.5),
    "uneven": ((2.5,) * 12 + (5.0,) * 8, 0.0),
    "uneven, wide gaps first": ((5.0,) * 8 + (2.5,) * 12, 0.0),
    "tilted and uneven": ((4.0,) * 7 + (1.1,) + (7.0,) * 5, 18.5),
}
Write = Callable[[Path, Ball, Path], Path]
Point = tuple[float, float, float]


def dcm2niix(path: Path, drawn: Ball, _: Path) -> Path:
    """Rows turned over; the first gap, measured along the normal, on the table's way in the sform; the normal in the qform."""
    stack = drawn.stack
    way, gap = np.subtract(stack.positions_mm[1], stack.positions_mm[0]), stack.gaps_mm()[0]
    along, down = np.array(stack.row_axis) * stack.pixel_mm[0], np.array(stack.column_axis) * stack.pixel_mm[1]
    origin = np.array(stack.positions_mm[0]) + (stack.rows - 1) * down
    sform = np.stack([along, -down, way / np.linalg.norm(way) * gap, origin], axis=1)
    qform = np.stack([along, -down, np.array(stack.slice_axis) * gap, origin], axis=1)
    return nifti1(path.with_suffix(".nii.gz"), drawn.mask()[:, ::-1], 2, **forms(sform, 1, qform, 1))


def itk(path: Path, drawn: Ball, series: Path) -> Path:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(series)))
    image = sitk.GetImageFromArray(drawn.mask())
    image.CopyInformation(reader.Execute())
    sitk.WriteImage(image, str(path))
    return path


def itk_nrrd(path: Path, drawn: Ball, series: Path) -> Path:
    return itk(path.with_suffix(".nrrd"), drawn, series)


def itk_metaimage(path: Path, drawn: Ball, series: Path) -> Path:
    return itk(path.with_suffix(".mha"), drawn, series)


def itk_of_dcm2niix(path: Path, drawn: Ball, series: Path) -> Path:
    """As ITK-SNAP and SimpleITK write a label for dcm2niix's file, of which they read the qform."""
    image = sitk.ReadImage(str(dcm2niix(path, drawn, series)))
    sitk.WriteImage(image, str(path.with_suffix(".nii")))
    return path.with_suffix(".nii")


def slicer(path: Path, drawn: Ball, series: Path) -> Path:
    image = sitk.ReadImage(str(itk(path.with_suffix(".nii"), drawn, series)))
    image.SetMetaData("Segment0_Name", "clot")
    image.SetMetaData("Segment0_LabelValue", "1")
    sitk.WriteImage(image, str(path.with_suffix(".seg.nrrd")))
    return path.with_suffix(".seg.nrrd")


def slicer_cropped(path: Path, drawn: Ball, series: Path) -> Path:
    """As Slicer until 4.11 writes what is left of the image around the segments."""
    z, y, x = (int(np.flatnonzero(drawn.mask().any(axis=axes)).min()) for axes in ((1, 2), (0, 2), (0, 1)))
    whole = sitk.ReadImage(str(itk(path.with_suffix(".nii"), drawn, series)))
    image = whole[x - 1 : -3, y:, z:]
    image.SetMetaData("Segment0_Name", "clot")
    image.SetMetaData("Segmentation_ReferenceImageExtentOffset", f"{x - 1} {y} {z}")
    sitk.WriteImage(image, str(path.with_suffix(".seg.nrrd")))
    return path.with_suffix(".seg.nrrd")


def from_the_last_slice(path: Path, drawn: Ball, _: Path) -> Path:
    """Slices in the other order, the step counted from what is the last one of the series."""
    stack = drawn.stack
    image = sitk.GetImageFromArray(np.ascontiguousarray(drawn.mask()[::-1]))
    image.SetSpacing((*stack.pixel_mm, 5.5))
    image.SetOrigin(stack.positions_mm[-1])
    axes = np.stack([stack.row_axis, stack.column_axis, -np.array(stack.slice_axis)], axis=1)
    image.SetDirection(axes.ravel().tolist())
    sitk.WriteImage(image, str(path.with_suffix(".nii")))
    return path.with_suffix(".nii")


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Ball, Path]]:
    made = {}
    for name, (gaps, tilt) in SERIES.items():
        drawn, folder = ball(gaps, tilt), tmp_path_factory.mktemp("series") / "ct"
        write_series(folder, drawn.hu(), drawn.stack, SeriesTags("s", "test", tilt))
        made[name] = drawn, folder
    return made


def volume_ml(mask_zyx: np.ndarray, stack: SliceStack) -> float:
    """A slice reaches halfway to its neighbours, the outer ones half the median gap."""
    gaps = stack.gaps_mm()
    thickness = (np.append(gaps, np.median(gaps)) + np.append(np.median(gaps), gaps)) / 2
    return float(mask_zyx.sum(axis=(1, 2)) @ thickness) * stack.pixel_mm[0] * stack.pixel_mm[1] / 1000


def stored(mask: SourceMask, stack: SliceStack) -> tuple[float, np.ndarray]:
    """Volume and centre of a mask on the stored grid."""
    grid = stored_grid(stack, SPACING)
    placed = place_mask(mask.voxels_zyx, mask.place, grid)
    return placed.sum() * grid.voxel_ml, grid.to_point(np.argwhere(placed)[:, ::-1].astype(float)).mean(axis=0)


@pytest.mark.parametrize("name", [name for name in SERIES if name != "even"])
@pytest.mark.parametrize(
    "write",
    [dcm2niix, itk, itk_nrrd, itk_metaimage, itk_of_dcm2niix, slicer, slicer_cropped, from_the_last_slice],
    ids=lambda f: f.__name__,
)
def test_the_series_own_slices_are_its_slices(tmp_path: Path, series: dict, name: str, write: Write) -> None:
    drawn, folder = series[name]
    image = ImageSlices.of(read_volume(case(folder)))
    mask = read_mask(roi(write(tmp_path / "m.nii", drawn, folder)), lambda: image)
    seg = read_mask(roi(write_seg(tmp_path / "seg.dcm", datasets(folder), drawn.mask())), lambda: image)
    assert mask.flags == ("placed_by_index",)
    assert np.array_equal(mask.voxels_zyx, drawn.mask())
    assert mask.mask_digest() == seg.mask_digest()  # as highdicom writes it on the slices themselves
    assert mask.volume_ml == pytest.approx(volume_ml(drawn.mask(), drawn.stack))
    ml, center = stored(mask, image.stack)
    assert ml == pytest.approx(4 / 3 * np.pi * drawn.radius_mm**3 / 1000, rel=0.06)
    off = (center - drawn.center_mm) @ np.array(
        [drawn.stack.row_axis, drawn.stack.column_axis, drawn.stack.slice_axis]
    ).T
    assert np.abs(off[:2]).max() < 0.25
    assert abs(off[2]) < 2.5


@pytest.mark.parametrize(
    "write", [dcm2niix, itk, itk_nrrd, itk_metaimage, itk_of_dcm2niix, slicer, slicer_cropped], ids=lambda f: f.__name__
)
def test_on_even_slices_nothing_has_to_be_said(tmp_path: Path, series: dict, write: Write) -> None:
    """The digest is that of the file's own grid, as it was before index was thought of."""
    drawn, folder = series["even"]
    path, image = write(tmp_path / "m.nii", drawn, folder), slices_of(drawn.stack)
    mask = read_mask(roi(path), lambda: image)
    assert isinstance(mask.place, Grid)
    assert mask.flags == ()
    whole = SourceMask(mask.voxels_zyx, mask.place, mask.mask_format)
    elsewhere = read_mask(roi(path), lambda: slices_of(ball((3.0,) * 9).stack))
    assert mask.mask_digest() == whole.mask_digest() == elsewhere.mask_digest()
    assert mask.volume_ml == pytest.approx(drawn.mask().sum() * 0.9 * 0.8 * 4 / 1000)


def on_grid(path: Path, drawn: Ball, grid: Grid) -> SourceMask:
    """Write the ball as it is on another grid, and read it for its series."""
    image = sitk.GetImageFromArray(drawn.on(grid).astype(np.uint8))
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    sitk.WriteImage(image, str(path))
    return read_mask(roi(path), lambda: slices_of(drawn.stack))


@pytest.mark.parametrize("name", ["tilted", "uneven", "tilted and uneven"])
def test_what_was_resampled_goes_by_position(tmp_path: Path, name: str) -> None:
    """Other counts or other pixels: each is right where it says that it lies."""
    gaps, tilt = SERIES[name]
    drawn = ball(gaps, tilt)
    stack, axes = drawn.stack, np.stack([drawn.stack.row_axis, drawn.stack.column_axis, drawn.stack.slice_axis], axis=1)
    count, depth = len(stack.positions_mm), float(stack.depths_mm()[-1])
    first, direction = np.array(stack.positions_mm[0]), tuple(axes.ravel().tolist())
    middle = first + drawn.center_mm - (first + axes @ [35.55, 28.4, depth / 2])
    corner = tuple((middle).tolist())
    grids = {
        "equal slices": Grid((80, 72, 2 * count), (0.9, 0.8, depth / (2 * count - 1)), corner, direction),
        "more rows": Grid((80, 90, count), (0.9, 0.8, depth / (count - 1)), corner, direction),
        "other pixels": Grid((80, 72, count), (0.95, 0.8, depth / (count - 1)), corner, direction),
    }
    for what, grid in grids.items():
        mask = on_grid(tmp_path / "m.nii.gz", drawn, grid)
        moved_in_its_planes = (what, name) == ("more rows", "tilted")
        assert (isinstance(mask.place, Grid), mask.flags) == (True, () if moved_in_its_planes else ("other_slices",)), (
            what
        )
        _, center = stored(mask, stack)
        off = (center - drawn.center_mm) @ axes
        assert np.abs(off[:2]).max() < 0.25, what
        assert abs(off[2]) < 2.5, what


@pytest.mark.parametrize("step_mm", [2.5, 4.0])
@pytest.mark.parametrize("from_above", [False, True])
def test_a_thin_mask_on_an_even_series_goes_by_position(tmp_path: Path, step_mm: float, *, from_above: bool) -> None:
    """As many slices as the image, from its first or its last: a part in thinner slices, or what a network of fixed depth drew."""
    stack = ball((5.0,) * 29).stack
    up = 29 * (5 - step_mm) * from_above
    first = np.add(stack.positions_mm[0], [0, 0, up])
    drawn = Ball(stack, np.add(first, [36.0, 28.0, 50.0 if step_mm == 4.0 else 36.0]))
    grid = Grid((80, 72, 30), (0.9, 0.8, step_mm), tuple(first.tolist()), EYE)
    mask = on_grid(tmp_path / "m.nii.gz", drawn, grid)
    assert (isinstance(mask.place, Grid), mask.flags) == (True, ("other_slices",))
    assert mask.volume_ml == pytest.approx(drawn.on(grid).sum() * 0.9 * 0.8 * step_mm / 1000)
    ml, center = stored(mask, stack)
    assert ml == pytest.approx(4 / 3 * np.pi * 18**3 / 1000, rel=0.05)
    assert center == pytest.approx(drawn.center_mm, abs=1.3)


@pytest.mark.parametrize(
    ("size", "spacing_mm", "moved_voxels", "own"),
    [
        ((80, 72, 15), (0.9, 0.8, 4.0), (0, 0, 0), True),
        ((40, 50, 9), (0.9, 0.8, 4.0), (20, 12, 4), True),  # a part of the image
        ((90, 80, 19), (0.9, 0.8, 4.0), (-4, -3, -2), True),  # with a margin
        ((80, 72, 1), (0.9, 0.8, 4.0), (0, 0, 7), True),
        ((80, 72, 15), (0.9, 0.8, 4.0), (0.5, 0, 0), False),
        ((80, 72, 15), (0.9, 0.8, 4.0), (0, 0, 0.5), False),
        ((80, 72, 8), (0.9, 0.8, 8.0), (0, 0, 0), False),  # every other slice
        ((80, 72, 29), (0.9, 0.8, 2.0), (0, 0, 0), False),
        ((160, 144, 15), (0.45, 0.4, 4.0), (0, 0, 0), False),
        ((40, 36, 15), (1.8, 1.6, 4.0), (0, 0, 0), False),
    ],
)
def test_a_mask_on_other_voxels_than_the_images_is_told(
    tmp_path: Path, size: Point, spacing_mm: Point, moved_voxels: Point, *, own: bool
) -> None:
    """A file names no patient: what does not fit the image voxel by voxel may be another's."""
    drawn = ball((4.0,) * 14)
    corner = np.add(drawn.stack.positions_mm[0], np.multiply(moved_voxels, (0.9, 0.8, 4.0)))
    grid = Grid(tuple(map(int, size)), spacing_mm, tuple(corner.tolist()), EYE)
    assert on_grid(tmp_path / "m.nii.gz", drawn, grid).flags == (() if own else ("other_slices",))


def test_slices_of_a_tilted_series_that_were_moved_in_their_planes_are_its_slices(tmp_path: Path) -> None:
    """As dcm2niix writes `_Tilt`: more rows, and every slice where the gantry's tilt put its plane."""
    drawn = ball(*SERIES["tilted"])
    stack = drawn.stack
    axes = np.stack([stack.row_axis, stack.column_axis, stack.slice_axis], axis=1)
    first = np.array(stack.positions_mm[0]) - 21.13 * axes[:, 1]
    grid = Grid(
        (80, 110, 16), (0.9, 0.8, float(stack.gaps_mm()[0])), tuple(first.tolist()), tuple(axes.ravel().tolist())
    )
    assert on_grid(tmp_path / "m.nii.gz", drawn, grid).flags == ()
    beside = replace(grid, origin_mm=tuple((first + 0.45 * axes[:, 0]).tolist()))
    assert on_grid(tmp_path / "m.nii.gz", drawn, beside).flags == ("other_slices",)


@pytest.mark.parametrize("jitter_mm", [0.0, 0.004, 0.02])
def test_even_within_what_is_written_is_even(tmp_path: Path, jitter_mm: float) -> None:
    """Positions as they are rounded, in the plane too: no program moves such slices by more than it moves the pixels."""
    even = ball((5.0,) * 14).stack
    off = np.random.default_rng(3).uniform(-jitter_mm, jitter_mm, (15, 3)) / np.array([1, 1, 3])
    stack = replace(even, positions_mm=tuple(map(tuple, (np.array(even.positions_mm) + off).tolist())))
    drawn = Ball(stack, np.add(stack.positions_mm[0], [36.0, 28.0, 20.0]), 14.0)
    grid = Grid((80, 72, 15), (0.9, 0.8, 2.5), stack.positions_mm[0], EYE)
    mask = on_grid(tmp_path / "m.nii.gz", drawn, grid)
    assert (isinstance(mask.place, Grid), mask.flags) == (True, ("other_slices",))
    assert mask.volume_ml == pytest.approx(4 / 3 * np.pi * 14**3 / 1000, rel=0.02)


@pytest.mark.parametrize("name", [name for name in SERIES if name != "even"])
@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".seg.nrrd"])
def test_the_images_voxels_a_millimetre_off_its_slices_are_refused(
    tmp_path: Path, series: dict, name: str, suffix: str
) -> None:
    """The mean step, and no end that the series has: what it holds may lie anywhere; on an even series it is placed."""

    def read(of: str) -> SourceMask:
        stack = series[of][0].stack
        mask = sitk.GetImageFromArray(series[of][0].mask())
        axes = np.stack([stack.row_axis, stack.column_axis, stack.slice_axis], axis=1)
        mask.SetSpacing((*stack.pixel_mm, stack.depths_mm()[-1] / (len(stack.positions_mm) - 1)))
        mask.SetOrigin((np.array(stack.positions_mm[0]) - axes[:, 2]).tolist())
        mask.SetDirection(axes.ravel().tolist())
        if suffix == ".seg.nrrd":
            mask.SetMetaData("Segment0_Name", "clot")
            mask.SetMetaData("Segment0_LabelValue", "1")
        sitk.WriteImage(mask, str(tmp_path / f"m{suffix}"))
        return read_mask(roi(tmp_path / f"m{suffix}"), lambda: slices_of(stack))

    with pytest.raises(
        InputError, match=r"its slices are .* mm apart from \[.*\] mm \(LPS\), the image's .* mm from"
    ) as raised:
        read(name)
    assert raised.value.kind == "mask_off_slices"
    even = read("even")
    assert (isinstance(even.place, Grid), even.flags) == (True, ("other_slices",))


def test_a_cropped_segmentation_of_another_volume_still_goes_by_position(tmp_path: Path, series: dict) -> None:
    """Its offset counts in a volume that need not be the image, so that it has the image's size proves nothing."""
    drawn, _ = series["uneven"]
    corner = np.add(drawn.stack.positions_mm[0], [0, 0, 20.0])
    grid = Grid((79, 71, 16), (0.9, 0.8, 3.0), tuple(corner.tolist()), EYE)
    image = sitk.GetImageFromArray(drawn.on(grid).astype(np.uint8))
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    image.SetMetaData("Segment0_Name", "clot")
    image.SetMetaData("Segmentation_ReferenceImageExtentOffset", "0 0 2")
    sitk.WriteImage(image, str(tmp_path / "m.seg.nrrd"))
    mask = read_mask(roi(tmp_path / "m.seg.nrrd"), lambda: slices_of(drawn.stack))
    assert (mask.place, mask.flags) == (grid, ("other_slices",))


def test_a_tilted_image_file_is_told_and_so_is_what_lies_on_it(tmp_path: Path, series: dict) -> None:
    """Its normal step is gap x cos(tilt), where the scanner's was the gap; a label by ITK misses the sheared slices."""
    drawn, folder = series["tilted"]
    path = dcm2niix(tmp_path / "mask", drawn, folder)
    values = drawn.hu()[:, ::-1]
    header = path.with_name("ct.nii.gz")
    stack = drawn.stack
    way = np.subtract(stack.positions_mm[1], stack.positions_mm[0])
    along, down = np.array(stack.row_axis) * 0.9, np.array(stack.column_axis) * 0.8
    origin = np.array(stack.positions_mm[0]) + 71 * down
    sform = np.stack([along, -down, way / np.linalg.norm(way) * 4, origin], axis=1)
    qform = np.stack([along, -down, np.array(stack.slice_axis) * 4, origin], axis=1)
    volume = read_volume(case(nifti1(header, values, 4, **forms(sform, 1, qform, 1))))
    assert volume.has_unverified_slices
    assert volume.stack.gaps_mm() == pytest.approx(4 * np.cos(np.radians(18.5)), abs=1e-4)
    image = ImageSlices.of(volume)
    own = read_mask(roi(path), lambda: image)
    assert (isinstance(own.place, Grid), own.flags) == (True, ("unverified_slices",))
    pixels = int(drawn.mask().sum())
    assert own.volume_ml == pytest.approx(pixels * 0.9 * 0.8 * 4 * np.cos(np.radians(18.5)) / 1000, rel=1e-5)
    label = read_mask(roi(itk_of_dcm2niix(tmp_path / "label", drawn, folder)), lambda: image)
    assert label.flags == ("placed_by_index", "unverified_slices")
    assert np.array_equal(label.voxels_zyx, own.voxels_zyx)
    assert stored(label, image.stack)[0] == pytest.approx(stored(own, image.stack)[0], rel=0.01)
    assert not read_volume(case(folder)).has_unverified_slices


def measured(image: str, mask: str) -> tuple[SourceMask, float, np.ndarray]:
    volume = read_volume(case(outside(f"cases/{image}")))
    source = read_mask(roi(outside(f"cases/{mask}")), lambda: ImageSlices.of(volume))
    return source, *stored(source, volume.stack)


def test_the_real_head_and_dcm2niixs_mask() -> None:
    """As `cases/README.md` has it: 26.0 ml within 6 %, where the frames of the SEG lie."""
    seg, seg_ml, seg_center = measured("ge", "ge_seg.dcm")
    mask, ml, center = measured("ge", "ge_dcm2niix_mask.nii.gz")
    assert mask.flags == ("placed_by_index",)
    assert mask.mask_digest() == seg.mask_digest()
    assert mask.volume_ml == pytest.approx(26.0, rel=0.06)
    assert ml == seg_ml == pytest.approx(26.0, rel=0.06)
    assert np.array_equal(center, seg_center)


def test_dcm2niixs_file_of_the_real_head_says_that_its_slices_are_not_known() -> None:
    mask, ml, _ = measured("ge_dcm2niix.nii.gz", "ge_dcm2niix_mask.nii.gz")
    assert mask.flags == ("unverified_slices",)
    assert ml == pytest.approx(15.8, abs=0.05)
