"""Placing masks on the stored grid, nearest neighbour.

A mask is placed by physical position, whatever it was drawn on. Slices, be they the image's own or another reconstruction's, fill
their slabs: a stored voxel takes the nearest pixel of the slice in whose slab it lies, moved by that slice's own shift. So a mask
that belongs to the slices of the image goes the way of the image.
"""

import itertools
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from cvtbatch.counts import counted
from cvtbatch.errors import InputError
from cvtbatch.geometry import ROUND_OFF, Box, Grid, SliceStack, Vector, box_of, voxels_of
from cvtbatch.imaging.resampling import to_image, to_image_frame

# Share of a mask that may lie outside the image: the rim of an outline at the edge of the scan.
MASK_OUTSIDE_TOLERANCE = 0.1
# What was drawn within this distance of a slice, along the normal, was drawn on it.
SAME_PLANE_MM = 0.1
Mask = npt.NDArray[np.uint8]


def slab_edges_mm(stack: SliceStack) -> Vector:
    """Return (n + 1,): where each slice's slab begins and ends along the normal, the first slice at 0.

    Slabs meet halfway between slices; the outer ones reach half the median gap outward, as the stored grid does.
    """
    depths, rim = stack.depths_mm(), float(np.median(stack.gaps_mm())) / 2
    return np.concatenate([[depths[0] - rim], (depths[:-1] + depths[1:]) / 2, [depths[-1] + rim]])


def nearest_slices(depths_mm: Vector, stack: SliceStack) -> npt.NDArray[np.int64]:
    """Return the index of the slice in whose slab each depth lies, -1 outside; halfway is the upper slice's."""
    edges = slab_edges_mm(stack)
    index = np.searchsorted(edges, np.asarray(depths_mm) + ROUND_OFF, side="right") - 1
    return np.where(index < len(edges) - 1, index, -1)


def mask_volume_ml(mask_zyx: Mask, place: Grid | SliceStack) -> float:
    """Return the volume of a mask as drawn; a slice is as thick as its slab."""
    if isinstance(place, Grid):
        return int(np.count_nonzero(mask_zyx)) * place.voxel_ml
    areas = np.count_nonzero(mask_zyx, axis=(1, 2)) * place.pixel_mm[0] * place.pixel_mm[1]
    return float(areas @ np.diff(slab_edges_mm(place))) / 1000


def share_inside(points_mm: Vector, stack: SliceStack) -> float:
    """Return the share of points (n, 3) that lie in the slabs of a stack, within SAME_PLANE_MM, and on its pixels."""
    axes, edges = np.array([stack.row_axis, stack.column_axis, stack.slice_axis]), slab_edges_mm(stack)
    along = (np.asarray(points_mm) - np.array(stack.positions_mm[0])) @ axes.T
    in_slabs = (along[:, 2] >= edges[0] - SAME_PLANE_MM) & (along[:, 2] <= edges[-1] + SAME_PLANE_MM)
    k = np.clip(np.searchsorted(edges, along[:, 2] + ROUND_OFF, side="right") - 1, 0, len(edges) - 2)
    pixels = (along[:, :2] - stack.offsets_mm()[k, :2]) / np.array(stack.pixel_mm)
    on_pixels = ((pixels >= -0.5) & (pixels <= np.array([stack.columns, stack.rows]) - 0.5)).all(axis=1)
    return float((in_slabs & on_pixels).mean())


def require_inside(outside: float, low_mm: Vector, high_mm: Vector) -> None:
    """Refuse a mask of which too much lies outside the image.

    Args:
        outside: share of it that does.
        low_mm, high_mm: the box that it spans, LPS.

    Raises:
        InputError: `mask_outside_image` if all of it does, `mask_cut` if more than MASK_OUTSIDE_TOLERANCE does.
    """
    if outside == 1:
        raise InputError(
            "mask_outside_image",
            f"the mask lies outside the image: it spans {low_mm.round(1).tolist()} to {high_mm.round(1).tolist()} mm (LPS), "
            "where the image has no voxel; check that it was drawn on this series",
        )
    if outside > MASK_OUTSIDE_TOLERANCE:
        raise InputError(
            "mask_cut",
            f"{outside:.0%} of the mask lies outside the image (limit {MASK_OUTSIDE_TOLERANCE:.0%}); "
            "check that it was drawn on this series",
        )


