"""The head without its hematoma: nested ellipsoids, a folded cortex, ventricles, bone, air.

Attenuations are textbook values of non-enhanced CT at 120 kV (HU): air -1000, fat -90, cerebrospinal fluid 5 to 10,
white matter 25 to 30, grey matter 35 to 40, fresh blood 55 to 80, cancellous bone 300 to 700, cortical bone above
1000. Template coordinates are those of `Pose`: millimetres from the middle of the brain, x left, y posterior, z
superior.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from cvtbatch.synthesis.fields import (
    Ellipsoid,
    FloatArray,
    Lattice,
    PlacedEllipsoid,
    Point,
    Pose,
    Rows,
    ramp,
    smooth_noise,
)

AIR_HU = -1000.0
SKIN_HU = 40.0
FAT_HU = -70.0
COMPACT_BONE_HU = 1150.0
DIPLOE_HU = 600.0
CSF_HU = 8.0
GREY_HU = 37.5
WHITE_HU = 28.5
BLOOD_IN_CSF_HU = 60.0

SKIN = Ellipsoid((0, 0, 0), (79.5, 99.5, 87.5))
FAT = Ellipsoid((0, 0, 0), (76.5, 96.5, 84.5))
SKULL = Ellipsoid((0, 0, 0), (73, 93, 80.5))
DIPLOE = Ellipsoid((0, 0, 0), (71, 91, 78.5))
INNER_TABLE = Ellipsoid((0, 0, 0), (68.5, 88.5, 75.5))
MENINGES = Ellipsoid((0, 0, 0), (66.5, 86.5, 73.5))
BRAIN = Ellipsoid((0, 0, 0), (64.5, 84.5, 71.5))

BRAIN_EDGE_MM = 1.2
BRAIN_GRAIN_HU = 1.3

LATTICE_STEP_MM = 2.5
LATTICE_SHAPE_ZYX = (76, 84, 68)
FOLD_MM = 6.0
GRAIN_MM = 3.0
"""Smoothing (standard deviation) of the field whose zeros are the sulci, and of tissue's texture."""


@dataclass(frozen=True, slots=True)
class Part:
    """A solid of one attenuation, painted over what lies there already.

    Attributes:
        solid: in template coordinates.
        hu: its mean attenuation.
        edge_mm: width of its edge.
        grain_hu: standard deviation of its texture.
    """

    solid: Ellipsoid
    hu: float
    edge_mm: float = 1.0
    grain_hu: float = 0.0


def _pair(center: Point, semi_axes: Point, yaw_deg: float, hu: float, edge_mm: float = 1.0) -> tuple[Part, Part]:
    """A part of the left hemisphere and its mirror image."""
    x, y, z = center
    return (
        Part(Ellipsoid(center, semi_axes, yaw_deg), hu, edge_mm),
        Part(Ellipsoid((-x, y, z), semi_axes, -yaw_deg), hu, edge_mm),
    )


SHELLS = (
    Part(SKIN, SKIN_HU, 1.0, 6),
    Part(FAT, FAT_HU, 1.5, 15),
    Part(SKULL, COMPACT_BONE_HU, 1.0, 60),
    Part(DIPLOE, DIPLOE_HU, 1.5, 160),
    Part(INNER_TABLE, COMPACT_BONE_HU, 1.5, 60),
    Part(MENINGES, CSF_HU + 10, 1.0, 2),
)
"""Around the brain, from the outside in."""
MIDLINE_FISSURES_AND_DEEP_GREY = (
    Part(Ellipsoid((0, 0, 20), (1.6, 81, 54)), CSF_HU + 8, 1.5),
    Part(Ellipsoid((0, 6, 62), (1.0, 79, 42)), 48),
    *_pair((48, -12, -4), (14, 3.5, 11), -35, CSF_HU + 6, 2.5),
    *_pair((24, -3, 4), (7, 19, 12), 12, GREY_HU, 2),
    *_pair((10, 13, 5), (8.5, 14, 9), -15, GREY_HU, 2),
)
VENTRICLES = (
    *_pair((10, -25, 12), (4.5, 14, 10), 18, CSF_HU),
    *_pair((11, 2, 22), (5.5, 28, 7), -6, CSF_HU),
    *_pair((23, 32, 10), (6, 17, 10), -20, CSF_HU),
    Part(Ellipsoid((0, 3, 2), (2.5, 14, 9)), CSF_HU),
    Part(Ellipsoid((0, 40, -34), (6, 5, 9)), CSF_HU),
)
SKULL_BASE_AND_CALCIFICATIONS = (
    *_pair((9, -16, -36), (10, 7, 6), 30, CSF_HU, 2),
    *_pair((34, 14, -48), (20, 7, 8), 28, 900, 2),
    Part(Ellipsoid((0, 24, 2), (2, 3, 2.5)), 140),
    *_pair((24, 36, 8), (2, 3, 2.5), 0, 170),
)


@dataclass(frozen=True, slots=True)
class HeadPlan:
    """One patient's head before any voxel is drawn.

    Attributes:
        pose: where it lies, and its size.
        ventricle_scale: size of the ventricles against the template.
        sulcus_width: half width of the sulci in standard deviations of the fold field; wider with age.
        intraventricular, subarachnoid: blood fills the ventricles, or the sulci.
    """

    pose: Pose
    ventricle_scale: float = 1.0
    sulcus_width: float = 0.16
    intraventricular: bool = False
    subarachnoid: bool = False


