"""Placing masks on the stored grid, nearest neighbour.

A mask that has a grid of its own is placed by physical position. A mask that belongs to the slices of the image goes the way of the
image: each stored plane takes the slice that lies nearest along the normal, moved by that slice's own shift.
"""

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from cvtbatch.errors import InputError, InternalError
from cvtbatch.geometry import ORTHONORMAL_TOLERANCE, ROUND_OFF, Grid, SliceStack, Vector, voxels_of
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
        place: where the mask's voxels lie: a grid anywhere in space, or the image's own slices.
        grid: the stored grid of the image.

    Returns:
        uint8 (z, y, x), 1 in the ROI.

    Raises:
        InputError: `mask_outside_image` if no voxel of the ROI lies on the grid, `mask_cut` if more than a tenth does not;
            `mask_lost` if it is too thin for the grid.
    """
    binary = (mask_zyx != 0).astype(np.uint8)
    if isinstance(place, SliceStack):
        placed = _place_slices(binary, place, grid)
    else:
        centres = place.to_point(np.stack(voxels_of(binary)[::-1], axis=1).astype(np.float64))
        index = grid.to_index(centres)
        inside = ((index >= -0.5) & (index <= np.array(grid.size_xyz) - 0.5)).all(axis=1)
        require_inside(1 - float(inside.mean()), centres.min(axis=0), centres.max(axis=0))
        image, frame = to_image(binary, place), to_image_frame(grid)
        placed = sitk.GetArrayFromImage(sitk.Resample(image, frame, sitk.Transform(), sitk.sitkNearestNeighbor, 0))
    if not placed.any():
        raise InputError(
            "mask_lost",
            f"the mask has {int(binary.sum())} voxels as drawn and none at {grid.spacing_mm} mm: it is too thin to be stored",
        )
    return placed


def _place_slices(mask_zyx: Mask, stack: SliceStack, grid: Grid) -> Mask:
    axes = np.array([stack.row_axis, stack.column_axis, stack.slice_axis])
    if not np.allclose(axes.T, grid.axes(), atol=ORTHONORMAL_TOLERANCE):
        raise InternalError(
            "grid_of_other_slices", "a mask drawn on slices was to be placed on the grid of other slices"
        )
    start = axes @ (np.array(grid.origin_mm) - np.array(stack.positions_mm[0]))
    x_mm, y_mm, z_mm = (
        start[axis] + np.arange(count) * step
        for axis, (count, step) in enumerate(zip(grid.size_xyz, grid.spacing_mm, strict=True))
    )
    shifts, placed = stack.shifts_mm(), np.zeros(grid.shape_zyx, dtype=np.uint8)
    for z, k in enumerate(nearest_slices(z_mm, stack)):
        if k >= 0 and mask_zyx[k].any():
            x, columns = _nearest_pixels((x_mm - shifts[k, 0]) / stack.pixel_mm[0], stack.columns)
            y, rows = _nearest_pixels((y_mm - shifts[k, 1]) / stack.pixel_mm[1], stack.rows)
            placed[z][np.ix_(y, x)] = mask_zyx[k][np.ix_(rows, columns)]
    return placed


def _nearest_pixels(along: Vector, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return which continuous indices lie in one of `count` pixels, and in which."""
    nearest = np.floor(along + 0.5 + ROUND_OFF).astype(np.int64)
    inside = np.flatnonzero((nearest >= 0) & (nearest < count))
    return inside, nearest[inside]
