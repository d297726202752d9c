"""Image and ROI in the order of IBSI, the Image Biomarker Standardisation Initiative, as a set with `processing: ibsi` asks for it.

1. The image is interpolated, linearly or by cubic B-splines, on a grid whose centre is the old one's and that is as large as it
   takes to cover it; gray values are rounded to whole HU.
2. The mask is interpolated linearly; a voxel belongs to it from a share of one half on. That is the morphological mask.
3. The intensity mask is what resegmentation leaves of it: first by range, then by standard deviations from the mean of what the
   range left.

Shape is that of the morphological mask, everything else of the intensity mask; gray levels of a width start at the range's
lower bound (`discretisation`). PyRadiomics aligns grids by their corners, keeps fractions, takes the mask's nearest voxel, knows
one way of resegmentation a run, and starts its bins at a multiple of the width: its values are others.

Source: Zwanenburg et al., IBSI reference manual (arXiv:1612.07003), chapter "Image processing".
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cvtbatch.errors import InputError
from cvtbatch.radiomics.box import (
    Index,
    RoiBox,
    bounds,
    box_hu,
    check_extent,
    check_grids,
    check_label,
    label_index,
    largest_magnitude,
    to_triple,
)
from cvtbatch.radiomics.resampling import check_spline_size
from cvtbatch.radiomics.settings import IbsiPreparation

# Of a voxel, and of a voxel's share in the mask: what is less comes of rounding in the file's spacing, and of the interpolation.
SIZE_SLACK, SHARE_SLACK = 5e-4, 1e-9
# 8 GB a volume; a head on 0.5 mm has a tenth of it.
MAXIMUM_VOXELS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Interpolated:
    """Image and mask after interpolation.

    Attributes:
        hu: (z, y, x) float64, whole numbers.
        mask: (z, y, x) the morphological mask.
        spacing_mm: (z, y, x).
    """

    hu: NDArray[np.float64]
    mask: NDArray[np.bool_]
    spacing_mm: tuple[float, float, float]


def cut_ibsi_box(ct: sitk.Image, mask: sitk.Image, preparation: IbsiPreparation) -> RoiBox:
    """Check image and mask, and process them; the box is that of the morphological mask.

    Raises:
        InputError: bad_dimension, bad_pixel_type, grid_mismatch, empty_mask, full_mask, label_absent, roi_too_small,
            roi_too_thin, non_finite_voxels, box_too_thin, bad_setting.
    """
    check_grids(ct, mask, preparation)
    index = label_index(mask, preparation.label)
    check_label(mask, preparation.label, len(index[0]))
    grid = lay_grid(ct, preparation)
    found = interpolate(ct, index, preparation, None if grid is None else _around(grid, ct, index))
    if not found.mask.any():
        raise InputError(
            "roi_too_small", f"label {preparation.label} is in no voxel after interpolation (limit: more than 1)"
        )
    outline = _voxels(found.mask)
    kept = _voxels(resegment(found.hu, found.mask, preparation))
    first, last = bounds(kept)
    check_extent(last - first, len(kept[0]), preparation)
    lower, upper = bounds(outline)
    z, y, x = (slice(low, high) for low, high in zip(lower, upper, strict=True))
    values = np.ascontiguousarray(found.hu[z, y, x])
    largest = largest_magnitude(values)
    return RoiBox(
        values=values,
        index=_seen_from(lower, kept),
        outline=_seen_from(lower, outline),
        lower=(0, 0, 0),
        shape=to_triple(upper - lower),
        spacing_mm=found.spacing_mm,
        largest_hu=largest,
        largest=largest,
        pixel_type=np.dtype(np.float64),
    )


def _voxels(mask: NDArray[np.bool_]) -> Index:
    z, y, x = np.unravel_index(np.flatnonzero(mask), mask.shape)
    return z, y, x


def _seen_from(lower: NDArray[np.int64], index: Index) -> Index:
    z, y, x = (axis - low for axis, low in zip(index, lower, strict=True))
    return z, y, x


def lay_grid(ct: sitk.Image, preparation: IbsiPreparation) -> sitk.Image | None:
    """Return an empty image of the spacing that is asked for, which covers the old one and has its centre; None without spacing.

    Raises:
        InputError: bad_setting where it has too many voxels.
    """
    if not preparation.resampled:
        return None
    size, old_mm = np.array(ct.GetSize()), np.array(ct.GetSpacing())
    asked_mm = np.array(preparation.resampled_spacing_mm)
    ratio = np.where(asked_mm == 0, old_mm, asked_mm) / old_mm
    count = np.maximum(np.ceil(size / ratio - SIZE_SLACK), 1).astype(int)
    if count.prod(dtype=float) > MAXIMUM_VOXELS:
        shown = " x ".join(str(n) for n in count)
        raise InputError(
            "bad_setting",
            f"resampledPixelSpacing makes {shown} voxels of this volume (limit {MAXIMUM_VOXELS:,} in all)",
        )
    grid = sitk.Image(count.tolist(), sitk.sitkUInt8)
    grid.SetSpacing(np.where(asked_mm == 0, old_mm, asked_mm).tolist())
    grid.SetDirection(ct.GetDirection())
    grid.SetOrigin(ct.TransformContinuousIndexToPhysicalPoint((((size - 1) - (count - 1) * ratio) / 2).tolist()))
    return grid


def _around(grid: sitk.Image, ct: sitk.Image, index: Index) -> sitk.Image:
    """Return the part of a grid in which shares of the old grid's voxels lie."""
    lower, upper = bounds(index)
    first, last = (
        np.array(grid.TransformPhysicalPointToContinuousIndex(ct.TransformContinuousIndexToPhysicalPoint(corner)))
        for corner in ((lower[::-1] - 1.0).tolist(), (upper[::-1] * 1.0).tolist())
    )
    start = np.maximum(np.floor(first), 0).astype(int)
    stop = np.minimum(np.ceil(last) + 1, grid.GetSize()).astype(int)
    part: sitk.Image = grid[tuple(slice(int(low), int(high)) for low, high in zip(start, stop, strict=True))]
    return part


