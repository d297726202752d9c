"""From a map of blood to the outlines of a head, and what is to be said of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from cvtbatch.outlining.blood import BloodPart, Tissue, agreement, blood_parts, class_volumes_ml, flags_of
from cvtbatch.outlining.head import BloodMap, Head


@dataclass(frozen=True, slots=True)
class Outlines:
    """The hematomas of a head.

    Attributes:
        parts: connected parts of blood of at least the least volume, the largest first; none is the state `no_hemorrhage`.
        blood_ml: all blood inside the skull, small parts included.
        classes_ml: volume of every class inside the skull; None of a method that tells no classes.
        agreement: of the members of an ensemble over the largest part; None of a single one.
        flags: `disagreement`, `several`, `mostly_ivh`, `mostly_extra_axial`.
    """

    parts: tuple[BloodPart, ...]
    blood_ml: float
    classes_ml: Mapping[Tissue, float] | None
    agreement: float | None
    flags: tuple[str, ...]


def outlines_of(head: Head, found: BloodMap, least_ml: float) -> Outlines:
    """Return the outlines that a map of blood means."""
    voxel_ml, inside_zyx = head.grid.voxel_ml, head.inside.mask_zyx
    parts = blood_parts(found.blood_zyx, voxel_ml, least_ml)
    classes_ml = None if found.labels_zyx is None else class_volumes_ml(found.labels_zyx, inside_zyx, voxel_ml)
    agreed = agreement(found.members_zyx, parts[0].mask_zyx) if parts else None
    flags = flags_of(parts, found.labels_zyx, agreed) if parts else ()
    return Outlines(parts, float(found.blood_zyx.sum()) * voxel_ml, classes_ml, agreed, flags)
