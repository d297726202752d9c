"""Surfaces of masks as points, and true distances to them.

A surface is the set of points halfway between a voxel of a mask and a neighbour along an axis that is none of it. So a distance
is right to within half a voxel along each axis, in thick slices too, two masks that touch have none, and where the scan ends
there is no surface. From slice to slice a surface goes in steps, of which the nearest counts: such distances are short, not long.

Points are in patient axes (x left, y posterior, z superior), mm from the centre of the grid's first voxel: where a scanner puts
its origin moves no value.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from cvtbatch.geometry import Grid, Vector, box_of

Mask = npt.NDArray[np.bool_]
# So many points are asked first, and so many at most of those that may be nearer than the nearest of them.
FIRST, MOST = 1000, 5000


def to_points(indices_xyz: npt.NDArray[np.generic], grid: Grid) -> Vector:
    """Return points (n, 3) of continuous indices (n, 3), x y z."""
    return np.asarray((indices_xyz * np.array(grid.spacing_mm)) @ grid.axes().T)


@dataclass(frozen=True, slots=True)
class Surface:
    """Points of a surface.

    Attributes:
        points_mm: (n, 3).
        areas_mm2: (n,): of the face that each is the middle of.
    """

    points_mm: Vector
    areas_mm2: Vector

    def thinned(self, area_mm2: float) -> Vector:
        """Return points (n, 3), each for about so much of the surface, the same at each call."""
        # At random, since regular steps would prefer some parts of the rows to others.
        return self.points_mm[np.random.default_rng(0).random(len(self.areas_mm2)) < self.areas_mm2 / area_mm2]


def find_surface(mask_zyx: Mask, grid: Grid) -> Surface:
    """Return the surface of a mask, never empty and not all of its volume."""
    points, areas = zip(*_faces(mask_zyx, grid), strict=True)
    return Surface(np.concatenate(points), np.repeat(areas, [len(some) for some in points]))


def _faces(mask_zyx: Mask, grid: Grid) -> Iterator[tuple[Vector, float]]:
    """Yield, for each axis, the middles of the faces between voxels of a mask and others, and the area of a face."""
    box = box_of(mask_zyx, (1, 1, 1))
    block = mask_zyx[box]
    for axis in range(3):
        near, beyond = ([slice(None)] * 3 for _ in range(2))
        near[axis], beyond[axis] = slice(None, -1), slice(1, None)
        across = block[tuple(near)] != block[tuple(beyond)]
        place = np.array([part.start for part in box], dtype=np.float64)
        place[axis] += 0.5
        faces = np.stack(np.unravel_index(np.flatnonzero(across), across.shape)[::-1], axis=1)
        others = [mm for other, mm in enumerate(grid.spacing_mm[::-1]) if other != axis]
        yield to_points(faces + place[::-1], grid), others[0] * others[1]


def distances_mm(points_mm: Vector, surface_mm: Vector) -> Vector:
    """Return (n,): how far each of a few points (n, 3) lies from the nearest point (m, 3) of a surface.

    A search tree is slower where a point is deep inside, and many points are nearly as near.
    """
    return np.array([np.sqrt(((surface_mm - point) ** 2).sum(axis=1).min()) for point in points_mm])


class Solid:
    """A small body that distances are asked of, by its surface."""

    def __init__(self, surface_mm: Vector) -> None:
        self._tree = cKDTree(surface_mm)
        self._middle = surface_mm.mean(axis=0)
        self._radius_mm = float(np.sqrt(((surface_mm - self._middle) ** 2).sum(axis=1).max()))

    def gap_mm(self, surface_mm: Vector) -> float:
        """Return how far the body is from the nearest of points (n, 3) of another surface, never none.

        Of many points that could be the nearest every so many-th is asked; so many are there only far away, where that does
        not matter.
        """
        gap = float(self._tree.query(_some(surface_mm, FIRST))[0].min())
        near = surface_mm[((surface_mm - self._middle) ** 2).sum(axis=1) <= (self._radius_mm + gap) ** 2]
        return min(gap, float(self._tree.query(_some(near, MOST), distance_upper_bound=gap)[0].min(initial=np.inf)))


def _some(points_mm: Vector, count: int) -> Vector:
    return points_mm[:: max(1, len(points_mm) // count)]
