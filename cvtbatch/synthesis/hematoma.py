"""A synthetic hematoma: an ellipsoid with a random surface, cut to its own hemisphere of the brain.

Its volume is exact by construction: the level at which the surface is drawn is an order statistic of the level field
over a fine lattice, whatever the surface looks like and however much of it the skull cuts off.
"""

import math
from dataclasses import dataclass

import numpy as np

from cvtbatch.synthesis.fields import (
    Block,
    BoolArray,
    Ellipsoid,
    FloatArray,
    Lattice,
    Point,
    Pose,
    Rows,
    ramp,
    smooth_noise,
    span,
)

LATTICE_STEP_MM = 1.5
SMALLEST_ML = 5.0
LARGEST_ML = 60.0
CORTEX_MARGIN_MM = 1.5
"""A hematoma stays this far inside the brain's surface, and from the midline."""
COARSE_MM = 7.0
FINE_MM = 2.6
MOTTLE_MM = 1.7
"""Smoothing of lobes, of a ragged edge and of the clot's texture (standard deviation)."""
EDEMA_HU = 21.0


@dataclass(frozen=True, slots=True)
class HematomaPlan:
    """What a hematoma looks like, before any voxel is drawn.

    Attributes:
        center_mm: its centre in the head's template coordinates; the sign of x is the hemisphere.
        volume_ml: in physical space.
        proportions: relative semi-axes along x, y, z.
        yaw_deg: turn of the ellipsoid about the vertical axis.
        attenuation_hu: mean attenuation of the clot.
        mottle_hu: standard deviation of the clot's texture.
        irregularity: standard deviation of the surface's displacement, as a share of the radius of an equal sphere.
        raggedness: share (0 to 1) of that displacement which is fine and cloud-like, not lobar.
        edge_mm: distance over which blood passes into brain.
        edema_mm: width of the low-attenuation rim.
    """

    center_mm: Point
    volume_ml: float
    proportions: Point
    yaw_deg: float
    attenuation_hu: float
    mottle_hu: float
    irregularity: float
    raggedness: float
    edge_mm: float
    edema_mm: float

    def __post_init__(self) -> None:
        if not SMALLEST_ML <= self.volume_ml <= LARGEST_ML:
            raise ValueError(f"volume_ml {self.volume_ml} is outside {SMALLEST_ML} to {LARGEST_ML}")
        if not 0 <= self.raggedness <= 1 or self.edge_mm <= 0 or min(self.proportions) <= 0:
            raise ValueError(f"raggedness, edge_mm or proportions out of range: {self}")

    @property
    def radius_mm(self) -> float:
        """Radius of the sphere of equal volume."""
        return equal_sphere_radius_mm(self.volume_ml)


def equal_sphere_radius_mm(volume_ml: float) -> float:
    """Radius (mm) of the sphere that holds `volume_ml`."""
    return math.cbrt(volume_ml * 1000 * 3 / (4 * math.pi))


@dataclass(frozen=True, slots=True)
class Hematoma:
    """A hematoma as fields in physical space.

    Attributes:
        plan: what it was made from.
        distance_mm: about the distance from the surface, negative inside; all blood lies within the lattice.
        mottle: texture of the clot, standard deviation 1.
    """

    plan: HematomaPlan
    distance_mm: Lattice
    mottle: Lattice

    def contains(self, rows: Rows) -> BoolArray:
        """(rows, columns) True where a voxel's centre lies in the hematoma: the mask that a careful reader draws."""
        inside = np.zeros(rows.shape, dtype=np.bool_)
        block = self._block(rows)
        near = rows.crop(block)
        if inside[block].size:
            inside[block] = self.distance_mm.sample(near) < 0
        return inside

    def paint(self, hu: FloatArray, rows: Rows, brain: FloatArray) -> None:
        """Draw edema and blood over `hu` (rows, columns), in place; `brain` is the share of brain in a voxel."""
        block = self._block(rows)
        near = rows.crop(block)
        if not hu[block].size:
            return
        target, distance = hu[block], self.distance_mm.sample(near)
        edema = ramp((self.plan.edema_mm - distance) / 3 + np.float32(0.5)) * brain[block]
        target += edema * np.minimum(0, EDEMA_HU - target)
        clot = self.plan.attenuation_hu + self.plan.mottle_hu * self.mottle.sample(near)
        target += ramp(np.float32(0.5) - distance / self.plan.edge_mm) * (clot - target)

    def _block(self, rows: Rows) -> Block:
        shape = self.distance_mm.values_zyx.shape
        first, step = self.distance_mm.first_mm, self.distance_mm.step_mm

        def within(positions: FloatArray, axis: int) -> BoolArray:
            inside: BoolArray = (positions > first[axis]) & (positions < first[axis] + step * (shape[2 - axis] - 1))
            return inside

        return span(within(rows.y_mm, 1) & within(rows.z_mm, 2)), span(within(rows.x_mm, 0))


