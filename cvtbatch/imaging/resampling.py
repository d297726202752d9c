"""Resampling of CT volumes to a regular grid, and of masks onto it.

A cubic B-spline on aligned axes is separable: the volume is filtered along each axis into spline coefficients (SciPy's
`spline_filter1d`, mirror boundary, as ITK's `BSplineInterpolateImageFunction`) and then every target voxel is four taps along
each axis. Each slice has its own in-plane taps where the stack is tilted, and uneven slices are joined by SciPy's interpolating
cubic spline through their true positions.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import sparse
from scipy.interpolate import make_interp_spline
from scipy.ndimage import spline_filter1d

from cvtbatch.errors import InputError
from cvtbatch.geometry import ROUND_OFF, Grid, SliceStack, stored_grid

AIR_HU = -1024
Array = npt.NDArray[np.float32]
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
    hu = _resample_float(np.asarray(hu_zyx, dtype=np.float32), stack, grid)
    return np.clip(np.rint(hu), AIR_HU, np.iinfo(np.int16).max).astype(np.int16), grid


def _resample_float(hu: Array, stack: SliceStack, grid: Grid) -> Array:
    nx, ny, nz = grid.size_xyz
    shifts = stack.shifts_mm()
    start = shifts.min(axis=0)
    x_mm = start[0] + np.arange(nx) * grid.spacing_mm[0]
    y_mm = start[1] + np.arange(ny) * grid.spacing_mm[1]
    planes = np.full((len(shifts), ny, nx), AIR_HU, dtype=np.float32)
    for k, (shift_x, shift_y) in enumerate(shifts):
        along_x = (x_mm - shift_x) / stack.pixel_mm[0]
        along_y = (y_mm - shift_y) / stack.pixel_mm[1]
        inside = np.ix_(_inside(along_y, stack.rows), _inside(along_x, stack.columns))
        coefficients = spline_filter1d(_filtered(hu[k], axis=0), axis=1, order=3, mode="mirror", output=np.float32)
        columns = _taps(along_x[_inside(along_x, stack.columns)], stack.columns)
        rows = _taps(along_y[_inside(along_y, stack.rows)], stack.rows)
        planes[k][inside] = rows @ (columns @ coefficients.T).T
    return _along_normal(planes, stack, nz, grid.spacing_mm[2])


def _along_normal(planes: Array, stack: SliceStack, nz: int, step_mm: float) -> Array:
    depths = stack.depths_mm()
    targets = np.arange(nz) * step_mm
    out = np.full((nz, *planes.shape[1:]), AIR_HU, dtype=np.float32)
    if stack.is_even():
        along = targets / (depths[-1] / (len(depths) - 1))
        inside = _inside(along, len(depths))
        operator, source = _taps(along[inside], len(depths)), _filtered(planes, axis=0)
    else:
        inside = targets < depths[-1] + float(np.median(stack.gaps_mm())) / 2
        # Past the last centre values mirror, as they do on an even grid.
        within = depths[-1] - np.abs(depths[-1] - targets[inside])
        operator, source = _spline_weights(depths, within), planes
    flat = source.reshape(len(depths), -1)
    out[inside] = (operator @ flat).reshape(-1, *planes.shape[1:])
    return out


def _filtered(values: Array, axis: int) -> Array:
    """Return cubic B-spline coefficients along one axis; two samples or fewer are their own."""
    if values.shape[axis] == 1:
        return values
    filtered: Array = spline_filter1d(values, order=3, axis=axis, mode="mirror", output=np.float32)
    return filtered


def _inside(index: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.bool_]:
    """Say which continuous indices lie in one of `count` voxels: half a voxel before the first centre and past the last."""
    return (index >= -0.5 - ROUND_OFF) & (index < count - 0.5 - ROUND_OFF)


def _taps(index: npt.NDArray[np.float64], count: int) -> sparse.csr_matrix:
    """Return the (targets, count) weights of the four B-splines around each continuous index; indices mirror at the ends."""
    first = np.floor(index).astype(np.int64) - 1
    t = index - np.floor(index)
    weights = np.stack(
        [(1 - t) ** 3 / 6, 2 / 3 - t**2 + t**3 / 2, 2 / 3 - (1 - t) ** 2 + (1 - t) ** 3 / 2, t**3 / 6], axis=1
    )
    period = max(2 * count - 2, 1)
    wrapped = np.abs(first[:, None] + np.arange(4)) % period
    columns = np.where(wrapped < count, wrapped, period - wrapped)
    rows = np.repeat(np.arange(len(index)), 4)
    return sparse.csr_matrix((weights.ravel().astype(np.float32), (rows, columns.ravel())), shape=(len(index), count))


def _spline_weights(positions: npt.NDArray[np.float64], targets: npt.NDArray[np.float64]) -> Array:
    """Return the (targets, positions) weights of the interpolating spline through uneven positions, cubic where they allow it."""
    degree = min(3, len(positions) - 1)
    spline = make_interp_spline(positions, np.eye(len(positions)), k=degree)
    return np.asarray(spline(targets), dtype=np.float32)


def resample_volume(
    image: sitk.Image,
    spacing_mm: tuple[float, float, float] = (0.5, 0.5, 5.0),
    interpolator: Interpolator = "bspline",
) -> sitk.Image:
    """Resample an image to another spacing; the first voxel's centre and the directions stay.

    The size is `ceil(n * s / t)` per axis. "bspline" equals SimpleITK's `sitkBSpline` on the image in float; integer images are
    rounded half to even (SimpleITK truncates). Outside the source: -1024 for "bspline" and "linear", 0 for "nearest".

    Raises:
        InputError: the image is not a volume of scalars.
    """
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError("not_a_volume", "the image is not a three-dimensional volume of single values")
    pixel = image.GetPixelID()
    if interpolator == "bspline":
        stack = stack_of(image)
        grid = stored_grid(stack, spacing_mm)
        source = sitk.GetArrayViewFromImage(image).astype(np.float32)
        values: npt.NDArray[np.floating] = _resample_float(source, stack, grid)
    else:
        grid = _target_grid(image, spacing_mm)
        method, outside = (sitk.sitkLinear, AIR_HU) if interpolator == "linear" else (sitk.sitkNearestNeighbor, 0)
        source_image = sitk.Cast(image, sitk.sitkFloat64)
        placed = sitk.Resample(source_image, to_image_frame(grid), sitk.Transform(), method, float(outside))
        values = sitk.GetArrayFromImage(placed)
    dtype = sitk.GetArrayViewFromImage(image).dtype
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    resampled: sitk.Image = sitk.Cast(to_image(values.astype(dtype), grid), pixel)
    return resampled


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
