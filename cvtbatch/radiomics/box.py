"""The ROI, its box, and every check that a value could depend on.

PyRadiomics crops image and mask to the ROI's bounding box plus `padDistance` voxels (`preCrop`) before it filters, and to the
bounding box alone before it counts. `RoiBox` holds the first crop as float64 and the ROI's voxels in raster order; what
PyRadiomics refuses, and what it would turn into a wrong number or a crash, is refused here with an `InputError`.

Source: PyRadiomics 3.0.1, `imageoperations.getMask`, `checkMask`, `cropToTumorMask`, `normalizeImage`.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cvtbatch.errors import InputError
from cvtbatch.radiomics.profiles import Profile

LABEL = 1
# SimpleITK's defaults: a fraction of the first axis' spacing for origin and spacing, absolute for direction cosines.
GRID_TOLERANCE = 1e-6
# The recursive Gaussian of the Laplacian needs as many samples along every line.
MINIMUM_BOX_SIZE = 4

Triple = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class RoiBox:
    """Image values around the ROI, and the ROI's voxels.

    Attributes:
        values: (z, y, x) float64, the padded crop (or the whole volume), HU or normalised units.
        index: three int64 arrays, the ROI's voxels in `values`, raster order.
        lower: first voxel of the ROI's bounding box in `values`, (z, y, x).
        shape: size of the ROI's bounding box in voxels, (z, y, x).
        spacing_mm: (z, y, x).
        largest_hu: the largest magnitude among the voxels of `values`, before they are normalised.
    """

    values: NDArray[np.float64]
    index: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
    lower: Triple
    shape: Triple
    spacing_mm: tuple[float, float, float]
    largest_hu: float

    @property
    def roi_slices(self) -> tuple[slice, slice, slice]:
        """The ROI's bounding box as slices of `values`."""
        z, y, x = (slice(low, low + size) for low, size in zip(self.lower, self.shape, strict=True))
        return z, y, x


def cut_box(ct: sitk.Image, mask: sitk.Image, profile: Profile) -> RoiBox:
    """Check image and mask, and cut the box that the profile asks for.

    Raises:
        InputError: bad_dimension, bad_pixel_type, grid_mismatch, empty_mask, full_mask, label_absent, roi_too_small,
            roi_too_thin, non_finite_voxels, box_too_thin, flat_image.
    """
    _check_grids(ct, mask)
    index = _roi_index(mask)
    lower = np.array([axis.min() for axis in index])
    upper = np.array([axis.max() for axis in index]) + 1
    _check_extent(upper - lower, len(index[0]), profile)
    start, stop = np.zeros(3, np.int64), np.array(ct.GetSize()[::-1])
    if profile.pre_crop:
        start = np.maximum(lower - profile.pad_distance, 0)
        stop = np.minimum(upper + profile.pad_distance, stop)
    spacing_z, spacing_y, spacing_x = ct.GetSpacing()[::-1]
    _check_box(stop - start)
    hu = _box_hu(ct, start, stop, profile)
    values = _normalised(ct, hu, profile.normalize_scale) if profile.normalize else hu
    if not values.any():
        raise InputError("flat_image", "every voxel of the box around the ROI is 0: its filtered images are undefined")
    z, y, x = (axis - low for axis, low in zip(index, start, strict=True))
    return RoiBox(
        values,
        (z, y, x),
        _triple(lower - start),
        _triple(upper - lower),
        (spacing_z, spacing_y, spacing_x),
        float(np.abs(hu).max()),
    )


def _triple(values: NDArray[np.int64]) -> Triple:
    z, y, x = (int(value) for value in values)
    return z, y, x


