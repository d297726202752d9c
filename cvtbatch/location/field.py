"""How deep points lie below a surface, quickly and roughly: on a grid of some millimetres."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cvtbatch.geometry import Box, Grid, Vector, box_of
from cvtbatch.location.surface import Mask, to_points


@dataclass(frozen=True, slots=True)
class DepthField:
    """Depth below the surface of a mask, negative outside; above and below the scan the mask goes on.

    Attributes:
        values: (4, z, y, x): mm, and its change along the array's z, y and x by mm.
        first_zyx, step_zyx: index on the mask's grid of the first value, and by how much it grows to the next.
        slices: of the mask.
    """

    values: npt.NDArray[np.float64]
    first_zyx: npt.NDArray[np.int64]
    step_zyx: npt.NDArray[np.int64]
    slices: int
    grid: Grid

    @classmethod
    def of(cls, mask_zyx: Mask, grid: Grid, step_mm: float, margin_mm: float) -> Self:
        """Measure depths at about every `step_mm`, and as far as `margin_mm` around a mask that is never empty."""
        spacing = np.array(grid.spacing_mm[::-1])
        steps = np.maximum(1, np.round(step_mm / spacing)).astype(np.int64)
        around = np.ceil(margin_mm / (steps * spacing)).astype(np.int64)
        box = box_of(mask_zyx)
        coarse = mask_zyx[box][:: steps[0], :: steps[1], :: steps[2]]
        beyond = (int(around[0]), int(around[0]))
        coarse = _ended(np.pad(coarse, (beyond, (0, 0), (0, 0)), mode="edge"), box, beyond[0], mask_zyx.shape[0])
        coarse = np.pad(coarse, ((0, 0), *((int(n), int(n)) for n in around[1:])))
        step = steps * spacing
        depth = ndimage.distance_transform_edt(coarse, step) - ndimage.distance_transform_edt(~coarse, step)
        first = np.array([part.start for part in box]) - around * steps
        return cls(np.stack([depth, *np.gradient(depth, *step)]), first, steps, mask_zyx.shape[0], grid)

    def depth_at(self, points_mm: Vector) -> Vector:
        """Return the depths (n,) of points (n, 3)."""
        return self._sampled(0, points_mm)

    def slope_at(self, points_mm: Vector) -> Vector:
        """Return by how much the depth grows, by mm along the patient's axes, at points (n, 3)."""
        return np.stack([self._sampled(3 - axis, points_mm) for axis in range(3)], axis=1) @ self.grid.axes().T

    def scanned(self, points_mm: Vector) -> Mask:
        """Say which of points (n, 3) lie within the scan's slices."""
        slices = self._index_zyx(points_mm)[:, 0]
        return np.asarray((slices >= -0.5) & (slices <= self.slices - 0.5))

    def _index_zyx(self, points_mm: Vector) -> Vector:
        return np.asarray(((points_mm @ self.grid.axes()) / self.grid.spacing_mm)[:, ::-1])

    def _sampled(self, which: int, points_mm: Vector) -> Vector:
        places = ((self._index_zyx(points_mm) - self.first_zyx) / self.step_zyx).T
        return np.asarray(ndimage.map_coordinates(self.values[which], places, order=1, mode="nearest"))

    def in_box(self, box: Box) -> npt.NDArray[np.float64]:
        """Return the depths of the voxels of a box, those of the nearest value."""
        places = (
            np.clip(np.rint((np.arange(part.start, part.stop) - first) / step).astype(int), 0, size - 1)
            for part, first, step, size in zip(box, self.first_zyx, self.step_zyx, self.values.shape[1:], strict=True)
        )
        return np.asarray(self.values[0][np.ix_(*places)])

    def deep_points(self, count: int) -> Vector:
        """Return so many points (n, 3) within the scan's slices, those that are deepest here."""
        depth = self.values[0].copy()
        slices = np.arange(len(depth)) * self.step_zyx[0] + self.first_zyx[0]
        depth[(slices < 0) | (slices >= self.slices)] = -np.inf
        flat = np.argsort(depth, axis=None)[-count:]
        places = np.stack(np.unravel_index(flat, depth.shape), axis=1)
        return to_points((places * self.step_zyx + self.first_zyx)[:, ::-1], self.grid)


def _ended(coarse: Mask, box: Box, beyond: int, slices: int) -> Mask:
    """Return a mask that was continued upward and downward, without that where it ends before the scan does."""
    if box[0].start > 0:
        coarse[:beyond] = False
    if box[0].stop < slices:
        coarse[-beyond:] = False
    return coarse