def interpolate(ct: sitk.Image, index: Index, preparation: IbsiPreparation, grid: sitk.Image | None) -> Interpolated:
    """Return the image, and the ROI's voxels as a mask, on a grid, or on their own where it is None.

    Raises:
        InputError: non_finite_voxels, box_too_thin.
    """
    hu = box_hu(ct, np.zeros(3, np.int64), np.array(ct.GetSize()[::-1]), whole=True)
    inside: NDArray[np.uint8 | np.float64] = np.zeros(hu.shape, np.uint8)
    inside[index] = 1
    if grid is not None:
        if preparation.interpolator == "sitkBSpline":
            check_spline_size(ct)
        hu = _resampled(hu, ct, grid, getattr(sitk, str(preparation.interpolator)))
        inside = _resampled(inside, ct, grid, sitk.sitkLinear)
    x, y, z = (ct if grid is None else grid).GetSpacing()
    return Interpolated(np.rint(hu), inside >= 0.5 - SHARE_SLACK, (z, y, x))


def resegment(hu: NDArray[np.float64], mask: NDArray[np.bool_], preparation: IbsiPreparation) -> NDArray[np.bool_]:
    """Return the intensity mask: what range and outliers, both inclusive, leave of a mask (z, y, x).

    Raises:
        InputError: roi_too_small where they leave no more than a voxel.
    """
    kept = mask.copy()
    if preparation.resegment_range is not None:
        lowest, *highest = sorted(preparation.resegment_range)
        kept &= (hu >= lowest) & (hu <= (highest[0] if highest else np.inf))
        _check_left("resegmentRange", kept, mask)
    if preparation.resegment_outliers is not None:
        mean, reach = hu[kept].mean(), preparation.resegment_outliers * hu[kept].std()
        kept &= (hu >= mean - reach) & (hu <= mean + reach)
        _check_left("resegmentOutliers", kept, mask)
    return kept


def _check_left(key: str, kept: NDArray[np.bool_], mask: NDArray[np.bool_]) -> None:
    if kept.sum() <= 1:
        raise InputError("roi_too_small", f"{key} leaves {kept.sum()} of {mask.sum()} voxels (limit: more than 1)")


def _resampled(
    values: NDArray[np.uint8 | np.float64], ct: sitk.Image, grid: sitk.Image, interpolator: int
) -> NDArray[np.float64]:
    image = sitk.GetImageFromArray(values)
    image.CopyInformation(ct)
    # Every point of the grid lies inside the old one: nothing is filled in.
    found: NDArray[np.float64] = sitk.GetArrayFromImage(
        sitk.Resample(image, grid, sitk.Transform(), interpolator, 0.0, sitk.sitkFloat64)
    )
    return found