@dataclass(frozen=True, slots=True)
class PlacedPart:
    """A part in physical space."""

    part: Part
    solid: PlacedEllipsoid

    def paint(self, hu: FloatArray, texture: FloatArray, rows: Rows, limit: FloatArray | None = None) -> None:
        """Draw the part over `hu` (rows, columns), in place.

        `texture` has mean 0 and standard deviation 1; `limit` is the share of a voxel that the part may take (all of it
        by default).
        """
        block = self.solid.block(rows, self.part.edge_mm)
        target, near = hu[block], rows.crop(block)
        if target.size:
            level = self.part.hu - target
            if self.part.grain_hu:
                level += self.part.grain_hu * texture[block]
            level *= self.solid.coverage(near, self.part.edge_mm)
            target += level if limit is None else level * limit[block]


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A head as fields in physical space.

    Attributes:
        plan: what it was made from.
        folds: its zeros are the sulci.
        texture: tissue's own, standard deviation 1.
        shells, brain, inner, base: painted in this order; what is inner ends where the brain does.
    """

    plan: HeadPlan
    folds: Lattice
    texture: Lattice
    shells: tuple[PlacedPart, ...]
    brain: PlacedEllipsoid
    inner: tuple[PlacedPart, ...]
    base: tuple[PlacedPart, ...]

    @classmethod
    def grow(cls, plan: HeadPlan, rng: np.random.Generator) -> Self:
        """Draw the random part of a head."""
        x, y, z = np.asarray(plan.pose.center_mm) - (np.asarray(LATTICE_SHAPE_ZYX[::-1]) - 1) / 2 * LATTICE_STEP_MM
        folds, texture = (
            Lattice(
                smooth_noise(LATTICE_SHAPE_ZYX, mm / LATTICE_STEP_MM, rng),
                (float(x), float(y), float(z)),
                LATTICE_STEP_MM,
            )
            for mm in (FOLD_MM, GRAIN_MM)
        )
        ventricles = tuple(_swell(part, plan) for part in VENTRICLES)
        shells, inner, base = (
            tuple(PlacedPart(part, part.solid.place(plan.pose)) for part in group)
            for group in (SHELLS, (*MIDLINE_FISSURES_AND_DEEP_GREY, *ventricles), SKULL_BASE_AND_CALCIFICATIONS)
        )
        return cls(plan, folds, texture, shells, BRAIN.place(plan.pose), inner, base)

    def paint(self, rows: Rows) -> tuple[FloatArray, FloatArray]:
        """Attenuation (rows, columns) in HU, and the share of brain with its ventricles in every voxel."""
        hu, brain = np.full(rows.shape, AIR_HU, dtype=np.float32), np.zeros(rows.shape, dtype=np.float32)
        block = self.shells[0].solid.block(rows, self.shells[0].part.edge_mm)
        near = rows.crop(block)
        if hu[block].size:
            self._paint_near(hu[block], brain[block], near)
        return hu, brain

    def _paint_near(self, hu: FloatArray, brain: FloatArray, rows: Rows) -> None:
        texture = self.texture.sample(rows)
        for shell in self.shells:
            shell.paint(hu, texture, rows)
        block = self.brain.block(rows, BRAIN_EDGE_MM)
        if hu[block].size:
            near, target = rows.crop(block), hu[block]
            brain[block] = self.brain.coverage(near, BRAIN_EDGE_MM)
            target += brain[block] * (self._cortex(near) + BRAIN_GRAIN_HU * texture[block] - target)
        for part in self.inner:
            part.paint(hu, texture, rows, limit=brain)
        for part in self.base:
            part.paint(hu, texture, rows)

    def _cortex(self, rows: Rows) -> FloatArray:
        """Grey ribbon around sulci near the surface, white matter between and below."""
        depth = (1 - np.sqrt(self.brain.quadric(rows))) * np.float32(self.brain.thickness_mm)
        fold = np.abs(self.folds.sample(rows))
        core = ramp((fold - np.float32(0.42)) / np.float32(0.35)) * ramp((depth - 2) / 3)
        white = np.maximum(core, ramp((depth - 19) / 8))
        sulcus = ramp((np.float32(self.plan.sulcus_width) - fold) / np.float32(0.14)) * ramp((17 - depth) / 6)
        fluid = BLOOD_IN_CSF_HU if self.plan.subarachnoid else CSF_HU
        tissue = GREY_HU + (WHITE_HU - GREY_HU) * white
        cortex: FloatArray = tissue + 0.8 * sulcus * (fluid - tissue)
        return cortex


def _swell(part: Part, plan: HeadPlan) -> Part:
    """The ventricle at this patient's size, full of blood where the plan says so."""
    x, y, z = part.solid.semi_axes_mm
    size = plan.ventricle_scale
    solid = Ellipsoid(part.solid.center_mm, (x * size, y * size**0.3, z * size), part.solid.yaw_deg)
    return Part(solid, BLOOD_IN_CSF_HU if plan.intraventricular else part.hu, part.edge_mm)
