"""Resampling of CT volumes to a regular grid.

A cubic B-spline on aligned axes is separable: three passes, one an axis (`operators`). Where slices lie along their normal, the
pass across them comes first if it makes fewer of them. Where the stack is tilted, each slice has in-plane passes of its own;
uneven slices are joined by an interpolating cubic spline through their true positions.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.geometry import AIR_HU, ROUND_OFF, Grid, SliceStack, stored_grid
from cvtbatch.imaging.operators import (
    AxisOperator,
    across_planes,
    bspline_operator,
    round_into,
    spline_operator,
    within_plane,
)

# Slices of the source from which stored ones are made at once; a stored one needs forty.
_PLANES_AT_ONCE = 64
Array = npt.NDArray[np.float32]
# Where the first voxel of a plane lies in the volume (z, y, x), and its values.
Planes = Iterable[tuple[tuple[int, int, int], npt.NDArray[np.floating]]]
Interpolator = Literal["bspline", "linear", "nearest"]


def resample_stack(
    hu_zyx: npt.NDArray[np.number], stack: SliceStack, spacing_mm: tuple[float, float, float]
) -> tuple[npt.NDArray[np.int16], Grid]:
    """Resample a stack of slices onto its stored grid.

    Args:
        hu_zyx: HU, any real dtype; slices in the stack's order.
        spacing_mm: stored spacing, x y z.

    Returns:
        int16 HU (z, y, x), rounded half to even, -1024 outside the source, and the grid.
    """
    grid = stored_grid(stack, spacing_mm)
    planes = _resample_planes(hu_zyx, stack, grid)
    return _gathered(planes, grid, np.dtype(np.int16), low=AIR_HU), grid


def _gathered(planes: Planes, grid: Grid, dtype: np.dtype[Any], low: float = -np.inf) -> npt.NDArray[Any]:
    """Return planes as a volume, rounded half to even and cut where its values are integers; air where no plane is."""
    limits = np.iinfo(dtype) if np.issubdtype(dtype, np.integer) else None
    low, high = (max(low, limits.min), limits.max) if limits else (low, np.inf)
    out = np.full(grid.shape_zyx, max(low, AIR_HU), dtype=dtype)
    for (z, y, x), plane in planes:
        if limits:
            round_into(out[z], y, x, plane, low, high)
        else:
            out[z, y : y + plane.shape[0], x : x + plane.shape[1]] = plane
    return out


@dataclass(frozen=True, slots=True)
class _Cover:
    """Which targets of an axis lie in the source, and the operator that gives them."""

    targets: slice
    operator: AxisOperator

    @property
    def count(self) -> int:
        return len(self.operator.first)


def _resample_planes(hu_zyx: npt.NDArray[np.number], stack: SliceStack, grid: Grid) -> Planes:
    """Return place and float32 HU (y, x) of every stored slice that lies in the source."""
    across, within = _cover_across(stack, grid), _covers_within(stack, grid)
    shape_yx = grid.shape_zyx[1:]
    down, along = within[0]
    regular = all(cover is within[0] for cover in within)
    stored: Iterable[Array]
    if regular and across.count <= len(hu_zyx):
        fewer = _combined(lambda start, stop: _computable(hu_zyx[start:stop]), across.operator)
        stored = (within_plane(plane, down.operator, along.operator) for plane in fewer)
        top, left = down.targets.start, along.targets.start
    else:
        stored = _combined(_Placed(hu_zyx, within, shape_yx).window, across.operator)
        top, left = 0, 0
    places = ((k, top, left) for k in range(across.targets.start, across.targets.stop))
    return zip(places, stored, strict=True)


def _combined(window: Callable[[int, int], npt.NDArray[np.number]], operator: AxisOperator) -> Iterator[Array]:
    """Yield the targets of an operator across planes, some at a time, so that no more of the planes is needed at once.

    Args:
        window: gives the planes from an index up to another one.
    """
    start, targets = 0, len(operator.first)
    while start < targets:
        lows = np.minimum.accumulate(operator.first[start:])
        highs = np.maximum.accumulate((operator.first + operator.count)[start:])
        together = max(1, int(np.count_nonzero(highs - lows <= _PLANES_AT_ONCE)))
        low, high, part = int(lows[together - 1]), int(highs[together - 1]), slice(start, start + together)
        few = AxisOperator(operator.first[part] - low, operator.count[part], operator.weights[part])
        yield from across_planes(window(low, high), few)
        start += together


class _Placed:
    """The slices of a stack on the stored grid's rows and columns, of which those last asked for are held."""

    def __init__(
        self, hu_zyx: npt.NDArray[np.number], within: list[tuple[_Cover, _Cover]], shape_yx: tuple[int, int]
    ) -> None:
        self._hu_zyx, self._within, self._shape_yx = hu_zyx, within, shape_yx
        self._start, self._held = 0, np.empty((0, *shape_yx), dtype=np.float32)

    def window(self, start: int, stop: int) -> Array:
        """Return slices from an index up to another one."""
        placed = np.empty((stop - start, *self._shape_yx), dtype=np.float32)
        for k in range(start, stop):
            if 0 <= k - self._start < len(self._held):
                placed[k - start] = self._held[k - self._start]
            else:
                placed[k - start] = _place(_computable(self._hu_zyx[k]), *self._within[k], self._shape_yx)
        self._start, self._held = start, placed
        return placed


