"""The ROI, its box, and every check that a value could depend on.

PyRadiomics crops image and mask to the ROI's bounding box plus `padDistance` voxels (`preCrop`) before it filters, and to the
bounding box alone before it counts. `RoiBox` holds the first crop as float64 and the ROI's voxels in raster order; what
PyRadiomics refuses, and what it would turn into a wrong number or a crash, is refused here with an `InputError`.

An image is computed on as float64, or `as_given`: with its own pixel type, which PyRadiomics keeps through resampling, and in which
it computes thresholds, bins, wavelets and the samples of LBP-3D. A normalised image is float64 either way.

Source: PyRadiomics 3.0.1, `imageoperations.getMask`, `checkMask`, `cropToTumorMask`, `resegmentMask`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cvtbatch.errors import InputError
from cvtbatch.radiomics.normalisation import normalise
from cvtbatch.radiomics.resampling import ResampledGrid, lay_resampled_grid
from cvtbatch.radiomics.settings import IbsiPreparation, Preparation

# SimpleITK's defaults: a fraction of the first axis' spacing for origin and spacing, absolute for direction cosines.
GRID_TOLERANCE = 1e-6
# What is told as a `geometryTolerance` at most: a larger difference is no round-off.
LARGEST_TOLERANCE = 0.1

Triple = tuple[int, int, int]
Index = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class RoiBox:
    """Image values around the ROI, and the ROI's voxels.

    Attributes:
        values: (z, y, x) float64, the padded crop (or the whole volume), HU or normalised units.
        index: the ROI's voxels in `values`, raster order.
        outline: the voxels whose shape is asked for: the same, or those before resegmentation, of which PyRadiomics has those
            alone that lie in the bounding box.
        lower: first voxel of the ROI's bounding box in `values`, (z, y, x); where `outline` is IBSI's, of that one's.
        shape: size of that bounding box in voxels, (z, y, x).
        spacing_mm: (z, y, x).
        largest_hu: the largest magnitude among the voxels of `values`, before they are normalised; of those around it
            that are interpolated where they are normalised and then resampled.
        largest: the largest magnitude among `values`.
        pixel_type: of the image that `values` are of, whose numbers they are.
    """

    values: NDArray[np.float64]
    index: Index
    outline: Index
    lower: Triple
    shape: Triple
    spacing_mm: tuple[float, float, float]
    largest_hu: float
    largest: float
    pixel_type: np.dtype[Any]

    def gray_values(self) -> NDArray[np.floating]:
        """Return the (n,) ROI values in the type that PyRadiomics computes in."""
        return in_own_type(self.roi_values(), self.pixel_type)

    def roi_values(self) -> NDArray[np.float64]:
        """Return the (n,) ROI values."""
        return self.values.take(flat_places(self.index, (0, 0, 0), self.values.shape))

    @property
    def roi_slices(self) -> tuple[slice, slice, slice]:
        """The ROI's bounding box as slices of `values`."""
        z, y, x = (slice(low, low + size) for low, size in zip(self.lower, self.shape, strict=True))
        return z, y, x

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel."""
        return float(np.multiply.reduce(self.spacing_mm[::-1]))


def flat_places(index: Index, lower: Sequence[int], shape: Sequence[int]) -> NDArray[np.int64]:
    """Return voxels as places in a flattened part of an image that begins at `lower`: one index reads faster than three."""
    z, y, x = index
    places = z * shape[1]
    places += y
    places *= shape[2]
    places += x
    places -= (lower[0] * shape[1] + lower[1]) * shape[2] + lower[2]
    return places


def in_own_type(values: NDArray[np.float64], pixel_type: np.dtype[Any]) -> NDArray[np.floating]:
    """Return float64 numbers of an image in the type that NumPy computes in for it: float32 for itself, float64 for all others."""
    return values.astype(np.float32) if pixel_type == np.float32 else values


def cut_box(ct: sitk.Image, mask: sitk.Image, preparation: Preparation, *, as_given: bool = False) -> RoiBox:
    """Check image and mask, and cut the box that the settings ask for, in PyRadiomics' order of processing.

    Args:
        as_given: keep the image's pixel type, instead of float64.

    Raises:
        InputError: not_pyradiomics, bad_dimension, bad_pixel_type, grid_mismatch, empty_mask, full_mask, label_absent,
            roi_too_small, roi_too_thin, non_finite_voxels, flat_image, box_too_thin.
    """
    require_pyradiomics_order(preparation)
    check_grids(ct, mask, preparation)
    index = label_index(mask, preparation.label)
    check_label(mask, preparation.label, len(index[0]))
    lower, upper = bounds(index)
    if preparation.resampled:
        grid = lay_resampled_grid(mask, lower[::-1], (upper - lower)[::-1], preparation)
        if grid is not None:
            return _cut_resampled(ct, mask, grid, preparation, as_given)
    check_extent(upper - lower, len(index[0]), preparation)
    start, stop = _crop(mask, lower, upper, preparation)
    hu = box_hu(ct, start, stop, whole=preparation.normalize)
    values = normalise(ct, hu, preparation) if preparation.normalize else hu
    z, y, x = (axis - low for axis, low in zip(index, start, strict=True))
    pixel_type = _pixel_type(ct, preparation, as_given)
    return _roi_box(values, (z, y, x), ct.GetSpacing(), largest_magnitude(hu), pixel_type, preparation)


def require_pyradiomics_order(preparation: Preparation) -> None:
    """Refuse settings that ask for IBSI's order of processing.

    Raises:
        InputError: not_pyradiomics.
    """
    if isinstance(preparation, IbsiPreparation):
        raise InputError(
            "not_pyradiomics",
            "PyRadiomics has no processing: ibsi: cvtbatch.extract_features computes such a file, with engine 'fast' and no audit",
        )


def cut_mask(mask: sitk.Image, preparation: Preparation) -> sitk.Image:
    """Return a mask, in which the label was found, on the grid of its box, before it is resegmented."""
    lower, upper = bounds(label_index(mask, preparation.label))
    if preparation.resampled:
        grid = lay_resampled_grid(mask, lower[::-1], (upper - lower)[::-1], preparation)
        if grid is not None:
            return grid.resample_mask(mask)
    start, stop = _crop(mask, lower, upper, preparation)
    cropped: sitk.Image = mask[
        tuple(slice(int(low), int(high)) for low, high in zip(start[::-1], stop[::-1], strict=True))
    ]
    return cropped


def _crop(
    mask: sitk.Image, lower: NDArray[np.int64], upper: NDArray[np.int64], own: Preparation
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first voxel of the box around a bounding box, and the one past its last."""
    start, stop = np.zeros(3, np.int64), np.array(mask.GetSize()[::-1])
    if own.pre_crop or own.resampled:
        start, stop = np.maximum(lower - own.pad_distance, 0), np.minimum(upper + own.pad_distance, stop)
    return start, stop


