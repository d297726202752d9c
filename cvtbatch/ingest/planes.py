"""Outlines that were drawn plane by plane: how far each plane reaches, and whether the planes are the image's slices.

An object has planes of its own, and each fills its slab: halfway to its neighbours, or half a step where they were left out as
empty. The step is the distance of planes, not their thickness: slabs of 5 mm every 2.5 mm would count everything twice, those of
1 mm every 2 mm would leave out half of a hematoma, and the voxels of an image reach halfway to the next slice too.

That every plane happens to lie on a slice of the image does not make them its slices: planes 2 mm apart lie on every other slice of
1 mm. What was drawn on this image names it, or has its steps; naming it counts for less than a step that the object states and
that is wider than the slices are apart, as of a mask that was computed on coarser planes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvtbatch.geometry import SAME_POSITION_MM, Vector
from cvtbatch.ingest.outlines import ImageSlices

# Distances of planes are equal within this share; over a number of left-out planes each adds EACH_TOLERANCE.
STEP_TOLERANCE = 0.05
EACH_TOLERANCE = 0.01
# No head is scanned in wider or narrower steps.
STEP_LIMITS_MM = (2 * SAME_POSITION_MM, 10.0)
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Planes:
    """The planes of an object, drawn on or left empty, in order along their normal.

    Attributes:
        depths_mm: (n,), rising.
        boxes_mm: (n, 4), what a plane's drawing spans: low x, low y, high x, high y; NaN where it is empty.
        spacing_mm, thickness_mm: distance and thickness of planes as the file states them (`usable_step`).
    """

    depths_mm: Vector
    boxes_mm: Vector
    spacing_mm: float | None = None
    thickness_mm: float | None = None

    def gaps_mm(self) -> Vector:
        """Return (n - 1,): distances of neighbours."""
        return np.diff(self.depths_mm)

    def drawn(self) -> Flags:
        """Return (n,): which planes are not empty."""
        return ~np.isnan(self.boxes_mm[:, 0])

    def joined(self) -> Flags:
        """Return (n - 1,): whether neighbours are both drawn on, one over the other, and no farther apart than a step can be."""
        below, above = self.boxes_mm[:-1], self.boxes_mm[1:]
        beside = ((below[:, :2] > above[:, 2:]) | (above[:, :2] > below[:, 2:])).any(axis=1)
        joined: Flags = self.drawn()[:-1] & self.drawn()[1:] & ~beside & (self.gaps_mm() <= STEP_LIMITS_MM[1])
        return joined

    def stated_step_mm(self) -> float | None:
        """Return the stated distance, where all planes lie a whole number of such steps apart.

        It is not believed where more than one of the gaps between planes that seem to be neighbours is wider: a hematoma is not
        striped. One may be, where a plane was forgotten, unless it is all that there is, and the thickness speaks for it too. Where
        one plane alone is drawn on, the others may be other outlines', and their gaps count only together with the thickness.
        """
        if self.spacing_mm is None:
            return None
        count = np.maximum(np.rint(self.gaps_mm() / self.spacing_mm), 1)
        away = np.abs(self.gaps_mm() - count * self.spacing_mm)
        if (away > (STEP_TOLERANCE + EACH_TOLERANCE * count) * self.spacing_mm).any():
            return None
        wider = int((count[self.seeming_neighbours()] > 1).sum())
        is_thick = self.thickness_mm is not None and np.rint(self.thickness_mm / self.spacing_mm) > 1
        is_striped = wider > 1 and self.drawn().sum() > 1
        is_contradicted = wider > 0 and is_thick and self.joined().sum() < 2
        return None if is_striped or is_contradicted else self.spacing_mm

    def seeming_neighbours(self) -> Flags:
        """Return (n - 1,): which planes in turn cover one another, or one is empty, no farther apart than a step can be."""
        is_empty = ~self.drawn()[:-1] | ~self.drawn()[1:]
        return self.joined() | (is_empty & (self.gaps_mm() <= STEP_LIMITS_MM[1]))

    def neighbours(self) -> Flags:
        """Return (n - 1,): between which planes none was left out: they are the stated step apart, or seem to be neighbours."""
        stated = self.stated_step_mm()
        return self.seeming_neighbours() if stated is None else np.rint(self.gaps_mm() / stated) <= 1

    def seen_step_mm(self) -> float | None:
        """Return the smallest distance of neighbours."""
        gaps = self.gaps_mm()[self.neighbours()]
        return float(np.median(gaps[gaps <= gaps.min() * (1 + STEP_TOLERANCE)])) if len(gaps) else None

    def step_mm(self, default_mm: float) -> float:
        """Return the distance of planes, of which some may be left out, from the best that tells it."""
        told = (self.stated_step_mm(), self.seen_step_mm(), self.thickness_mm)
        return next((step for step in told if step is not None), default_mm)


def usable_step(length_mm: float) -> float | None:
    """Return a length that can be the distance of planes, whatever its sign; None for others."""
    return abs(length_mm) if STEP_LIMITS_MM[0] <= abs(length_mm) <= STEP_LIMITS_MM[1] else None


def are_image_slices(planes: Planes, slices: Sequence[int], image: ImageSlices, *, is_named: bool) -> bool:
    """Say whether an object was drawn on the image's own slices.

    Args:
        slices: for every plane that is drawn on, the slice that it lies on, pixel on pixel.
        is_named: whether the object names the image as what it was drawn on.
    """
    gaps = image.stack.gaps_mm()
    beside = [gaps[max(k - 1, 0) : k + 1] for k in slices]
    stated, seen, step = planes.stated_step_mm(), planes.seen_step_mm(), planes.step_mm(float(np.median(gaps)))
    # The image's own thickness tells nothing of steps, another's that of another reconstruction.
    own_thickness = _alike(planes.thickness_mm, image.thickness_mm)
    if is_named:
        told = step if stated is not None or (_alike(planes.thickness_mm, step) and not own_thickness) else 0.0
        return told <= max(float(near.max()) for near in beside) * (1 + STEP_TOLERANCE)
    drawn = np.flatnonzero(planes.drawn())
    joined, skips = planes.joined()[drawn[:-1]], np.abs(np.diff(slices)) > 1
    if joined.any():
        near, far = planes.gaps_mm()[drawn[:-1]][joined & ~skips], planes.gaps_mm()[drawn[:-1]][joined & skips]
        # A slice was forgotten where planes are farther apart than elsewhere.
        if len(near) and (far > near.max() * (1 + STEP_TOLERANCE)).all():
            return True
    if stated is None and seen is None and (own_thickness or planes.thickness_mm is None):
        return True
    return all((np.abs(near - step) <= STEP_TOLERANCE * near).any() for near in beside)


def _alike(one_mm: float | None, other_mm: float | None) -> bool:
    return one_mm is not None and other_mm is not None and abs(one_mm - other_mm) <= STEP_TOLERANCE * other_mm


def with_left_out(
    planes: Planes, positions_mm: Vector, normal: Vector, default_mm: float
) -> tuple[Vector, npt.NDArray[np.int64]]:
    """Return where the slices of an object lie, with those that were left out and bound the slabs of the others.

    Args:
        positions_mm: (n, 3), first pixel of every plane.
        normal: direction in which the planes are ordered.
        default_mm: the step where nothing tells it.

    Returns:
        Positions (m, 3) from below the first plane that is drawn on to above the last, and (n,) which of them each plane is, -1
        beyond.
    """
    first, last = np.flatnonzero(planes.drawn())[[0, -1]]
    below, above = _reaches_mm(planes, planes.step_mm(default_mm))
    gaps, are_neighbours = planes.gaps_mm(), planes.neighbours()
    found, index = [positions_mm[first] - below[first] * normal], np.full(len(positions_mm), -1)
    for k in range(first, last + 1):
        index[k] = len(found)
        found.append(positions_mm[k])
        if k == last or are_neighbours[k]:
            continue
        between = gaps[k] - above[k] - below[k + 1]
        along = (positions_mm[k + 1] - positions_mm[k]) / gaps[k]
        ends = [positions_mm[k] + above[k] * along, positions_mm[k + 1] - below[k + 1] * along]
        if between >= -STEP_TOLERANCE * gaps[k]:
            found += ends if between > STEP_TOLERANCE * gaps[k] else ends[:1]
    return np.array([*found, positions_mm[last] + above[last] * normal]), index


def _reaches_mm(planes: Planes, step_mm: float) -> tuple[Vector, Vector]:
    """Return how far below and above each plane its neighbour lies; where that was left out, as on the other side, or a step."""
    gaps, known = planes.gaps_mm(), planes.neighbours()
    below, above = (
        np.array([np.nan, *np.where(known, gaps, np.nan)]),
        np.array([*np.where(known, gaps, np.nan), np.nan]),
    )
    if planes.stated_step_mm() is None:
        below, above = np.where(np.isnan(below), above, below), np.where(np.isnan(above), below, above)
    return np.where(np.isnan(below), step_mm, below), np.where(np.isnan(above), step_mm, above)
