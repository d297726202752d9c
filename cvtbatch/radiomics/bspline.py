"""Cubic B-spline interpolation near the ROI, to ITK's last bit.

Coefficients first, along x, then y, then z, as a causal and an anticausal recursion, with mirror boundaries; then at each new voxel
the sum of the 64 coefficients around it, x fastest. The operations and their order are ITK's, so that the bits are: a gray
level may hang on the last one.

Source: ITK 5.4, `itkBSplineDecompositionImageFilter.hxx`, `itkBSplineInterpolateImageFunction.hxx`, and, for where new voxels
lie, `itkResampleImageFilter.hxx` (`LinearThreadedGenerateData`); M. Unser, IEEE Signal Processing Magazine 1999;16(6):22.
"""

from collections.abc import Sequence
from math import ceil, log, sqrt

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cvtbatch.compiled_arrays import empty, zeros
from cvtbatch.compiled_code import compiled

POLE = sqrt(3.0) - 2.0
GAIN = (1.0 - POLE) * (1.0 - 1.0 / POLE)
# How many voxels the recursion's start is summed of: ITK's tolerance is 1e-10.
HORIZON = ceil(log(1e-10) / log(abs(POLE)))

Doubles = NDArray[np.float64]


def decompose(values: Doubles) -> Doubles:
    """Return the coefficients of (z, y, x) values; an axis is 1 or at least 3 voxels long."""
    coefficients = values.copy()
    slices, rows, columns = values.shape
    # (outer, along the axis, inner)
    for shape in ((slices * rows, columns, 1), (slices, rows, columns), (1, slices, rows * columns)):
        if shape[1] > 1:
            _filter_lines(coefficients.reshape(shape))
    return coefficients


@compiled
def _filter_lines(lines: Doubles) -> None:  # pragma: no cover - compiled
    """Turn values (outer, length, inner) into coefficients along the middle axis, in place."""
    outer, length, inner = lines.shape
    last = empty(inner, np.float64)
    for o in range(outer):
        line = lines[o]
        for n in range(length):
            for k in range(inner):
                line[n, k] *= GAIN
        _start_lines(line)
        for n in range(1, length):
            for k in range(inner):
                line[n, k] += POLE * line[n - 1, k]
        for k in range(inner):
            last[k] = (POLE / (POLE * POLE - 1.0)) * (POLE * line[length - 2, k] + line[length - 1, k])
            line[length - 1, k] = last[k]
        for n in range(length - 2, -1, -1):
            for k in range(inner):
                line[n, k] = POLE * (line[n + 1, k] - line[n, k])


@compiled
def _start_lines(line: Doubles) -> None:  # pragma: no cover - compiled
    """Set the first of (length, inner) values to what the causal recursion starts from."""
    length, inner = line.shape
    power = POLE
    if length > HORIZON:
        for n in range(1, HORIZON):
            for k in range(inner):
                line[0, k] += power * line[n, k]
            power *= POLE
        return
    inverse = 1.0 / POLE
    mirrored = POLE ** float(length - 1)
    for k in range(inner):
        line[0, k] = line[0, k] + mirrored * line[length - 1, k]
    mirrored *= mirrored * inverse
    for n in range(1, length - 1):
        for k in range(inner):
            line[0, k] += (power + mirrored) * line[n, k]
        power *= POLE
        mirrored *= inverse
    for k in range(inner):
        line[0, k] /= 1.0 - power * power


def interpolate(
    coefficients: Doubles,
    start: NDArray[np.int64],
    old: sitk.Image,
    origin_mm: Sequence[float],
    spacing_mm: Doubles,
    size: list[int],
) -> Doubles:
    """Return the values at the voxels of a grid parallel to the old one, (z, y, x); 0 outside of it.

    Args:
        coefficients: (z, y, x), of a part of the old grid that holds all that the new voxels lie between.
        start: first voxel of the part, (x, y, z).
        old: an image on the old grid; its voxels are not looked at.
        origin_mm, spacing_mm, size: of the new grid, (x, y, z).
    """
    first, end = _row_ends(old, origin_mm, spacing_mm, size)
    return _interpolate(coefficients, start, np.array(old.GetSize()), first, end, size[0])


def _row_ends(
    old: sitk.Image, origin_mm: Sequence[float], spacing_mm: Doubles, size: list[int]
) -> tuple[Doubles, Doubles]:
    """Return where on the old grid the rows begin and end (one voxel after their last): (z, y, 3) continuous indices (x, y, z)."""
    new = sitk.Image([1, 1, 1], sitk.sitkUInt8)
    new.SetDirection(old.GetDirection())
    new.SetSpacing(spacing_mm.tolist())
    units = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    to_point = np.transpose([new.TransformIndexToPhysicalPoint(unit) for unit in units])
    new.SetSpacing(old.GetSpacing())
    to_index = np.transpose([new.TransformPhysicalPointToContinuousIndex(unit) for unit in units])
    z, y = np.meshgrid(np.arange(size[2], dtype=np.float64), np.arange(size[1], dtype=np.float64), indexing="ij")
    ends = []
    for x in (0.0, float(size[0])):
        # Sums in ITK's order: from the origin on; from 0 on.
        point = [((at + row[0] * x) + row[1] * y) + row[2] * z for row, at in zip(to_point, origin_mm, strict=True)]
        off = [mm - at for mm, at in zip(point, old.GetOrigin(), strict=True)]
        ends.append(np.stack([(row[0] * off[0] + row[1] * off[1]) + row[2] * off[2] for row in to_index], axis=-1))
    return ends[0], ends[1]


@compiled
def _interpolate(
    coefficients: Doubles,
    start: NDArray[np.int64],
    old_size: NDArray[np.int64],
    first: Doubles,
    end: Doubles,
    columns: int,
) -> Doubles:  # pragma: no cover - compiled
    slices, rows, _ = first.shape
    found = zeros((slices, rows, columns), np.float64)
    near, weights, place = empty((3, 4), np.int64), empty((3, 4), np.float64), empty(3, np.float64)
    for z in range(slices):
        for y in range(rows):
            for x in range(columns):
                share = x / float(columns)
                inside = True
                for axis in range(3):
                    place[axis] = first[z, y, axis] + share * (end[z, y, axis] - first[z, y, axis])
                    inside &= -0.5 <= place[axis] < old_size[axis] - 0.5
                if not inside:
                    continue
                for axis in range(3):
                    _support(place[axis], old_size[axis], near[axis], weights[axis])
                    for k in range(4):
                        near[axis, k] -= start[axis]
                total = 0.0
                for k in range(4):
                    for j in range(4):
                        line = coefficients[near[2, k], near[1, j]]
                        for i in range(4):
                            total += weights[0, i] * weights[1, j] * weights[2, k] * line[near[0, i]]
                found[z, y, x] = total
    return found


@compiled
def _support(place: float, size: int, near: NDArray[np.int64], weights: Doubles) -> None:  # pragma: no cover - compiled
    """Write the four voxels around a place on one axis, mirrored at the ends, and their weights."""
    below = np.int64(np.floor(np.float64(np.float32(place))))
    w = place - float(below)
    weights[3] = (1.0 / 6.0) * w * w * w
    weights[0] = (1.0 / 6.0) + 0.5 * w * (w - 1.0) - weights[3]
    weights[2] = w + weights[0] - 2.0 * weights[3]
    weights[1] = 1.0 - weights[0] - weights[2] - weights[3]
    for k in range(4):
        voxel = abs(below - 1 + k)
        near[k] = min(voxel, 2 * (size - 1) - voxel) if size > 1 else 0
