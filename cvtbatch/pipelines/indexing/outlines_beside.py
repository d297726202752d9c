"""Outlines that lie beside an image as files: which belong to it, and what has to be said to read them. Nothing is guessed."""

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from cvtbatch import contracts
from cvtbatch.errors import InputError, UnavailableError
from cvtbatch.geometry import Grid
from cvtbatch.ingest.header_grids import file_grid, is_same_grid
from cvtbatch.ingest.outlines import choose_segment
from cvtbatch.ingest.slicer_segments import list_segments
from cvtbatch.manifest import RoiSource
from cvtbatch.pipelines.indexing.bids_labels import find_label
from cvtbatch.pipelines.indexing.file_names import reader_of, stem_of
from cvtbatch.pipelines.indexing.mask_files import SCENE, MaskFiles, OwnMask

_STEM = "{stem}"


@dataclass(frozen=True, slots=True)
class OutlineBeside:
    """An outline that belongs to an image.

    Attributes:
        segment, mask_label, reader: cells of the manifest, empty where it needs none.
        note: empty where the row can stand as it is; else why a person has to decide.
    """

    path: Path
    segment: str
    mask_label: str
    reader: str
    note: str


def outlines_of(
    image: Path, masks: MaskFiles, mask_pattern: str | None, segment: str | None
) -> tuple[OutlineBeside, ...]:
    """Return the outlines of an image; empty if there is none.

    Those of several readers, whom their names tell (`mask_readerB`), stand as they are; several that one row could name are all
    returned, each with a note.

    Args:
        image: a file, or a folder of DICOM files.
        masks: of the tree in which it lies.
        mask_pattern: where the outlines lie instead, from the image's folder (of DICOM files: from within it or beside it);
            `{stem}` is the image's name without suffix, `*` anything.
        segment: name of the segment to take where a file has named ones, or a table of BIDS names the labels of a label map.

    Raises:
        InputError: "bad_pattern".
    """
    found = masks.of(image) if mask_pattern is None else tuple(map(OwnMask, _by_pattern(image, mask_pattern)))
    outlines = [_outline(mask, segment) for mask in found if mask.path.suffix.lower() != SCENE]
    if not outlines:
        return tuple(OutlineBeside(mask.path, "", "", "", _SCENE_NOTE) for mask in found)
    return tuple(_one_a_reader(outlines))


def outlines_of_study(
    image: Path, masks: MaskFiles, grid: Grid | None, segment: str | None
) -> tuple[OutlineBeside, ...]:
    """Return the outlines in the folder of an image's study: as they are where all have its grid, else each with a note.

    Args:
        grid: of the image, if no other series of the study has it.
    """
    found = masks.of_study(image)
    if are_drawn_on(found, grid):
        return tuple(_one_a_reader([_outline(mask, segment) for mask in found]))
    return tuple(
        OutlineBeside(mask.path, "", "", "", _STUDY_NOTE.format(glob.escape(os.path.relpath(mask.path, image.parent))))
        for mask in found
    )


def are_drawn_on(masks: Sequence[OwnMask], grid: Grid | None) -> bool:
    """Say whether there are masks, none of them doubtful, and all of them have a grid."""
    return (
        grid is not None
        and bool(masks)
        and not any(mask.doubt or mask.path.suffix.lower() == SCENE for mask in masks)
        and all((own := _grid_of(mask.path)) is not None and is_same_grid(own, grid) for mask in masks)
    )


_grid_of = lru_cache(maxsize=1024)(file_grid)
_STUDY_NOTE = "it lies in the study's folder, and nothing says of which series it is; --mask-pattern '{}' takes it"
_SCENE_NOTE = "a scene of 3D Slicer: open it there, and save its segmentation alone, as .seg.nrrd, beside the image"


def require_mask_pattern(pattern: str) -> None:
    """Refuse a pattern of masks that cannot tell one image's from another's.

    Raises:
        InputError: "bad_pattern".
    """
    if (
        "{" in pattern.replace(_STEM, "")
        or "}" in pattern.replace(_STEM, "")
        or pattern.startswith("/")
        or not pattern.strip("./")
    ):
        raise InputError(
            "bad_pattern",
            f"the pattern of masks {pattern!r} cannot be used: it is a path from the image's folder, and its one place is "
            f"{_STEM}, the image's name without suffix, as in '{_STEM}_roi.nii.gz'",
        )


def _by_pattern(image: Path, pattern: str) -> Sequence[Path]:
    require_mask_pattern(pattern)
    parts = pattern.replace(_STEM, glob.escape(stem_of(image.name))).split("/")
    ups = next((place for place, part in enumerate(parts) if part != ".."), len(parts))
    name = "/".join(parts[ups:])
    folders = [image, image.parent] if image.is_dir() else [image.parent]
    for _ in range(ups):
        folders = [folder.parent for folder in folders]
    found = (path for folder in folders for path in sorted(folder.glob(name)))
    return [path for path in dict.fromkeys(found) if path.is_file() and path != image]


def _outline(mask: OwnMask, segment: str | None) -> OutlineBeside:
    path = mask.path
    outline = OutlineBeside(path, "", "", reader_of(path.name), mask.doubt)
    if path.suffix.lower() != ".nrrd":
        return outline if segment is None else _with_label(outline, segment)
    try:
        segments = list_segments(path)
    except (InputError, UnavailableError) as error:
        return replace(outline, note=error.message)
    if not segments:
        return outline
    try:
        chosen = segments[choose_segment(segments, _roi(path, segment))]
    except InputError as error:
        names = ", ".join(repr(one.name) for one in segments)
        return replace(outline, note=f"{error.message}; it has {names}")
    return replace(outline, segment=chosen.name) if segment is not None else outline


def _with_label(outline: OutlineBeside, segment: str) -> OutlineBeside:
    """Return the outline of a label map with the label that a table beside it has for a name; as it is where there is no table."""
    try:
        label = find_label(outline.path, segment)
    except InputError as error:
        return replace(outline, note=error.message)
    return outline if label is None else replace(outline, mask_label=str(label))


def _roi(path: Path, segment: str | None) -> RoiSource:
    return RoiSource("", "", "", 1, str(path), path.name, None, segment, 0)


def _one_a_reader(outlines: Sequence[OutlineBeside]) -> Iterable[OutlineBeside]:
    nobody = contracts.manifest_fields()["reader"].default
    for outline in outlines:
        rivals = [
            other.path.name
            for other in outlines
            if (other.reader or nobody) == (outline.reader or nobody) and other is not outline
        ]
        if rivals and not outline.note:
            names = ", ".join(sorted([outline.path.name, *rivals]))
            yield replace(
                outline,
                note=f"one of {len(rivals) + 1} outlines that fit ({names}): keep one, or give each row another reader or reading",
            )
        else:
            yield outline
