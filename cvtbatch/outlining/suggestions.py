"""What an outlining would say of the criteria that a manifest leaves empty: for people to look at, no rule reads it.

The study excludes *substantial* intraventricular and subarachnoid hemorrhage and gives no volume. Between a volume that says no and
one that says yes nothing is suggested, and nothing where the method tells no classes of blood.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cvtbatch.outlining.blood import BLOOD, MOST, Tissue
from cvtbatch.outlining.location import Location, Place

# Least growth that trials count: 1 ml (Roh et al., Stroke 2022;53:1847-1853), 2 ml (Steiner et al., Neurosurgery 2006;59:767-773).
NO_IVH_BELOW_ML, IVH_FROM_ML = 1.0, 2.0
# In a real head without blood the network calls 0.2 to 1.2 ml extra-axial, at the base of the skull.
NO_SAH_BELOW_ML, SAH_FROM_ML = 2.0, 5.0

Volumes = Mapping[Tissue, float]


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Suggested values of the manifest's columns of these names; None: nothing is suggested."""

    ivh: bool | None
    sah: bool | None
    location: Location | Literal["other"] | None


def suggest(in_head_ml: Volumes | None, in_outline_ml: Volumes | None, place: Place) -> Suggestions:
    """Suggest what is seen.

    Extra-axial blood is subarachnoid, subdural or epidural, which the classes do not tell apart: where there is much of it, `sah`
    is suggested, and a person says which it is. An outline that is mostly such blood lies neither in a lobe nor deep.

    Args:
        in_head_ml: volumes of the classes inside the skull (`blood.class_volumes_ml`), None where the method tells none.
        in_outline_ml: those in the outline.
        place: where the outline lies.
    """
    if in_head_ml is None or in_outline_ml is None:
        return Suggestions(None, None, place.location)
    outline_ml = sum(in_outline_ml[tissue] for tissue in BLOOD)
    is_extra_axial = in_outline_ml[Tissue.EXTRA_AXIAL] > MOST * outline_ml
    return Suggestions(
        ivh=_between(in_head_ml[Tissue.INTRAVENTRICULAR], NO_IVH_BELOW_ML, IVH_FROM_ML),
        sah=_between(in_head_ml[Tissue.EXTRA_AXIAL], NO_SAH_BELOW_ML, SAH_FROM_ML),
        location="other" if is_extra_axial else place.location,
    )


def _between(volume_ml: float, no_below_ml: float, yes_from_ml: float) -> bool | None:
    if volume_ml < no_below_ml:
        return False
    return True if volume_ml >= yes_from_ml else None
