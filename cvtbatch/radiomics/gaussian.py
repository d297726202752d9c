"""Laplacian of Gaussian by recursive filters: ITK's filter, restricted to what the ROI needs.

ITK runs one line at a time over the whole box, nine times a sigma: more time than all the texture matrices take here. Here many
lines run side by side, along any axis without turning the volume, planes are filtered along x and y while they are in the cache,
lines that no ROI voxel can see are left out, and each recursion ends where the ROI does. Operations and their order are ITK's, and
each pass is rounded to float32 as there, so that the values have equal bits (tests compare them with SimpleITK).

Source: ITK 5.4, `itkRecursiveGaussianImageFilter.hxx`, `itkRecursiveSeparableImageFilter.hxx` and
`itkLaplacianRecursiveGaussianImageFilter.hxx`; R. Deriche, INRIA RR-1893 (1993); G. Farneback and C.-F. Westin (2006).
"""

from math import cos, exp, sin

import numpy as np
from numpy.typing import NDArray

from cvtbatch.compiled_arrays import LANES, empty, put_lanes, round_lanes, take_lanes, zeros
from cvtbatch.compiled_code import compiled

# Farneback and Westin's fit of the Gaussian (order 0) and its second derivative: A1, B1, A2, B2 by order, then W1, L1, W2, L2.
_FIT = {0: (1.3530, 1.8151, -0.3531, 0.0902), 2: (-1.3563, 5.2318, 0.3446, -2.2355)}
_W1, _L1, _W2, _L2 = 0.6681, -1.3932, 2.0787, -1.3732
# Planes that are filtered along both their axes before the next ones are.
_PLANES = 2


