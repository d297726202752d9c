"""Local binary pattern in 3-D: samples on a sphere around each ROI voxel, read from a cubic B-spline.

Of the 42 points of the sphere, 6 lie on the axes, where the spline returns the voxels themselves, up to round-off, and a sample
ties with its centre wherever two neighbours are equal: round-off decides the code. Hence `prefilter` and the sampling below
repeat SciPy's products and sums in their order (weights, coefficient x wz x wy x wx, x fastest), as does the kurtosis (pairwise
sums). Only the loops differ: a run of voxels along x is sampled at once, points of one z and y one after the other, and what
stands side by side is computed up to a multiple of `_LANES`. SciPy stores the samples in the image's own type, so those of an
image of integers are whole numbers, and of float32 they and their kurtosis are float32.

The magnitudes take few values, each reached by many patterns up to its last bit, and a percentile of the image cuts between those
(RobustMeanAbsoluteDeviation). So they too repeat PyRadiomics' complex products; NumPy rounds such a product once or twice, as the
processor allows, and `numpy_fuses` asks which.

Source: PyRadiomics 3.0.1, `imageoperations.getLBP3DImage`; J. Banerjee et al., ACCV 2012 Workshops, LNCS 7728; SciPy 1.16,
`ndimage/src/ni_interpolation.c` and `ni_splines.c`, mode "constant"; `scipy.stats.kurtosis`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from cvtbatch.compiled_arrays import empty, zeros
from cvtbatch.compiled_code import compiled
from cvtbatch.radiomics.box import RoiBox, in_own_type
from cvtbatch.radiomics.prefilter import spline_coefficients
from cvtbatch.radiomics.sphere import lay_sphere, numpy_fuses

# Voxels of the spline that a sample sees on either side of its centre: one off, and two beyond.
_SEEN = 3
# Voxels that are computed side by side, a vector of them; a run is filled up to a multiple.
_LANES = 4


@dataclass(frozen=True, slots=True)
class PatternImages:
    """The three LBP images at the ROI's voxels, float64 (n,).

    Attributes:
        m1, m2: magnitude of the pattern's spherical harmonics of degree 0 and 1.
        kurtosis: of the 42 samples; NaN where they are all equal.
    """

    m1: NDArray[np.float64]
    m2: NDArray[np.float64]
    kurtosis: NDArray[np.float64]


def pattern_images(box: RoiBox) -> PatternImages:
    """Compute the three images of `box`."""
    sphere = lay_sphere()
    near = [slice(max(roi.start - _SEEN, 0), roi.stop + _SEEN) for roi in box.roi_slices]
    order = np.lexsort(sphere.points.T[::-1])
    points = sphere.points[order]
    again = np.concatenate(([False], (np.diff(points[:, :2], axis=0) == 0).all(axis=1)))
    taps = [_taps(size, points[:, axis], near[axis]) for axis, size in enumerate(box.values.shape)]
    coefficients = np.pad(spline_coefficients(box.values, near), ((0, 0), (0, 0), (0, _LANES + _SEEN)))
    values, whole = in_own_type(box.values, box.pixel_type), box.pixel_type.kind in "iu"
    counts, squared, kurtosis = _sample(
        coefficients,
        values,
        np.stack(box.index),
        _run_starts(box),
        near[2].start,
        order,
        again,
        *taps[0],
        *taps[1],
        *taps[2],
        sphere.degree1,
        np.finfo(values.dtype).eps,
        numpy_fuses(),
        whole,
        *_limits(box.pixel_type if whole else np.dtype(np.int64)),
    )
    return PatternImages(sphere.degree0[counts], np.sqrt(squared), kurtosis.astype(np.float64))


def _limits(pixel_type: np.dtype[Any]) -> tuple[float, float]:
    """Return the least and the largest number of an integer type."""
    limits = np.iinfo(pixel_type)
    return float(limits.min), float(limits.max)


def _taps(
    size: int, offsets: NDArray[np.float64], near: slice
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return what reading one axis takes, for each offset (V,) and voxel (size,).

    Weights (V, 4, size), behind which there are `_LANES` of 0, the four coefficients' places (V, 4, size) in the part that is
    kept, mirrored at the ends, and whether the point lies inside.
    """
    place = np.arange(size)[None, :] + offsets[:, None]
    inside = (place >= 0) & (place <= size - 1)
    floor = np.floor(place)
    y = place - floor
    z = 1.0 - y
    w1 = (y * y * (y - 2.0) * 3.0 + 4.0) / 6.0
    w2 = (z * z * (z - 2.0) * 3.0 + 4.0) / 6.0
    w0 = z * z * z / 6.0
    weights = np.pad(np.stack([w0, w1, w2, 1.0 - w0 - w1 - w2], axis=1), ((0, 0), (0, 0), (0, _LANES)))
    places = floor.astype(np.int64)[:, None, :] + np.arange(-1, 3)[None, :, None]
    if size > 1:
        places = np.abs(places)
        places = np.where(places >= size, 2 * size - 2 - places, places)
    kept = range(*near.indices(size))
    return weights, np.clip(places - kept.start, 0, len(kept) - 1), inside


