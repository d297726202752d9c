"""Outlines in DICOM objects: segmentations and structure sets, as a file or as the only such object of a folder."""

import os
import warnings
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, TypeVar

import pydicom
from pydicom.errors import InvalidDicomError

from cvtbatch.errors import CvtbatchError, InputError, UnavailableError
from cvtbatch.ingest.contour_placement import place_contours
from cvtbatch.ingest.dicom_references import Reference, names_image
from cvtbatch.ingest.dicom_rtstruct import STRUCTURE_SET_STORAGE, parse_contours
from cvtbatch.ingest.dicom_seg import (
    LABEL_MAP_SEGMENTATION_STORAGE,
    SEGMENTATION_STORAGE,
    claimed_bytes,
    parse_frames,
)
from cvtbatch.ingest.dicom_seg_placement import place_frames
from cvtbatch.ingest.listing import require_there
from cvtbatch.ingest.memory import Announce, announce_nothing
from cvtbatch.ingest.outlines import ImageSlices, SourceMask
from cvtbatch.ingest.skipped_files import LINK
from cvtbatch.ingest.source_files import refusal
from cvtbatch.ingest.sources import Source, open_member
from cvtbatch.manifest import RoiSource

Value = TypeVar("Value")
SEGMENTATIONS = {SEGMENTATION_STORAGE, LABEL_MAP_SEGMENTATION_STORAGE}


def find_dicom_mask(folder: Path) -> Path:
    """Return the one segmentation or structure set of a folder, subfolders included; other files are passed over.

    Raises:
        InputError: `no_mask_object`, `several_mask_objects`, or `missing_members` where a link leads nowhere.
    """
    links: list[str] = []
    classes = {
        name: _sop_class(file)
        for name, file in Source(folder).files(note=lambda reason, name: links.extend([name] if reason == LINK else ()))
    }
    require_there(links, [name for name, sop_class in classes.items() if sop_class])
    found = [Path(name) for name, sop_class in classes.items() if sop_class in {*SEGMENTATIONS, STRUCTURE_SET_STORAGE}]
    if not found:
        raise InputError(
            "no_mask_object",
            "the folder of the mask holds no DICOM SEG and no RTSTRUCT; name the mask's file",
            str(folder),
        )
    if len(found) > 1:
        raise InputError(
            "several_mask_objects",
            f"the folder of the mask holds {len(found)} DICOM SEG and RTSTRUCT objects; name one of them",
            ", ".join(map(str, found)),
        )
    return found[0]


def _sop_class(file: BinaryIO) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(file, specific_tags=["SOPClassUID"], stop_before_pixels=True)
            return str(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID", ""))
        except UnavailableError:
            raise
        except Exception:  # pydicom raises many kinds on what is damaged or not DICOM
            return ""


def read_dicom_mask(
    path: Path, roi: RoiSource, image: Callable[[], ImageSlices], announce: Announce = announce_nothing
) -> SourceMask:
    """Read the segment or ROI that the manifest names.

    Args:
        image: tells of the image that the outline belongs to.

    Raises:
        InputError: it cannot be read, lies in another frame of reference, or not on the image.
    """
    # pydicom warns of odd values with the values themselves, which are nobody's business here.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with open_member(path) as file:
            header = _guarded(lambda: pydicom.dcmread(file, stop_before_pixels=True), path)
            announce(_guarded(lambda: file.seek(0, os.SEEK_END) + claimed_bytes(header), path))
            file.seek(0)
            dataset = _guarded(lambda: pydicom.dcmread(file), path)
        sop_class = str(dataset.get("SOPClassUID") or "")
        if sop_class in SEGMENTATIONS:
            segment = _guarded(lambda: parse_frames(dataset, roi), path)
            uid = str(dataset.get("FrameOfReferenceUID") or "")
            slices = image()
            _require_frame_of_reference(uid, slices, names_series=False)
            named = {reference for frame in segment.frames for reference in frame.references}
            return _flagged(place_frames(segment, slices), uid, named, segment.series, slices)
        if sop_class == STRUCTURE_SET_STORAGE:
            contours, described = _guarded(lambda: parse_contours(dataset, roi), path)
            slices = image()
            uid, series = _guarded(lambda: _referenced(dataset, described), path)
            _require_frame_of_reference(uid, slices, names_series=slices.series_uid in series)
            named = {reference for contour in contours.closed for reference in contour.references}
            return _flagged(place_contours(contours, slices, series), uid, named, series, slices)
    raise InputError(
        "unsupported_mask",
        "the DICOM file of the mask is neither a SEG nor an RTSTRUCT object",
        f"{path}: SOP class {sop_class or 'unknown'}",
    )


def _guarded(read: Callable[[], Value], path: Path) -> Value:
    """Call what reads a file; whatever damage makes pydicom or its decoders raise becomes a refusal."""
    try:
        return read()
    except (CvtbatchError, MemoryError):
        raise
    except InvalidDicomError:
        raise InputError("unreadable_file", "the file of the mask is not DICOM: damaged or empty", str(path)) from None
    except Exception as error:  # many kinds
        message = (
            "the DICOM object of the mask cannot be read: it is damaged, truncated or of an encoding that is not read"
        )
        raise refusal(error, message, path) from None


def _referenced(dataset: pydicom.Dataset, described: pydicom.Dataset) -> tuple[str, set[str]]:
    """Return the frame of reference of an ROI of a structure set, and the series that it names there."""
    frames = list(dataset.get("ReferencedFrameOfReferenceSequence") or ())
    uid = str(described.get("ReferencedFrameOfReferenceUID") or "")
    if not uid:
        uids = {str(item.get("FrameOfReferenceUID") or "") for item in frames}
        uid = uids.pop() if len(uids) == 1 else str(dataset.get("FrameOfReferenceUID") or "")
    series = {
        str(item.get("SeriesInstanceUID") or "")
        for frame in frames
        if str(frame.get("FrameOfReferenceUID") or "") == uid
        for study in frame.get("RTReferencedStudySequence") or ()
        for item in study.get("RTReferencedSeriesSequence") or ()
    }
    return uid, series


def _flagged(
    mask: SourceMask, uid: str, named: Collection[Reference], series: Collection[str], image: ImageSlices
) -> SourceMask:
    """Return an outline, flagged where it names other images than this, and no frame of reference ties it to this."""
    is_known = uid and image.frame_of_reference_uid
    names_any = bool(named or {found for found in series if found})
    if is_known or image.series_uid is None or not names_any or names_image(named, series, image):
        return mask
    return replace(mask, flags=tuple(dict.fromkeys((*mask.flags, "other_slices"))))


def _require_frame_of_reference(uid: str, image: ImageSlices, names_series: bool) -> None:
    """Refuse an outline of another frame of reference; nothing is refused where either is unknown.

    Args:
        names_series: whether it names the image's own series as the one that it was drawn on. rt-utils writes structure sets that
            name the series rightly under a frame of reference of their own; the series is the better evidence.
    """
    own = image.frame_of_reference_uid
    if uid and own and uid != own and not names_series:
        raise InputError(
            "other_frame_of_reference",
            "the mask was drawn in another frame of reference than the image's: their positions cannot be compared; "
            "check that it was drawn on this series",
            f"{uid}, where the image has {own}",
        )
