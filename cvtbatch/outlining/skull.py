"""The inside of the skull: all that a closed skull would enclose, brain, ventricles and blood alike.

The skull of a scan is never closed. Its base has holes, a craniectomy takes a palm's width of it, a scan ends where it ends. So
nothing is filled: a ball is rolled through soft tissue. It does not pass where bone, fat or air leave less room than its diameter,
which is less than the brain has everywhere and more than the ways out of the skull have. A smaller ball then reaches, for a short
way, the corners in which the large one had no room. Under a hole in the skull the ball stops below the skin: tissue within a
scalp's thickness of the air outside, as reached without crossing bone, is none of the inside.

Slices at the ends of the scan count as if they went on, so that a scan of a part of the head has the inside of that part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from cvtbatch.geometry import AIR_HU, Triple
from cvtbatch.imaging.triage import TISSUE_HU

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
Volume = npt.NDArray[np.integer] | npt.NDArray[np.floating]
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
    work = _on_work_grid((hu_zyx > BONE_HU).astype(np.float32), spacing_mm, 0.0)
    work_mm = work.GetSpacing()[::-1]
    bone = _without_spots(sitk.GetArrayViewFromImage(work) > BONE_SHARE, work_mm)
    bone_ml = _volume_ml(bone, work_mm)
    if bone_ml < LEAST_BONE_ML:
        return NoInside("no_bone", f"{bone_ml:.1f} ml of bone, a skull has at least {LEAST_BONE_ML:.0f} ml")
    work_hu = sitk.GetArrayFromImage(_on_work_grid(hu_zyx.astype(np.float32), spacing_mm, AIR_HU))
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
    grown = sitk.GetImageFromArray((ndimage.binary_dilation(reached) & ~scalp).astype(np.float32))
    grown.CopyInformation(work)
    inside = _on_source_grid(grown, hu_zyx, spacing_mm)
    volume_ml = _volume_ml(inside, spacing_mm)
    if not LEAST_INSIDE_ML <= volume_ml <= MOST_INSIDE_ML:
        limits = f"{LEAST_INSIDE_ML:.0f} to {MOST_INSIDE_ML:.0f} ml"
        return NoInside("implausible_volume", f"{volume_ml:.1f} ml inside the bone; {limits} are plausible")
    return Inside(inside, volume_ml, cover)


def _image(values_zyx: npt.NDArray[np.generic], spacing_mm: Triple) -> sitk.Image:
    image = sitk.GetImageFromArray(values_zyx)
    image.SetSpacing(spacing_mm[::-1])
    return image


def _on_work_grid(values_zyx: npt.NDArray[np.float32], spacing_mm: Triple, beyond: float) -> sitk.Image:
    """Return values at about WORK_MM: means of blocks, and straight lines between slices that lie further apart."""
    blocks = [min(max(1, round(WORK_MM / step)), size) for step, size in zip(spacing_mm, values_zyx.shape, strict=True)]
    shrunk = sitk.BinShrink(_image(values_zyx, spacing_mm), blocks[::-1])
    parts = max(1, round(spacing_mm[0] / WORK_MM))
    columns, rows, slices = shrunk.GetSize()
    x_mm, y_mm, z_mm = shrunk.GetSpacing()
    size = columns, rows, (slices - 1) * parts + 1
    return sitk.Resample(
        shrunk, size, sitk.Transform(), sitk.sitkLinear, shrunk.GetOrigin(), (x_mm, y_mm, z_mm / parts),
        shrunk.GetDirection(), beyond,
    )  # fmt: skip


def _on_source_grid(region: sitk.Image, hu_zyx: Volume, spacing_mm: Triple) -> Mask:
    """Return a region of the work grid on the volume's own, without the bone and air around it as that grid shows them."""
    share = sitk.Resample(
        region, hu_zyx.shape[::-1], sitk.Transform(), sitk.sitkLinear, (0.0, 0.0, 0.0), spacing_mm[::-1],
        (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0), 0.0, sitk.sitkFloat32, True,
    )  # fmt: skip
    region_zyx = sitk.GetArrayViewFromImage(share) >= 0.5
    box = _box(region_zyx)
    near = hu_zyx[box]
    inside = np.zeros(hu_zyx.shape, dtype=np.bool_)
    inside[box] = _filled(_largest(region_zyx[box] & (near <= BONE_HU) & (near >= FLUID_HU)))
    return inside


def _largest(mask: Mask) -> Mask:
    parts, _ = ndimage.label(mask)
    sizes = np.bincount(parts.ravel(), minlength=2)
    return np.asarray(parts == sizes[1:].argmax() + 1)