def laplacian_of_gaussian(
    values: NDArray[np.float64],
    spacing_mm: tuple[float, float, float],
    sigma_mm: float,
    wanted: tuple[slice, slice, slice],
    places: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Return ITK's LaplacianRecursiveGaussian, normalised across scale, of (z, y, x) values.

    Args:
        wanted: a part of the values.
        places: (n,) those of its voxels, flattened, that are returned.
    """
    smooth = [_coefficients(sigma_mm / step, 0, 1.0) for step in spacing_mm]
    derive = [_coefficients(sigma_mm / step, 2, sigma_mm * sigma_mm) for step in spacing_mm]
    z, y, x = wanted
    total = np.zeros((), np.float32)
    for axis in (2, 1, 0):  # ITK counts its axes from x, derives along one and smooths along the others in this order
        if axis == 0:
            term = _in_planes(_along_z(values, derive[0], z), 2, smooth[2], smooth[1], (y, x))
        else:
            other = 3 - axis
            term = _along_z(_in_planes(values, axis, derive[axis], smooth[other], (y, x)), smooth[0], z)
        weighed = term.take(places)
        weighed *= 1.0 / (spacing_mm[axis] * spacing_mm[axis])
        total = np.add(total, weighed, out=weighed).astype(np.float32)
    return total


def _along_z(values: NDArray[np.float64], coefficients: NDArray[np.float64], wanted: slice) -> NDArray[np.float64]:
    """Filter (z, y, x) values along z, of which the wanted part is kept; the result holds float32 numbers as float64."""
    planes, rows, columns = values.shape
    out = np.empty((wanted.stop - wanted.start, rows, columns))
    shape, steps = (1, planes), (rows * columns, 1, 1)
    _filter_lines(np.ravel(values), out.reshape(-1), shape, steps, coefficients, wanted.start, wanted.stop)
    return out


def _in_planes(
    values: NDArray[np.float64],
    axis: int,
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    wanted: tuple[slice, slice],
) -> NDArray[np.float64]:
    """As `_along_z`, along x and y: along `axis`, 1 or 2, by the first coefficients, then along the other one by the second."""
    y, x = wanted
    out = np.empty((len(values), y.stop - y.start, x.stop - x.start))
    bounds = (y.start, y.stop, x.start, x.stop)
    _filter_planes(np.ravel(values), out.reshape(-1), values.shape, axis == 1, first, second, bounds)
    return out


def _coefficients(sigma: float, order: int, scale: float) -> NDArray[np.float64]:
    """Return, for a sigma in voxels, N0-N3 and M1-M4, times `scale`, then what a recursion weighs its last four results by.

    That is D1-D4, but BN1-BN4 and BM1-BM4 for those that would stand before a line: for its first five samples four numbers each,
    of the causal recursion, then of the anticausal one.
    """
    d = _denominator(sigma)
    sd = 1.0 + d[0] + d[1] + d[2] + d[3]
    dd = d[0] + 2 * d[1] + 3 * d[2] + 4 * d[3]
    ed = d[0] + 4 * d[1] + 9 * d[2] + 16 * d[3]
    n = _numerator(sigma, *_FIT[0])
    sn, dn, en = _sums(n)
    if order == 0:
        alpha = 2 * sn / sd - n[0]
    else:
        n2 = _numerator(sigma, *_FIT[2])
        sn2, dn2, en2 = _sums(n2)
        beta = -(2 * sn2 - sd * n2[0]) / (2 * sn - sd * n[0])
        n = [second + beta * zeroth for second, zeroth in zip(n2, n, strict=True)]
        sn, dn, en = sn2 + beta * sn, dn2 + beta * dn, en2 + beta * en
        alpha = en * sd * sd - ed * sn * sd - 2 * dn * dd * sd + 2 * dd * dd * sn
        alpha /= sd * sd * sd
    n = [value * (scale / alpha) for value in n]
    m = [n[1] - d[0] * n[0], n[2] - d[1] * n[0], n[3] - d[2] * n[0], -d[3] * n[0]]
    sn, sm = n[0] + n[1] + n[2] + n[3], m[0] + m[1] + m[2] + m[3]
    weights = [d[k] if k < sample else d[k] * edge / sd for edge in (sn, sm) for sample in range(5) for k in range(4)]
    return np.array([*n, *m, *weights])


def _denominator(sigma: float) -> list[float]:
    cos1, cos2, exp1, exp2 = cos(_W1 / sigma), cos(_W2 / sigma), exp(_L1 / sigma), exp(_L2 / sigma)
    d3 = -2 * cos1 * exp1 * exp2 * exp2
    d3 += -2 * cos2 * exp2 * exp1 * exp1
    d2 = 4 * cos2 * cos1 * exp1 * exp2
    d2 += exp1 * exp1 + exp2 * exp2
    return [-2 * (exp2 * cos2 + exp1 * cos1), d2, d3, exp1 * exp1 * exp2 * exp2]


def _numerator(sigma: float, a1: float, b1: float, a2: float, b2: float) -> list[float]:
    sin1, sin2, cos1, cos2 = sin(_W1 / sigma), sin(_W2 / sigma), cos(_W1 / sigma), cos(_W2 / sigma)
    exp1, exp2 = exp(_L1 / sigma), exp(_L2 / sigma)
    n1 = exp2 * (b2 * sin2 - (a2 + 2 * a1) * cos2)
    n1 += exp1 * (b1 * sin1 - (a1 + 2 * a2) * cos1)
    n2 = (a1 + a2) * cos2 * cos1
    n2 -= b1 * cos2 * sin1 + b2 * cos1 * sin2
    n2 *= 2 * exp1 * exp2
    n2 += a2 * exp1 * exp1 + a1 * exp2 * exp2
    n3 = exp2 * exp1 * exp1 * (b2 * sin2 - a2 * cos2)
    n3 += exp1 * exp2 * exp2 * (b1 * sin1 - a1 * cos1)
    return [a1 + a2, n1, n2, n3]


def _sums(n: list[float]) -> tuple[float, float, float]:
    return n[0] + n[1] + n[2] + n[3], n[1] + 2 * n[2] + 3 * n[3], n[1] + 4 * n[2] + 9 * n[3]


@compiled
def _filter_planes(
    values: NDArray[np.float64],
    out: NDArray[np.float64],
    shape: tuple[int, int, int],
    y_first: bool,
    c_first: NDArray[np.float64],
    c_second: NDArray[np.float64],
    wanted: tuple[int, int, int, int],
) -> None:  # pragma: no cover - compiled
    """Filter flattened (z, y, x) values along both axes of each plane, a few at a time, which stay in the cache."""
    planes, rows, columns = shape
    y_start, y_stop, x_start, x_stop = wanted
    size, size_out = rows * columns, (y_stop - y_start) * (x_stop - x_start)
    size_half = (y_stop - y_start) * columns if y_first else rows * (x_stop - x_start)
    half = empty(_PLANES * size_half, np.float64)
    for z in range(0, planes, _PLANES):
        n = min(_PLANES, planes - z)
        for k in range(2):
            if k == 0:
                source, target, width, c = values[z * size : (z + n) * size], half[: n * size_half], columns, c_first
            else:
                source, target, width, c = (
                    half[: n * size_half],
                    out[z * size_out : (z + n) * size_out],
                    x_stop - x_start,
                    c_second,
                )
            if y_first == (k == 0):
                lines, steps, start, stop = (n, rows), (width, 1, 1), y_start, y_stop
            else:
                lines, steps, start, stop = (1, columns), (1, columns, x_stop - x_start), x_start, x_stop
            _filter_lines(source, target, lines, steps, c, start, stop)


@compiled
def _filter_lines(
    values: NDArray[np.float64],
    out: NDArray[np.float64],
    shape: tuple[int, int],
    steps: tuple[int, int, int],
    c: NDArray[np.float64],
    first: int,
    stop: int,
) -> None:  # pragma: no cover - compiled
    """Filter flattened values along lines, causal and anticausal, and keep samples from `first` to `stop` of each line.

    Args:
        shape: planes of equally many lines, one after the other, and samples of a line, at least four.
        steps: from a sample of a line to the next, and from a line to the next in the values and in `out`.
    """
    planes, length = shape
    step, line_step, out_step = steps
    inner, lines = len(values) // (planes * length), len(values) // length
    data, sums = zeros(length * LANES, np.float64), empty((stop - first) * LANES, np.float64)
    for start in range(0, lines, LANES):
        end, within = min(start + LANES, lines), start % inner
        direct = line_step == 1 and out_step == 1 and within + LANES <= inner
        if direct:
            source, place, target, apart = values, start // inner * length * inner + within, out, step
            to = start // inner * (stop - first) * inner + within
        else:
            source, place, target, apart, to = data, 0, sums, LANES, 0
            line = start
            while line < end:
                plane, within = line // inner, line % inner
                count, lane = min(inner - within, end - line), line - start
                at = plane * length * inner + within * line_step
                for i in range(length):
                    samples, row = values[at + i * step :], data[i * LANES + lane :]
                    for w in range(np.uint64(count)):
                        row[w] = samples[w * np.uint64(line_step)]
                line += count
        _recurse(source, place, apart, sums, target, to, c, length, first, stop)
        line = end if direct else start
        while line < end:
            plane, within = line // inner, line % inner
            count, lane = min(inner - within, end - line), line - start
            at = plane * (stop - first) * inner + within * out_step
            for i in range(stop - first):
                kept, row = out[at + i * step :], sums[i * LANES + lane :]
                for w in range(np.uint64(count)):
                    kept[w * np.uint64(out_step)] = row[w]
            line += count


@compiled
def _recurse(
    data: NDArray[np.float64],
    place: int,
    step: int,
    sums: NDArray[np.float64],
    out: NDArray[np.float64],
    to: int,
    c: NDArray[np.float64],
    length: int,
    first: int,
    stop: int,
) -> None:  # pragma: no cover - compiled
    """Add the causal recursion up to `stop` and the anticausal one down to `first`, to float32, on all lines, filled or not.

    Before and behind a line its border value stands.

    Args:
        data: the lines, side by side, the first sample of the first at `place`, and `step` from one sample to the next.
        sums: for as many samples as are kept.
        out, to: where these are put, likewise; it may be `sums`.
    """
    n0, n1, n2, n3, m1, m2, m3, m4 = c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]
    end = length - 1
    y1 = take_lanes(data, place)
    y2, y3, y4 = y1, y1, y1
    for i in range(stop):
        k = 8 + 4 * min(i, 4)
        x0, x1, x2, x3 = (
            take_lanes(data, place + i * step),
            take_lanes(data, place + max(i - 1, 0) * step),
            take_lanes(data, place + max(i - 2, 0) * step),
            take_lanes(data, place + max(i - 3, 0) * step),
        )
        y0 = (x0 * n0 + x1 * n1 + x2 * n2 + x3 * n3) - (y1 * c[k] + y2 * c[k + 1] + y3 * c[k + 2] + y4 * c[k + 3])
        if i >= first:
            put_lanes(sums, (i - first) * LANES, y0)
        y1, y2, y3, y4 = y0, y1, y2, y3
    y1 = take_lanes(data, place + end * step)
    y2, y3, y4 = y1, y1, y1
    for i in range(end, first - 1, -1):
        k = 28 + 4 * min(end - i, 4)
        x1, x2, x3, x4 = (
            take_lanes(data, place + min(i + 1, end) * step),
            take_lanes(data, place + min(i + 2, end) * step),
            take_lanes(data, place + min(i + 3, end) * step),
            take_lanes(data, place + min(i + 4, end) * step),
        )
        y0 = (x1 * m1 + x2 * m2 + x3 * m3 + x4 * m4) - (y1 * c[k] + y2 * c[k + 1] + y3 * c[k + 2] + y4 * c[k + 3])
        if i < stop:
            put_lanes(out, to + (i - first) * step, round_lanes(take_lanes(sums, (i - first) * LANES) + y0))
        y1, y2, y3, y4 = y0, y1, y2, y3
