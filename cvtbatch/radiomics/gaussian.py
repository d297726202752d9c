"""Laplacian of Gaussian by recursive filters: ITK's filter, restricted to what the ROI needs.

ITK runs one line at a time over the whole box, nine times a sigma: more time than all the texture matrices take here. Here many
lines run side by side, along any axis without turning the volume, lines that no ROI voxel can see are left out, and each recursion
ends where the ROI does. Operations and their order are ITK's, and each pass is rounded to float32 as there, so that the values have
equal bits (tests compare them with SimpleITK).

Source: ITK 5.4, `itkRecursiveGaussianImageFilter.hxx`, `itkRecursiveSeparableImageFilter.hxx` and
`itkLaplacianRecursiveGaussianImageFilter.hxx`; R. Deriche, INRIA RR-1893 (1993); G. Farneback and C.-F. Westin (2006).
"""

import math
from math import cos, exp, sin

import numpy as np
from numpy.typing import NDArray

from cvtbatch.compiled_arrays import zeros
from cvtbatch.compiled_code import compiled

# Farneback and Westin's fit of the Gaussian (order 0) and its second derivative: A1, B1, A2, B2 by order, then W1, L1, W2, L2.
_FIT = {0: (1.3530, 1.8151, -0.3531, 0.0902), 2: (-1.3563, 5.2318, 0.3446, -2.2355)}
_W1, _L1, _W2, _L2 = 0.6681, -1.3932, 2.0787, -1.3732
# Lines that run side by side, at most.
_WIDTH = 64


def laplacian_of_gaussian(
    values: NDArray[np.float64],
    spacing_mm: tuple[float, float, float],
    sigma_mm: float,
    wanted: tuple[slice, slice, slice],
) -> NDArray[np.float32]:
    """Return ITK's LaplacianRecursiveGaussian, normalised across scale, of (z, y, x) values, at the voxels of `wanted`."""
    smooth = [_coefficients(sigma_mm / step, 0, 1.0) for step in spacing_mm]
    derive = [_coefficients(sigma_mm / step, 2, sigma_mm * sigma_mm) for step in spacing_mm]
    total = np.zeros((), np.float32)
    for axis in (2, 1, 0):  # ITK counts its axes from x
        term = _filter_axis(values, axis, derive[axis], wanted[axis])
        for other in (2, 1, 0):
            if other != axis:
                term = _filter_axis(term, other, smooth[other], wanted[other])
        total = (total + term * (1.0 / (spacing_mm[axis] * spacing_mm[axis]))).astype(np.float32)
    return total


def _filter_axis(
    values: NDArray[np.float64], axis: int, coefficients: NDArray[np.float64], wanted: slice
) -> NDArray[np.float64]:
    """Filter (z, y, x) values along one axis, of which the wanted part is kept; the result holds float32 numbers as float64."""
    shape = list(values.shape)
    shape[axis] = wanted.stop - wanted.start
    out = np.empty(shape)
    turned = [other for other in range(3) if other != axis]
    turned.insert(1, axis)
    outer, length, inner = (values.shape[other] for other in turned)
    steps, out_steps = ([math.prod(of[other + 1 :]) for other in turned] for of in (values.shape, shape))
    _filter_lines(
        np.ravel(values),
        out.reshape(-1),
        (outer, length, inner),
        (steps[0], steps[1], steps[2]),
        (out_steps[0], out_steps[1], out_steps[2]),
        coefficients,
        wanted.start,
        wanted.stop,
    )
    return out


