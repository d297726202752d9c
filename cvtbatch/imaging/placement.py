"""Placing masks on the stored grid."""

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid
from cvtbatch.imaging.resampling import to_image_frame

# Share of a mask that may lie outside the image: the rim of an outline at the edge of the scan.
MASK_OUTSIDE_TOLERANCE = 0.1


def place_mask(mask: sitk.Image, grid: Grid) -> npt.NDArray[np.uint8]:
    """Place a mask (non-zero is the ROI) on a grid by physical position, nearest neighbour.

    Returns:
        uint8 (z, y, x), 1 in the ROI.

    Raises:
        InputError: `mask_outside_image` if no voxel of the ROI lies on the grid, `mask_cut` if more than a tenth does not;
            `mask_lost` if it is too thin for the grid.
    """
    binary = sitk.Cast(sitk.NotEqual(mask, 0), sitk.sitkUInt8)
    placed = sitk.Resample(binary, to_image_frame(grid), sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    array: npt.NDArray[np.uint8] = sitk.GetArrayFromImage(placed)
    points = _voxel_centres_mm(binary)
    index = grid.to_index(points)
    outside = 1 - float(((index >= -0.5) & (index <= np.array(grid.size_xyz) - 0.5)).all(axis=1).mean())
    if outside <= MASK_OUTSIDE_TOLERANCE and array.any():
        return array
    if 0 < outside < 1 and outside > MASK_OUTSIDE_TOLERANCE:
        raise InputError(
            "mask_cut",
            f"{outside:.0%} of the mask lies outside the image (limit {MASK_OUTSIDE_TOLERANCE:.0%}); "
            "check that it was drawn on this series",
        )
    if outside == 1:
        low, high = points.min(axis=0).round(1), points.max(axis=0).round(1)
        raise InputError(
            "mask_outside_image",
            f"the mask lies outside the image: it spans {low.tolist()} to {high.tolist()} mm (LPS), where the image has no voxel; "
            "check that it was drawn on this series",
        )
    raise InputError(
        "mask_lost",
        f"the mask has {len(points)} voxels as drawn and none at {grid.spacing_mm} mm: it is too thin to be stored",
    )


def _voxel_centres_mm(binary: sitk.Image) -> npt.NDArray[np.float64]:
    indices = np.argwhere(sitk.GetArrayViewFromImage(binary))[:, ::-1].astype(np.float64)
    grid = Grid(binary.GetSize(), binary.GetSpacing(), binary.GetOrigin(), binary.GetDirection())
    return grid.to_point(indices)
