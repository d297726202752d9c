"""Stationary wavelet bands of a part of an image: PyWavelets' filter, restricted to what the ROI needs.

PyWavelets transforms one line at a time, and each of eight bands over the whole box. Here the samples of many lines are added side
by side, in registers, and along an axis that is filtered only the part that is wanted is kept. A sample is the sum over the filter,
first coefficient first, in the image's own type; what lies past the end of a line is added before that, the nearest first. So the
values have equal bits (tests compare them with PyWavelets).

Source: PyWavelets 1.8, `pywt/_extensions/c/convolution.template.c`, `downsampling_convolution_periodization`.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pywt
from numpy.typing import NDArray

from cvtbatch.compiled_arrays import LANES, empty, put_lanes, take_lanes, zeros
from cvtbatch.compiled_code import compiled

Values = NDArray[np.floating]


def split_bands(
    values: Values, wavelet: pywt.Wavelet, axes: Sequence[int], wanted: Sequence[slice]
) -> Iterator[tuple[str, Values]]:
    """Yield name and values of each band of one level of `pywt.swtn` of (z, y, x) values, at the voxels of `wanted`.

    A half is split to the end before the other one, so that few of them are there at a time.

    Args:
        values: float32 or float64; an axis goes on at its other end.
        axes: in the order in which they are filtered; a band's name has a letter for each, a (approximation) or d (detail).
        wanted: one slice an axis, start and stop within `values`.
    """
    whole = values[tuple(slice(None) if axis in axes else part for axis, part in enumerate(wanted))]
    return _split("", whole, axes, _filters(wavelet, values.dtype), wanted)


def _split(
    name: str, values: Values, axes: Sequence[int], filters: Values, wanted: Sequence[slice]
) -> Iterator[tuple[str, Values]]:
    if not axes:
        yield name, values
        return
    halves = _split_axis(values, axes[0], filters, wanted[axes[0]])
    for letter, half in zip("ad", halves, strict=True):
        yield from _split(name + letter, half, axes[1:], filters, wanted)


def _filters(wavelet: pywt.Wavelet, pixel_type: np.dtype[Any]) -> Values:
    """Return low and high pass (2, F): what becomes of an impulse. PyWavelets' float32 are not all its float64, rounded."""
    impulse = np.zeros(2 * wavelet.dec_len, pixel_type)
    impulse[wavelet.dec_len // 2] = 1
    return np.stack(pywt.swt(impulse, wavelet, 1)[0])[:, : wavelet.dec_len]


def _split_axis(values: Values, axis: int, filters: Values, wanted: slice) -> Values:
    """Filter along one axis: approximation and detail (2, z, y, x) at the wanted part of it."""
    reach, size = filters.shape[1] // 2, values.shape[axis]
    start, stop = wanted.start - reach + 1, wanted.stop + reach
    if start < 0 or stop > size:
        values, start = values.take(np.arange(start, stop) % size, axis), 0
    outer, step = math.prod(values.shape[:axis]), math.prod(values.shape[axis + 1 :])
    n, past = (wanted.stop - wanted.start) * step, wanted.start + reach - size + 1
    sums = _sum_lines(np.ravel(values), filters, (outer, n, step), start * step, past)
    return sums.reshape(2, *values.shape[:axis], -1, *values.shape[axis + 1 :])


@compiled
def _sum_lines(
    lines: Values, filters: Values, shape: tuple[int, int, int], start: int, past: int
) -> Values:  # pragma: no cover - compiled
    """Return both filters' sums (2, outer, n) of flattened lines.

    Args:
        shape: outer, how many lines there are; n, sums of each; step, how far apart the samples of a line are.
        start: the first sample of a line that is seen.
        past: how many samples the first sum sees past the end of its line; negative before that.
    """
    (outer, n, step), longest = shape, filters.shape[1] - 1
    long, out = len(lines) // outer, empty((2, outer, n), lines.dtype)
    straight = min(max(2 - past, 0) * step, n)
    nothing = take_lanes(zeros(LANES, lines.dtype), 0)
    for o in range(outer):
        first, of_low, of_high = o * long + start, out[0, o], out[1, o]
        for turn in range(0, straight if straight >= LANES else 0, LANES):
            m = min(turn, straight - LANES)  # the last turn sums some anew, rather than one by one
            low, high = nothing, nothing
            for j in range(longest + 1):
                samples = take_lanes(lines, first + m + (longest - j) * step)
                low, high = low + samples * filters[0, j], high + samples * filters[1, j]
            put_lanes(of_low, m, low)
            put_lanes(of_high, m, high)
        for m in range(straight if straight >= LANES else 0, n):
            turned, of_low[m], of_high[m] = past + m // step, 0.0, 0.0
            for t in range(longest + 1):
                j = turned - 1 - t if t < turned else t
                sample = lines[first + m + (longest - j) * step]
                of_low[m] += filters[0, j] * sample
                of_high[m] += filters[1, j] * sample
    return out
