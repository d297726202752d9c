"""First-order statistics: 18 features, and StandardDeviation, which is deprecated.

Means are summed as NumPy sums them, in raster order: on a flat region the deviations from a mean are round-off, and kurtosis is
their ratio.

Source: PyRadiomics 3.0.1, `firstorder.py`; percentiles as `numpy.percentile`, method "linear".
"""

import math

import numpy as np
from numpy.typing import NDArray

EPS = float(np.spacing(1))


def first_order_features(
    values: NDArray[np.floating], counts: NDArray[np.int64], shift: float, voxel_mm3: float
) -> dict[str, float]:
    """Return the features of the (n,) ROI values of one image; a NaN among them is left out, as PyRadiomics does.

    Args:
        values: gray values, finite or NaN, at least one of them not NaN.
        counts: voxels of each gray level present.
        shift: added before energies are taken (`voxelArrayShift`).
        voxel_mm3: volume of a voxel.
    """
    x = np.asarray(values, np.float64)
    known, filled = x, x
    if (undefined := np.isnan(x)).any():
        known, filled = x[~undefined], np.where(undefined, 0.0, x)
    ordered = np.sort(known)
    p10, p25, p75, p90 = (_percentile(ordered, q) for q in (10, 25, 75, 90))
    # A value that is left out adds 0 in its place, as in `numpy.nanmean`, so that the sum has the same order.
    mean = float(np.add.reduce(filled) / len(known))
    centred = known - mean
    squares = centred * centred
    m2 = float(np.add.reduce(squares)) / len(known)
    m3 = float(np.add.reduce(squares * centred)) / len(known)
    m4 = float(np.add.reduce(squares * squares)) / len(known)
    energy = float(np.add.reduce((known + shift) ** 2))
    core = (x >= p10) & (x <= p90)
    share = counts / counts.sum()
    divisor = m2 if m2 != 0 else 1.0
    return {
        "10Percentile": p10,
        "90Percentile": p90,
        "Energy": energy,
        "Entropy": float(-np.sum(share * np.log2(share + EPS))),
        "InterquartileRange": p75 - p25,
        "Kurtosis": m4 / divisor**2.0,
        "Maximum": float(ordered[-1]),
        "MeanAbsoluteDeviation": float(np.abs(centred).mean()),
        "Mean": mean,
        "Median": float((ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2),
        "Minimum": float(ordered[0]),
        "Range": float(ordered[-1] - ordered[0]),
        "RobustMeanAbsoluteDeviation": _mean_of(np.abs(filled - _mean_of(filled, core)), core),
        "RootMeanSquared": math.sqrt(energy / len(known)),
        "Skewness": m3 / divisor**1.5,
        "StandardDeviation": math.sqrt(m2),
        "TotalEnergy": energy * voxel_mm3,
        "Uniformity": float(np.sum(share**2)),
        "Variance": m2,
    }


def _mean_of(values: NDArray[np.float64], kept: NDArray[np.bool_]) -> float:
    """Mean of the kept values; the others, finite too, add 0 in their places (`numpy.where` takes six times as long)."""
    count = int(np.count_nonzero(kept))
    return float(np.add.reduce(values * kept) / count) if count else math.nan


def _percentile(ordered: NDArray[np.float64], percent: int) -> float:
    """Percentile of sorted values, in `numpy.percentile`'s order of operations."""
    place = (len(ordered) - 1) * (percent / 100)
    below = math.floor(place)
    if below + 1 >= len(ordered):
        return float(ordered[-1])
    low, high, weight = float(ordered[below]), float(ordered[below + 1]), place - below
    return high - (high - low) * (1 - weight) if weight >= 0.5 else low + (high - low) * weight