def _pixel_type(ct: sitk.Image, preparation: Preparation, as_given: bool) -> np.dtype[Any]:
    """Return the type of the image that is computed on."""
    return sitk.GetArrayViewFromImage(ct).dtype if as_given and not preparation.normalize else np.dtype(np.float64)


def _cut_resampled(
    ct: sitk.Image, mask: sitk.Image, grid: ResampledGrid, preparation: Preparation, as_given: bool
) -> RoiBox:
    """As `cut_box`, on another grid; all of it is the box."""
    roi = grid.resample_mask(mask)  # the arrays below are views of it
    index = label_index(roi, preparation.label)
    if not len(index[0]):
        raise InputError(
            "roi_too_small", f"label {preparation.label} is in no voxel after resampling (limit: more than 1)"
        )
    lower, upper = bounds(index)
    check_extent(upper - lower, len(index[0]), preparation)
    # A B-spline spreads what is not finite over the whole volume.
    hu = box_hu(ct, grid.start[::-1], grid.stop[::-1], whole=True)
    pixel_type = _pixel_type(ct, preparation, as_given)
    values = grid.resample_image(normalise(ct, hu, preparation) if preparation.normalize else hu, ct, pixel_type)
    largest_hu = largest_magnitude(hu if preparation.normalize else values)
    return _roi_box(values, index, tuple(grid.spacing_mm.tolist()), largest_hu, pixel_type, preparation)


