"""Stationary wavelet bands of a part of an image: PyWavelets' filter, restricted to what the ROI needs.

PyWavelets transforms one line at a time, and each of eight bands over the whole box. Here the samples of many lines are added side
by side, and along an axis that is filtered only the part that is wanted is kept. A sample is the sum over the filter, first
coefficient first, in the image's own type; what lies past the end of a line is added before that, the nearest first. So the values
have equal bits (tests compare them with PyWavelets).

Source: PyWavelets 1.8, `pywt/_extensions/c/convolution.template.c`, `downsampling_convolution_periodization`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pywt
from numpy.typing import NDArray

from cvtbatch.compiled_arrays import zeros
from cvtbatch.compiled_code import compiled

Values = NDArray[np.floating]
# Samples that are summed side by side.
_WIDTH = 512


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
    reach = filters.shape[1] // 2
    start, stop = wanted.start - reach + 1, wanted.stop + reach
    if start >= 0 and stop <= values.shape[axis]:
        lines = values[(slice(None),) * axis + (slice(start, stop),)]
    else:
        lines = values.take(np.arange(start, stop) % values.shape[axis], axis)
    lines = np.ascontiguousarray(lines)
    shape = list(values.shape)
    shape[axis] = wanted.stop - wanted.start
    outer, step = int(np.prod(shape[:axis])), int(np.prod(shape[axis + 1 :]))
    past = wanted.start + reach - values.shape[axis] + 1
    return _sum_lines(lines.reshape(outer, -1), filters, step, past).reshape(2, *shape)


@compiled
def _sum_lines(lines: Values, filters: Values, step: int, past: int) -> Values:  # pragma: no cover - compiled
    """Return both filters' sums (2, outer, n) of lines (outer, n + (F - 1) step), samples of a line being `step` apart.

    Args:
        past: how many samples the first sum sees past the end of its line; negative before that.
    """
    longest = filters.shape[1] - 1
    outer, n = lines.shape[0], lines.shape[1] - longest * step
    out = zeros((2, outer, n), lines.dtype)
    straight = min(max(2 - past, 0) * step, n)
    for o in range(outer):
        for start in range(0, straight, _WIDTH):
            width = min(_WIDTH, straight - start)
            low, high = out[0, o, start : start + width], out[1, o, start : start + width]
            for j in range(longest + 1):
                first = start + (longest - j) * step
                samples, of_low, of_high = lines[o, first : first + width], filters[0, j], filters[1, j]
                for k in range(width):
                    low[k] += of_low * samples[k]
                    high[k] += of_high * samples[k]
        for m in range(straight, n):
            turned = past + m // step
            for t in range(longest + 1):
                j = turned - 1 - t if t < turned else t
                sample = lines[o, m + (longest - j) * step]
                out[0, o, m] += filters[0, j] * sample
                out[1, o, m] += filters[1, j] * sample
    return out
