"""Hematomas painted by hand on the stored grid: a dense cylinder in brain, and what makes a sign of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cvtbatch.geometry import Grid

SHAPE = (7, 176, 176)
SPACING_MM = (0.5, 0.5, 5.0)
SLICES = range(2, 5)
BRAIN, BLOOD, RADIUS_MM = 34, 66, 16.0
# Right and back of the centre of the hematoma, in mm.
Area = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Paint:
    """An area of some slices that has this density.

    Attributes:
        outlined: it becomes part of the outline, or (False) is taken out of it; None leaves the outline as it is.
    """

    area: Area
    hu: float | Area
    slices: Sequence[int] = SLICES
    outlined: bool | None = None


def disc(x_mm: float, y_mm: float, radius_mm: float) -> Area:
    return lambda x, y: np.hypot(x - x_mm, y - y_mm) <= radius_mm


def around(angle_deg: float, distance_mm: float, radius_mm: float) -> Area:
    """Return a disc whose centre lies so far from the hematoma's, at this angle."""
    angle = np.deg2rad(angle_deg)
    return disc(distance_mm * np.cos(angle), distance_mm * np.sin(angle), radius_mm)


def inside(area: Area) -> Area:
    """Return what of an area lies in the hematoma."""
    return lambda x, y: area(x, y) & disc(0, 0, RADIUS_MM)(x, y)


def grid_for(shape: tuple[int, ...], spacing_mm: tuple[float, float, float] = SPACING_MM) -> Grid:
    z, y, x = shape
    return Grid((x, y, z), spacing_mm, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


def painted(
    *paints: Paint, slices: Sequence[int] = SLICES, shape: tuple[int, int, int] = SHAPE
) -> tuple[np.ndarray, np.ndarray]:
    """Return HU and mask of a hematoma with changes, in their order."""
    middle = (np.array(shape[1:]) - 1) / 2
    y, x = ((np.arange(size) - centre) * 0.5 for size, centre in zip(shape[1:], middle, strict=True))
    x, y = np.meshgrid(x, y)
    hu, mask = np.full(shape, float(BRAIN)), np.zeros(shape, bool)
    for paint in (Paint(disc(0, 0, RADIUS_MM), BLOOD, slices, outlined=True), *paints):
        area = paint.area(x, y)
        for index in paint.slices:
            hu[index][area] = paint.hu(x, y)[area] if callable(paint.hu) else paint.hu
            if paint.outlined is not None:
                mask[index][area] = paint.outlined
    return np.rint(hu).astype(np.int16), mask.astype(np.uint8)
