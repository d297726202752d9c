"""What the rows of a found outline say of the case: what a person should look at, and what it would mean for the manifest."""

from collections.abc import Sequence

from cvtbatch.outlining.blood import Tissue, class_volumes_ml
from cvtbatch.outlining.head import BloodMap, Head
from cvtbatch.outlining.location import NOWHERE, Place, find_place
from cvtbatch.outlining.outline import Outlines
from cvtbatch.outlining.suggestions import suggest
from cvtbatch.pipelines.extraction.case_result import Row, case_identity
from cvtbatch.pipelines.extraction.outline_plan import OutlineWork, VolumeInput, roi_name

AUTO = "auto"
INFRATENTORIAL = "infratentorial"
NOT_FOR_INFERENCE = "not_for_inference"


def found_flags(work: OutlineWork, of_largest: Sequence[str], number: int) -> list[str]:
    """Return the flags of an outline's row in `rois`; what is said of the head is said of its largest outline, number 0.

    Args:
        of_largest: the flags of the head's row in `outlines`.
    """
    return [AUTO, *(of_largest if number == 0 else _marks(work))]


def outline_flags(work: OutlineWork, outlines: Outlines, place: Place) -> list[str]:
    """Return the flags of a head's row in `outlines`."""
    return [*outlines.flags, *([INFRATENTORIAL] if place.infratentorial else []), *_marks(work)]


def _marks(work: OutlineWork) -> list[str]:
    return [NOT_FOR_INFERENCE] if work.not_for_inference else []


def place_of(head: Head, outlines: Outlines) -> Place:
    """Return where the largest outline of a head lies."""
    return find_place(outlines.parts[0].mask_zyx, head.inside.mask_zyx, head.grid) if outlines.parts else NOWHERE


def outline_row(
    work: OutlineWork, given: VolumeInput, head: Head, found: BloodMap, outlines: Outlines, place: Place
) -> Row:
    """Return the `outlines` row of a volume, without book-keeping, seconds and device."""
    parts, in_head_ml = outlines.parts, outlines.classes_ml
    in_outline_ml = None
    if found.labels_zyx is not None and parts:
        in_outline_ml = class_volumes_ml(found.labels_zyx, parts[0].mask_zyx, head.grid.voxel_ml)
    suggested = suggest(in_head_ml, in_outline_ml, place)
    volumes: dict[str, float | None] = {
        f"{name}_ml": None if in_head_ml is None else in_head_ml[tissue]
        for name, tissue in (
            ("iph", Tissue.INTRAPARENCHYMAL),
            ("eah", Tissue.EXTRA_AXIAL),
            ("oedema", Tissue.OEDEMA),
            ("ivh", Tissue.INTRAVENTRICULAR),
        )
    }
    return {
        **case_identity(given.case),
        "outline_spec_id": work.outline_spec_id,
        "volume_spec_id": work.features.volume_spec_id,
        "image_digest": given.image_digest,
        "reader": work.reader,
        "method": work.settings.method,
        "state": "outlined" if parts else "no_hemorrhage",
        "rois": [roi_name(number) for number in range(min(len(parts), work.settings.parts))],
        "components": len(parts),
        "least_ml": float(work.settings.least_ml),
        "blood_ml": outlines.blood_ml,
        "inside_ml": head.inside.volume_ml,
        "bone_cover": head.inside.cover,
        **volumes,
        "agreement": outlines.agreement,
        "flags": outline_flags(work, outlines, place),
        "suggested_ivh": _as_int(suggested.ivh),
        "suggested_sah": _as_int(suggested.sah),
        "suggested_location": suggested.location,
        "not_for_inference": work.not_for_inference,
        "manifest_row": given.manifest_row,
    }


def _as_int(value: bool | None) -> int | None:
    return None if value is None else int(value)
