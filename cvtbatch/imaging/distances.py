"""What lies near a mask: sums of squares along one axis after the other, no farther than asked.

A distance transform tells of every voxel how far away the mask is. Where it matters alone what lies nearer than some mm, only so
many steps along z, y and x can be the shortest, and a plane at a time stays in the cache.
"""

import math

import numpy as np
import numpy.typing as npt

from cvtbatch.compiled_arrays import empty
from cvtbatch.compiled_code import compiled
from cvtbatch.geometry import Triple, box_of

Mask = npt.NDArray[np.bool_]


def within(mask_zyx: Mask, mm: float, spacing_mm: Triple) -> Mask:
    """Return what lies nearer than some mm to a mask, from centre to centre; bool of its shape.

    Args:
        mask_zyx: may be empty: nothing lies near it.
        spacing_mm: distance of neighbours along z, y and x.
    """
    found = np.zeros(mask_zyx.shape, dtype=np.bool_)
    if mask_zyx.any():
        steps = [np.arange(int(mm / step) + 1) * step for step in spacing_mm]
        near = box_of(mask_zyx, [len(along) - 1 for along in steps])
        squares = [along * along for along in steps]
        found[near] = _within(np.ascontiguousarray(mask_zyx[near]), mm, *squares)
    return found


@compiled
def _within(
    mask: Mask,
    mm: float,
    z_squares: npt.NDArray[np.float64],
    y_squares: npt.NDArray[np.float64],
    x_squares: npt.NDArray[np.float64],
) -> Mask:  # pragma: no cover - compiled
    """Say of each voxel whether the least of the sums of squares of steps to the mask is below mm squared."""
    slices, rows, columns = mask.shape
    found = empty(mask.shape, np.bool_)
    along_z, along_y = empty((rows, columns), np.float64), empty((rows, columns), np.float64)
    least = empty(columns, np.float64)
    for z in range(slices):
        along_z[:] = np.inf
        for other in range(max(z - len(z_squares) + 1, 0), min(z + len(z_squares), slices)):
            square = z_squares[abs(other - z)]
            for y in range(rows):
                for x in range(columns):
                    if mask[other, y, x] and square < along_z[y, x]:
                        along_z[y, x] = square
        along_y[:] = np.inf
        for y in range(rows):
            for other in range(max(y - len(y_squares) + 1, 0), min(y + len(y_squares), rows)):
                square = y_squares[abs(other - y)]
                for x in range(columns):
                    along_y[y, x] = min(along_y[y, x], along_z[other, x] + square)
        for y in range(rows):
            row = along_y[y]
            for x in range(columns):
                least[x] = row[x]
            for step in range(1, min(len(x_squares), columns)):
                square = x_squares[step]
                for x in range(columns - step):
                    least[x] = min(least[x], row[x + step] + square)
                for x in range(step, columns):
                    least[x] = min(least[x], row[x - step] + square)
            for x in range(columns):
                found[z, y, x] = math.sqrt(least[x]) < mm
    return found