def _roi_box(
    values: NDArray[np.float64],
    index: Index,
    spacing_mm: tuple[float, ...],
    largest_hu: float,
    pixel_type: np.dtype[Any],
    own: Preparation,
) -> RoiBox:
    """Resegment the ROI, where that is asked for, and lay its bounding box."""
    kept, outline = index, index
    if own.resegment_range is not None:
        kept = _resegmented(in_own_type(values[index], pixel_type), index, own)
    lower, upper = bounds(kept)
    if own.resegment_range is not None:
        check_extent(upper - lower, len(kept[0]), own)
        outline = kept if own.resegment_shape else _within(index, lower, upper)
    z_mm, y_mm, x_mm = spacing_mm[::-1]
    lows, shape, mm = to_triple(lower), to_triple(upper - lower), (z_mm, y_mm, x_mm)
    largest = largest_magnitude(values) if own.normalize else largest_hu
    return RoiBox(values, kept, outline, lows, shape, mm, largest_hu, largest, pixel_type)


def _resegmented(gray: NDArray[np.floating], index: Index, own: Preparation) -> Index:
    """Return the ROI's voxels whose (n,) values lie between the thresholds, both of which belong to it."""
    thresholds = sorted(own.resegment_range or ())
    if own.resegment_mode == "relative":
        thresholds = [gray.max() * share for share in thresholds]
    elif own.resegment_mode == "sigma":
        mean, deviation = gray.mean(), gray.std()
        thresholds = [mean + deviation * count for count in thresholds]
    inside = gray >= thresholds[0]
    if len(thresholds) == 2:
        inside &= gray <= thresholds[1]
    if inside.sum() <= 1:
        shown = " to ".join(f"{threshold:g}" for threshold in thresholds)
        raise InputError(
            "roi_too_small",
            f"resegmentRange ({shown}) leaves {inside.sum()} of {len(gray)} voxels (limit: more than 1)",
        )
    return _taken(index, inside)


def _within(index: Index, lower: NDArray[np.int64], upper: NDArray[np.int64]) -> Index:
    inside = np.ones(len(index[0]), bool)
    for axis, low, high in zip(index, lower, upper, strict=True):
        inside &= (axis >= low) & (axis < high)
    return _taken(index, inside)


def _taken(index: Index, kept: NDArray[np.bool_]) -> Index:
    z, y, x = (axis[kept] for axis in index)
    return z, y, x


def largest_magnitude(values: NDArray[np.float64]) -> float:
    """Return the largest magnitude among numbers, all of them finite."""
    return abs(max(float(values.max()), -float(values.min())))


