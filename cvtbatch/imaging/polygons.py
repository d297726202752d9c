"""Polygons on a lattice of pixels: which pixels a closed contour holds."""

import numpy as np
import numpy.typing as npt

from cvtbatch.geometry import Vector

# Decimals of a pixel that count: a contour drawn through pixel centres, as many tools do, falls on the same side of them whatever
# the last bit of the geometry says.
PIXEL_DIGITS = 6
# A corner this near a pixel's centre, in pixels, lies on it.
ON_CENTER = 0.01
# Edges handled at once; bounds the memory that a contour of a million points takes.
EDGES_AT_ONCE = 4096


def fill_polygon(points_xy: Vector, shape_yx: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return the pixels whose centres lie in a polygon, by the even-odd rule.

    A centre on a left or upper edge is inside, on a right or lower edge outside: of polygons that share an edge exactly one has it,
    and a rectangle through centres has as many pixels as its area says. A part that the contour runs around twice is outside, so
    that the two coinciding edges of a keyhole leave nothing behind.

    Args:
        points_xy: (n, 2) corners in pixels, (0, 0) the centre of the first; the last is joined to the first.
    """
    rows, columns = shape_yx
    corners = np.round(points_xy, PIXEL_DIGITS)
    following = np.roll(corners, -1, axis=0)
    # Row r crosses an edge if low <= r < high; a pixel is toggled by every crossing at or before its centre.
    low = np.clip(np.ceil(np.minimum(corners[:, 1], following[:, 1])), 0, rows).astype(np.int64)
    high = np.clip(np.ceil(np.maximum(corners[:, 1], following[:, 1])), 0, rows).astype(np.int64)
    crossing = np.flatnonzero(high > low)
    toggles = np.zeros(rows * (columns + 1), dtype=np.int64)
    for first in range(0, len(crossing), EDGES_AT_ONCE):
        edges = crossing[first : first + EDGES_AT_ONCE]
        counts = high[edges] - low[edges]
        edge = np.repeat(edges, counts)
        row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + low[edge]
        (x, y), (next_x, next_y) = corners[edge].T, following[edge].T
        at = np.round(x + (row - y) / (next_y - y) * (next_x - x), PIXEL_DIGITS)
        column = np.clip(np.ceil(at), 0, columns).astype(np.int64)
        toggles += np.bincount(row * (columns + 1) + column, minlength=len(toggles))
    inside: npt.NDArray[np.bool_] = np.cumsum(toggles.reshape(rows, columns + 1), axis=1)[:, :columns] % 2 == 1
    return inside


def traced_pixels(points_xy: Vector, shape_yx: tuple[int, int]) -> npt.NDArray[np.int64] | None:
    """Return the pixels (n, 2), x y, that a contour was traced along from centre to neighbouring centre; None if it was not.

    OpenCV's `findContours`, which rt-utils draws with, runs through the outermost pixels of a mask, all of which are in it, though
    the polygon halves them (Suzuki and Abe, Comput Vis Graph Image Process 1985;30:32-46). Corners on straight and diagonal lines
    may be left out.
    """
    corners = np.rint(points_xy).astype(np.int64)
    if np.abs(points_xy - corners).max() > ON_CENTER:
        return None
    strides = np.roll(corners, -1, axis=0) - corners
    lengths = np.abs(strides).max(axis=1)
    # Nobody passes a pixel more than eight times.
    if lengths.sum() > 8 * shape_yx[0] * shape_yx[1]:
        return None
    if not ((strides == 0) | (np.abs(strides) == lengths[:, np.newaxis])).all():
        return None
    ahead = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.asarray(
        np.repeat(corners, lengths, axis=0) + ahead[:, np.newaxis] * np.repeat(np.sign(strides), lengths, axis=0)
    )
