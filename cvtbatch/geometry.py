"""Where voxels lie: regular grids, stacks of slices as scanners make them, and the stored grid that follows from a stack.

Conventions, everywhere in cvtbatch: physical points are LPS in mm; sizes, spacings and origins are (x, y, z); arrays are
(z, y, x). Axis x runs along a row, y down a column, z from slice to slice.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cvtbatch.errors import InputError

Vector = npt.NDArray[np.float64]
Triple = tuple[float, float, float]

# HU of what was not scanned.
AIR_HU = -1024
# In-plane drift of a whole stack below which its slices count as lying along their normal.
SHEAR_TOLERANCE_MM = 0.02
# Gaps count as equal when none differs from their median by more than this share of it.
EVEN_GAP_TOLERANCE = 0.01
# A gap counts as missing slices when it is this near (as a share) to a multiple of the common gap.
MISSING_SLICE_TOLERANCE = 0.10
# A single gap is a hole when it is wider than this many times the gaps beside it, whatever multiple of them it is.
WIDE_GAP = 3.0
# Two slices nearer than this share the same position.
SAME_POSITION_MM = 0.05
# Two places that files state are one if no voxel lies farther apart. NIfTI's quaternion in float32 near a half turn, as of most CT,
# misses by up to 2 sqrt(1e-7) rad: 0.25 mm at the far corner of 400 mm.
SAME_PLACE_MM = 0.3
# Largest deviation of direction cosines from an orthonormal set.
ORTHONORMAL_TOLERANCE = 1e-3
# Share of a voxel that is round-off, not extent: 64 slices of 2.5 mm are 32 of 5 mm, whatever the last bit says.
ROUND_OFF = 1e-9


Box = tuple[slice, slice, slice]


def box_of(mask_zyx: npt.NDArray[Any], wider: Sequence[int] = (0, 0, 0)) -> Box:
    """Return the smallest box of what is not 0, so many voxels wider along z, y and x as the array has; empty where all is 0."""
    z = _occupied(mask_zyx.any(axis=(1, 2)), wider[0])
    seen: npt.NDArray[np.bool_] = np.asarray(mask_zyx[z].any(axis=0))
    return z, _occupied(seen.any(axis=1), wider[1]), _occupied(seen.any(axis=0), wider[2])


def _occupied(line: npt.ArrayLike, wider: int) -> slice:
    places = np.flatnonzero(line)
    if not len(places):
        return slice(0, 0)
    return slice(max(int(places[0]) - wider, 0), min(int(places[-1]) + 1 + wider, np.size(line)))


def voxels_of(mask_zyx: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], ...]:
    """Return z, y and x of the voxels above 0, in order, as `numpy.nonzero` does in ten times as long."""
    box = box_of(mask_zyx)
    part = mask_zyx[box] > 0
    within = np.unravel_index(np.flatnonzero(part), part.shape)
    return tuple(index + axis.start for index, axis in zip(within, box, strict=True))


@dataclass(frozen=True, slots=True)
class Grid:
    """A regular grid of voxel centres.

    Attributes:
        direction: 3 x 3 cosines, row-major; its columns are the x, y and z axes.
    """

    size_xyz: tuple[int, int, int]
    spacing_mm: Triple
    origin_mm: Triple
    direction: tuple[float, ...]

    def __post_init__(self) -> None:
        if min(self.size_xyz) < 1 or min(self.spacing_mm) <= 0 or len(self.direction) != 9:
            raise InputError("bad_grid", f"no grid has size {self.size_xyz} and spacing {self.spacing_mm} mm")

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        """Shape of an array on this grid."""
        x, y, z = self.size_xyz
        return z, y, x

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel; a sheared one is smaller than its edges say."""
        slant = abs(float(np.linalg.det(self.axes()))) if self.is_sheared else 1.0
        return math.prod(self.spacing_mm) * slant / 1000

    @property
    def is_unset(self) -> bool:
        """Whether it is what programs write of an array that has no place: voxels of 1 mm from the origin, LPS or RAS."""
        return self.spacing_mm == (1, 1, 1) and self.begins_at_origin

    @property
    def begins_at_origin(self) -> bool:
        """Whether it has no place but the origin, LPS or RAS, as of an array that was given the size of a voxel alone."""
        return self.origin_mm == (0, 0, 0) and np.array_equal(np.abs(self.axes()), np.eye(3))

    @property
    def is_sheared(self) -> bool:
        """Whether the axes are not at right angles to one another."""
        axes = self.axes()
        return not np.allclose(axes.T @ axes, np.eye(3), atol=ORTHONORMAL_TOLERANCE)

    def axes(self) -> Vector:
        """Return the 3 x 3 matrix whose columns are the axes."""
        return np.array(self.direction, dtype=np.float64).reshape(3, 3)

    def to_index(self, points_mm: Vector) -> Vector:
        """Return continuous indices (n, 3), x y z, of physical points (n, 3)."""
        offsets = np.asarray(points_mm, dtype=np.float64) - np.array(self.origin_mm)
        return np.asarray(np.linalg.solve(self.axes(), offsets.T).T / np.array(self.spacing_mm))

    def to_point(self, indices_xyz: Vector) -> Vector:
        """Return physical points (n, 3) of continuous indices (n, 3), x y z."""
        steps = np.asarray(indices_xyz, dtype=np.float64) * np.array(self.spacing_mm)
        return np.asarray(np.array(self.origin_mm) + steps @ self.axes().T)


