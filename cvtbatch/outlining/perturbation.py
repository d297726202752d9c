"""Outlines as another reader might have drawn them: grown or shrunk, shifted and roughened by rule.

After Zwanenburg et al., Sci Rep 2019;9:614, and their MIRP, for a grid whose slices lie ten pixels apart. MIRP adds or takes layers
of voxels, on cubes, and a part of the last layer by chance; here the border moves by its distance in mm until the volume has
changed by the drawn share: in slices of 5 mm that is the border within each slice, as a reader draws it. MIRP makes a border rough
by supervoxels of the image, taken or left by chance; in such slices they have no equal sides, and they depend on the image's noise,
which is not what is asked here: a smooth random field moves the border to and fro. A shift lies within the slices.

All three are one level set. The border's signed distance is shifted and the field added; the voxels with the lowest values are the
outline, as many as the volume asks for. Nothing is drawn from a clock or a machine: the seed is the outline's key.
"""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cvtbatch.geometry import Triple, box_of
from cvtbatch.outlining.blood import NEIGHBOURS_26
from cvtbatch.outlining.skull import BONE_HU, FLUID_HU

# Largest change of volume, as share of it; changes are drawn evenly up to it. A rule, not what readers were measured to do.
VOLUME_SHARE = 0.10
# Largest shift along y and x: two pixels of the stored grid. Less than half of one moves no straight border of whole pixels.
SHIFT_MM = 1.0
# Standard deviation of the border's random displacement, and of the Gaussian that smooths it.
ROUGHNESS_MM, ROUGHNESS_WIDTH_MM = 0.5, 3.0
# Room around an outline that a perturbed one may take.
MARGIN_MM = 8.0
# Where parts fall off a rough border, as many voxels are taken beside the rest, until no more than this share is missing.
MISSING_SHARE = 0.005
MOST_TRIES = 8

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Perturbation:
    """How an outline is changed.

    Attributes:
        volume_change: share of the volume, negative where it shrinks.
        shift_mm: of the outline along the grid's y and x.
        roughness_mm: standard deviation of the border's random displacement.
        seed: of the displacement.
    """

    volume_change: float
    shift_mm: tuple[float, float]
    roughness_mm: float
    seed: int


def draw_perturbations(key: str, count: int) -> tuple[Perturbation, ...]:
    """Return perturbations of the outline with a key, always the same; the first ones do not depend on how many are drawn."""
    return tuple(_draw(key, number) for number in range(count))


def perturb(
    outline_zyx: npt.NDArray[np.generic], hu_zyx: npt.NDArray[np.integer], spacing_mm: Triple, how: Perturbation
) -> Mask:
    """Return a changed outline.

    It has no more parts than the outline, corners included, is never empty, and takes no bone, air or fat (above BONE_HU, below
    FLUID_HU) but what the outline held already. Where the grid or such tissue leaves no room, it grows by less than was drawn.

    Args:
        outline_zyx: not 0 in the outline, never empty, and never the whole grid.
        hu_zyx: the volume, of the same shape.
        spacing_mm: distance of neighbours along z, y and x.
    """
    outline = outline_zyx != 0
    box = box_of(outline, [max(1, int(np.ceil(MARGIN_MM / step))) for step in spacing_mm])
    near, hu = outline[box], hu_zyx[box]
    level = _shifted(signed_distance_mm(near, spacing_mm), how.shift_mm, spacing_mm)
    if how.roughness_mm:
        level = level + how.roughness_mm * _smooth_field(near.shape, spacing_mm, how.seed)
    level[((hu > BONE_HU) | (hu < FLUID_HU)) & ~near] = np.inf
    voxels = int(np.count_nonzero(near))
    parts = int(ndimage.label(near, structure=NEIGHBOURS_26)[1])
    changed = np.zeros(outline.shape, dtype=np.bool_)
    changed[box] = _lowest(level, max(1, round(voxels * (1 + how.volume_change))), parts)
    return changed


def signed_distance_mm(mask_zyx: Mask, spacing_mm: Triple) -> Floats:
    """Return the distance of each voxel from the nearest one across the border, negative inside; of a mask that is not all."""
    outside = ndimage.distance_transform_edt(~mask_zyx, sampling=spacing_mm)
    return np.asarray(outside - ndimage.distance_transform_edt(mask_zyx, sampling=spacing_mm))


def _draw(key: str, number: int) -> Perturbation:
    digest = sha256(f"{key}\n{number}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:16], "big"))
    volume, y, x = rng.uniform(-1, 1, 3).tolist()
    seed = int.from_bytes(digest[16:], "big")
    return Perturbation(VOLUME_SHARE * volume, (SHIFT_MM * y, SHIFT_MM * x), ROUGHNESS_MM, seed)


def _shifted(level: Floats, shift_mm: tuple[float, float], spacing_mm: Triple) -> Floats:
    steps = (0.0, shift_mm[0] / spacing_mm[1], shift_mm[1] / spacing_mm[2])
    return np.asarray(ndimage.shift(level, steps, order=1, mode="nearest"))


def _smooth_field(shape: tuple[int, ...], spacing_mm: Triple, seed: int) -> Floats:
    """Return a random field of mean 0 and standard deviation 1 on a box."""
    white = np.random.default_rng(seed).standard_normal(shape)
    field = ndimage.gaussian_filter(white, [ROUGHNESS_WIDTH_MM / step for step in spacing_mm], mode="reflect")
    return np.asarray((field - field.mean()) / field.std())


def _lowest(level: Floats, voxels: int, parts: int) -> Mask:
    """Return the largest parts of the lowest voxels, so many voxels or little less."""
    order = np.argsort(level, axis=None, kind="stable")[: int(np.isfinite(level).sum())]
    taken, kept = 0, np.zeros(level.shape, dtype=np.bool_)
    for _ in range(MOST_TRIES):
        missing = voxels - int(np.count_nonzero(kept))
        if missing <= MISSING_SHARE * voxels or taken == len(order):
            break
        taken = min(taken + missing, len(order))
        chosen = np.zeros(level.shape, dtype=np.bool_)
        chosen.flat[order[:taken]] = True
        kept = _largest(chosen, parts)
    return kept


def _largest(mask: Mask, parts: int) -> Mask:
    labels, found = ndimage.label(mask, structure=NEIGHBOURS_26)
    if found <= parts:
        return mask
    sizes = np.bincount(labels.ravel())[1:]
    kept = np.argsort(-sizes, kind="stable")[:parts] + 1
    return np.isin(labels, kept)
