"""Coefficients of the cubic B-spline that LBP-3D reads, to SciPy's last bit.

SciPy copies one line at a time, filters it and copies it back. Here lines run side by side, where they lie, and once an axis is
filtered, the part of it that nobody reads is dropped. The operations and their order are SciPy's: a causal and an anticausal
recursion along z, then y, then x, with mirror boundaries, which mode "constant" takes as well (tests compare the bits).

Source: SciPy 1.16, `ndimage/src/ni_splines.c` (`apply_filter`, `_init_causal_mirror`, `_init_anticausal_mirror`).
"""

from collections.abc import Sequence
from math import pow

import numpy as np
from numpy.typing import NDArray

from cvtbatch.compiled_code import compiled

# The root of 3, less 2, as SciPy has it: all its digits, where the difference of two doubles has fewer.
POLE = -0.267949192431122706472553658494127633
GAIN = (1.0 - POLE) * (1.0 - 1.0 / POLE)
# Lines that run side by side.
_WIDTH = 64

Doubles = NDArray[np.float64]


def spline_coefficients(values: Doubles, near: Sequence[slice]) -> Doubles:
    """Return (z, x, y) coefficients, at the voxels of `near`, of (z, y, x) values.

    They are those of `scipy.ndimage.spline_filter(values, 3, float64, "constant")`.
    """
    z, y, x = near
    lines = values.copy()
    _filter_axis(lines.reshape(1, len(lines), -1))
    lines = lines[z]
    _filter_axis(lines)
    lines = np.ascontiguousarray(lines[:, y].swapaxes(1, 2))
    _filter_axis(lines)
    return lines[:, x]


def _filter_axis(lines: Doubles) -> None:
    """Filter (outer, length, inner) values along the middle axis, in place; a single voxel stays as it is."""
    if lines.shape[1] > 1:
        _filter_lines(lines, pow(POLE, lines.shape[1] - 1))


@compiled
def _filter_lines(lines: Doubles, mirrored: float) -> None:  # pragma: no cover - compiled
    """As `_filter_axis`, for lines of two voxels or more; `mirrored` is the pole's power of a line's last place."""
    outer, length, inner = lines.shape
    for o in range(outer):
        for start in range(0, inner, _WIDTH):
            stop = min(start + _WIDTH, inner)
            first, last = lines[o, 0, start:stop], lines[o, length - 1, start:stop]
            for n in range(length):
                row = lines[o, n, start:stop]
                for k in range(len(row)):
                    row[k] *= GAIN
            for k in range(len(first)):
                first[k] += mirrored * last[k]
            power = POLE
            for n in range(1, length - 1):
                row, opposite = lines[o, n, start:stop], lines[o, length - 1 - n, start:stop]
                for k in range(len(first)):
                    first[k] += power * (row[k] + mirrored * opposite[k])
                power *= POLE
            for k in range(len(first)):
                first[k] /= 1.0 - mirrored * mirrored
            for n in range(1, length):
                row, before = lines[o, n, start:stop], lines[o, n - 1, start:stop]
                for k in range(len(row)):
                    row[k] += POLE * before[k]
            before = lines[o, length - 2, start:stop]
            for k in range(len(last)):
                last[k] = (POLE * before[k] + last[k]) * POLE / (POLE * POLE - 1.0)
            for n in range(length - 2, -1, -1):
                row, ahead = lines[o, n, start:stop], lines[o, n + 1, start:stop]
                for k in range(len(row)):
                    row[k] = POLE * (ahead[k] - row[k])