@dataclass(frozen=True, slots=True)
class SliceStack:
    """Parallel slices of one size, each at its own place, in order along `slice_axis`.

    Attributes:
        columns, rows: size of a slice.
        pixel_mm: distance of neighbours along a row (x) and down a column (y).
        row_axis, column_axis: directions of x and y, orthonormal.
        slice_axis: the slices' normal, in the direction in which they are ordered.
        positions_mm: centre of the first voxel of every slice.
    """

    columns: int
    rows: int
    pixel_mm: tuple[float, float]
    row_axis: Triple
    column_axis: Triple
    slice_axis: Triple
    positions_mm: tuple[Triple, ...]

    def __post_init__(self) -> None:
        axes = np.array([self.row_axis, self.column_axis, self.slice_axis])
        if not np.allclose(axes @ axes.T, np.eye(3), atol=ORTHONORMAL_TOLERANCE):
            raise InputError(
                "bad_orientation", "rows, columns and normal of the slices are not at right angles to one another"
            )
        if min(self.pixel_mm) <= 0 or not np.isfinite(self.positions_mm).all():
            raise InputError("bad_geometry", f"pixel spacing {self.pixel_mm} mm or a slice position is not usable")
        if len(self.positions_mm) < 2:
            raise InputError("single_slice", "the series has one slice; a volume needs at least two")
        smallest = float(self.gaps_mm().min())
        if smallest < -SAME_POSITION_MM:
            raise InputError("unordered_slices", "slices are not in order along their normal")
        if smallest < SAME_POSITION_MM:
            raise InputError("duplicate_slices", f"two slices lie at the same position (gap {smallest:.4f} mm)")

    def offsets_mm(self) -> Vector:
        """Return (n, 3): each slice's place along x, y and the normal, relative to the first slice."""
        axes = np.array([self.row_axis, self.column_axis, self.slice_axis])
        return np.asarray((np.array(self.positions_mm) - np.array(self.positions_mm[0])) @ axes.T)

    def depths_mm(self) -> Vector:
        """Return (n,): each slice's place along the normal, the first at 0."""
        return np.asarray(self.offsets_mm()[:, 2])

    def gaps_mm(self) -> Vector:
        """Return (n - 1,): distances of neighbouring slices along the normal."""
        return np.diff(self.depths_mm())

    def shifts_mm(self) -> Vector:
        """Return (n, 2): each slice's shift in its plane (x, y); zeros where the slices lie along their normal."""
        shifts = self.offsets_mm()[:, :2]
        return np.zeros_like(shifts) if np.abs(shifts).max() <= SHEAR_TOLERANCE_MM else np.asarray(shifts)

    def tilt_deg(self) -> float:
        """Return the angle between the normal and the line from the first slice to the last."""
        across, along = np.hypot(*self.shifts_mm()[-1]), self.depths_mm()[-1]
        return float(np.degrees(np.arctan2(across, along)))

    def is_even(self) -> bool:
        """Say whether all gaps are equal, within EVEN_GAP_TOLERANCE."""
        gaps = self.gaps_mm()
        median = float(np.median(gaps))
        return bool(np.abs(gaps - median).max() <= EVEN_GAP_TOLERANCE * median)

    def missing_slices(self) -> int:
        """Return how many slices are missing, as the gaps tell.

        Gaps are taken in runs of equal ones. A run is a hole where slices are missing, if it is a single gap, or two between runs
        of one common gap; and if its gap is twice or more a neighbouring run's, within MISSING_SLICE_TOLERANCE of a multiple, or
        more than WIDE_GAP times both neighbours' whatever the multiple.

        Longer runs are blocks of another spacing, as of a posterior fossa scanned in thinner slices: uneven, not incomplete. So
        gaps of 5 5 5 10 10 10 are two blocks, and of 5 10 5 10 a series that lost every third slice: no scanner moves its table so.
        """
        runs = self._runs()
        missing = 0
        for place, (gap, length) in enumerate(runs):
            beside = [runs[near][0] for near in (place - 1, place + 1) if 0 <= near < len(runs)]
            enclosed = len(beside) == 2 and abs(beside[0] - beside[1]) <= EVEN_GAP_TOLERANCE * beside[0]
            if not beside or length > (2 if enclosed else 1):
                continue
            multiples = [round(gap / near) for near in beside if _is_multiple(gap / near)]
            if not multiples and gap > WIDE_GAP * max(beside):
                multiples = [math.ceil(gap / max(beside))]
            missing += length * (max(multiples, default=1) - 1)
        return missing

    def _runs(self) -> list[tuple[float, int]]:
        """Return the first gap and the length of every run of equal gaps."""
        runs: list[tuple[float, int]] = []
        for gap in self.gaps_mm().tolist():
            if runs and abs(gap - runs[-1][0]) <= EVEN_GAP_TOLERANCE * max(gap, runs[-1][0]):
                runs[-1] = (runs[-1][0], runs[-1][1] + 1)
            else:
                runs.append((gap, 1))
        return runs


