"""The voxels of a region, from an outline's mask and the volume that it lies on.

Distances are Euclidean, in mm, between centres of voxels of a grid whose steps may differ by axis; arrays are (z, y, x).

- A rim is what lies outside an outline and at most so many mm from it, cut to the volume, to the inside of the skull and to
  `RIM_HU`. With slices of 5 mm, `rim5` has the slices above and below, and `rim4.9` has not.
- A core is what lies in an outline and farther than so many mm from all that is outside it: the erosion by the ball whose dilation
  is the rim. Where the volume ends, an outline has no edge.
- A hull is the convex hull of the centres in three dimensions, as IBSI's volume density (convex hull) has it (Zwanenburg et al.,
  The Image Biomarker Standardisation Initiative, Radiology 2020): slice by slice it would depend on how the head was tilted, and
  would miss what is hollow between slices. It does not depend on the steps of the grid. It is not cut: the inside of a skull is
  all but convex itself.
- Parts are connected by faces, edges and corners, as the components of `rois` are; by number of voxels, of equal ones that whose
  first voxel comes first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cvtbatch.geometry import Box, Triple, box_of
from cvtbatch.imaging.distances import within
from cvtbatch.regions.hull import convex_hull
from cvtbatch.regions.rules import RIM_HU, Rule

Mask = npt.NDArray[np.bool_]
Reason = Literal["too_thin", "no_such_part", "nothing_left", "no_inside", "too_small"]
# A region is of more than one voxel along as many axes: PyRadiomics computes nothing of less (minimumROIDimensions).
LEAST_AXES = 2
# Distances that are equal but for rounding count as equal.
TOLERANCE_MM = 1e-6
CORNERS = np.ones((3, 3, 3), dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Cut:
    """How much of a whole ring is left: numbers of voxels, each that is cut off counted by the first of its reasons.

    Attributes:
        ring: of the whole ring, of which the volume may hold a part.
        beyond_volume: where the volume ends.
        outside_skull: in the volume, and not inside the skull.
        outside_window: inside the skull, and not within the window of `RIM_HU`.
    """

    ring: int
    beyond_volume: int
    outside_skull: int
    outside_window: int

    @property
    def share_left(self) -> float:
        """Share of the ring that is left."""
        return 1 - (self.beyond_volume + self.outside_skull + self.outside_window) / self.ring


@dataclass(frozen=True, slots=True)
class Region:
    """A region that has voxels.

    Attributes:
        mask_zyx: bool, of the volume's shape.
        cut: of a rim; else None.
    """

    mask_zyx: Mask
    cut: Cut | None = None


@dataclass(frozen=True, slots=True)
class NoRegion:
    """Why an outline has no such region, which is no failure.

    Attributes:
        reason: `too_thin`: no voxel lies so deep, or so near; `no_such_part`: it has fewer parts; `nothing_left`: nothing of the
            ring is left; `no_inside`: the inside of the skull was not found, so that no ring can be cut to it; `too_small`: it is
            a voxel, or a line of them along an axis, which has no features.
        cut: of a rim whose inside is known; else None.
    """

    reason: Reason
    cut: Cut | None = None


def derive_region(
    rule: Rule,
    mask_zyx: npt.NDArray[np.uint8] | Mask,
    hu_zyx: npt.NDArray[np.int16],
    spacing_mm: Triple,
    inside: Callable[[], Mask | None],
) -> Region | NoRegion:
    """Return a region of an outline.

    Args:
        mask_zyx: the outline, not empty.
        spacing_mm: distance of neighbours along z, y and x.
        inside: returns the inside of the skull, of the volume's shape, or None where it was not found; called for rims alone.
    """
    outline = mask_zyx > 0
    if rule.kind == "rim":
        found = _rim(outline, hu_zyx, spacing_mm, rule.mm, inside())
    elif rule.kind == "core":
        found = _core(outline, spacing_mm, rule.mm)
    elif rule.kind == "hull":
        found = Region(convex_hull(outline))
    else:
        found = _part(outline, rule.number)
    if isinstance(found, Region) and _axes(found.mask_zyx) < LEAST_AXES:
        return NoRegion("too_small", found.cut)
    return found


def _rim(
    outline: Mask, hu_zyx: npt.NDArray[np.int16], spacing_mm: Triple, mm: float, inside_zyx: Mask | None
) -> Region | NoRegion:
    if inside_zyx is None:
        return NoRegion("no_inside")
    reach = [int((mm + TOLERANCE_MM) / step) for step in spacing_mm]
    box = box_of(outline)
    # Beyond the volume too, so that what it cuts off is counted.
    padded = np.pad(outline[box], [(steps, steps) for steps in reach])
    ring = within(padded, mm + TOLERANCE_MM, spacing_mm) & ~padded
    in_ring, in_volume = _overlap(box, reach, outline.shape)
    whole, seen = int(np.count_nonzero(ring)), ring[in_ring]
    in_skull = seen & inside_zyx[in_volume]
    near_hu = hu_zyx[in_volume]
    left = in_skull & (near_hu >= RIM_HU[0]) & (near_hu <= RIM_HU[1])
    counts = [whole, *(int(np.count_nonzero(part)) for part in (seen, in_skull, left))]
    if whole == 0:
        return NoRegion("too_thin")
    cut = Cut(whole, *(more - fewer for more, fewer in pairwise(counts)))
    if counts[-1] == 0:
        return NoRegion("nothing_left", cut)
    rim = np.zeros(outline.shape, dtype=np.bool_)
    rim[in_volume] = left
    return Region(rim, cut)


def _core(outline: Mask, spacing_mm: Triple, mm: float) -> Region | NoRegion:
    # One voxel around, unless the volume ends there.
    near = box_of(outline, (1, 1, 1))
    core = np.zeros(outline.shape, dtype=np.bool_)
    core[near] = outline[near] & ~within(~outline[near], mm + TOLERANCE_MM, spacing_mm)
    return Region(core) if core.any() else NoRegion("too_thin")


def _part(outline: Mask, number: int) -> Region | NoRegion:
    box = box_of(outline)
    parts, count = ndimage.label(outline[box], CORNERS)
    if number > count:
        return NoRegion("no_such_part")
    # Labels go by the first voxel, and the sort is stable.
    by_size = np.argsort(-np.bincount(parts.ravel())[1:], kind="stable")
    part = np.zeros(outline.shape, dtype=np.bool_)
    part[box] = parts == by_size[number - 1] + 1
    return Region(part)


def _axes(mask: Mask) -> int:
    """Return along how many axes a mask is of more than one voxel."""
    return sum(part.stop - part.start > 1 for part in box_of(mask))


def _overlap(box: Box, reach: list[int], shape: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return what a box that is widened by some voxels shares with the volume: there, and in the volume."""
    starts = [part.start - steps for part, steps in zip(box, reach, strict=True)]
    stops = [part.stop + steps for part, steps in zip(box, reach, strict=True)]
    in_volume = [(max(start, 0), min(stop, size)) for start, stop, size in zip(starts, stops, shape, strict=True)]
    return (
        tuple(slice(low - start, high - start) for (low, high), start in zip(in_volume, starts, strict=True)),
        tuple(slice(low, high) for low, high in in_volume),
    )
