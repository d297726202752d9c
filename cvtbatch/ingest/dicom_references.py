"""What a drawn outline names as the images that it was drawn on, and whether it lies where it says.

Standard: PS3.3 C.7.6.16.2.6 (Derivation Image macro of a frame), C.8.8.6 (Contour Image Sequence of a contour).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pydicom

from cvtbatch.errors import InputError
from cvtbatch.imaging.placement import SAME_PLANE_MM, slab_edges_mm
from cvtbatch.ingest.outlines import ImageSlices


@dataclass(frozen=True, slots=True)
class Reference:
    """An image that an outline names; `frame` counts from 1, and is None where none is named."""

    instance_uid: str
    frame: int | None


def read_references(items: Iterable[pydicom.Dataset]) -> tuple[Reference, ...]:
    """Return the images that the items of a sequence name."""
    return tuple(
        Reference(str(item.get("ReferencedSOPInstanceUID") or ""), frame)
        for item in items
        for frame in _numbers(item.get("ReferencedFrameNumber"))
    )


def _numbers(value: object) -> list[int | None]:
    if value is None or isinstance(value, int | str):
        return [int(value) if value else None]
    return [int(number) for number in value] if isinstance(value, Iterable) else [None]


def names_image(references: Collection[Reference], series: Collection[str], image: ImageSlices) -> bool:
    """Say whether an outline was drawn on an image, as far as it says so.

    The instances that its planes name are the better evidence; its series is asked where they or the image's are not known, or only
    some are the image's. An object that names several series, as the thick and the thin one of a study, does not say which it was.
    """
    own = {uid for uid, _ in image.instances}
    if own and references:
        found = {reference.instance_uid in own for reference in references}
        if len(found) == 1:
            return found.pop()
    return {uid for uid in series if uid} == {image.series_uid}


def require_on_named_slices(
    outlines: Sequence[tuple[float, tuple[Reference, ...]]], image: ImageSlices, what: str
) -> None:
    """Refuse an outline that lies farther than half a gap from the one slice of the image that it names.

    Where all outlines name the same, though they lie in several planes, the writer told what they were derived from, not where.

    Args:
        outlines: for each its place along the normal, the first slice at 0, and what it names.
        what: the name of one in the message.

    Raises:
        InputError: `mask_off_named_slice`.
    """
    depths = [depth for depth, _ in outlines]
    if outlines and max(depths) - min(depths) > SAME_PLANE_MM and len({frozenset(named) for _, named in outlines}) == 1:
        return
    for depth, references in outlines:
        _require_on_named_slice(depth, references, image, what)


def _require_on_named_slice(depth_mm: float, references: Collection[Reference], image: ImageSlices, what: str) -> None:
    if len(references) != 1:
        return
    [reference] = references
    named = [
        k
        for k, (uid, frame) in enumerate(image.instances)
        if uid == reference.instance_uid and reference.frame in {None, frame}
    ]
    if len(named) != 1:
        return
    [k] = named
    edges = slab_edges_mm(image.stack)[k : k + 2] + np.array([-SAME_PLANE_MM, SAME_PLANE_MM])
    if not edges[0] <= depth_mm <= edges[1]:
        away = abs(depth_mm - image.stack.depths_mm()[k])
        raise InputError(
            "mask_off_named_slice",
            f"{what} lies {away:.1f} mm along the normal from the slice that it names itself, more than half a gap: one of the two "
            "is wrong, and which cannot be told (some programs misplace outlines of tilted series); write the mask anew, as a "
            "label map or a DICOM SEG",
        )
