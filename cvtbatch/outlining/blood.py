"""From a map of blood to the outline of a hematoma: its largest connected part, and what is to be said of it.

Blood in the brain, around it and in the ventricles is taken together: a network confuses these classes far more often than blood
with what is none (`cvtbatch.outlining.skull` bounds all of it). The classes come back as shares of the outline, in its flags.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
from scipy import ndimage

# Smaller parts are no hematoma: a network finds 0.6 ml along the skull of a real head without blood.
LEAST_ML = 1.0
# More than this share of an outline is most of it.
MOST = 0.5
# Members whose mean Dice with the outline is lower disagree; on a clear hematoma it is above 0.95.
LEAST_AGREEMENT = 0.85
# Voxels that share a corner belong together, as in `imaging.triage`.
NEIGHBOURS_26 = np.ones((3, 3, 3), dtype=np.bool_)

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.integer]


class Tissue(IntEnum):
    """Labels of a map, the order in which the network gives its probabilities."""

    BACKGROUND = 0
    INTRAPARENCHYMAL = 1
    EXTRA_AXIAL = 2
    OEDEMA = 3
    INTRAVENTRICULAR = 4


BLOOD = Tissue.INTRAPARENCHYMAL, Tissue.EXTRA_AXIAL, Tissue.INTRAVENTRICULAR


@dataclass(frozen=True, slots=True)
class BloodPart:
    """One connected part: bool (z, y, x), of the map's shape, and its volume."""

    mask_zyx: Mask
    volume_ml: float


def blood_parts(blood_zyx: Mask, voxel_ml: float, least_ml: float = LEAST_ML) -> tuple[BloodPart, ...]:
    """Return the 26-connected parts of blood of at least a volume, the largest first; of equal ones the first in z, y, x.

    None of them is the state `no_hemorrhage`, the first is the outline, the others are rows of their own on request.

    Args:
        voxel_ml: true volume of a voxel (`Grid.voxel_ml`).
    """
    parts, _ = ndimage.label(blood_zyx, structure=NEIGHBOURS_26)
    volumes_ml = np.bincount(parts.ravel())[1:] * voxel_ml
    order = np.argsort(-volumes_ml, kind="stable")
    return tuple(BloodPart(parts == k + 1, float(volumes_ml[k])) for k in order if volumes_ml[k] >= least_ml)


def is_blood(labels_zyx: Labels, inside_zyx: Mask) -> Mask:
    """Return the voxels of all classes of blood inside the skull."""
    return np.isin(labels_zyx, BLOOD) & inside_zyx


def class_volumes_ml(labels_zyx: Labels, within_zyx: Mask, voxel_ml: float) -> Mapping[Tissue, float]:
    """Return the volume of every class but the background in a mask: the inside of the skull, or an outline."""
    counts = np.bincount(labels_zyx[within_zyx].astype(np.int64), minlength=len(Tissue))
    return {tissue: float(counts[tissue] * voxel_ml) for tissue in Tissue if tissue is not Tissue.BACKGROUND}


def agreement(members_blood_zyx: Sequence[Mask], outline_zyx: Mask) -> float | None:
    """Return the mean Dice of an outline with what each member of an ensemble takes for blood there, None of a single member.

    There are the member's connected parts that touch the outline: what it finds elsewhere says nothing of this one.
    """
    if len(members_blood_zyx) < 2:
        return None
    return float(np.mean([_dice_where_touching(blood, outline_zyx) for blood in members_blood_zyx]))


def _dice_where_touching(blood_zyx: Mask, outline_zyx: Mask) -> float:
    parts, _ = ndimage.label(blood_zyx, structure=NEIGHBOURS_26)
    touching = np.unique(parts[outline_zyx & blood_zyx])
    there = int(np.isin(parts, touching).sum()) if touching.size else 0
    both = np.count_nonzero(outline_zyx & blood_zyx)
    return 2 * both / (there + np.count_nonzero(outline_zyx))


def flags_of(parts: Sequence[BloodPart], labels_zyx: Labels | None, members_agreement: float | None) -> tuple[str, ...]:
    """Return what a person should look at in the outline, the first of the parts, never none of them.

    Args:
        labels_zyx: None of a method that tells no classes, so that none of them prevails.

    Returns:
        Of `disagreement` (of the members), `several` (parts), `mostly_ivh`, `mostly_extra_axial` (more than half of the outline).
    """
    volumes = dict.fromkeys(Tissue, 0.0) if labels_zyx is None else class_volumes_ml(labels_zyx, parts[0].mask_zyx, 1.0)
    most = MOST * np.count_nonzero(parts[0].mask_zyx)
    raised = {
        "disagreement": members_agreement is not None and members_agreement < LEAST_AGREEMENT,
        "several": len(parts) > 1,
        "mostly_ivh": volumes[Tissue.INTRAVENTRICULAR] > most,
        "mostly_extra_axial": volumes[Tissue.EXTRA_AXIAL] > most,
    }
    return tuple(name for name, is_raised in raised.items() if is_raised)
