"""Interpolation along one axis as a banded matrix, and the compiled loops that apply it.

On aligned axes a spline is separable, and along one axis every target value is a weighted sum of a few dozen neighbouring
samples: the prefilter (the samples' spline coefficients) and the four B-splines around the target are one small matrix, computed
once. Applying it is the same loop for even slices, uneven slices, rows and columns. The loops sum in float32, in a fixed order
and without fast-math, so that every machine stores the same voxels.

Source: M. Unser, "Splines: a perfect fit for signal and image processing", IEEE Signal Processing Magazine 16(6), 1999; mirror
boundary as ITK's `itkBSplineDecompositionImageFilter`.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cvtbatch.compiled_arrays import empty, zeros
from cvtbatch.compiled_code import compiled

# Weights below this share are left out: all that a line of 4,000 HU loses by it is a ten-thousandth of a HU.
NEGLIGIBLE_WEIGHT = 1e-9
# Samples of the prefilter on either side that reach it: its pole is sqrt(3) - 2.
_REACH = 16
# Voxels of a plane that are worked on together, and rows: as many lines of them as weights reach are what the first cache holds.
_BLOCK = 256
_TILE = 128
# Side of what is turned at once.
_SQUARE = 16

Array = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AxisOperator:
    """Target i is `weights[i, :count[i]] @ samples[first[i] : first[i] + count[i]]`.

    Attributes:
        first, count: (targets,) int64.
        weights: (targets, most) float32.
    """

    first: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    weights: Array


def bspline_operator(index: Vector, samples: int) -> AxisOperator:
    """Return the operator of the interpolating cubic B-spline at continuous indices (targets,), mirrored at the ends."""
    floor = np.floor(index)
    t = index - floor
    taps = np.stack([(1 - t) ** 3, 4 - 6 * t**2 + 3 * t**3, 4 - 6 * (1 - t) ** 2 + 3 * (1 - t) ** 3, t**3]) / 6
    period = max(2 * samples - 2, 1)
    wrapped = np.abs(floor.astype(np.int64) + np.arange(-1, 3)[:, None]) % period
    coefficients = np.where(wrapped < samples, wrapped, period - wrapped)
    width = min(2 * _REACH + 4, samples)
    first = np.clip(floor.astype(np.int64) - width // 2 + 1, 0, samples - width)
    windows = np.lib.stride_tricks.sliding_window_view(bspline_prefilter(samples), width, axis=1)
    return _trimmed(first, np.einsum("jt,jtw->tw", taps, windows[coefficients, first]))


def spline_operator(positions: Vector, targets: Vector) -> AxisOperator:
    """Return the operator of the interpolating spline through uneven positions, cubic where they are enough."""
    # Late: few series need it, and it takes longer to be imported than all else here.
    from scipy.interpolate import make_interp_spline

    spline = make_interp_spline(positions, np.eye(len(positions)), k=min(3, len(positions) - 1))
    return _trimmed(np.zeros(len(targets), dtype=np.int64), np.asarray(spline(targets)))


@lru_cache(maxsize=8)
def bspline_prefilter(samples: int) -> Vector:
    """Return the (samples, samples) matrix that turns samples into cubic B-spline coefficients, mirrored at the ends."""
    if samples == 1:
        return np.ones((1, 1))
    before, own, after = (np.full(samples, share) for share in (1 / 6, 4 / 6, 1 / 6))
    after[0] = before[-1] = 2 / 6
    # By elimination, as LAPACK's dgtsv: no pivot is small. SciPy would take a tenth of a second of each worker to be imported.
    found = np.eye(samples)
    for row in range(1, samples):
        factor = before[row] / own[row - 1]
        own[row] -= factor * after[row - 1]
        found[row] -= factor * found[row - 1]
    found[-1] /= own[-1]
    for row in reversed(range(samples - 1)):
        found[row] = (found[row] - after[row] * found[row + 1]) / own[row]
    return found


def _trimmed(first: npt.NDArray[np.int64], weights: Vector) -> AxisOperator:
    """Leave out what is negligible at both ends of every target's band."""
    kept = np.abs(weights) > NEGLIGIBLE_WEIGHT
    skip = kept.argmax(axis=1)
    count = weights.shape[1] - kept[:, ::-1].argmax(axis=1) - skip
    column = np.minimum(skip[:, None] + np.arange(int(count.max(initial=1))), weights.shape[1] - 1)
    return AxisOperator(first + skip, count, np.take_along_axis(weights, column, axis=1).astype(np.float32))