def _is_multiple(ratio: float) -> bool:
    return round(ratio) >= 2 and abs(ratio - round(ratio)) <= MISSING_SLICE_TOLERANCE


def stored_grid(stack: SliceStack, spacing_mm: Triple) -> Grid:
    """Return the grid on which a stack is stored.

    Axes are the stack's rows, columns and normal. The first voxel's centre stays; where slices are shifted in their plane, the
    grid begins at the smallest shift and covers all slices. The size is `ceil(n * s / t)` per axis, and along the normal of
    uneven stacks `n * s` is last minus first position plus the median gap.
    """
    shifts, depths, gaps = stack.shifts_mm(), stack.depths_mm(), stack.gaps_mm()
    low, high = shifts.min(axis=0), shifts.max(axis=0)
    depth = len(depths) * (depths[-1] / len(gaps)) if stack.is_even() else depths[-1] + float(np.median(gaps))
    extent = (
        stack.columns * stack.pixel_mm[0] + (high[0] - low[0]),
        stack.rows * stack.pixel_mm[1] + (high[1] - low[1]),
        depth,
    )
    axes = np.array([stack.row_axis, stack.column_axis, stack.slice_axis]).T
    origin = np.array(stack.positions_mm[0]) + axes[:, :2] @ low
    nx, ny, nz = (math.ceil(length / step - ROUND_OFF) for length, step in zip(extent, spacing_mm, strict=True))
    x, y, z = origin.tolist()
    return Grid((nx, ny, nz), spacing_mm, (x, y, z), tuple(axes.ravel().tolist()))