def grow_hematoma(plan: HematomaPlan, pose: Pose, brain: Ellipsoid, rng: np.random.Generator) -> Hematoma:
    """Draw the hematoma's random surface and texture in the head at `pose`."""
    reach_mm = 2.3 * plan.radius_mm + plan.edema_mm + 4
    half = math.ceil(reach_mm / LATTICE_STEP_MM)
    steps = np.arange(-half, half + 1) * LATTICE_STEP_MM
    center = pose.to_physical(plan.center_mm)
    shape = (steps.size, steps.size, steps.size)
    coarse, fine, mottle = (smooth_noise(shape, mm / LATTICE_STEP_MM, rng) for mm in (COARSE_MM, FINE_MM, MOTTLE_MM))

    rows = Rows(
        (center[0] + steps).astype(np.float32),
        np.tile(center[1] + steps, steps.size).astype(np.float32),
        np.repeat(center[2] + steps, steps.size).astype(np.float32),
    )
    ratios = np.asarray(plan.proportions) / np.prod(plan.proportions) ** (1 / 3)
    axes = ratios * plan.radius_mm / np.asarray(pose.scale)
    solid = Ellipsoid(plan.center_mm, (float(axes[0]), float(axes[1]), float(axes[2])), plan.yaw_deg)
    radius = np.sqrt(solid.place(pose).quadric(rows)).reshape(shape)
    share = plan.raggedness
    surface = (np.sqrt(1 - share) * coarse + np.sqrt(share) * fine) * plan.irregularity
    level = (radius - 1 + surface) * np.float32(plan.radius_mm)

    outside = _outside_hemisphere_mm(plan, pose, brain, rows).reshape(shape)
    wanted = round(plan.volume_ml * 1000 / LATTICE_STEP_MM**3)
    threshold = np.partition(level[outside < 0], wanted)[wanted]
    first = (float(center[0] + steps[0]), float(center[1] + steps[0]), float(center[2] + steps[0]))
    distance = np.maximum(level - threshold, outside)
    return Hematoma(plan, Lattice(distance, first, LATTICE_STEP_MM), Lattice(mottle, first, LATTICE_STEP_MM))


def _outside_hemisphere_mm(plan: HematomaPlan, pose: Pose, brain: Ellipsoid, rows: Rows) -> FloatArray:
    """(rows, columns) distance beyond the hemisphere's allowed part, negative inside; cautious about the room there."""
    placed = brain.place(pose)
    depth = (1 - np.sqrt(placed.quadric(rows))) * np.float32(placed.thickness_mm)
    matrix, center = pose.to_head(), np.asarray(pose.center_mm)
    per_row = matrix[0, 1] * (rows.y_mm - center[1]) + matrix[0, 2] * (rows.z_mm - center[2])
    across = (matrix[0, 0] * (rows.x_mm - center[0]) + per_row[:, None]) * pose.scale[0]
    beyond: FloatArray = CORTEX_MARGIN_MM - np.minimum(depth, math.copysign(1, plan.center_mm[0]) * across)
    return beyond.astype(np.float32)