def bounds(index: Index) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first voxel of the bounding box, and the one past its last."""
    return np.array([axis.min() for axis in index]), np.array([axis.max() for axis in index]) + 1


def to_triple(values: NDArray[np.int64]) -> Triple:
    """Return three whole numbers of Python."""
    z, y, x = (int(value) for value in values)
    return z, y, x


def check_grids(ct: sitk.Image, mask: sitk.Image, preparation: Preparation) -> None:
    """Refuse what is not one image and one mask on one grid."""
    if ct.GetDimension() != 3 or mask.GetDimension() != 3:
        raise InputError(
            "bad_dimension", f"image and mask have {ct.GetDimension()} and {mask.GetDimension()} axes, not 3"
        )
    for name, image in (("image", ct), ("mask", mask)):
        if image.GetNumberOfComponentsPerPixel() != 1 or "complex" in image.GetPixelIDTypeAsString():
            raise InputError(
                "bad_pixel_type", f"the {name} holds {image.GetPixelIDTypeAsString()}, not one real number a voxel"
            )
    if apart := grid_difference(ct, mask, preparation):
        raise InputError("grid_mismatch", f"image and mask differ in {apart}")


def grid_difference(ct: sitk.Image, mask: sitk.Image, preparation: Preparation) -> str | None:
    """Say in what image and mask are not on one grid, and by how much; None where they are."""
    tolerance = preparation.geometry_tolerance or GRID_TOLERANCE
    if ct.GetSize() != mask.GetSize():
        return f"size: {ct.GetSize()} and {mask.GetSize()} voxels"
    tolerance_mm = tolerance * ct.GetSpacing()[0]
    for what, ours, theirs, limit in (
        ("spacing (mm)", ct.GetSpacing(), mask.GetSpacing(), tolerance_mm),
        ("origin (mm)", ct.GetOrigin(), mask.GetOrigin(), tolerance_mm),
        ("direction", ct.GetDirection(), mask.GetDirection(), tolerance),
    ):
        apart = float(np.abs(np.subtract(ours, theirs)).max())
        if not apart <= limit:
            return f"{what} by {apart:g} (limit {limit:g}){_way_on(ct, mask)}"
    return None


def _way_on(ct: sitk.Image, mask: sitk.Image) -> str:
    """Say under which setting two grids of one size are one, where they differ by less than a tenth of a voxel."""
    mm = ct.GetSpacing()[0]
    needed = max(
        float(np.abs(np.subtract(ours, theirs)).max()) / unit
        for ours, theirs, unit in (
            (ct.GetSpacing(), mask.GetSpacing(), mm),
            (ct.GetOrigin(), mask.GetOrigin(), mm),
            (ct.GetDirection(), mask.GetDirection(), 1.0),
        )
    )
    if not needed < LARGEST_TOLERANCE:
        return ""
    power = 10.0 ** (math.floor(math.log10(needed)) - 1)
    return f"; setting geometryTolerance: {math.ceil(needed / power * 1.01) * power:.2g} takes them as one"


def label_index(mask: sitk.Image, label: int) -> Index:
    """Return the voxels of a label, (z, y, x) in raster order."""
    labels = sitk.GetArrayViewFromImage(mask)
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            raise InputError("non_finite_voxels", "the mask holds voxels that are not finite numbers")
        labels = labels.astype(np.uint32)
    # Few planes, rows and columns hold the label, and where the largest numbers are is found sooner than the places of equal ones.
    largest = labels.reshape(len(labels), -1).max(axis=1)
    if largest.max() < label:
        nowhere = np.empty(0, np.int64)
        return nowhere, nowhere, nowhere
    z = _reach(largest >= label)
    flat = labels[z].max(axis=0)
    y, x = _reach(flat.max(axis=1) >= label), _reach(flat.max(axis=0) >= label)
    near = labels[z, y, x] == label
    n_planes, n_rows, n_columns = near.shape
    places = np.flatnonzero(near)
    row = places // n_columns
    planes, rows = np.divmod(np.arange(n_planes * n_rows), n_rows)
    return (planes + z.start).take(row), (rows + y.start).take(row), places - row * n_columns + x.start


def _reach(found: NDArray[np.bool_]) -> slice:
    """Return the part of an axis from the first place where it was found to the last."""
    places = np.flatnonzero(found)
    return slice(int(places[0]), int(places[-1]) + 1)


def check_label(mask: sitk.Image, label: int, count: int) -> None:
    """Refuse a mask of which no voxel, or every voxel, has the label."""
    if 0 < count < mask.GetNumberOfPixels():
        return
    present = np.unique(sitk.GetArrayViewFromImage(mask).astype(np.uint32))
    if count:
        raise InputError("full_mask", f"the mask is {label} in every voxel: nothing is outlined")
    if present.size == 1:
        raise InputError("empty_mask", f"the mask is {present[0]} in every voxel: nothing is outlined")
    shown = ", ".join(str(other) for other in present[present != 0][:10])
    raise InputError("label_absent", f"label {label} is absent from the mask; it holds {shown}")


def check_extent(shape: NDArray[np.int64], count: int, own: Preparation) -> None:
    """Refuse an ROI of `count` voxels in a bounding box of (z, y, x) voxels that is smaller than the settings allow."""
    thick = int(np.sum(shape > 1))
    if thick == 0:
        raise InputError("roi_too_small", "the ROI is a single voxel (limit: more than 1)")
    if thick < own.minimum_roi_dimensions:
        raise InputError(
            "roi_too_thin",
            f"the ROI spans more than one voxel along {thick} {'axis' if thick == 1 else 'axes'} (limit "
            f"{own.minimum_roi_dimensions}, minimumROIDimensions)",
        )
    if own.minimum_roi_size is not None and count <= own.minimum_roi_size:
        raise InputError(
            "roi_too_small", f"the ROI has {count} voxels (limit: more than {own.minimum_roi_size}, minimumROISize)"
        )


def box_hu(ct: sitk.Image, start: NDArray[np.int64], stop: NDArray[np.int64], *, whole: bool) -> NDArray[np.float64]:
    """Return the box as float64; `whole` says that the values depend on the whole volume, which must be finite then."""
    volume = sitk.GetArrayViewFromImage(ct)
    crop = volume[tuple(slice(low, high) for low, high in zip(start, stop, strict=True))]
    judged = volume if whole else crop
    if judged.dtype.kind == "f" and not np.isfinite(judged).all():
        count = int(np.sum(~np.isfinite(judged)))
        raise InputError("non_finite_voxels", f"the image holds {count} voxels that are not finite numbers (limit 0)")
    # A copy: the image may be gone before the box is.
    return np.array(crop, dtype=np.float64, order="C")