def _filled(mask: Mask) -> Mask:
    """Return a mask with what it encloses: calcifications, clips, bubbles of air. The ends of the scan close it."""
    around, _ = ndimage.label(np.pad(~mask, ((0, 0), (1, 1), (1, 1)), constant_values=True))
    return np.asarray(around != around[0, 0, 0])[:, 1:-1, 1:-1]


def _scalp(work_hu: npt.NDArray[np.float32], bone: Mask, work_mm: Triple) -> Mask:
    """Return what lies within SCALP_MM of the air around the head, as reached without crossing bone."""
    air, _ = ndimage.label(work_hu < TISSUE_HU)
    rim = np.unique(np.concatenate([air[:, [0, -1]].ravel(), air[:, :, [0, -1]].ravel()]))
    around = np.isin(air, rim[rim > 0])
    steps = round(SCALP_MM / float(np.mean(work_mm)))
    return np.asarray(ndimage.binary_dilation(around, iterations=steps, mask=~bone))


def _roll_near(passable: Mask, bone: Mask, work_mm: Triple) -> Mask | None:
    """Return what `_roll` does, which looks at the rows and columns of soft tissue alone; bone beside them tells of their cover."""
    near = _near(passable, (len(passable), COVER_VOXELS, COVER_VOXELS))
    reached = None if near is None else _roll(passable[near], bone[near], work_mm)
    if near is None or reached is None:
        return None
    found = np.zeros(passable.shape, dtype=np.bool_)
    found[near] = reached
    return found


def _roll(passable: Mask, bone: Mask, work_mm: Triple) -> Mask | None:
    """Return what the balls reach in the part that is most likely the inside, None where the large one has no room."""
    ends = int(np.ceil(BALL_MM / work_mm[0]))
    padding = (ends, ends), (1, 1), (1, 1)
    padded = np.pad(np.pad(passable, (padding[0], (0, 0), (0, 0)), mode="edge"), ((0, 0), *padding[1:]))
    depth = ndimage.distance_transform_edt(padded, sampling=work_mm)
    whole = tuple(slice(before, -after) for before, after in padding)
    centers, count = ndimage.label(depth >= BALL_MM)
    if count == 0:
        return None
    largest = np.argsort(np.bincount(centers.ravel())[1:])[::-1][:CANDIDATES] + 1
    candidates = [_within(centers == part, BALL_MM, work_mm) for part in largest]
    best = max(candidates, key=lambda reached: reached[whole].sum() * _cover(reached[whole], bone) ** 2)
    corner = (depth >= SMALL_BALL_MM) & _within(best, CORNER_MM, work_mm)
    parts, _ = ndimage.label(corner | best)
    corner &= parts == parts[best][0]
    return (best | _within(corner, SMALL_BALL_MM, work_mm))[whole]


def _within(mask: Mask, distance_mm: float, work_mm: Triple) -> Mask:
    """Return what lies nearer than a distance to a mask; what lies farther from its box is not looked at."""
    found = np.zeros(mask.shape, dtype=np.bool_)
    near = _near(mask, [int(np.ceil(distance_mm / step)) for step in work_mm])
    if near is not None:
        found[near] = ndimage.distance_transform_edt(~mask[near], sampling=work_mm) < distance_mm
    return found


def _near(mask: Mask, steps: Sequence[int]) -> tuple[slice, ...] | None:
    """Return the box of a mask, so many voxels wider along z, y and x; None of an empty one."""
    if not mask.any():
        return None
    return tuple(
        slice(max(part.start - wider, 0), min(part.stop + wider, size))
        for part, wider, size in zip(_box(mask), steps, mask.shape, strict=True)
    )


def _box(mask: Mask) -> tuple[slice, ...]:
    """Return the box of a mask that is not empty."""
    occupied = mask.any(axis=(1, 2)), mask.any(axis=(0, 2)), mask.any(axis=(0, 1))
    ends = [np.flatnonzero(line)[[0, -1]] for line in occupied]
    return tuple(slice(int(first), int(last) + 1) for first, last in ends)


def _cover(reached: Mask, bone: Mask) -> float:
    """Return the share of a surface that lies beside bone; ends of the scan are no surface."""
    surface = ndimage.binary_dilation(reached) & ~reached
    beside = ndimage.binary_dilation(bone, iterations=2)
    return float(beside[surface].mean()) if surface.any() else 0.0


def _without_spots(mask: Mask, spacing_mm: Triple) -> Mask:
    """Return a mask without its connected parts below SPOT_ML."""
    parts, _ = ndimage.label(mask)
    sizes = np.bincount(parts.ravel())
    kept = sizes * (np.prod(spacing_mm) / 1000) >= SPOT_ML
    kept[0] = False
    return np.asarray(kept[parts])


def _volume_ml(mask: Mask, spacing_mm: Triple) -> float:
    return float(np.count_nonzero(mask) * np.prod(spacing_mm) / 1000)