def place_mask(mask_zyx: Mask, place: Grid | SliceStack, grid: Grid) -> Mask:
    """Place a mask (non-zero is the ROI, never empty) on the stored grid.

    Args:
        place: where the mask's voxels lie: a grid or slices anywhere in space.
        grid: the stored grid of the image.

    Returns:
        uint8 (z, y, x), 1 in the ROI.

    Raises:
        InputError: `mask_outside_image` if no voxel of the ROI lies on the grid, `mask_cut` if more than a tenth does not;
            for slices whoever reads them looks; `mask_lost` if it is too thin for the grid.
    """
    if isinstance(place, SliceStack):
        placed = _place_slices((mask_zyx != 0).astype(np.uint8), place, grid)
    else:
        box = box_of(mask_zyx)
        corners = np.array(list(itertools.product(*((axis.start, axis.stop - 1) for axis in box[::-1]))), np.float64)
        index = grid.to_index(place.to_point(corners))
        if not _inside(index, grid, margin=ROUND_OFF).all():
            centres = place.to_point(np.stack(voxels_of(mask_zyx)[::-1], axis=1).astype(np.float64))
            outside = 1 - float(_inside(grid.to_index(centres), grid).mean())
            require_inside(outside, centres.min(axis=0), centres.max(axis=0))
        aligned = _is_diagonal(place) and _is_diagonal(grid)
        placed = _place_lines(mask_zyx, box, place, grid) if aligned else _place_grid(mask_zyx, place, grid, index)
    if not placed.any():
        raise InputError(
            "mask_lost",
            f"the mask has {counted(int(np.count_nonzero(mask_zyx)), 'voxel')} as drawn and none at {grid.spacing_mm} mm: "
            "it is too thin to be stored",
        )
    return placed


def _inside(index_xyz: Vector, grid: Grid, margin: float = 0.0) -> npt.NDArray[np.bool_]:
    """Say which continuous indices (n, 3) lie in the voxels of a grid, so far from its border."""
    in_axes = (index_xyz >= margin - 0.5) & (index_xyz <= np.array(grid.size_xyz) - 0.5 - margin)
    return np.asarray(in_axes.all(axis=1))


def _is_diagonal(grid: Grid) -> bool:
    """Say whether the axes of a grid are those of the patient, in their order, either way."""
    axes = grid.axes()
    return not (axes - np.diag(np.diag(axes))).any()


def _place_lines(mask_zyx: Mask, box: Box, place: Grid, grid: Grid) -> Mask:
    """Return what `_place_grid` does, where x, y and z of a voxel depend on nothing but x, y and z of the mask's.

    So SimpleITK is asked which voxel it takes along one line of each axis, and not for each voxel.
    """
    nearest = [_nearest_on_line(axis, place, grid) for axis in (2, 1, 0)]
    reached = [
        np.flatnonzero((line >= part.start) & (line < part.stop)) for line, part in zip(nearest, box, strict=True)
    ]
    placed = np.zeros(grid.shape_zyx, dtype=np.uint8)
    taken = np.ix_(*(line[voxels] for line, voxels in zip(nearest, reached, strict=True)))
    placed[np.ix_(*reached)] = mask_zyx[taken] != 0
    return placed


def _nearest_on_line(axis: int, place: Grid, grid: Grid) -> npt.NDArray[np.int32]:
    """Return the index that SimpleITK takes along an axis (x is 0) for each of the stored grid's voxels, -1 outside."""

    def line(of: Grid) -> Grid:
        nx, ny, nz = (length if number == axis else 1 for number, length in enumerate(of.size_xyz))
        x, y, z = (place_mm if number == axis else 0.0 for number, place_mm in enumerate(of.origin_mm))
        return replace(of, size_xyz=(nx, ny, nz), origin_mm=(x, y, z))

    own, stored = line(place), line(grid)
    numbers = to_image(np.arange(place.size_xyz[axis], dtype=np.int32).reshape(own.shape_zyx), own)
    found = sitk.Resample(numbers, to_image_frame(stored), sitk.Transform(), sitk.sitkNearestNeighbor, -1)
    return sitk.GetArrayFromImage(found).ravel()