def _coefficients(sigma: float, order: int, scale: float) -> NDArray[np.float64]:
    """Return N0-N3, D1-D4, M1-M4, BN1-BN4, BM1-BM4 for a sigma in voxels, times `scale`."""
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
    return np.array([*n, *d, *m, *(value * sn / sd for value in d), *(value * sm / sd for value in d)])


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
def _filter_lines(
    values: NDArray[np.float64],
    out: NDArray[np.float64],
    shape: tuple[int, int, int],
    steps: tuple[int, int, int],
    out_steps: tuple[int, int, int],
    c: NDArray[np.float64],
    first: int,
    stop: int,
) -> None:  # pragma: no cover - compiled
    """Filter values along the middle of three axes, causal and anticausal, and keep samples from `first` to `stop` of each line.

    Args:
        shape: samples of the values along the three axes, at least four along the middle one.
        steps, out_steps: from a sample to the next along each axis, in the flattened values and in `out`.
    """
    outer, length, inner = shape
    # Equal shares, in whole vectors: of 70 lines, 40 and 30 run side by side, not 64 and 6.
    shares = (inner + _WIDTH - 1) // _WIDTH
    share = ((inner + shares - 1) // shares + 7) // 8 * 8
    # Four samples of the border value stand on either side of a line, and of its two recursions.
    data = zeros((length + 8, share), np.float64)
    causal = zeros((length + 8, share), np.float64)
    anticausal = zeros((length + 8, share), np.float64)
    for o in range(outer):
        for start in range(0, inner, share):
            width = min(share, inner - start)
            for i in range(length):
                samples = values[o * steps[0] + i * steps[1] + start * steps[2] :]
                if steps[2] == 1:
                    for w in range(width):
                        data[i + 4, w] = samples[w]
                else:
                    for w in range(np.uint64(width)):
                        data[i + 4, w] = samples[w * np.uint64(steps[2])]
            for i in range(4):
                for w in range(data.shape[1]):
                    data[i, w] = data[4, w]
                    data[length + 4 + i, w] = data[length + 3, w]
            _recurse(data, causal, anticausal, c, length, first, stop)
            for i in range(first, stop):
                target = out[o * out_steps[0] + (i - first) * out_steps[1] + start * out_steps[2] :]
                ahead, behind = causal[i + 4], anticausal[i + 4]
                if out_steps[2] == 1:
                    for w in range(width):
                        target[w] = np.float32(ahead[w] + behind[w])
                else:
                    for w in range(np.uint64(width)):
                        target[w * np.uint64(out_steps[2])] = np.float32(ahead[w] + behind[w])


@compiled
def _recurse(
    data: NDArray[np.float64],
    causal: NDArray[np.float64],
    anticausal: NDArray[np.float64],
    c: NDArray[np.float64],
    length: int,
    first: int,
    stop: int,
) -> None:  # pragma: no cover - compiled
    """Run the causal recursion up to `stop`, and the anticausal one down to `first`, on all lines, filled or not."""
    n0, n1, n2, n3, m1, m2, m3, m4 = c[0], c[1], c[2], c[3], c[8], c[9], c[10], c[11]
    for i in range(4, stop + 4):
        # Before the line stand border samples, weighted by the boundary coefficients instead of the recursion's.
        k1 = c[4] if i > 4 else c[12]
        k2 = c[5] if i > 5 else c[13]
        k3 = c[6] if i > 6 else c[14]
        k4 = c[7] if i > 7 else c[15]
        y1 = causal[i - 1] if i > 4 else data[4]
        y2 = causal[i - 2] if i > 5 else data[4]
        y3 = causal[i - 3] if i > 6 else data[4]
        y4 = causal[i - 4] if i > 7 else data[4]
        x0, x1, x2, x3, y0 = data[i], data[i - 1], data[i - 2], data[i - 3], causal[i]
        for w in range(len(y0)):
            feed = x0[w] * n0 + x1[w] * n1 + x2[w] * n2 + x3[w] * n3
            y0[w] = feed - (y1[w] * k1 + y2[w] * k2 + y3[w] * k3 + y4[w] * k4)
    end = length + 3
    for i in range(end, first + 3, -1):
        k1 = c[4] if i < end else c[16]
        k2 = c[5] if i < end - 1 else c[17]
        k3 = c[6] if i < end - 2 else c[18]
        k4 = c[7] if i < end - 3 else c[19]
        y1 = anticausal[i + 1] if i < end else data[end]
        y2 = anticausal[i + 2] if i < end - 1 else data[end]
        y3 = anticausal[i + 3] if i < end - 2 else data[end]
        y4 = anticausal[i + 4] if i < end - 3 else data[end]
        x1, x2, x3, x4, y0 = data[i + 1], data[i + 2], data[i + 3], data[i + 4], anticausal[i]
        for w in range(len(y0)):
            feed = x1[w] * m1 + x2[w] * m2 + x3[w] * m3 + x4[w] * m4
            y0[w] = feed - (y1[w] * k1 + y2[w] * k2 + y3[w] * k3 + y4[w] * k4)