def _computable(hu: npt.NDArray[np.number]) -> npt.NDArray[np.number]:
    """Return values as the compiled loops take them: writable and C-ordered, int16 or float32."""
    return np.require(hu, np.int16 if hu.dtype == np.int16 else np.float32, ("C", "W"))


def _place(plane: npt.NDArray[np.number], down: _Cover, along: _Cover, shape_yx: tuple[int, int]) -> Array:
    """Return a slice on the stored grid's rows and columns."""
    out = np.full(shape_yx, AIR_HU, dtype=np.float32)
    out[down.targets, along.targets] = within_plane(plane, down.operator, along.operator)
    return out


def _covers_within(stack: SliceStack, grid: Grid) -> list[tuple[_Cover, _Cover]]:
    """Return for every slice what covers its columns (y) and rows (x); slices with one shift share them."""
    nx, ny, _ = grid.size_xyz
    start = stack.shifts_mm().min(axis=0)
    x_mm = start[0] + np.arange(nx) * grid.spacing_mm[0]
    y_mm = start[1] + np.arange(ny) * grid.spacing_mm[1]

    @cache
    def along(shift_mm: float) -> _Cover:
        return _bspline_cover((x_mm - shift_mm) / stack.pixel_mm[0], stack.columns)

    @cache
    def both(shift_x_mm: float, shift_y_mm: float) -> tuple[_Cover, _Cover]:
        return _bspline_cover((y_mm - shift_y_mm) / stack.pixel_mm[1], stack.rows), along(shift_x_mm)

    return [both(float(shift_x), float(shift_y)) for shift_x, shift_y in stack.shifts_mm()]


def _cover_across(stack: SliceStack, grid: Grid) -> _Cover:
    """Return what covers the stored slices: the B-spline through even slices, SciPy's spline through uneven ones."""
    depths = stack.depths_mm()
    targets = np.arange(grid.size_xyz[2]) * grid.spacing_mm[2]
    if stack.is_even():
        return _bspline_cover(targets / (depths[-1] / (len(depths) - 1)), len(depths))
    count = int(np.count_nonzero(targets < depths[-1] + float(np.median(stack.gaps_mm())) / 2))
    # Past the last centre values mirror, as they do on an even grid.
    within = depths[-1] - np.abs(depths[-1] - targets[:count])
    return _Cover(slice(0, count), spline_operator(depths, within))


def _bspline_cover(index: npt.NDArray[np.float64], samples: int) -> _Cover:
    """Cover rising continuous indices: inside is from half a voxel before the first centre to half a voxel past the last."""
    start, stop = np.searchsorted(index, [-0.5 - ROUND_OFF, samples - 0.5 - ROUND_OFF])
    return _Cover(slice(int(start), int(stop)), bspline_operator(index[start:stop], samples))


