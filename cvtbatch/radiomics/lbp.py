"""Local binary pattern in 3-D: samples on a sphere around each ROI voxel, read from a cubic B-spline.

Of the 42 points of the sphere, 6 lie on the axes, where the spline returns the voxels themselves, up to round-off, and a sample
ties with its centre wherever two neighbours are equal: round-off decides the code. Hence `prefilter` and the sampling below
repeat SciPy's products and sums in their order (weights, coefficient x wz x wy x wx, x fastest), as does the kurtosis (pairwise
sums). Only the loops differ: voxels are sampled tile by tile, a tile's rows side by side, and the points of one z and y share what
is weighted along these. SciPy stores the samples in the image's own type, so those of an image of integers are whole numbers, and
of float32 they and their kurtosis are float32.

The magnitudes take few values, each reached by many patterns up to its last bit, and a percentile of the image cuts between those
(RobustMeanAbsoluteDeviation). So they too repeat PyRadiomics' complex products; NumPy rounds such a product once or twice, as the
processor allows, and `numpy_fuses` asks which.

Source: PyRadiomics 3.0.1, `imageoperations.getLBP3DImage`; J. Banerjee et al., ACCV 2012 Workshops, LNCS 7728; SciPy 1.16,
`ndimage/src/ni_interpolation.c` and `ni_splines.c`, mode "constant"; `scipy.stats.kurtosis`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvtbatch.compiled_arrays import add_where_reached, empty, fused_difference, put_lanes, take_eight, zeros
from cvtbatch.compiled_code import compiled
from cvtbatch.radiomics.box import Index, RoiBox, in_own_type
from cvtbatch.radiomics.prefilter import spline_coefficients
from cvtbatch.radiomics.sphere import lay_sphere, numpy_fuses

# Voxels of the spline that a sample sees on either side of its centre: one off, and two beyond.
_SEEN = 3
# Rows of a tile, side by side in lanes; its columns, whose sums go on in turns, as each waits for its last number; and tiles of a
# row, at most, that are sampled together.
_LANES, _COLUMNS, _TILES = 8, 4, 6


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
    order = np.lexsort(sphere.points.T[::-1])
    points = sphere.points[order]
    again = np.concatenate(([False], (np.diff(points[:, :2], axis=0) == 0).all(axis=1)))
    sides = (1, _LANES, _COLUMNS)
    z_weights, y_weights, x_weights = (
        _weights(box.values.shape[axis], points[:, axis], box.roi_slices[axis], sides[axis]) for axis in range(3)
    )
    values, whole = in_own_type(box.values, box.pixel_type), box.pixel_type.kind in "iu"
    z, y, x = (axis - low for axis, low in zip(box.index, box.lower, strict=True))
    hits, squared, kurtosis = _sample(
        _coefficients(box, sides),
        values[box.roi_slices],
        (z, y, x),
        order,
        again,
        np.floor(points).astype(np.int64),
        z_weights,
        y_weights,
        x_weights,
        sphere.degree1,
        np.finfo(values.dtype).eps,
        numpy_fuses(),
        whole,
        *_limits(box.pixel_type if whole else np.dtype(np.int64)),
    )
    places = (z * hits.shape[1] + x) * hits.shape[2] + y
    counts = hits.take(places).astype(np.int64)
    return PatternImages(
        sphere.degree0[counts], np.sqrt(squared.take(places)), kurtosis.take(places).astype(np.float64)
    )


def _limits(pixel_type: np.dtype[Any]) -> tuple[float, float]:
    """Return the least and the largest number of an integer type."""
    limits = np.iinfo(pixel_type)
    return float(limits.min), float(limits.max)


def _coefficients(box: RoiBox, sides: tuple[int, int, int]) -> NDArray[np.float64]:
    """Return the spline's coefficients (z, x, y), `_SEEN` voxels on either side of the ROI's box, mirrored past the image's ends.

    Behind these there are zeros, until the box is a multiple of `sides` (z, y, x).
    """
    near = [slice(max(roi.start - _SEEN, 0), roi.stop + _SEEN) for roi in box.roi_slices]
    missing = [
        (max(_SEEN - roi.start, 0), max(roi.stop + _SEEN - size, 0))
        for roi, size in zip(box.roi_slices, box.values.shape, strict=True)
    ]
    z, y, x = missing
    mirrored = np.pad(spline_coefficients(box.values, near), (z, x, y), "reflect")
    z, y, x = ((0, -size % side) for size, side in zip(box.shape, sides, strict=True))
    return np.pad(mirrored, (z, x, y))


def _weights(size: int, offsets: NDArray[np.float64], roi: slice, side: int) -> NDArray[np.float64]:
    """Return what the four coefficients along one axis weigh, for each offset (V,) and voxel of the ROI's box: (V, 4, n).

    A point outside the image has no weight, nor has what fills the box up to a multiple of `side`.
    """
    place = np.arange(roi.start, roi.stop)[None, :] + offsets[:, None]
    y = place - np.floor(place)
    z = 1.0 - y
    w1 = (y * y * (y - 2.0) * 3.0 + 4.0) / 6.0
    w2 = (z * z * (z - 2.0) * 3.0 + 4.0) / 6.0
    w0 = z * z * z / 6.0
    weights = np.stack([w0, w1, w2, 1.0 - w0 - w1 - w2], axis=1)
    inside = (place >= 0) & (place <= size - 1)
    return np.pad(np.where(inside[:, None], weights, 0.0), ((0, 0), (0, 0), (0, -place.shape[1] % side)))


@compiled
def _sample(
    coefficients: NDArray[np.float64],
    values: NDArray[np.floating],
    index: Index,
    order: NDArray[np.int64],
    again: NDArray[np.bool_],
    steps: NDArray[np.int64],
    z_weights: NDArray[np.float64],
    y_weights: NDArray[np.float64],
    x_weights: NDArray[np.float64],
    degree1: NDArray[np.float64],
    eps: np.floating,
    fused: bool,
    whole: bool,
    least: float,
    largest: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.floating]]:  # pragma: no cover - compiled
    """Return the points that reach each voxel's value, the squared magnitude of degree 1, and the kurtosis: (z, x, y) each.

    What lies outside the tiles of the ROI's voxels is void.

    Args:
        values: the ROI's box in the type that samples are rounded to, as the kurtosis is.
        index: the ROI's voxels in it.
        order: the place on the sphere of the points that steps and weights are of.
        again: whether a point has the z and the y of the one before.
        steps: (V, 3) from a voxel to the one at a point or before it.
        eps: of that type.
        whole: samples are whole numbers from `least` to `largest`.
    """
    n_planes, n_rows, n_columns = values.shape
    wide_y, wide_x = y_weights.shape[2], x_weights.shape[2]
    hits, squared = empty((n_planes, wide_x, wide_y), np.float64), empty((n_planes, wide_x, wide_y), np.float64)
    kurtosis = empty((n_planes, wide_x, wide_y), values.dtype)
    taken = zeros((n_planes, wide_y // _LANES, wide_x // _COLUMNS + 1), np.uint8)
    for n in range(len(index[0])):
        taken[index[0][n], index[1][n] // _LANES, index[2][n] // _COLUMNS] = 1
    samples = empty((42, _TILES * _COLUMNS * _LANES), values.dtype)
    centres = empty(samples.shape[1], values.dtype)
    lines = empty((16, (_TILES * _COLUMNS + 2 * _SEEN - 1) * _LANES), np.float64)
    for z in range(n_planes):
        for block in range(wide_y // _LANES):
            y, tile = block * _LANES, 0
            while tile < wide_x // _COLUMNS:
                x, count = tile * _COLUMNS, 0
                while count < _TILES and taken[z, block, tile + count]:
                    count += 1
                tile += max(count, 1)
                if count == 0:
                    continue
                columns = count * _COLUMNS
                for v in range(42):
                    if not again[v]:
                        first = z + steps[v, 0] + 2, y + steps[v, 1] + 2, x + 1
                        _weigh_lines(lines, columns, coefficients, first, z_weights[v, :, z], y_weights[v], y)
                    _add_lines(samples[order[v]], columns, lines, steps[v, 2], x_weights[v], x)
                if (
                    whole
                ):  # as SciPy stores a sample in an image of integers: half away from 0, cut at the type's limits
                    for v in range(42):
                        for t in range(columns * _LANES):
                            value = samples[v, t]
                            nearest = np.trunc(value + 0.5 if value > 0 else value - 0.5)
                            samples[v, t] = min(max(nearest, least), largest)
                for t in range(columns):
                    for lane in range(_LANES):
                        centres[t * _LANES + lane] = values[z, min(y + lane, n_rows - 1), min(x + t, n_columns - 1)]
                _summarise(
                    samples,
                    centres[: columns * _LANES],
                    degree1,
                    eps,
                    fused,
                    hits[z, x:, y:],
                    squared[z, x:, y:],
                    kurtosis[z, x:, y:],
                )
    return hits, squared, kurtosis


@compiled
def _weigh_lines(
    lines: NDArray[np.float64],
    columns: int,
    coefficients: NDArray[np.float64],
    first: tuple[int, int, int],
    z_weights: NDArray[np.float64],
    y_weights: NDArray[np.float64],
    y: int,
) -> None:  # pragma: no cover - compiled
    """Write the 16 lines along x, four planes of four rows, that samples of so many columns take, weighted along z and y.

    Args:
        first: the first coefficient (z, y, x) of them.
        z_weights, y_weights: (4,) and (4, rows), of the rows from y on.
    """
    plane, row, column = first
    wide = coefficients.shape[2]
    for a in range(4):
        for b in range(4):
            wz, wy = z_weights[a], take_eight(y_weights, b * y_weights.shape[1] + y)
            seen, line = coefficients[plane + a], lines[4 * a + b]
            for t in range(columns + 2 * _SEEN - 1):
                put_lanes(line, t * _LANES, take_eight(seen, (column + t) * wide + row + b) * wz * wy)


@compiled
def _add_lines(
    samples: NDArray[np.floating],
    columns: int,
    lines: NDArray[np.float64],
    step: int,
    weights: NDArray[np.float64],
    x: int,
) -> None:  # pragma: no cover - compiled
    """Add, for each sample, four weighted neighbours along x of each of 16 lines, one after the other.

    Args:
        step: from a voxel to the one at the point or before it.
        weights: (4, columns), of the columns from x on.
    """
    nothing = take_eight(zeros(_LANES, np.float64), 0)
    w0, w1, w2, w3 = weights[0, x:], weights[1, x:], weights[2, x:], weights[3, x:]
    for t in range(0, columns, _COLUMNS):
        s0, s1, s2, s3 = nothing, nothing, nothing, nothing
        for k in range(16):
            at = k * lines.shape[1] + (t + step + 1) * _LANES
            l0, l1, l2 = take_eight(lines, at), take_eight(lines, at + _LANES), take_eight(lines, at + 2 * _LANES)
            l3, l4 = take_eight(lines, at + 3 * _LANES), take_eight(lines, at + 4 * _LANES)
            l5, l6 = take_eight(lines, at + 5 * _LANES), take_eight(lines, at + 6 * _LANES)
            s0 = s0 + l0 * w0[t] + l1 * w1[t] + l2 * w2[t] + l3 * w3[t]
            s1 = s1 + l1 * w0[t + 1] + l2 * w1[t + 1] + l3 * w2[t + 1] + l4 * w3[t + 1]
            s2 = s2 + l2 * w0[t + 2] + l3 * w1[t + 2] + l4 * w2[t + 2] + l5 * w3[t + 2]
            s3 = s3 + l3 * w0[t + 3] + l4 * w1[t + 3] + l5 * w2[t + 3] + l6 * w3[t + 3]
        put_lanes(samples, t * _LANES, s0)
        put_lanes(samples, (t + 1) * _LANES, s1)
        put_lanes(samples, (t + 2) * _LANES, s2)
        put_lanes(samples, (t + 3) * _LANES, s3)


@compiled
def _summarise(
    samples: NDArray[np.floating],
    centres: NDArray[np.floating],
    degree1: NDArray[np.float64],
    eps: np.floating,
    fused: bool,
    hits: NDArray[np.float64],
    squared: NDArray[np.float64],
    kurtosis: NDArray[np.floating],
) -> None:  # pragma: no cover - compiled
    """Reduce (42, >= W) samples, column by column, and their (W,) centres to the images (x, y); `samples` is spent."""
    mean, m2, m4 = empty(_LANES, centres.dtype), empty(_LANES, centres.dtype), empty(_LANES, centres.dtype)
    row, nothing = samples.shape[1], take_eight(zeros(_LANES, np.float64), 0)
    for column in range(len(centres) // _LANES):
        first = column * _LANES
        centre = take_eight(centres, first)
        count, a, b, c, d, e, f, square = nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing
        for v in range(42):
            sample = take_eight(samples, v * row + first)
            count = add_where_reached(count, 1.0, sample, centre)
            a = add_where_reached(a, degree1[0, v], sample, centre)
            b = add_where_reached(b, degree1[1, v], sample, centre)
            c = add_where_reached(c, degree1[2, v], sample, centre)
            d = add_where_reached(d, degree1[3, v], sample, centre)
            e = add_where_reached(e, degree1[4, v], sample, centre)
            f = add_where_reached(f, degree1[5, v], sample, centre)
        for v in range(42):
            ya, yb, yc = degree1[0, v], degree1[2, v], degree1[4, v]
            ja, jb, jc = degree1[1, v], degree1[3, v], degree1[5, v]
            if fused:
                s = fused_difference(a, ya, b * ja) + fused_difference(c, yb, d * jb) + fused_difference(e, yc, f * jc)
            else:
                s = (a * ya - b * ja) + (c * yb - d * jb) + (e * yc - f * jc)
            square = square + s * s
        put_lanes(hits[column], 0, count)
        put_lanes(squared[column], 0, square)
        _mean_of_points(samples, first, mean)
        for at in range(first, first + 42 * row, row):
            apart = take_eight(samples, at) - take_eight(mean, 0)
            put_lanes(samples, at, apart * apart)
        _mean_of_points(samples, first, m2)
        for at in range(first, first + 42 * row, row):
            square_apart = take_eight(samples, at)
            put_lanes(samples, at, square_apart * square_apart)
        _mean_of_points(samples, first, m4)
        for lane in range(_LANES):
            limit = eps * mean[lane]
            flat = m2[lane] <= limit * limit
            kurtosis[column, lane] = np.nan if flat else m4[lane] / (m2[lane] * m2[lane]) - 3


@compiled
def _mean_of_points(
    rows: NDArray[np.floating], first: int, out: NDArray[np.floating]
) -> None:  # pragma: no cover - compiled
    """Mean of (42, W) from the first column on, in the order of NumPy's pairwise sum of 42 numbers: eight partial sums."""
    row = rows.shape[1]
    turn, end = 8 * row, first + 40 * row
    a, b, c, d = first, first + row, first + 2 * row, first + 3 * row
    r0, r1, r2, r3 = take_eight(rows, a), take_eight(rows, b), take_eight(rows, c), take_eight(rows, d)
    a, b, c, d = a + 4 * row, b + 4 * row, c + 4 * row, d + 4 * row
    r4, r5, r6, r7 = take_eight(rows, a), take_eight(rows, b), take_eight(rows, c), take_eight(rows, d)
    for at in range(first + turn, end, turn):
        r0, r1 = r0 + take_eight(rows, at), r1 + take_eight(rows, at + row)
        r2, r3 = r2 + take_eight(rows, at + 2 * row), r3 + take_eight(rows, at + 3 * row)
        r4, r5 = r4 + take_eight(rows, at + 4 * row), r5 + take_eight(rows, at + 5 * row)
        r6, r7 = r6 + take_eight(rows, at + 6 * row), r7 + take_eight(rows, at + 7 * row)
    pairs = ((r0 + r1) + (r2 + r3)) + ((r4 + r5) + (r6 + r7))
    put_lanes(out, 0, pairs + take_eight(rows, end) + take_eight(rows, end + row))
    for lane in range(_LANES):
        out[lane] = out[lane] / 42
