"""Heads of which every distance is known: an ellipsoid of brain in bone, two ventricles, and a ball of blood, at any turn.

Positions are of the head: mm from the middle of the brain, x left, y posterior, z superior.
"""

from dataclasses import dataclass

import numpy as np

from cvtbatch.geometry import Grid

SKULL_MM, BONE_MM = np.array([68.0, 86.0, 74.0]), 6.0
VENTRICLES = (((9, -12, 10), (5, 30, 9)), ((-9, -12, 10), (5, 30, 9)))
LPS = (1.0, 0, 0, 0, 1, 0, 0, 0, 1)
Point = tuple[float, float, float]


@dataclass(frozen=True)
class RoundHead:
    """A head on its grid.

    Attributes:
        yaw_deg, roll_deg: positive with the face to the left, and the vertex to the left.
        center_mm: of the brain, LPS.
        z_mm: LPS of the first slice and of the end.
        direction: of the grid's axes, signs alone.
    """

    ball: Point = (38, 5, 10)
    radius_mm: float = 15
    yaw_deg: float = 0
    roll_deg: float = 0
    center_mm: Point = (0, 0, 0)
    spacing_mm: Point = (2, 2, 5)
    z_mm: tuple[float, float] = (-92, 92)
    direction: tuple[float, ...] = LPS
    ventricle_hu: float = 8

    def turn(self) -> np.ndarray:
        """Return the matrix from the head's axes to LPS."""
        yaw, roll = np.radians([self.yaw_deg, self.roll_deg])
        about_z = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
        about_y = np.array([[np.cos(roll), 0, np.sin(roll)], [0, 1, 0], [-np.sin(roll), 0, np.cos(roll)]])
        return about_z @ about_y

    def grid(self) -> Grid:
        """Return the grid of the scan."""
        low, high = np.array([-92, -108, self.z_mm[0]]), np.array([92, 108, self.z_mm[1]])
        size = np.rint((high - low) / self.spacing_mm).astype(int)
        origin = np.where(np.diag(np.reshape(self.direction, (3, 3))) > 0, low, low + (size - 1) * self.spacing_mm)
        return Grid(tuple(size.tolist()), self.spacing_mm, tuple(origin.tolist()), self.direction)

    def draw(self) -> tuple[np.ndarray, np.ndarray]:
        """Return HU and the mask of the ball, (z, y, x)."""
        grid = self.grid()
        z, y, x = np.indices(grid.shape_zyx, dtype=np.float32)
        offsets = np.array(grid.origin_mm) - self.center_mm
        lps = [
            index * (step * sign) + offset
            for index, step, sign, offset in zip((x, y, z), grid.spacing_mm, np.diag(grid.axes()), offsets, strict=True)
        ]
        at = [sum(float(along) * part for along, part in zip(row, lps, strict=True)) for row in self.turn().T]
        hu = np.full(grid.shape_zyx, -1000, dtype=np.int16)
        hu[_within(at, (0, 0, 0), SKULL_MM + BONE_MM)] = 900
        hu[_within(at, (0, 0, 0), SKULL_MM)] = 30
        for center, semi_axes in VENTRICLES:
            hu[_within(at, center, semi_axes)] = self.ventricle_hu
        ball = _within(at, self.ball, (self.radius_mm,) * 3)
        hu[ball] = 65
        return hu, ball.astype(np.uint8)


def _within(at: list[np.ndarray], center: object, semi_axes: object) -> np.ndarray:
    return sum(((p - c) / a) ** 2 for p, c, a in zip(at, np.array(center), np.array(semi_axes), strict=True)) < 1


def from_ellipsoid_mm(point: Point, center: object = (0, 0, 0), semi_axes: object = SKULL_MM) -> float:
    """Return how far a point is from an ellipsoid's surface, from thirty thousand points on it."""
    step = np.pi * (3 - np.sqrt(5)) * np.arange(30_000)
    z = 1 - 2 * (np.arange(30_000) + 0.5) / 30_000
    sphere = np.stack([np.sqrt(1 - z**2) * np.cos(step), np.sqrt(1 - z**2) * np.sin(step), z], axis=1)
    surface = sphere * np.array(semi_axes) + np.array(center)
    return float(np.sqrt(((surface - np.array(point)) ** 2).sum(axis=1)).min())
