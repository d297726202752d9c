"""First-order statistics: 18 features, and StandardDeviation, which is deprecated.

Means are summed as NumPy sums them, in raster order: on a flat region the deviations from a mean are round-off, and kurtosis is
their ratio. What is summed over the same voxels is summed in one pass, a block of `numpy.add.reduce` after the other.

Source: PyRadiomics 3.0.1, `firstorder.py`; percentiles as `numpy.percentile`, method "linear"; NumPy 2.4,
`numpy/_core/src/umath/loops_utils.h.src` (`pairwise_sum`).
"""

import math

import numpy as np
from numpy.typing import NDArray

from cvtbatch.compiled_arrays import empty, sum_eight, take_eight, zeros
from cvtbatch.compiled_code import compiled

# Numbers that NumPy adds one after the other, in eight partial sums; of more it adds two halves, each of them by itself.
_BLOCK = 128
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
    ordered = np.sort(values)  # in their own type: of float32 it takes less; a NaN comes behind all numbers
    known = filled = x = np.ascontiguousarray(values, np.float64)
    if math.isnan(ordered[-1]):
        undefined = np.isnan(x)
        known, filled = x[~undefined], np.where(undefined, 0.0, x)
        ordered = ordered[: len(known)]
    p10, p25, p75, p90 = (_percentile(ordered, q) for q in (10, 25, 75, 90))
    # A value that is left out adds 0 in its place, as in `numpy.nanmean`, so that the sum has the same order.
    mean, count = float(np.add.reduce(filled) / len(known)), len(known)
    sums = _sum_terms(known, mean, shift, p10, p90, 0)
    m2, m3, m4, apart = (sums[:4] / count).tolist()
    energy = float(sums[4])
    in_core, core = (sums if known is x else _sum_terms(x, mean, shift, p10, p90, 5))[5:7].tolist()
    robust = float(_sum_terms(x, in_core / core, shift, p10, p90, 7)[7]) / core if core else math.nan
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
        "MeanAbsoluteDeviation": apart,
        "Mean": mean,
        "Median": (float(ordered[(count - 1) // 2]) + float(ordered[count // 2])) / 2,
        "Minimum": float(ordered[0]),
        "Range": float(ordered[-1]) - float(ordered[0]),
        "RobustMeanAbsoluteDeviation": robust,
        "RootMeanSquared": math.sqrt(energy / count),
        "Skewness": m3 / divisor**1.5,
        "StandardDeviation": math.sqrt(m2),
        "TotalEnergy": energy * voxel_mm3,
        "Uniformity": float(np.sum(share**2)),
        "Variance": m2,
    }


def _percentile(ordered: NDArray[np.float64], percent: int) -> float:
    """Percentile of sorted values, in `numpy.percentile`'s order of operations."""
    place = (len(ordered) - 1) * (percent / 100)
    below = math.floor(place)
    if below + 1 >= len(ordered):
        return float(ordered[-1])
    low, high, weight = float(ordered[below]), float(ordered[below + 1]), place - below
    return high - (high - low) * (1 - weight) if weight >= 0.5 else low + (high - low) * weight


@compiled
def _sum_terms(
    x: NDArray[np.float64], centre: float, shift: float, low: float, high: float, wanted: int
) -> NDArray[np.float64]:  # pragma: no cover - compiled
    """Return eight sums over (n,) values, each of them in the order of `numpy.add.reduce`.

    Of the second, third and fourth power of what they are off the centre, of its magnitude, and of the square of the values
    shifted; of those from `low` to `high` the values, how many there are, and the magnitudes again.

    Args:
        wanted: the first sum that is; those before it are 0.
    """
    terms, sums, halves = empty((8, _BLOCK), np.float64), zeros(8, np.float64), empty((64, 8), np.float64)
    others = zeros(64, np.int64)  # by depth, what the second half holds while the first one is added
    first, size, depth = 0, len(x), 0
    while True:
        while size > _BLOCK:
            half = size // 2 - size // 2 % 8
            depth += 1
            others[depth], size = size - half, half
        values = x[first : first + size]
        for t in range(size):
            value = values[t]
            off, kept = value - centre, low <= value and value <= high
            square, shifted = off * off, value + shift
            terms[0, t], terms[1, t], terms[2, t], terms[3, t] = square, square * off, square * square, abs(off)
            terms[4, t] = shifted * shifted
            terms[5, t], terms[6, t], terms[7, t] = value if kept else 0.0, np.float64(kept), abs(off) if kept else 0.0
        for k in range(wanted, 8):
            block, whole, sums[k] = terms[k], size - size % 8, -0.0
            if whole > 0:
                lanes = take_eight(block, 0)
                for t in range(8, whole, 8):
                    lanes = lanes + take_eight(block, t)
                sums[k] = sum_eight(lanes)
            for t in range(whole, size):
                sums[k] += block[t]
        first += size
        while depth > 0 and others[depth] == 0:
            for k in range(8):
                sums[k] = halves[depth, k] + sums[k]
            depth -= 1
        if depth == 0:
            for k in range(8):
                sums[k] += 0.0  # of zeros with a sign NumPy's sum has none
            return sums
        for k in range(8):
            halves[depth, k] = sums[k]
        size, others[depth] = others[depth], 0
