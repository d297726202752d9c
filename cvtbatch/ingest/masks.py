"""Outlines from an archive: what a file is decides who reads it."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from cvtbatch.errors import InputError, ResourceError
from cvtbatch.ingest.dicom_masks import find_dicom_mask, read_dicom_mask
from cvtbatch.ingest.fingerprint import require_source
from cvtbatch.ingest.image_files import FORMAT_NAMES, image_format, suffix_of
from cvtbatch.ingest.label_maps import read_label_map
from cvtbatch.ingest.mask_grids import of_one_place
from cvtbatch.ingest.members import has_dicom_suffix
from cvtbatch.ingest.memory import Announce, announce_nothing
from cvtbatch.ingest.nrrd import read_nrrd_header
from cvtbatch.ingest.other_formats import way_on
from cvtbatch.ingest.outlines import ImageSlices, SourceMask
from cvtbatch.ingest.slicer_segments import lists_segments, read_segmentation
from cvtbatch.ingest.source_files import is_folder
from cvtbatch.ingest.sources import open_member
from cvtbatch.manifest import RoiSource


def read_mask(roi: RoiSource, image: Callable[[], ImageSlices], announce: Announce = announce_nothing) -> SourceMask:
    """Read an outline; `roi.mask` must not be None.

    DICOM is known by its content, whatever the file's name, and a folder holds one DICOM object with an outline. The rest is known
    by its suffix, and where that says nothing, by its content.

    Args:
        image: tells of the image that the outline belongs to.
        announce: told the bytes that reading takes, before anything is decoded.

    Raises:
        InputError: it cannot be read, is empty, holds several segments of which none is named, or does not belong to the image.
        ResourceError: there is no room for temporary files.
    """
    require_source(roi.mask or "", "mask")
    path = Path(roi.mask or "")
    if is_folder(path):
        return read_dicom_mask(find_dicom_mask(path), roi, lambda: of_one_place(image()), announce)
    start = _start(path)
    if start[128:132] == b"DICM" or has_dicom_suffix(path.name):
        return read_dicom_mask(path, roi, lambda: of_one_place(image()), announce)
    if image_format(path) is not None:
        return _read_image_mask(path, roi, image, announce)
    suffix = suffix_of(start)
    if suffix is None:
        known = ", ".join(FORMAT_NAMES)
        none = f"the file of the mask is none of {known}, DICOM SEG and DICOM RTSTRUCT, by its suffix or its content"
        raise InputError("unknown_format", way_on(path, "mask") or none, str(path))
    # The libraries that read these formats go by the suffix.
    with ExitStack() as stack:
        try:
            link = Path(stack.enter_context(tempfile.TemporaryDirectory())) / f"mask{suffix}"
            link.symlink_to(path.resolve())
        except OSError as error:
            raise ResourceError(
                "no_scratch",
                "the worker's folder for temporary files (TMPDIR) cannot be written: make room, and run again with --retry-failed",
                str(error),
            ) from None
        return _read_image_mask(link, roi, image, announce)


def _read_image_mask(path: Path, roi: RoiSource, image: Callable[[], ImageSlices], announce: Announce) -> SourceMask:
    if path.suffix.lower() == ".nrrd":
        _, pairs = read_nrrd_header(path)
        if lists_segments(pairs):
            return read_segmentation(path, roi, pairs, image, announce)
    return read_label_map(path, roi, image, announce)


def _start(path: Path) -> bytes:
    with open_member(path) as file:
        return file.read(4096)
