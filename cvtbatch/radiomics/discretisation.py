"""Gray levels by a fixed width or number of bins, once per filtered image, shared by all matrix classes.

Source: PyRadiomics 3.0.1, `imageoperations.getBinEdges` and `binImage`: edges start at the multiple of the bin width at or
below the ROI's minimum, and are computed in the image's own type (LoG and gradient images are float32). Where a first edge is
given they start there, as IBSI's "fixed bin size" does (code Q3RU).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvtbatch.compiled_arrays import empty, zeros
from cvtbatch.compiled_code import compiled
from cvtbatch.errors import InputError
from cvtbatch.radiomics.settings import Calculation

# The co-occurrence matrices hold 13 x N x N numbers.
MAXIMUM_LEVELS = 4096


@dataclass(frozen=True, slots=True)
class GrayLevels:
    """The ROI's gray levels.

    Attributes:
        codes: (n,) uint16, for each ROI voxel the 1-based place of its gray level among those present.
        levels: (N,) int64, the gray levels present, increasing, the first bin being 1.
        counts: (N,) int64, voxels of each.
    """

    codes: NDArray[np.uint16]
    levels: NDArray[np.int64]
    counts: NDArray[np.int64]


def bin_edges(
    values: NDArray[np.floating], calculation: Calculation, first_edge: float | None = None
) -> NDArray[np.floating]:
    """Return PyRadiomics' bin edges for (n,) values in their own type; a NaN is passed over unless it comes first.

    Args:
        first_edge: where bins of a width start; None for the multiple of the width at or below the minimum.

    Raises:
        InputError: undefined_gray_levels where PyRadiomics itself cannot make bins.
    """
    if calculation.bin_count is not None:
        return _equal_bins(values, calculation.bin_count)
    if np.isnan(values[0]):
        raise InputError(
            "undefined_gray_levels", "the first voxel of the ROI has no value in a filtered image: no bins follow"
        )
    minimum, maximum, bin_width = np.fmin.reduce(values), np.fmax.reduce(values), calculation.bin_width
    start = minimum - minimum % bin_width if first_edge is None else first_edge
    edges: NDArray[np.floating] = np.arange(start, maximum + 2 * bin_width, bin_width)
    return edges


def _equal_bins(values: NDArray[np.floating], count: int) -> NDArray[np.floating]:
    """Return NumPy's edges of `count` bins from minimum to maximum; the last is moved so that the maximum lies below it."""
    try:
        edges: NDArray[np.floating] = np.histogram_bin_edges(values, count)
    except ValueError as error:
        raise InputError("undefined_gray_levels", f"binCount {count}: no bins: {error}") from None
    edges[-1] += 1
    return edges


def discretise(values: NDArray[np.floating], calculation: Calculation, first_edge: float | None = None) -> GrayLevels:
    """Discretise the (n,) ROI values of one image; arguments as for `bin_edges`.

    Raises:
        InputError: too_many_gray_levels; undefined_gray_levels where PyRadiomics itself cannot make bins.
    """
    how = f"of width {calculation.bin_width:g}" if calculation.bin_count is None else "of equal width"
    edges = np.asarray(bin_edges(values, calculation, first_edge), np.float64)
    if len(edges) < 2:
        raise InputError("undefined_gray_levels", f"values are too large to lie in bins {how}")
    if len(edges) > np.iinfo(np.uint16).max:
        raise InputError("too_many_gray_levels", f"{len(edges)} bins {how} (limit {MAXIMUM_LEVELS} levels)")
    codes, present = _assign_bins(np.asarray(values, np.float64), edges)
    levels = np.flatnonzero(present)
    if levels[0] == 0:
        raise InputError("undefined_gray_levels", f"a value lies below the first bin {how}")
    if len(levels) > MAXIMUM_LEVELS:
        raise InputError("too_many_gray_levels", f"{len(levels)} gray levels (limit {MAXIMUM_LEVELS}): widen the bins")
    if levels[-1] != len(levels):  # else the places of the levels are the levels
        place = np.zeros(len(present), np.uint16)
        place[levels] = np.arange(1, len(levels) + 1)
        codes = place.take(codes)
    return GrayLevels(codes, levels, present[levels])


@compiled
def _assign_bins(
    values: NDArray[np.float64], edges: NDArray[np.float64]
) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:  # pragma: no cover - compiled
    """Return `numpy.digitize(values, edges)` and the count of each bin; a NaN falls past the last edge, as there.

    Where a value lies among edges of one width is a division. One that is as close to an edge as that is off is compared with it.
    """
    last, quarter = len(edges), len(values) // 4
    codes, close = empty(len(values), np.uint16), empty(len(values), np.uint8)
    first, scale, off = edges[0], 1.0 / (edges[1] - edges[0]), 0.0
    for k in range(last):
        off = max(off, abs((edges[k] - first) * scale - k))
    off = 2 * off + 1e-9
    for n in range(len(values)):
        place = (values[n] - first) * scale
        below = np.int32(place)
        past = place - below
        codes[n] = below + 1
        close[n] = not (place >= 0 and place < last - 1 and past > off and past < 1 - off)
    for n in range(len(values)):
        if close[n]:
            value = values[n]
            if value != value:
                level = last
            else:
                level = min(max(int((value - first) * scale) + 1, 0), last)
                while level < last and edges[level] <= value:
                    level += 1
                while level > 0 and edges[level - 1] > value:
                    level -= 1
            codes[n] = level
    counts = zeros((4, last + 1), np.int64)  # of four parts, since one count waits for the one before in the same bin
    for n in range(quarter):
        for k in range(4):
            counts[k, codes[n + k * quarter]] += 1
    for n in range(4 * quarter, len(values)):
        counts[0, codes[n]] += 1
    for level in range(last + 1):
        counts[0, level] += counts[1, level] + counts[2, level] + counts[3, level]
    return codes, counts[0]