def across_planes(planes: npt.NDArray[np.number], operator: AxisOperator) -> Array:
    """Apply an operator along axis 0 of C-ordered int16 or float32 `planes` (samples, y, x); return (targets, y, x)."""
    out = np.empty((len(operator.first), *planes.shape[1:]), dtype=np.float32)
    flat = planes.reshape(len(planes), -1)
    _combine_planes(flat, operator.first, operator.count, operator.weights, out.reshape(len(out), -1))
    return out


def within_plane(plane: npt.NDArray[np.number], down: AxisOperator, along: AxisOperator) -> Array:
    """Apply one operator down the columns and one along the rows of a C-ordered plane; return (rows, columns) of targets."""
    between = np.empty((len(down.first), plane.shape[1]), dtype=np.float32)
    _combine_planes(plane, down.first, down.count, down.weights, between)
    out = np.empty((len(between), len(along.first)), dtype=np.float32)
    _combine_columns(between, along.first, along.count, along.weights, out)
    return out


def round_into(
    out: npt.NDArray[np.integer], top: int, left: int, values: npt.NDArray[np.floating], low: float, high: float
) -> None:
    """Write values (y, x) into a plane from a row and a column on, cut to `low` and `high` and rounded half to even."""
    _round_into(out, top, left, values, values.dtype.type(low), values.dtype.type(high))


@compiled
def _combine_planes(
    planes: npt.NDArray[np.number],
    first: npt.NDArray[np.int64],
    count: npt.NDArray[np.int64],
    weights: Array,
    out: Array,
) -> None:  # pragma: no cover - compiled
    """Fill `out` (targets, n) from `planes` (samples, n), a block of columns at a time."""
    block = empty((len(planes), _BLOCK), np.float32)
    for start in range(0, planes.shape[1], _BLOCK):
        stop = min(start + _BLOCK, planes.shape[1])
        for k in range(len(planes)):
            # Rows of their own are what the compiler makes vectors of.
            plane, row = planes[k, start:stop], block[k]
            for x in range(len(plane)):
                row[x] = plane[x]
        for i in range(len(first)):
            _combine(block[first[i] : first[i] + count[i]], weights[i], out[i, start:stop])


@compiled
def _combine_columns(
    plane: Array, first: npt.NDArray[np.int64], count: npt.NDArray[np.int64], weights: Array, out: Array
) -> None:  # pragma: no cover - compiled
    """Fill `out` (rows, targets) from `plane` (rows, samples); rows are turned a tile at a time, to run side by side."""
    tile = zeros((plane.shape[1], _TILE), np.float32)
    sums = empty((len(first), _TILE), np.float32)
    for start in range(0, len(plane), _TILE):
        stop = min(start + _TILE, len(plane))
        _turn(plane[start:stop], tile)
        for i in range(len(first)):
            _combine(tile[first[i] : first[i] + count[i]], weights[i], sums[i])
        _turn(sums, out[start:stop])


@compiled
def _combine(rows: Array, weights: Array, total: Array) -> None:  # pragma: no cover - compiled
    """Fill `total` with the weighted sum of rows that are at least as long, four at a time."""
    total[:] = 0
    t = 0
    while t + 4 <= len(rows):
        w0, w1, w2, w3 = weights[t], weights[t + 1], weights[t + 2], weights[t + 3]
        r0, r1, r2, r3 = rows[t], rows[t + 1], rows[t + 2], rows[t + 3]
        for x in range(len(total)):
            total[x] += (w0 * r0[x] + w1 * r1[x]) + (w2 * r2[x] + w3 * r3[x])
        t += 4
    while t < len(rows):
        w0, r0 = weights[t], rows[t]
        for x in range(len(total)):
            total[x] += w0 * r0[x]
        t += 1


@compiled
def _turn(rows: Array, columns: Array) -> None:  # pragma: no cover - compiled
    """Write rows as the first of columns, a square at a time; as many of their values as there are columns."""
    for start in range(0, len(rows), _SQUARE):
        for left in range(0, len(columns), _SQUARE):
            square = rows[start : start + _SQUARE, left : left + _SQUARE]
            for x in range(min(_SQUARE, len(columns) - left)):
                line = columns[left + x, start : start + len(square)]
                for y in range(len(square)):
                    line[y] = square[y, x]


@compiled
def _round_into(
    out: npt.NDArray[np.integer],
    top: int,
    left: int,
    values: npt.NDArray[np.floating],
    low: np.floating,
    high: np.floating,
) -> None:  # pragma: no cover - compiled
    for y in range(len(values)):
        row, whole = values[y], out[top + y, left : left + values.shape[1]]
        for x in range(len(row)):
            value = np.rint(row[x])
            value = low if value < low else value
            whole[x] = high if value > high else value
