"""The midsagittal plane: that of which the inner surface of the skull is the best mirror.

A skull keeps its shape beside a hematoma that pushes the brain across, so that the plane is found from it and not from the brain;
this is the ideal midsagittal plane of Liu, Collins and Rothfus (IEEE Trans Med Imaging 2001;20:175-192). As Prima, Ourselin and
Ayache do (IEEE Trans Med Imaging 2002;21:122-138) it is fitted by iterated least squares in which what has no mirror image, such
as a craniectomy, loses its weight: here of the distances between points of the surface, once mirrored, and the surface.

Skulls are not quite symmetric: where the left occiput lies further back than the right one, as it often does, the plane turns with
it. On the one real head at hand it is within 2 mm of the falx, and 5 mm from the inner crest of the occipital bone.

A skull that is round as seen from the front has no plane of its own there. So the roll is held, weakly, to that of the scanner.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from cvtbatch.errors import InputError
from cvtbatch.geometry import Vector
from cvtbatch.location.field import DepthField
from cvtbatch.location.rules import LocationRules
from cvtbatch.location.surface import Surface


@dataclass(frozen=True, slots=True)
class Midplane:
    """A plane between left and right.

    Attributes:
        normal: unit vector towards the patient's left, in patient axes.
        offset_mm: of the plane along its normal.
        residual_mm: median distance between the mirrored inner surface and the inner surface.
        symmetric_share: share of the inner surface whose mirror image lies within `LocationRules.symmetric_mm` of it.
        roll_sd_deg: how well the surface determines the roll, one standard deviation.
    """

    normal: tuple[float, float, float]
    offset_mm: float
    residual_mm: float
    symmetric_share: float
    roll_sd_deg: float

    @property
    def yaw_deg(self) -> float:
        """Turn about the long axis of the body: positive if the face is turned to the patient's left."""
        x, y, _ = self.normal
        return float(np.degrees(np.arctan2(y, x)))

    @property
    def roll_deg(self) -> float:
        """Lean of the head to a shoulder: positive if the vertex leans to the patient's left."""
        x, _, z = self.normal
        return float(np.degrees(np.arctan2(-z, x)))

    def left_mm(self, points_mm: Vector) -> Vector:
        """Return (n,): how far points (n, 3) lie left of the plane; negative on the right."""
        return np.asarray(points_mm @ np.array(self.normal) - self.offset_mm)


def find_midplane(surface: Surface, field: DepthField, rules: LocationRules) -> Midplane:
    """Find the plane between left and right.

    Args:
        surface: the inner surface of the skull, of a grid at right angles whose slices lie across the body.
        field: depths below it.

    Raises:
        InputError: "no_midplane": mirrored, the surface lies outside the scan.
    """
    points = surface.thinned(rules.point_area_mm2)
    middle = points.mean(axis=0)
    points -= middle
    normal, offset = np.array([1.0, 0.0, 0.0]), 0.0
    for _ in range(rules.most_steps):
        (yaw, roll, move), roll_sd = _step(points, middle, normal, offset, field, rules)
        across = _across(normal)
        normal = normal + yaw * across[0] + roll * across[1]
        normal, offset = normal / np.linalg.norm(normal), offset + move
        if max(abs(yaw), abs(roll)) < rules.still_rad and abs(move) < rules.still_mm:
            break
    mirrored = _mirrored(points, normal, offset) + middle
    away = cKDTree(surface.thinned(rules.skull_area_mm2)).query(mirrored[field.scanned(mirrored)])[0]
    x, y, z = normal.tolist()
    return Midplane(
        normal=(x, y, z),
        offset_mm=float(offset + middle @ normal),
        residual_mm=float(np.median(away)),
        symmetric_share=float((away <= rules.symmetric_mm).mean()),
        roll_sd_deg=float(np.degrees(roll_sd)),
    )


def _across(normal: Vector) -> tuple[Vector, Vector]:
    """Return the ways in which a normal turns: the yaw's, and the roll's."""
    yaw = np.array([-normal[1], normal[0], 0.0])
    yaw /= np.linalg.norm(yaw)
    return yaw, np.cross(normal, yaw)


def _mirrored(points_mm: Vector, normal: Vector, offset_mm: float) -> Vector:
    return np.asarray(points_mm - 2 * np.outer(points_mm @ normal - offset_mm, normal))


def _step(
    points: Vector, middle: Vector, normal: Vector, offset: float, field: DepthField, rules: LocationRules
) -> tuple[Vector, float]:
    """Return a step of yaw, roll (rad) and offset (mm) towards the best mirror, and the roll's standard deviation (rad).

    Args:
        points: of the surface, from its middle.
    """
    mirrored = _mirrored(points, normal, offset) + middle
    signed, slopes, scanned = field.depth_at(mirrored), field.slope_at(mirrored), field.scanned(mirrored)
    if not scanned.any():
        raise InputError(
            "no_midplane", "no midsagittal plane is found: the scan has too few slices, or lies too far from straight"
        )
    spread = max(rules.least_spread_mm, 1.4826 * float(np.median(np.abs(signed[scanned]))))
    # Tukey's biweight.
    weight = np.where(scanned, np.maximum(0, 1 - (signed / (rules.outlier * spread)) ** 2) ** 2, 0)
    weight *= rules.effective_points / (len(points) * spread**2)
    height, along = points @ normal - offset, slopes @ normal
    turns = [-2 * ((points @ across) * along + height * (slopes @ across)) for across in _across(normal)]
    change = np.stack([*turns, 2 * along], axis=1)
    certainty = change.T @ (weight[:, None] * change)
    pull = -change.T @ (weight * signed)
    # The roll is that of the scanner, give or take `roll_prior_deg`.
    held = 1 / np.radians(rules.roll_prior_deg) ** 2
    roll = np.arctan2(normal[2], normal[0])
    certainty[1, 1] += held
    pull[1] -= held * roll * np.sign(_across(normal)[1][2])
    return np.linalg.solve(certainty, pull), float(np.sqrt(np.linalg.inv(certainty)[1, 1]))