def _place_grid(mask_zyx: Mask, place: Grid, grid: Grid, index_xyz: Vector) -> Mask:
    """Return the nearest voxel of a mask for each of the stored grid; the rows and planes after the last it can reach are left out.

    SimpleITK places each line from its own start, whatever lies behind it: those before the mask are needed for equal bits.

    Args:
        index_xyz: (8, 3) where the grid has the corners of the box of the mask's voxels.
    """
    step = np.stack([grid.to_index(place.to_point(unit[np.newaxis]))[0] for unit in np.eye(3)]) - grid.to_index(
        place.to_point(np.zeros((1, 3)))
    )
    ends = np.floor(index_xyz.max(axis=0) + np.abs(step).sum(axis=0) / 2).astype(np.int64) + 2
    x, (y, z) = grid.size_xyz[0], np.clip(ends[1:], 1, grid.size_xyz[1:]).tolist()
    image, frame = to_image((mask_zyx != 0).astype(np.uint8), place), to_image_frame(replace(grid, size_xyz=(x, y, z)))
    placed = np.zeros(grid.shape_zyx, dtype=np.uint8)
    found = sitk.Resample(image, frame, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    placed[:z, :y] = sitk.GetArrayViewFromImage(found)
    return placed


def _place_slices(mask_zyx: Mask, stack: SliceStack, grid: Grid) -> Mask:
    axes = np.array([stack.row_axis, stack.column_axis, stack.slice_axis])
    start = axes @ (np.array(grid.origin_mm) - np.array(stack.positions_mm[0]))
    # Column j: where the grid's axis j points, along the rows, the columns and the normal of the slices.
    turn = np.eye(3) if np.allclose(axes.T, grid.axes(), rtol=0, atol=ROUND_OFF) else axes @ grid.axes()
    x_mm, y_mm, z_mm = (np.arange(n) * step for n, step in zip(grid.size_xyz, grid.spacing_mm, strict=True))
    rows, columns, planes = _box(mask_zyx, stack, grid)
    x_mm, y_mm = x_mm[columns], y_mm[rows, np.newaxis]
    shifts, placed = stack.shifts_mm(), np.zeros(grid.shape_zyx, dtype=np.uint8)
    for z in range(planes.start, planes.stop):
        along, down, depth = (
            start[axis] + x_mm * turn[axis, 0] + y_mm * turn[axis, 1] + z_mm[z] * turn[axis, 2] for axis in range(3)
        )
        k = nearest_slices(depth, stack)
        x, on_row = _nearest_pixels((along - shifts[k, 0]) / stack.pixel_mm[0], stack.columns)
        y, on_column = _nearest_pixels((down - shifts[k, 1]) / stack.pixel_mm[1], stack.rows)
        placed[z, rows, columns] = mask_zyx[k, y, x] * ((k >= 0) & on_row & on_column)
    return placed


def _box(mask_zyx: Mask, stack: SliceStack, grid: Grid) -> tuple[slice, slice, slice]:
    """Return which rows, columns and planes of the grid the slabs of a mask can reach."""
    edges, normal = slab_edges_mm(stack), np.array(stack.slice_axis)
    corners = []
    for k in np.flatnonzero(mask_zyx.any(axis=(1, 2))):
        place, (y, x) = np.array(stack.positions_mm[k]), np.nonzero(mask_zyx[k])
        for row, column, edge in itertools.product((y.min() - 1, y.max() + 1), (x.min() - 1, x.max() + 1), (k, k + 1)):
            across = np.array(stack.row_axis) * column * stack.pixel_mm[0]
            down = np.array(stack.column_axis) * row * stack.pixel_mm[1]
            corners.append(place + across + down + normal * (edges[edge] - stack.depths_mm()[k]))
    index = grid.to_index(np.array(corners))
    ends = np.stack([np.floor(index.min(axis=0)), np.ceil(index.max(axis=0)) + 1]).astype(np.int64)
    columns, rows, planes = (slice(*axis) for axis in np.clip(ends, 0, grid.size_xyz).T.tolist())
    return rows, columns, planes


def _nearest_pixels(along: Vector, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the nearest of `count` pixels to continuous indices, and whether they lie in it."""
    nearest = np.floor(along + 0.5 + ROUND_OFF).astype(np.int64)
    return np.clip(nearest, 0, count - 1), (nearest >= 0) & (nearest < count)
