"""Image types, each at the ROI's voxels alone.

Square, square root, logarithm and exponential scale by the largest magnitude in the box, then act voxel by voxel. LoG, wavelets and
the gradient are ITK's and PyWavelets' filters written anew (`gaussian`, `wavelets`, here), LBP stands in `lbp`.

Source: PyRadiomics 3.0.1, `imageoperations.py`; ITK 5.4, `itkGradientMagnitudeImageFilter.hxx`.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import pywt
from numpy.typing import NDArray

from cvtbatch.errors import InputError
from cvtbatch.radiomics.box import RoiBox, flat_places, in_own_type
from cvtbatch.radiomics.feature_set import ImageType
from cvtbatch.radiomics.gaussian import laplacian_of_gaussian
from cvtbatch.radiomics.lbp import pattern_images
from cvtbatch.radiomics.wavelets import split_bands

# The recursive Gaussian of the Laplacian needs as many samples along every line.
MINIMUM_BOX_SIZE = 4

Values = NDArray[np.floating]


def filter_images(box: RoiBox, image_type: ImageType) -> Iterator[tuple[str, Values]]:
    """Yield name and (n,) ROI values of each image of a type, in the order of the feature names.

    Raises:
        InputError: box_too_thin where a filter's support does not fit into the box; flat_image where a filter is undefined.
    """
    yield from zip(image_type.image_names(), _FILTERS[image_type.name](box, image_type), strict=True)


def _original(box: RoiBox, _: ImageType) -> Iterator[Values]:
    yield box.gray_values()


def require_support(box: RoiBox, image_types: Iterable[ImageType]) -> None:
    """Refuse a box that is smaller than what a LoG filter sees; PyRadiomics leaves such an image out.

    Raises:
        InputError: box_too_thin.
    """
    for image_type in image_types:
        if image_type.name == "LoG":
            _require_support_of_log(box, [float(sigma) for sigma in image_type.filtering.sigma_mm])


def _require_support_of_log(box: RoiBox, sigmas: Sequence[float]) -> None:
    size = " x ".join(str(n) for n in box.values.shape[::-1])
    if min(box.values.shape) < MINIMUM_BOX_SIZE:
        raise InputError(
            "box_too_thin",
            f"the box around the ROI has {size} voxels; the LoG filter needs {MINIMUM_BOX_SIZE} along each axis",
        )
    for sigma in sigmas:
        support = np.ceil(sigma / np.array(box.spacing_mm)) + 1
        if (np.array(box.values.shape) < support).any():
            limit = " x ".join(f"{n:.0f}" for n in support[::-1])
            raise InputError(
                "box_too_thin",
                f"the box around the ROI has {size} voxels; LoG of sigma {sigma:g} mm needs {limit}: leave this sigma out, or "
                "widen the box (padDistance) where the image goes on",
            )


def _log(box: RoiBox, image_type: ImageType) -> Iterator[Values]:
    require_support(box, [image_type])
    inside = _inside(box)
    for sigma in image_type.filtering.sigma_mm:
        yield laplacian_of_gaussian(box.values, box.spacing_mm, float(sigma), box.roi_slices, inside)


def _wavelet(box: RoiBox, image_type: ImageType) -> Iterator[Values]:
    """Stationary wavelets, level after level without dilation, as PyRadiomics takes them: details, then the last approximation."""
    own, calculation = image_type.filtering, image_type.calculation
    axes = [axis for axis in (2, 1, 0) if not (calculation.force_2d and axis == calculation.force_2d_dimension)]
    wavelet, coarse = pywt.Wavelet(own.wavelet), "a" * len(axes)
    levels = own.start_level + own.level
    part = _seen_from_roi(box, levels * wavelet.dec_len)
    lower = [seen.start or 0 for seen in part]
    roi = tuple(slice(seen.start - low, seen.stop - low) for seen, low in zip(box.roi_slices, lower, strict=True))
    values = in_own_type(box.values[part], box.pixel_type)
    values = np.pad(values, [(0, size % 2) for size in values.shape], "wrap")
    for level in range(levels):
        if level + 1 < levels:
            wanted = tuple(slice(0, size) for size in values.shape)
            places = flat_places(box.index, lower, values.shape)
        else:
            wanted, places = roi, _inside(box)
        details: dict[str, Values] = {}
        approximation = values
        for name, band in split_bands(values, wavelet, axes, wanted):
            if name == coarse:
                approximation = band
            elif level >= own.start_level:
                details[name] = band.take(places)
        values = approximation
        yield from (details[name] for name in sorted(details))
    yield values.take(places)


def _seen_from_roi(box: RoiBox, reach: int) -> tuple[slice, ...]:
    """Return the part of the box that the ROI's voxels see as far as `reach`; of an axis that ends before that, all of it."""
    return tuple(
        slice(roi.start - reach, roi.stop + reach) if reach <= roi.start and roi.stop + reach <= size else slice(None)
        for roi, size in zip(box.roi_slices, box.values.shape, strict=True)
    )


def _square(box: RoiBox, _: ImageType) -> Iterator[Values]:
    yield ((1 / np.sqrt(_largest(box))) * box.roi_values()) ** 2


def _square_root(box: RoiBox, _: ImageType) -> Iterator[Values]:
    x = box.roi_values()
    yield np.copysign(np.sqrt(np.abs(x) * box.largest), x)


def _logarithm(box: RoiBox, _: ImageType) -> Iterator[Values]:
    x, largest = box.roi_values(), _largest(box)
    yield np.copysign(np.log(np.abs(x) + 1), x) * (largest / np.log(np.array([largest]) + 1)[0])


def _exponential(box: RoiBox, _: ImageType) -> Iterator[Values]:
    largest = _largest(box)
    yield np.exp((np.log(largest) / largest) * box.roi_values())


def _largest(box: RoiBox) -> float:
    """Return the largest magnitude in the box, by which these filters scale."""
    if box.largest == 0:
        raise InputError("flat_image", "every voxel of the box around the ROI is 0: its filtered images are undefined")
    return box.largest


def _patterns(box: RoiBox, _: ImageType) -> Iterator[Values]:
    patterns = pattern_images(box)
    yield from (patterns.m1, patterns.m2, patterns.kurtosis)


def _gradient(box: RoiBox, image_type: ImageType) -> Iterator[Values]:
    """Gradient magnitude by central differences, ITK's operations in its order; past the box its border voxel stands again."""
    squares = np.zeros(len(box.index[0]))
    here, shape = flat_places(box.index, (0, 0, 0), box.values.shape), box.values.shape
    for axis in (2, 1, 0):  # ITK counts its axes from x
        weight = 0.5 * (1.0 / box.spacing_mm[axis]) if image_type.filtering.gradient_use_spacing else 0.5
        step = math.prod(shape[axis + 1 :])
        behind, ahead = step * (box.index[axis] > 0), step * (box.index[axis] < shape[axis] - 1)
        slope = box.values.take(here + ahead) * weight - box.values.take(here - behind) * weight
        squares += slope * slope
    yield np.sqrt(squares).astype(np.float32)


def _inside(box: RoiBox) -> NDArray[np.int64]:
    """The ROI's voxels as places in its own bounding box, flattened."""
    return flat_places(box.index, box.lower, box.shape)


_FILTERS: Mapping[str, Callable[[RoiBox, ImageType], Iterator[Values]]] = {
    "Original": _original,
    "LoG": _log,
    "Wavelet": _wavelet,
    "Square": _square,
    "SquareRoot": _square_root,
    "Logarithm": _logarithm,
    "Exponential": _exponential,
    "Gradient": _gradient,
    "LBP3D": _patterns,
}
