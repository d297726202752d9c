"""The grid on which a case is written for others to draw on, so that what comes back is known by its place (`mask_grids`).

A file has one step for all slices. A series that one step holds, tilted or not, is written as it is: its own slices at their own
places. Any other is written on the stored grid, of which `mask_grids` must not take the slices for the series' own, should both
have the same pixels: a margin of air moves the grid's first corner away from theirs, also in what Slicer cuts out of it.
"""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from cvtbatch.errors import InputError
from cvtbatch.geometry import ROUND_OFF, SAME_PLACE_MM, Grid, SliceStack, Vector
from cvtbatch.imaging import place_mask
from cvtbatch.imaging.placement import nearest_slices
from cvtbatch.ingest.mask_grids import fit_of

Mask = npt.NDArray[np.uint8]


def series_grid(stack: SliceStack) -> Grid | None:
    """Return the grid whose voxels are a series' pixels, sheared where the gantry was tilted; None if its slices are uneven."""
    count = len(stack.positions_mm)
    step = np.subtract(stack.positions_mm[-1], stack.positions_mm[0]) / (count - 1)
    if not stack.shifts_mm().any():
        step = np.array(stack.slice_axis) * (stack.depths_mm()[-1] / (count - 1))
    length = float(np.linalg.norm(step))
    axes = np.column_stack([stack.row_axis, stack.column_axis, step / length])
    size, spacing_mm = (stack.columns, stack.rows, count), (*stack.pixel_mm, length)
    grid = Grid(size, spacing_mm, stack.positions_mm[0], tuple(axes.ravel().tolist()))
    fit = fit_of(grid, stack)
    return grid if fit is not None and fit.is_exact else None


def with_margin(grid: Grid) -> tuple[Grid, int]:
    """Return a stored grid with columns before its first, by which it begins where no slice of its series does; and how many."""
    columns = math.floor(SAME_PLACE_MM / grid.spacing_mm[0]) + 1
    x, y, z = grid.to_point(np.array([[-float(columns), 0.0, 0.0]]))[0].tolist()
    size_x, size_y, size_z = grid.size_xyz
    return replace(grid, size_xyz=(size_x + columns, size_y, size_z), origin_mm=(x, y, z)), columns


def lay_on(mask_zyx: Mask, place: Grid | SliceStack, grid: Grid) -> Mask:
    """Return a mask on a grid: voxel by voxel where its own are the grid's, in any order, else by position, nearest neighbour.

    Raises:
        InputError: as `place_mask`.
    """
    fit = fit_of(grid, place)
    return fit.turned(mask_zyx) if fit is not None and fit.is_exact else place_mask(mask_zyx, place, grid)


def lay_on_slices(mask_zyx: Mask, place: Grid | SliceStack, stack: SliceStack) -> Mask:
    """Return a mask on the slices of a series, tilted and uneven ones too.

    Voxel by voxel where its own are the series' pixels, in any order; else each pixel takes the voxel that its centre lies in.

    Raises:
        InputError: "mask_lost": no pixel's centre lies in the ROI.
    """
    fit = fit_of(place, stack)
    if fit is not None and fit.is_exact:
        return fit.turned(mask_zyx)
    laid = np.zeros((len(stack.positions_mm), stack.rows, stack.columns), np.uint8)
    along, down = np.array(stack.row_axis) * stack.pixel_mm[0], np.array(stack.column_axis) * stack.pixel_mm[1]
    y, x = np.mgrid[: stack.rows, : stack.columns].reshape(2, -1, 1)
    for plane, position in zip(laid, stack.positions_mm, strict=True):
        plane[:] = _voxels_at(mask_zyx, place, np.array(position) + x * along + y * down).reshape(plane.shape)
    if not laid.any():
        raise InputError(
            "mask_lost", "no pixel of the series' slices has its centre in the outline: it is too thin for them"
        )
    return laid


def _voxels_at(mask_zyx: Mask, place: Grid | SliceStack, points_mm: Vector) -> Mask:
    """Return the mask (n,) at points (n, 3); 0 outside it."""
    if isinstance(place, Grid):
        x, y, z = np.floor(place.to_index(points_mm) + 0.5 + ROUND_OFF).astype(np.int64).T
    else:
        axes = np.array([place.row_axis, place.column_axis, place.slice_axis])
        offsets = (points_mm - np.array(place.positions_mm[0])) @ axes.T
        z = nearest_slices(offsets[:, 2], place)
        in_plane = (offsets[:, :2] - place.shifts_mm()[z]) / np.array(place.pixel_mm)
        x, y = np.floor(in_plane + 0.5 + ROUND_OFF).astype(np.int64).T
    inside = np.logical_and.reduce([(i >= 0) & (i < n) for i, n in zip((z, y, x), mask_zyx.shape, strict=True)])
    found = np.zeros(len(points_mm), np.uint8)
    found[inside] = mask_zyx[z[inside], y[inside], x[inside]] != 0
    return found