def resample_volume(
    image: sitk.Image,
    spacing_mm: tuple[float, float, float] = (0.5, 0.5, 5.0),
    interpolator: Interpolator = "bspline",
) -> sitk.Image:
    """Resample an image to another spacing; the first voxel's centre and the directions stay.

    The size is `ceil(n * s / t)` per axis. "bspline" equals SimpleITK's `sitkBSpline` on the image in float; integer images are
    rounded half to even (SimpleITK truncates). Outside the source: -1024 for "bspline" and "linear", 0 for "nearest".

    A store's volume is cut at -1024 HU, before and after: a spline swings below it in air beside an edge, and features of filtered
    images see that. An int16 image in HU is made what a store holds, in the float64 in which its features are computed, by
    `sitk.Clamp(resample_volume(sitk.Clamp(ct, sitk.sitkInt16, -1024)), sitk.sitkFloat64, -1024)`; `cvtbatch.extract_features` does
    it by itself.

    Raises:
        InputError: this is no image, or not a volume of scalars.
    """
    if not isinstance(image, sitk.Image):
        raise InputError("bad_argument", f"image is a SimpleITK image (sitk.ReadImage), not a {type(image).__name__}")
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError("not_a_volume", "the image is not a three-dimensional volume of single values")
    values: npt.NDArray[np.number] = sitk.GetArrayViewFromImage(image)
    if interpolator == "bspline":
        stack = stack_of(image)
        grid = stored_grid(stack, spacing_mm)
        return to_image(_gathered(_resample_planes(values, stack, grid), grid, values.dtype), grid)
    grid, pixel = _target_grid(image, spacing_mm), image.GetPixelID()
    frame = to_image_frame(grid)
    if interpolator == "nearest":
        return sitk.Resample(image, frame, sitk.Transform(), sitk.sitkNearestNeighbor, 0.0, pixel)
    whole = np.issubdtype(values.dtype, np.integer)
    placed = sitk.Resample(
        image, frame, sitk.Transform(), sitk.sitkLinear, float(AIR_HU), sitk.sitkFloat64 if whole else pixel
    )
    if not whole:
        return placed
    planes = enumerate(sitk.GetArrayViewFromImage(placed))
    rounded = _gathered((((k, 0, 0), plane) for k, plane in planes), grid, values.dtype)
    del placed
    return to_image(rounded, grid)


def stack_of(image: sitk.Image) -> SliceStack:
    """Return the geometry of an image as a stack of its slices.

    Raises:
        InputError: its axes are not at right angles, or it has one slice.
    """
    columns, rows, slices = image.GetSize()
    sx, sy, _ = image.GetSpacing()
    axes = np.array(image.GetDirection()).reshape(3, 3)
    positions = tuple(image.TransformIndexToPhysicalPoint((0, 0, k)) for k in range(slices))
    row_axis, column_axis, slice_axis = (tuple(axes[:, k].tolist()) for k in range(3))
    return SliceStack(columns, rows, (sx, sy), row_axis, column_axis, slice_axis, positions)


def _target_grid(image: sitk.Image, spacing_mm: tuple[float, float, float]) -> Grid:
    extent = zip(image.GetSize(), image.GetSpacing(), spacing_mm, strict=True)
    nx, ny, nz = (int(np.ceil(n * s / t - ROUND_OFF)) for n, s, t in extent)
    return Grid((nx, ny, nz), spacing_mm, image.GetOrigin(), image.GetDirection())


def to_image(values_zyx: npt.NDArray[np.generic], grid: Grid) -> sitk.Image:
    """Return an array (z, y, x) as an image on its grid."""
    image = sitk.GetImageFromArray(values_zyx)
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    return image


def to_image_frame(grid: Grid) -> sitk.Image:
    """Return an empty image that says where a grid lies."""
    frame = sitk.Image(list(grid.size_xyz), sitk.sitkUInt8)
    frame.SetSpacing(grid.spacing_mm)
    frame.SetOrigin(grid.origin_mm)
    frame.SetDirection(grid.direction)
    return frame
