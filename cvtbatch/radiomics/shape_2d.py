"""Shape of a plane ROI: nine features of its outline and of its pixels' covariance, and one that is deprecated.

The outline is PyRadiomics': marching squares on the bounding box with one empty pixel around it.

Source: PyRadiomics 3.0.1, `shape2D.py`, `featureextractor.computeShape` and `src/cshape.c` (calculate_coefficients2D).
"""

import math

import numpy as np
from numpy.typing import NDArray

from cvtbatch.compiled_arrays import empty, zeros
from cvtbatch.compiled_code import compiled
from cvtbatch.errors import InputError
from cvtbatch.radiomics.box import RoiBox
from cvtbatch.radiomics.settings import Calculation
from cvtbatch.radiomics.shape import principal_variances, root

# The square's corners (row, column), its edges' middles, and by corners inside, as bits, two or four edges that lines join.
_CORNERS = np.array([(0, 0), (0, 1), (1, 1), (1, 0)], np.int64)
_MIDDLES = np.array([(0, 0.5), (0.5, 1), (1, 0.5), (0.5, 0)])
_LINES = ("", "30", "01", "31", "12", "1230", "02", "32", "23", "20", "0123", "21", "13", "10", "03", "")
_EDGES = np.array([[int(edge) for edge in line.ljust(4, "9")] for line in _LINES], np.int64)


def shape_2d_features(box: RoiBox, calculation: Calculation) -> dict[str, float]:
    """Return the features, in mm and mm2, of the plane across the axis of `force2Ddimension`.

    Raises:
        InputError: roi_too_thick, the ROI lies in several planes; roi_too_thin, PyRadiomics leaves the class out.
    """
    across = calculation.force_2d_dimension
    if (count := box.shape[across]) > 1:
        raise InputError(
            "roi_too_thick", f"the ROI lies in {count} planes across axis {across} (limit 1, for feature class shape2D)"
        )
    # PyRadiomics looks along x where it means z, and the other way round.
    if box.shape[2 - across] == 1:
        raise InputError(
            "roi_too_thin", f"the ROI is one pixel wide along axis {2 - across}: PyRadiomics gives no shape2D"
        )
    axes = [axis for axis in (0, 1, 2) if axis != across]
    spacing = np.array([box.spacing_mm[axis] for axis in axes])
    pixels = tuple(box.outline[axis] - box.lower[axis] + 1 for axis in axes)
    inside = np.zeros([box.shape[axis] + 2 for axis in axes], np.uint8)
    inside[pixels] = 1
    perimeter, surface, squared = _outline(inside, spacing, _CORNERS, _MIDDLES, _EDGES)
    minor, major = principal_variances(pixels, spacing)
    y, x = spacing
    sphericity = (2 * math.sqrt(math.pi * surface)) / perimeter
    return {
        "Elongation": root(minor / major) if major >= 0 else math.nan,
        "MajorAxisLength": root(major) * 4,
        "MaximumDiameter": math.sqrt(squared),
        "MeshSurface": surface,
        "MinorAxisLength": root(minor) * 4,
        "Perimeter": perimeter,
        "PerimeterSurfaceRatio": perimeter / surface,
        "PixelSurface": float(len(pixels[0]) * (x * y)),
        "SphericalDisproportion": 1.0 / sphericity,
        "Sphericity": sphericity,
    }


@compiled
def _outline(
    inside: NDArray[np.uint8],
    spacing: NDArray[np.float64],
    corners: NDArray[np.int64],
    middles: NDArray[np.float64],
    edges: NDArray[np.int64],
) -> tuple[float, float, float]:  # pragma: no cover - compiled
    """Return length (mm), surface (mm2) and largest squared distance between points (mm2) of a mask's outline."""
    length, surface = 0.0, 0.0
    points = empty((2 * inside.size, 2), np.float64)
    count = 0
    a, b = zeros(2, np.float64), zeros(2, np.float64)
    for y in range(inside.shape[0] - 1):
        for x in range(inside.shape[1] - 1):
            square = np.int64(0)
            for corner in range(4):
                square |= np.int64(inside[y + corners[corner, 0], x + corners[corner, 1]]) << corner
            for line in range(0, 4, 2):
                first, second = edges[square, line], edges[square, line + 1]
                if first > 3:
                    continue
                a[0], a[1] = (y + middles[first, 0]) * spacing[0], (x + middles[first, 1]) * spacing[1]
                b[0], b[1] = (y + middles[second, 0]) * spacing[0], (x + middles[second, 1]) * spacing[1]
                surface += a[0] * b[1] - b[0] * a[1]
                length += np.sqrt((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2)
                points[count] = a
                count += 1
    largest = 0.0
    for p in range(count):
        for q in range(p):
            largest = max(largest, (points[p, 0] - points[q, 0]) ** 2 + (points[p, 1] - points[q, 1]) ** 2)
    return length, surface / 2, largest
