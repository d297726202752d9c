"""Heads with an open base and a neck, on any grid, with what surgeons, scanners and tables add to them: each drawn by rule.

Positions are those of the synthetic anatomy (`cvtbatch.synthesis.anatomy`): mm from the middle of the brain, x left, y posterior,
z superior. The truth ends at the meninges; what lies in the great foramen and below is neither.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from cvtbatch.synthesis.anatomy import FAT, MENINGES, SKIN, SKULL, Anatomy, HeadPlan
from cvtbatch.synthesis.fields import Ellipsoid, Pose, Rows

FORAMEN_MM, CANAL_MM, VERTEBRA_MM = 16.0, 11.0, 24.0
BASE_Z_MM = -68.0
# Samples of a slice's thickness lie about this far apart.
SAMPLE_MM = 2.5
# Changes attenuation at points: HU, then x, y, z; all of one shape (rows, columns).
Defect = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], None]


@dataclass(frozen=True, slots=True)
class Head:
    """HU and truth on one grid, all (z, y, x); `inside` ends at the meninges, `neither` is the foramen and its surroundings."""

    hu: np.ndarray
    inside: np.ndarray
    neither: np.ndarray
    spacing_mm: tuple[float, float, float]
    skull: np.ndarray

    @property
    def voxel_ml(self) -> float:
        return float(np.prod(self.spacing_mm)) / 1000


@dataclass(frozen=True, slots=True)
class Scan:
    """A grid around the head, `z_mm` the range of its slices; tilt turns the head about x."""

    spacing_mm: tuple[float, float, float] = (2.5, 2.5, 2.5)
    z_mm: tuple[float, float] = (-110.0, 95.0)
    tilt_deg: float = 0.0
    noise_hu: float = 4.0
    pose: Pose = field(default_factory=Pose)


def draw_head(scan: Scan, *defects: Defect, seed: int = 5) -> Head:
    """Draw a head with its defects, in the order given."""
    anatomy = Anatomy.grow(HeadPlan(scan.pose), np.random.default_rng(seed))
    noise = np.random.default_rng(seed + 1)
    step_z, step_y, step_x = scan.spacing_mm
    x, y = np.arange(-112, 112.1, step_x), np.arange(-125, 140.1, step_y)
    samples = max(1, round(step_z / SAMPLE_MM))
    offsets = (np.arange(samples) + 0.5) / samples * step_z - step_z / 2
    layers = []
    for w in np.arange(*scan.z_mm, step_z):
        parts = [_layer(anatomy, _rows(x, y, w + offset, scan.tilt_deg), defects) for offset in offsets]
        layers.append([np.mean([part[k] for part in parts], axis=0) for k in range(4)])
    hu, inside, neither, skull = (np.array([layer[k] for layer in layers]) for k in range(4))
    hu = np.clip(np.rint(hu + noise.normal(0, scan.noise_hu, hu.shape)), -1024, 3071).astype(np.int16)
    return Head(hu, inside >= 0.5, neither > 0, scan.spacing_mm, skull > 0.9)


def _rows(x: np.ndarray, y: np.ndarray, w: float, tilt_deg: float) -> Rows:
    cosine, sine = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))
    return Rows(
        x.astype(np.float32), (y * cosine - w * sine).astype(np.float32), (y * sine + w * cosine).astype(np.float32)
    )


def _layer(anatomy: Anatomy, rows: Rows, defects: Sequence[Defect]) -> list[np.ndarray]:
    hu, _ = anatomy.paint(rows)
    hu = hu.astype(np.float64)
    x, y, z = _template(anatomy, rows)
    inside = _radius(MENINGES, x, y, z) < 1
    _open_base(hu, x, y, z, inside)
    for defect in defects:
        defect(hu, x, y, z)
    neither = (np.hypot(x, y - 20) < FORAMEN_MM + 8) & (z < BASE_Z_MM + 8)
    skull = (_radius(SKULL, x, y, z) < 1) & ~inside & (hu > 300)
    return [hu, inside.astype(float), neither.astype(float), skull.astype(float)]


def _template(anatomy: Anatomy, rows: Rows) -> tuple[np.ndarray, ...]:
    points = np.stack(np.broadcast_arrays(rows.x_mm[None], rows.y_mm[:, None], rows.z_mm[:, None]), axis=-1)
    placed = (points - anatomy.plan.pose.center_mm) @ anatomy.plan.pose.to_head().T
    return placed[..., 0], placed[..., 1], placed[..., 2]


def _radius(solid: Ellipsoid, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.sqrt(sum((along / axis) ** 2 for along, axis in zip((x, y, z), solid.semi_axes_mm, strict=True)))


def _open_base(hu: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray, inside: np.ndarray) -> None:
    """Draw neck, face and orbits below the skull, and the ways out of it: the great foramen and two optic canals."""
    outside = ~inside & (_radius(SKULL, x, y, z) > 1)
    neck = outside & (((x / 62) ** 2 + ((y - 25) / 62) ** 2 < 1) & (z < -40))
    hu[neck] = 55
    hu[outside & (((x / 55) ** 2 + ((y + 55) / 50) ** 2 < 1) & (z < -35))] = 45
    from_axis = np.hypot(x, y - 20)
    spine = outside & (z < BASE_Z_MM - 12)
    hu[spine & (from_axis < VERTEBRA_MM)] = 500
    hu[(z < BASE_Z_MM + 5) & ~inside & (from_axis < np.where(z < BASE_Z_MM - 18, CANAL_MM, FORAMEN_MM))] = 32
    hu[outside & (np.abs(x) < 12) & (np.abs(y + 70) < 30) & (z < -50)] = -900
    for side in (-1, 1):
        socket = _radius(Ellipsoid((0, 0, 0), (22, 24, 20)), x - side * 33, y + 72, z + 48)
        orbit = (socket < 1) & ~inside
        hu[(socket < 1.08) & ~inside] = 600
        hu[orbit] = -80
        hu[orbit & (_radius(Ellipsoid((0, 0, 0), (12, 12, 12)), x - side * 33, y + 80, z + 48) < 1)] = 15
        canal = ~inside & (np.hypot(x - side * 20, z + 45) < 3.5) & (y > -75) & (y < -40)
        hu[canal] = 30


def hole(direction: tuple[float, float, float], radius_mm: float, fill_hu: float = 40.0) -> Defect:
    """Bone taken away within `radius_mm` of a line from the middle of the head: a burr hole, or a craniectomy."""
    unit = np.asarray(direction) / np.linalg.norm(direction)

    def cut(hu: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> None:
        along = x * unit[0] + y * unit[1] + z * unit[2]
        across = np.sqrt(np.maximum(x**2 + y**2 + z**2 - along**2, 0))
        bone = (_radius(SKULL, x, y, z) < 1.02) & (_radius(MENINGES, x, y, z) > 0.98)
        hu[bone & (along > 0) & (across < radius_mm)] = fill_hu

    return cut


def thin_skull(thickness_mm: float, bone_hu: float) -> Defect:
    """A child's skull: bone of this thickness around the meninges, the rest of it fat."""

    def thin(hu: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> None:
        shell = (_radius(SKULL, x, y, z) < 1.02) & (_radius(MENINGES, x, y, z) > 1) & (hu > 150)
        a, b, c = (axis + thickness_mm for axis in MENINGES.semi_axes_mm)
        bone = _radius(Ellipsoid((0, 0, 0), (a, b, c)), x, y, z) < 1
        hu[shell & bone] = bone_hu
        hu[shell & ~bone] = -60

    return thin


def table_and_holder(hu: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> None:
    """A table below the head, and a holder that touches the skin: foam in a dense shell."""
    air = _radius(SKIN, x, y, z) > 1
    around = np.hypot(x, y)
    hu[air & (around < 112) & (y > 40) & (hu < -300)] = -880
    hu[air & (around > 104) & (around < 108) & (y > 10)] = 180
    hu[(y > 122) & (y < 130)] = 250
    hu[(y > 119) & (y < 122)] = -100


def metal(center: tuple[float, float, float], radius_mm: float, streak_hu: float) -> Defect:
    """A ball of metal with streaks, dark and bright, that fade over 35 mm in the slices through it."""

    def shine(hu: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> None:
        dx, dy, dz = x - center[0], y - center[1], z - center[2]
        away = np.hypot(dx, dy)
        near = np.exp(-away / 35) * (np.abs(dz) < radius_mm + 1.5)
        hu += streak_hu * near * np.sign(np.sin(9 * np.arctan2(dy, dx))) * np.abs(np.sin(9 * np.arctan2(dy, dx))) ** 2
        hu[away**2 + dz**2 < radius_mm**2] = 3000

    return shine


def blood(center: tuple[float, float, float], radius_mm: float, hu_of_blood: float = 75.0) -> Defect:
    """A ball of fresh blood, as far as it lies inside the skull."""

    def bleed(hu: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> None:
        away = (x - center[0]) ** 2 + (y - center[1]) ** 2 + (z - center[2]) ** 2
        hu[(away < radius_mm**2) & (_radius(MENINGES, x, y, z) < 1)] = hu_of_blood

    return bleed


def scalp_swelling(hu: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> None:
    """A hematoma of the scalp as dense as one of the brain."""
    hu[
        (x > 0)
        & (np.abs(y) < 40)
        & (np.abs(z - 15) < 30)
        & (_radius(FAT, x, y, z) > 1)
        & (_radius(SKIN, x, y, z) < 1.12)
    ] = 70