def _run_starts(box: RoiBox) -> NDArray[np.int64]:
    """Return where, in raster order, each run of ROI voxels along x begins, and the number of voxels at the end."""
    z, y, x = box.index
    new = (np.diff(z) != 0) | (np.diff(y) != 0) | (np.diff(x) != 1)
    return np.concatenate(([0], np.flatnonzero(new) + 1, [len(x)])).astype(np.int64)


@compiled
def _sample(
    coefficients: NDArray[np.float64],
    values: NDArray[np.floating],
    index: NDArray[np.int64],
    run_starts: NDArray[np.int64],
    x_start: int,
    order: NDArray[np.int64],
    again: NDArray[np.bool_],
    z_weights: NDArray[np.float64],
    z_places: NDArray[np.int64],
    z_inside: NDArray[np.bool_],
    y_weights: NDArray[np.float64],
    y_places: NDArray[np.int64],
    y_inside: NDArray[np.bool_],
    x_weights: NDArray[np.float64],
    x_places: NDArray[np.int64],
    x_inside: NDArray[np.bool_],
    degree1: NDArray[np.float64],
    eps: np.floating,
    fused: bool,
    whole: bool,
    least: float,
    largest: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.floating]]:  # pragma: no cover - compiled
    """Return for each ROI voxel the points that reach its value, the squared magnitude of degree 1, and the kurtosis.

    Args:
        values: the box in the type that samples are rounded to, as the kurtosis is.
        x_start: where the coefficients begin in it.
        order: the place on the sphere of the points that the taps are of.
        again: whether a point has the z and the y of the one before.
        eps: of that type.
        whole: samples are whole numbers from `least` to `largest`.
    """
    n = index.shape[1]
    counts = empty(n, np.int64)
    squared = empty(n, np.float64)
    kurtosis = empty(n, values.dtype)
    samples = empty((42, coefficients.shape[2]), np.float64)
    rounded = empty(samples.shape, values.dtype)
    centres = zeros(samples.shape[1], values.dtype)
    lines = empty((16, coefficients.shape[2]), np.float64)
    for run in range(len(run_starts) - 1):
        first, length = run_starts[run], run_starts[run + 1] - run_starts[run]
        z, y, x = index[0, first], index[1, first], index[2, first]
        wide = (length + _LANES - 1) // _LANES * _LANES
        begin = max(x - x_start - _SEEN, 0)
        for v in range(42):
            sampled = samples[order[v], :wide]
            sampled[:] = 0.0
            if not (z_inside[v, z] and y_inside[v, y]):
                continue
            if not again[v]:
                for a in range(4):
                    wz, plane = z_weights[v, a, z], coefficients[z_places[v, a, z]]
                    for b in range(4):
                        wy, row = y_weights[v, b, y], plane[y_places[v, b, y]]
                        seen, line = row[begin : begin + wide + 2 * _SEEN], lines[4 * a + b]
                        for t in range(len(seen)):
                            line[t] = seen[t] * wz * wy
            start, end = x_places[v, 0, x], x_places[v, 3, x + length - 1]
            if end - start == length + 2 and x_places[v, 3, x] - start == 3:
                _add_lines(sampled, lines, start - begin, x_weights[v], x)
            else:
                for line in lines:
                    _add_line_at(sampled[:length], line, x_weights[v], x_places[v], x, begin)
            if not (x_inside[v, x] and x_inside[v, x + length - 1]):
                for t in range(length):
                    if not x_inside[v, x + t]:
                        sampled[t] = 0.0
        if whole:  # as SciPy stores a sample in an image of integers: half away from 0, and cut at the type's limits
            for v in range(42):
                for t in range(wide):
                    value = samples[v, t]
                    samples[v, t] = min(max(np.trunc(value + 0.5 if value > 0 else value - 0.5), least), largest)
        for v in range(42):
            for t in range(wide):
                rounded[v, t] = samples[v, t]
        for t in range(length):
            centres[t] = values[z, y, x + t]
        _summarise(
            rounded,
            centres[:wide],
            degree1,
            eps,
            fused,
            counts[first : first + length],
            squared[first : first + length],
            kurtosis[first : first + length],
        )
    return counts, squared, kurtosis


