"""HU to units of the whole volume's standard deviation, as ITK normalises.

Source: PyRadiomics 3.0.1, `imageoperations.normalizeImage`; ITK 5.4, `itkNormalizeImageFilter.hxx`, `itkStatisticsImageFilter.hxx`.
"""

from math import sqrt

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cvtbatch.compiled_code import compiled
from cvtbatch.errors import InputError
from cvtbatch.radiomics.settings import Preparation

# Whole numbers are exact in a double up to here, and so are sums of them in any order.
EXACT = 2**53


def normalise(ct: sitk.Image, values: NDArray[np.float64], own: Preparation) -> NDArray[np.float64]:
    """Shift and scale values of a part of `ct` as `itk::NormalizeImageFilter` does, in its order of operations.

    Raises:
        InputError: flat_image.
    """
    mean, sigma = _mean_and_sigma(ct)
    if not sigma > 0:
        raise InputError("flat_image", "the whole volume has one value: it cannot be normalised")
    normalised: NDArray[np.float64] = (values + -mean) * (1.0 / sigma)
    if own.remove_outliers is not None:
        normalised = np.clip(normalised, -own.remove_outliers, own.remove_outliers)
    return normalised * own.normalize_scale


def _mean_and_sigma(ct: sitk.Image) -> tuple[float, float]:
    """Return what `itk::StatisticsImageFilter` finds; of small whole numbers by sums that are exact, as its own are."""
    volume = sitk.GetArrayViewFromImage(ct)
    if volume.dtype.kind in "iu" and volume.dtype.itemsize <= 2:
        total, squares = map(int, _sums(volume.ravel()))
        if max(abs(total), squares) < EXACT:
            count = float(volume.size)
            mean = total / count
            return mean, sqrt(max(0.0, (squares - float(total) * float(total) / count) / (count - 1.0)))
    statistics = sitk.StatisticsImageFilter()
    statistics.Execute(ct)
    return statistics.GetMean(), statistics.GetSigma()


@compiled
def _sums(values: NDArray[np.integer]) -> tuple[np.int64, np.int64]:  # pragma: no cover - compiled
    """Return the sum and the sum of squares."""
    total, squares = np.int64(0), np.int64(0)
    for value in values:
        wide = np.int64(value)
        total += wide
        squares += wide * wide
    return total, squares
