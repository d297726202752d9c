"""The 20 image types, each at the ROI's voxels alone.

Wavelet and gradient come from PyWavelets and ITK, as PyRadiomics calls them. Square, square root, logarithm and exponential
scale by the largest magnitude in the box, then act voxel by voxel. LoG is ITK's filter written anew (`gaussian`), LBP stands in
`lbp`.

Source: PyRadiomics 3.0.1, `imageoperations.py`.
"""

from collections.abc import Iterator

import numpy as np
import pywt
import SimpleITK as sitk
from numpy.typing import NDArray

from cvtbatch.errors import InputError
from cvtbatch.radiomics.box import RoiBox
from cvtbatch.radiomics.gaussian import laplacian_of_gaussian
from cvtbatch.radiomics.lbp import pattern_images

LOG_SIGMAS_MM = (1.0, 2.0, 3.0)
WAVELET = "coif1"
SUB_BANDS = ("LLH", "LHL", "LHH", "HLL", "HLH", "HHL", "HHH", "LLL")

Image = tuple[str, NDArray[np.floating]]


def filter_images(box: RoiBox) -> Iterator[Image]:
    """Yield name and (n,) ROI values of each image type, in the order of the feature names.

    Raises:
        InputError: box_too_thin where a filter's support does not fit into the box.
    """
    yield "original", box.values[box.index]
    yield from _log_images(box)
    yield from _wavelet_images(box)
    yield from _pointwise_images(box)
    yield "gradient", _gradient(box)
    patterns = pattern_images(box)
    yield "lbp-3D-m1", patterns.m1
    yield "lbp-3D-m2", patterns.m2
    yield "lbp-3D-k", patterns.kurtosis


def _log_images(box: RoiBox) -> Iterator[Image]:
    for sigma in LOG_SIGMAS_MM:
        support = np.ceil(sigma / np.array(box.spacing_mm)) + 1
        if (np.array(box.values.shape) < support).any():
            size = " x ".join(str(n) for n in box.values.shape[::-1])
            limit = " x ".join(f"{n:.0f}" for n in support[::-1])
            raise InputError("box_too_thin", f"the box has {size} voxels; LoG of sigma {sigma:g} mm needs {limit}")
    inside = _inside(box)
    for sigma in LOG_SIGMAS_MM:
        image = laplacian_of_gaussian(box.values, box.spacing_mm, sigma, box.roi_slices)
        yield f"log-sigma-{str(sigma).replace('.', '-')}-mm-3D", image[inside]


def _wavelet_images(box: RoiBox) -> Iterator[Image]:
    values = np.pad(box.values, [(0, size % 2) for size in box.values.shape], "wrap")
    bands = pywt.swtn(values, pywt.Wavelet(WAVELET), level=1, start_level=0, axes=(2, 1, 0))[0]
    for name in SUB_BANDS:
        yield f"wavelet-{name}", bands[name.replace("L", "a").replace("H", "d")][box.index]


def _pointwise_images(box: RoiBox) -> Iterator[Image]:
    x = box.values[box.index]
    largest = np.max(np.abs(box.values))
    positive, negative = x > 0, x < 0
    yield "square", ((1 / np.sqrt(largest)) * x) ** 2
    root = x.copy()
    root[positive] = np.sqrt(x[positive] * largest)
    root[negative] = -np.sqrt(-x[negative] * largest)
    yield "squareroot", root
    logarithm = x.copy()
    logarithm[positive] = np.log(x[positive] + 1)
    logarithm[negative] = -np.log(-(x[negative] - 1))
    yield "logarithm", logarithm * (largest / np.log(np.array([largest]) + 1)[0])
    yield "exponential", np.exp((np.log(largest) / largest) * x)


def _gradient(box: RoiBox) -> NDArray[np.float32]:
    """Gradient magnitude; one voxel around the ROI decides it, so the rest of the box is left out."""
    reach = [(max(part.start - 1, 0), part.stop + 1) for part in box.roi_slices]
    image = sitk.GetImageFromArray(box.values[tuple(slice(low, high) for low, high in reach)])
    image.SetSpacing(box.spacing_mm[::-1])
    gradient = sitk.GradientMagnitude(image, True)  # the array below is a view of it
    z, y, x = (axis - low for axis, (low, _) in zip(box.index, reach, strict=True))
    values: NDArray[np.float32] = sitk.GetArrayViewFromImage(gradient)[z, y, x]
    return values


def _inside(box: RoiBox) -> tuple[NDArray[np.int64], ...]:
    """The ROI's voxels as indices into its own bounding box."""
    return tuple(axis - low for axis, low in zip(box.index, box.lower, strict=True))