@compiled
def _add_lines(
    total: NDArray[np.float64], lines: NDArray[np.float64], off: int, weights: NDArray[np.float64], x: int
) -> None:  # pragma: no cover - compiled
    """Add, for each sample of a run at x, four weighted neighbours along x of each of 16 lines, one after the other.

    Args:
        off: the place in the lines of the first sample's first neighbour.
    """
    n = len(total)
    w0, w1, w2, w3 = weights[0, x : x + n], weights[1, x : x + n], weights[2, x : x + n], weights[3, x : x + n]
    for first in range(0, 16, 4):
        a, b, c, d = lines[first, off:], lines[first + 1, off:], lines[first + 2, off:], lines[first + 3, off:]
        for t in range(n):
            s = total[t]
            s = s + a[t] * w0[t] + a[t + 1] * w1[t] + a[t + 2] * w2[t] + a[t + 3] * w3[t]
            s = s + b[t] * w0[t] + b[t + 1] * w1[t] + b[t + 2] * w2[t] + b[t + 3] * w3[t]
            s = s + c[t] * w0[t] + c[t + 1] * w1[t] + c[t + 2] * w2[t] + c[t + 3] * w3[t]
            s = s + d[t] * w0[t] + d[t + 1] * w1[t] + d[t + 2] * w2[t] + d[t + 3] * w3[t]
            total[t] = s


@compiled
def _add_line_at(
    total: NDArray[np.float64],
    line: NDArray[np.float64],
    weights: NDArray[np.float64],
    places: NDArray[np.int64],
    x: int,
    begin: int,
) -> None:  # pragma: no cover - compiled
    """As `_add_lines`, of one line, where mirroring or round-off breaks the row; the line's first place is `begin`."""
    for t in range(len(total)):
        for k in range(4):
            total[t] += line[places[k, x + t] - begin] * weights[k, x + t]


def _multiply_add(typing_context, a, b, c):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """a * b + c, rounded once."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


_fma = cast(Callable[[float, float, float], float], intrinsic(_multiply_add))


@compiled
def _summarise(
    samples: NDArray[np.floating],
    centres: NDArray[np.floating],
    degree1: NDArray[np.float64],
    eps: np.floating,
    fused: bool,
    counts: NDArray[np.int64],
    squared: NDArray[np.float64],
    kurtosis: NDArray[np.floating],
) -> None:  # pragma: no cover - compiled
    """Reduce (42, >= W) samples of a run and its (W,) centres to the three images (L,), in their type; `samples` is spent."""
    width, length = len(centres), len(counts)
    mean, m2, m4 = empty(width, centres.dtype), empty(width, centres.dtype), empty(width, centres.dtype)
    _mean_of_points(samples, mean)
    sums, hits, squares = zeros((6, width), np.float64), zeros(width, np.int64), zeros(width, np.float64)
    for v in range(42):
        for t in range(width):
            hit = samples[v, t] >= centres[t]
            hits[t] += hit
            for part in range(6):
                sums[part, t] += degree1[part, v] * hit
    a, b, c, d, e, f = sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]
    for v in range(42):
        ya, yb, yc = degree1[0, v], degree1[2, v], degree1[4, v]
        ja, jb, jc = degree1[1, v], degree1[3, v], degree1[5, v]
        if fused:
            for t in range(width):
                s = _fma(a[t], ya, -(b[t] * ja)) + _fma(c[t], yb, -(d[t] * jb)) + _fma(e[t], yc, -(f[t] * jc))
                squares[t] += s * s
        else:
            for t in range(width):
                s = (a[t] * ya - b[t] * ja) + (c[t] * yb - d[t] * jb) + (e[t] * yc - f[t] * jc)
                squares[t] += s * s
    for v in range(42):
        for t in range(width):
            apart = samples[v, t] - mean[t]
            samples[v, t] = apart * apart
    _mean_of_points(samples, m2)
    for v in range(42):
        for t in range(width):
            samples[v, t] = samples[v, t] * samples[v, t]
    _mean_of_points(samples, m4)
    for t in range(length):
        counts[t] = hits[t]
        squared[t] = squares[t]
        limit = eps * mean[t]
        flat = m2[t] <= limit * limit
        kurtosis[t] = np.nan if flat else m4[t] / (m2[t] * m2[t]) - 3


@compiled
def _mean_of_points(rows: NDArray[np.floating], out: NDArray[np.floating]) -> None:  # pragma: no cover - compiled
    """Mean of the first columns of (42, >= L), in the order of NumPy's pairwise sum of 42 numbers: eight partial sums."""
    for t in range(len(out)):
        r0, r1, r2, r3 = rows[0, t], rows[1, t], rows[2, t], rows[3, t]
        r4, r5, r6, r7 = rows[4, t], rows[5, t], rows[6, t], rows[7, t]
        for i in range(8, 40, 8):
            r0 += rows[i, t]
            r1 += rows[i + 1, t]
            r2 += rows[i + 2, t]
            r3 += rows[i + 3, t]
            r4 += rows[i + 4, t]
            r5 += rows[i + 5, t]
            r6 += rows[i + 6, t]
            r7 += rows[i + 7, t]
        out[t] = (((r0 + r1) + (r2 + r3)) + ((r4 + r5) + (r6 + r7)) + rows[40, t] + rows[41, t]) / 42
