"""The inside of the skull: all that a closed skull would enclose, brain, ventricles and blood alike.

The skull of a scan is never closed. Its base has holes, a craniectomy takes a palm's width of it, a scan ends where it ends. So
nothing is filled: a ball is rolled through soft tissue. It does not pass where bone, fat or air leave less room than its diameter,
which is less than the brain has everywhere and more than the ways out of the skull have. A smaller ball then reaches, for a short
way, the corners in which the large one had no room. Under a hole in the skull the ball stops below the skin: tissue within a
scalp's thickness of the air outside, as reached without crossing bone, is none of the inside.

Slices at the ends of the scan count as if they went on, so that a scan of a part of the head has the inside of that part.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from cvtbatch.geometry import Triple, box_of
from cvtbatch.imaging.distances import within
from cvtbatch.imaging.parts import connected_parts
from cvtbatch.imaging.triage import TISSUE_HU
from cvtbatch.outlining.work_grid import work_grid

# Between the densest blood and the thinnest bone, as thick slices show it.
BONE_HU = 130
# Share of a voxel of the work grid that must be bone: noise makes less of dense blood, thin bone takes more.
BONE_SHARE = 0.25
# Between fat and fluid, with room for noise and hardening of the beam.
FLUID_HU = -30
# The ball is rolled on a grid of about this spacing.
WORK_MM = 2.0
# Radius of the ball. The foramen magnum is 30 to 35 mm wide, the canal below it and all other ways out less than 25.
BALL_MM = 11.0
# Radius of the smaller ball, and how far from what the large one reached it may go.
SMALL_BALL_MM = 5.0
CORNER_MM = 6.0
# Thickness of the scalp over a hole in the skull.
SCALP_MM = 6.0
# Parts of soft tissue in which the ball has room that are looked at: the inside, neck, tongue, face.
CANDIDATES = 4
# Bone and dark spots smaller than this lie in the brain, not around it: calcifications, noise, small clips, bubbles of air.
SPOT_ML = 2.0
# Less bone than this is no skull: a ring of one slice of 5 mm has more.
LEAST_BONE_ML = 5.0
LEAST_INSIDE_ML = 5.0
# As far from tissue there is bone that covers it.
COVER_VOXELS = 4
# The largest inside of a skull on record is below 2 l.
MOST_INSIDE_ML = 2300.0
# Share of the inside's surface that bone must cover, where the scan does not end: a hemicraniectomy leaves more.
LEAST_COVER = 0.5

Mask = npt.NDArray[np.bool_]
Volume = npt.NDArray[np.integer]
Reason = Literal["no_bone", "no_brain", "not_enclosed", "implausible_volume"]


@dataclass(frozen=True, slots=True)
class Inside:
    """The inside of a skull.

    Attributes:
        mask_zyx: bool, of the volume's shape.
        volume_ml: of the mask.
        cover: share of its surface that bone covers, the ends of the scan left out.
    """

    mask_zyx: Mask
    volume_ml: float
    cover: float


@dataclass(frozen=True, slots=True)
class NoInside:
    """Why no inside was found.

    Attributes:
        reason: `no_bone`: nothing that could be a skull; `no_brain`: no soft tissue in which the ball has room;
            `not_enclosed`: bone covers too little of what the ball reached; `implausible_volume`: no skull is so small or large.
        text: the same in words, with the figures.
    """

    reason: Reason
    text: str


def find_inside(hu_zyx: Volume, spacing_mm: Triple) -> Inside | NoInside:
    """Find the inside of the skull.

    Args:
        hu_zyx: HU on a grid with right angles; slices lie across the body's axis, in either order.
        spacing_mm: distance of neighbours along z, y and x.
    """
    work = work_grid(hu_zyx.shape, spacing_mm, WORK_MM)
    work_mm = work.spacing_mm
    bone = _without_spots(work.means(hu_zyx > BONE_HU) > BONE_SHARE, work_mm)
    bone_ml = _volume_ml(bone, work_mm)
    if bone_ml < LEAST_BONE_ML:
        return NoInside("no_bone", f"{bone_ml:.1f} ml of bone, a skull has at least {LEAST_BONE_ML:.0f} ml")
    work_hu = work.means(hu_zyx)
    scalp = _scalp(work_hu, bone, work_mm)
    passable = ~(bone | scalp | _without_spots(work_hu < FLUID_HU, work_mm))
    reached = _roll_near(passable, bone, work_mm)
    if reached is None:
        return NoInside("no_brain", f"no soft tissue has room for a ball of {BALL_MM:.0f} mm radius")
    cover = _cover(reached, bone)
    if cover < LEAST_COVER:
        return NoInside(
            "not_enclosed",
            f"bone covers {cover:.0%} of what could be the inside, of a skull at least {LEAST_COVER:.0%}",
        )
    inside = _between_bones(work.on_volume(_dilated(reached) & ~scalp), hu_zyx)
    volume_ml = _volume_ml(inside, spacing_mm)
    if not LEAST_INSIDE_ML <= volume_ml <= MOST_INSIDE_ML:
        limits = f"{LEAST_INSIDE_ML:.0f} to {MOST_INSIDE_ML:.0f} ml"
        return NoInside("implausible_volume", f"{volume_ml:.1f} ml inside the bone; {limits} are plausible")
    return Inside(inside, volume_ml, cover)


def _between_bones(region: Mask, hu_zyx: Volume) -> Mask:
    """Return a region without the bone and air around it as the volume shows them, which may leave nothing."""
    inside = np.zeros(region.shape, dtype=np.bool_)
    if region.any():
        box = box_of(region)
        near = hu_zyx[box]
        parts = connected_parts(region[box] & (near <= BONE_HU) & (near >= FLUID_HU))
        if len(parts.sizes):
            # With what it encloses: calcifications, clips, bubbles of air. The ends of the scan close it.
            inside[box] = ~_from_the_sides(~parts.mask(parts.sizes.argmax()))
    return inside


def _from_the_sides(mask: Mask) -> Mask:
    """Return what of a mask is connected to the sides of its slices."""
    padded = np.pad(mask, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    return connected_parts(padded).mask(0)[:, 1:-1, 1:-1]


def _scalp(work_hu: npt.NDArray[np.float32], bone: Mask, work_mm: Triple) -> Mask:
    """Return what lies within SCALP_MM of the air around the head, as reached without crossing bone."""
    around = _from_the_sides(work_hu < TISSUE_HU)
    for _ in range(round(SCALP_MM / float(np.mean(work_mm)))):
        around |= _dilated(around) & ~bone
    return around


def _roll_near(passable: Mask, bone: Mask, work_mm: Triple) -> Mask | None:
    """Return what `_roll` does, which looks at the rows and columns of soft tissue alone; bone beside them tells of their cover."""
    if not passable.any():
        return None
    near = box_of(passable, (len(passable), COVER_VOXELS, COVER_VOXELS))
    reached = _roll(passable[near], bone[near], work_mm)
    if reached is None:
        return None
    found = np.zeros(passable.shape, dtype=np.bool_)
    found[near] = reached
    return found


def _roll(passable: Mask, bone: Mask, work_mm: Triple) -> Mask | None:
    """Return what the balls reach in the part that is most likely the inside, None where the large one has no room."""
    ends = int(np.ceil(BALL_MM / work_mm[0]))
    padding = (ends, ends), (1, 1), (1, 1)
    padded = np.pad(np.pad(passable, (padding[0], (0, 0), (0, 0)), mode="edge"), ((0, 0), *padding[1:]))
    whole = tuple(slice(before, -after) for before, after in padding)
    centers = connected_parts(~within(~padded, BALL_MM, work_mm))
    if not len(centers.sizes):
        return None
    largest = np.argsort(centers.sizes)[::-1][:CANDIDATES]
    candidates = [within(centers.mask(part), BALL_MM, work_mm) for part in largest]
    best = max(candidates, key=lambda reached: reached[whole].sum() * _cover(reached[whole], bone) ** 2)
    corner = within(best, CORNER_MM, work_mm) & ~within(~padded, SMALL_BALL_MM, work_mm)
    parts = connected_parts(corner | best)
    corner &= parts.mask(parts.part_of(int(best.argmax())))
    return np.asarray((best | within(corner, SMALL_BALL_MM, work_mm))[whole])


def _dilated(mask: Mask) -> Mask:
    """Return a mask and the neighbours of its voxels along the axes."""
    dilated = mask.copy()
    for axis in range(3):
        ahead, behind = (slice(None),) * axis + (slice(1, None),), (slice(None),) * axis + (slice(-1),)
        dilated[ahead] |= mask[behind]
        dilated[behind] |= mask[ahead]
    return dilated


def _cover(reached: Mask, bone: Mask) -> float:
    """Return the share of a surface that lies beside bone; ends of the scan are no surface."""
    surface = _dilated(reached) & ~reached
    beside = _dilated(_dilated(bone))
    return float(beside[surface].mean()) if surface.any() else 0.0


def _without_spots(mask: Mask, spacing_mm: Triple) -> Mask:
    """Return a mask without its connected parts below SPOT_ML."""
    parts = connected_parts(mask)
    return parts.mask(parts.sizes * (np.prod(spacing_mm) / 1000) >= SPOT_ML)


def _volume_ml(mask: Mask, spacing_mm: Triple) -> float:
    return float(np.count_nonzero(mask) * np.prod(spacing_mm) / 1000)
