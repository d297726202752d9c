"""Outlines that lie beside an image as files: which belong to it, and what has to be said to read them. Nothing is guessed."""

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cvtbatch.errors import InputError, UnavailableError
from cvtbatch.ingest.image_files import image_format
from cvtbatch.ingest.outlines import choose_segment
from cvtbatch.ingest.slicer_segments import list_segments
from cvtbatch.manifest import RoiSource
from cvtbatch.pipelines.indexing.file_names import (
    bids_name,
    core_of,
    is_mask_path,
    is_other_organ,
    reader_of,
    stem_of,
)

_SCENE = ".mrb"
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


def find_outlines(
    image: Path, files_beside: Sequence[Path], mask_pattern: str | None, segment: str | None
) -> tuple[OutlineBeside, ...]:
    """Return the outlines of an image; empty if there is none.

    Those of several readers, whom their names tell (`mask_readerB`), are all taken. Several that one row could name are all
    returned, each with a note.

    Args:
        image: a file, or a folder of DICOM files.
        files_beside: in the image's folder or near it.
        mask_pattern: where the outlines lie instead, from the image's folder (of DICOM files: from within it or beside it);
            `{stem}` is the image's name without suffix, `*` anything.
        segment: name of the segment to take where a file has named ones.

    Raises:
        InputError: "bad_pattern".
    """
    if mask_pattern is not None:
        found = _by_pattern(image, mask_pattern)
    else:
        found = [path for path in files_beside if path != image and _belongs(path, image, files_beside)]
    outlines = [_outline(path, segment) for path in found if path.suffix.lower() != _SCENE]
    if not outlines:
        outlines = [OutlineBeside(path, "", "", "", _SCENE_NOTE) for path in found]
    return tuple(_one_a_reader(outlines))


_SCENE_NOTE = (
    "a scene of 3D Slicer (.mrb): open it there, and save the segmentation alone as .seg.nrrd beside the image (Save Data, or "
    "right click on it in Data: Export to file)"
)


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


def _by_pattern(image: Path, pattern: str) -> list[Path]:
    require_mask_pattern(pattern)
    parts = pattern.replace(_STEM, glob.escape(stem_of(image.name))).split("/")
    ups = next((place for place, part in enumerate(parts) if part != ".."), len(parts))
    name = "/".join(parts[ups:])
    folders = [image, image.parent] if image.is_dir() else [image.parent]
    for _ in range(ups):
        folders = [folder.parent for folder in folders]
    found = (path for folder in folders for path in sorted(folder.glob(name)))
    return [path for path in dict.fromkeys(found) if path.is_file() and path != image]


def _belongs(path: Path, image: Path, beside: Iterable[Path]) -> bool:
    if not _may_be_outline(path) or is_other_organ(path.name):
        return False
    own, other = bids_name(image.name), bids_name(path.name)
    if own is not None and other is not None:
        return (own.subject, own.session) == (other.subject, other.session)
    if image in path.parents:
        return True
    core, wanted = core_of(path.name), core_of(image.name)
    if core == wanted:
        return True
    others = {core_of(other.name) for other in beside if other != image and _is_image(other)}
    if not core or not wanted:
        # A name that says nothing, in a folder of one image.
        return path.parent == image.parent and not others and not image.is_dir()
    longest = max((name for name in {wanted, *others} if f"{core} ".startswith(f"{name} ")), key=len, default="")
    return longest == wanted


def _may_be_outline(path: Path) -> bool:
    return path.suffix.lower() == _SCENE or (image_format(path) is not None and is_mask_path(_near(path)))


def _is_image(path: Path) -> bool:
    return image_format(path) is not None and not is_mask_path(_near(path))


def _near(path: Path) -> Path:
    """Return a file and its folder: folders above are not of masks, or the image would lie in them too."""
    return Path(*path.parts[-2:])


def _outline(path: Path, segment: str | None) -> OutlineBeside:
    outline = OutlineBeside(path, "", "", reader_of(path.name), "")
    if path.suffix.lower() != ".nrrd":
        return outline
    try:
        segments = list_segments(path)
        if not segments:
            return outline
        chosen = segments[choose_segment(segments, _roi(path, segment))]
    except InputError as error:
        names = "" if error.kind == "unreadable_file" else f": {', '.join(repr(one.name) for one in segments)}"
        return replace(outline, note=f"{error.message}{names}")
    except UnavailableError as error:
        return replace(outline, note=error.message)
    return replace(outline, segment=chosen.name) if segment is not None else outline


def _roi(path: Path, segment: str | None) -> RoiSource:
    return RoiSource("", "", "", 1, str(path), path.name, None, segment, 0)


def _one_a_reader(outlines: Sequence[OutlineBeside]) -> Iterable[OutlineBeside]:
    for outline in outlines:
        rivals = [other.path.name for other in outlines if other.reader == outline.reader and other is not outline]
        if rivals and not outline.note:
            names = ", ".join(sorted([outline.path.name, *rivals]))
            yield replace(
                outline,
                note=f"one of {len(rivals) + 1} outlines that fit ({names}): keep one, or give each row another reader or reading",
            )
        else:
            yield outline