def _check_grids(ct: sitk.Image, mask: sitk.Image) -> None:
    if ct.GetDimension() != 3 or mask.GetDimension() != 3:
        raise InputError(
            "bad_dimension", f"image and mask have {ct.GetDimension()} and {mask.GetDimension()} axes, not 3"
        )
    for name, image in (("image", ct), ("mask", mask)):
        if image.GetNumberOfComponentsPerPixel() != 1 or "complex" in image.GetPixelIDTypeAsString():
            raise InputError(
                "bad_pixel_type", f"the {name} holds {image.GetPixelIDTypeAsString()}, not one real number a voxel"
            )
    if ct.GetSize() != mask.GetSize():
        raise InputError("grid_mismatch", f"image and mask differ in size: {ct.GetSize()} and {mask.GetSize()} voxels")
    tolerance_mm = GRID_TOLERANCE * ct.GetSpacing()[0]
    for what, ours, theirs, limit in (
        ("spacing (mm)", ct.GetSpacing(), mask.GetSpacing(), tolerance_mm),
        ("origin (mm)", ct.GetOrigin(), mask.GetOrigin(), tolerance_mm),
        ("direction", ct.GetDirection(), mask.GetDirection(), GRID_TOLERANCE),
    ):
        apart = float(np.abs(np.subtract(ours, theirs)).max())
        if not apart <= limit:
            raise InputError("grid_mismatch", f"image and mask differ in {what} by {apart:g} (limit {limit:g})")


def _roi_index(mask: sitk.Image) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    labels = sitk.GetArrayViewFromImage(mask)
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            raise InputError("non_finite_voxels", "the mask holds voxels that are not finite numbers")
        labels = labels.astype(np.uint32)
    flat = np.flatnonzero(labels.ravel() == LABEL)
    if flat.size in (0, labels.size):
        present = np.unique(labels)
        if flat.size:
            raise InputError("full_mask", f"the mask is {LABEL} in every voxel: nothing is outlined")
        if present.size == 1:
            raise InputError("empty_mask", f"the mask is {present[0]} in every voxel: nothing is outlined")
        shown = ", ".join(str(label) for label in present[present != 0][:10])
        raise InputError("label_absent", f"label {LABEL} is absent from the mask; it holds {shown}")
    z, y, x = np.unravel_index(flat, labels.shape)
    return z, y, x


def _check_extent(shape: NDArray[np.int64], count: int, profile: Profile) -> None:
    thick = int(np.sum(shape > 1))
    if thick == 0:
        raise InputError("roi_too_small", "the ROI is a single voxel (limit: more than 1)")
    if thick < profile.minimum_roi_dimensions:
        raise InputError(
            "roi_too_thin",
            f"the ROI spans more than one voxel along {thick} axes (limit {profile.minimum_roi_dimensions})",
        )
    if profile.minimum_roi_size is not None and count <= profile.minimum_roi_size:
        raise InputError("roi_too_small", f"the ROI has {count} voxels (limit: more than {profile.minimum_roi_size})")


def _check_box(shape: NDArray[np.int64]) -> None:
    if shape.min() < MINIMUM_BOX_SIZE:
        size = " x ".join(str(n) for n in shape[::-1])
        raise InputError(
            "box_too_thin",
            f"the box around the ROI has {size} voxels; the LoG filter needs {MINIMUM_BOX_SIZE} along each axis",
        )


def _box_hu(ct: sitk.Image, start: NDArray[np.int64], stop: NDArray[np.int64], profile: Profile) -> NDArray[np.float64]:
    """Return the box as float64; where it will be normalised by the whole volume, that must be finite too."""
    whole = sitk.GetArrayViewFromImage(ct)
    crop = whole[tuple(slice(low, high) for low, high in zip(start, stop, strict=True))]
    judged = whole if profile.normalize else crop
    if judged.dtype.kind == "f" and not np.isfinite(judged).all():
        count = int(np.sum(~np.isfinite(judged)))
        raise InputError("non_finite_voxels", f"the image holds {count} voxels that are not finite numbers (limit 0)")
    return np.ascontiguousarray(crop, dtype=np.float64)


def _normalised(ct: sitk.Image, values: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Shift and scale as `itk::NormalizeImageFilter` does, in its order of operations."""
    statistics = sitk.StatisticsImageFilter()
    statistics.Execute(ct)
    sigma = statistics.GetSigma()
    if sigma == 0:
        raise InputError("flat_image", "the whole volume has one value: it cannot be normalised")
    normalised: NDArray[np.float64] = (values + -statistics.GetMean()) * (1.0 / sigma) * scale
    return normalised
