"""Smooth random fields and ellipsoids, evaluated on rows of voxels.

A row is a line of voxels parallel to the x axis; a slice of any gantry tilt is a stack of such rows. Along a row y
and z are constant, so that an ellipsoid is a quadratic in x and a field sampled on a lattice needs one interpolation
along x for all rows: this is what makes a head cheap to draw.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.floating]
"""float32 throughout: half the memory, and far finer than the noise."""
Vector = npt.NDArray[np.float64]
Point = tuple[float, float, float]
Block = tuple[slice, slice]
"""Rows and columns of an array over some `Rows`."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Voxel centres on lines parallel to x, LPS mm.

    Attributes:
        x_mm: (columns,) positions along every row.
        y_mm: (rows,) the rows' y.
        z_mm: (rows,) the rows' z.
    """

    x_mm: FloatArray
    y_mm: FloatArray
    z_mm: FloatArray

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of an array over these voxels."""
        return self.y_mm.size, self.x_mm.size

    def crop(self, block: Block) -> "Rows":
        """The voxels of a block."""
        return Rows(self.x_mm[block[1]], self.y_mm[block[0]], self.z_mm[block[0]])


@dataclass(frozen=True, slots=True)
class Pose:
    """Where an upright head lies: scaled about its centre, turned about the z axis, then moved.

    Attributes:
        center_mm: the head's centre, LPS mm.
        yaw_deg: turn about z, counter-clockwise seen from the head's top towards the feet in LPS axes.
        scale: size of this head against the template, along its own x, y, z.
    """

    center_mm: Point = (0.0, 0.0, 0.0)
    yaw_deg: float = 0.0
    scale: Point = (1.0, 1.0, 1.0)

    def to_head(self) -> Vector:
        """(3, 3) matrix M: template coordinates of a physical point p are M @ (p - center_mm)."""
        return np.diag(1 / np.asarray(self.scale)) @ _rotation_z(-self.yaw_deg)

    def to_physical(self, head_mm: Point) -> Vector:
        """(3,) physical LPS mm of a point in template coordinates (mm)."""
        scaled = np.asarray(self.scale) * np.asarray(head_mm)
        turned: Vector = _rotation_z(self.yaw_deg) @ scaled
        return np.asarray(self.center_mm) + turned


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """A solid in template coordinates (mm), turned about its own vertical axis by `yaw_deg`."""

    center_mm: Point
    semi_axes_mm: Point
    yaw_deg: float = 0.0

    def place(self, pose: Pose) -> "PlacedEllipsoid":
        """The solid in the physical space of a head at `pose`."""
        to_unit = np.diag(1 / np.asarray(self.semi_axes_mm)) @ _rotation_z(-self.yaw_deg) @ pose.to_head()
        reach = np.linalg.norm(np.linalg.inv(to_unit), axis=1)
        thickness = min(a * s for a, s in zip(self.semi_axes_mm, pose.scale, strict=True))
        return PlacedEllipsoid(pose.to_physical(self.center_mm), to_unit, reach, thickness)


@dataclass(frozen=True, slots=True)
class PlacedEllipsoid:
    """An ellipsoid in physical space.

    Attributes:
        center_mm: (3,) LPS.
        to_unit: (3, 3) matrix that makes it the unit sphere.
        reach_mm: (3,) half the size of its box, along LPS axes.
        thickness_mm: about its smallest semi-axis.
    """

    center_mm: Vector
    to_unit: Vector
    reach_mm: Vector
    thickness_mm: float

    def quadric(self, rows: Rows) -> FloatArray:
        """(rows, columns) squared radius: 1 on the surface, 0 at the centre."""
        offset = self.to_unit @ self.center_mm
        constant = np.outer(rows.y_mm, self.to_unit[:, 1]) + np.outer(rows.z_mm, self.to_unit[:, 2]) - offset
        squared = (constant**2).sum(axis=1).astype(np.float32)
        linear = (2 * constant @ self.to_unit[:, 0]).astype(np.float32)
        square = np.float32((self.to_unit[:, 0] ** 2).sum())
        values: FloatArray = (square * rows.x_mm + linear[:, None]) * rows.x_mm
        values += squared[:, None]
        return np.maximum(values, 0, out=values)

    def block(self, rows: Rows, margin_mm: float) -> Block:
        """Rows and columns outside which no point is within `margin_mm` of the solid."""
        x, y, z = self.center_mm
        reach_x, reach_y, reach_z = self.reach_mm + margin_mm
        near = (np.abs(rows.y_mm - y) < reach_y) & (np.abs(rows.z_mm - z) < reach_z)
        return span(near), span(np.abs(rows.x_mm - x) < reach_x)

    def coverage(self, rows: Rows, edge_mm: float) -> FloatArray:
        """(rows, columns) share of the solid in a voxel, falling from 1 to 0 over about `edge_mm`."""
        steepness = np.float32(self.thickness_mm / (2 * edge_mm))
        share = self.quadric(rows)
        share *= -steepness
        share += steepness + np.float32(0.5)
        return ramp(share)


@dataclass(frozen=True, slots=True)
class Lattice:
    """A scalar field known on a regular lattice, axes parallel to LPS.

    Attributes:
        values_zyx: (z, y, x) float32.
        first_mm: LPS position of values_zyx[0, 0, 0].
        step_mm: distance of neighbours along every axis.
    """

    values_zyx: FloatArray
    first_mm: Point
    step_mm: float

    def sample(self, rows: Rows) -> FloatArray:
        """(rows, columns) trilinear interpolation; beyond the lattice its border's value."""
        nz, ny, nx = self.values_zyx.shape
        (x, wx), (y, wy), (z, wz) = (
            self._split(positions, axis, count)
            for axis, (positions, count) in enumerate(((rows.x_mm, nx), (rows.y_mm, ny), (rows.z_mm, nz)))
        )
        values = self.values_zyx
        below = _blend(values[z, y], values[z, y + 1], wy[:, None])
        above = _blend(values[z + 1, y], values[z + 1, y + 1], wy[:, None])
        lines = _blend(below, above, wz[:, None])
        return _blend(lines[:, x], lines[:, x + 1], wx)

    def _split(self, positions_mm: FloatArray, axis: int, count: int) -> tuple[npt.NDArray[np.intp], FloatArray]:
        place = ((positions_mm - self.first_mm[axis]) / self.step_mm).clip(0, count - 1.001).astype(np.float32)
        index = place.astype(np.intp)
        return index, place - index.astype(np.float32)


def _blend(first: FloatArray, second: FloatArray, weight: FloatArray) -> FloatArray:
    """first + weight * (second - first), in the memory of both."""
    second -= first
    second *= weight
    first += second
    return first


def span(hits: BoolArray) -> slice:
    """Smallest slice of a one-dimensional array that holds all its true values; slice(0, 0) without any."""
    places = np.flatnonzero(hits)
    return slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0, 0)


def ramp(values: FloatArray) -> FloatArray:
    """Clip to [0, 1], in place."""
    return np.clip(values, 0, 1, out=values)


def smooth_noise(shape_zyx: tuple[int, int, int], sigma: float, rng: np.random.Generator) -> FloatArray:
    """Gaussian random field of mean 0 and standard deviation 1; `sigma` is the smoothing in lattice steps."""
    field: FloatArray = gaussian_filter(
        rng.standard_normal(shape_zyx, dtype=np.float32), sigma, mode="wrap", truncate=3
    )
    field /= field.std()
    return field


def _rotation_z(degrees: float) -> Vector:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
