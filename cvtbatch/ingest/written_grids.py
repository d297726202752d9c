"""The grid on which a case is written for others to draw on, so that what comes back is known by its place (`mask_grids`).

A file has one step for all slices. A series that one step holds, tilted or not, is written as it is: its own slices at their own
places. Any other is written on the stored grid, of which `mask_grids` must not take the slices for the series' own, should both
have the same pixels: a margin of air moves the grid's first corner away from theirs, also in what Slicer cuts out of it.
"""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from cvtbatch.geometry import SAME_PLACE_MM, Grid, SliceStack
from cvtbatch.imaging import place_mask
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
