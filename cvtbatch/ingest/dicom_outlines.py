"""Which series a DICOM segmentation or structure set was drawn on, and the names of what is in it: read of its header alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pydicom

from cvtbatch.errors import UnavailableError
from cvtbatch.ingest.dicom_masks import SEGMENTATIONS
from cvtbatch.ingest.dicom_rtstruct import STRUCTURE_SET_STORAGE
from cvtbatch.ingest.tags import bare_uid, quiet, read_items, read_text

OUTLINE_CLASSES = frozenset({*SEGMENTATIONS, STRUCTURE_SET_STORAGE})


@dataclass(frozen=True, slots=True)
class NamedOutline:
    """A segmentation or structure set.

    Attributes:
        object: SEG or RTSTRUCT.
        series: SeriesInstanceUIDs that it names.
        segments: SegmentLabels or ROINames.
        producer: ManufacturerModelName of what made it; empty where it does not say.
    """

    object: str
    series: tuple[str, ...]
    segments: tuple[str, ...]
    producer: str


def name_outline(file: BinaryIO) -> NamedOutline | None:
    """Return what a segmentation or structure set names; None where it is damaged.

    Raises:
        UnavailableError: the system cannot give it now.
    """
    file.seek(0)
    with quiet():
        try:
            dataset = pydicom.dcmread(file, stop_before_pixels=True)
            uids = {bare_uid(read_text(item, "SeriesInstanceUID") or "") for item in _referenced(dataset)}
            is_structure_set = read_text(dataset, "SOPClassUID") == STRUCTURE_SET_STORAGE
            listed, name = (
                ("StructureSetROISequence", "ROIName") if is_structure_set else ("SegmentSequence", "SegmentLabel")
            )
            # Number 0 of a label map is its background.
            items = [item for item in read_items(dataset, listed) if read_text(item, "SegmentNumber") != "0"]
            segments = tuple(read_text(item, name) or "" for item in items)
            producer = read_text(dataset, "ManufacturerModelName") or ""
        except UnavailableError:
            raise
        except Exception:  # pydicom raises many kinds on damaged files
            return None
    return NamedOutline("RTSTRUCT" if is_structure_set else "SEG", tuple(sorted(uids - {""})), segments, producer)


def _referenced(dataset: pydicom.Dataset) -> Iterator[pydicom.Dataset]:
    yield from read_items(dataset, "ReferencedSeriesSequence")
    for frame in read_items(dataset, "ReferencedFrameOfReferenceSequence"):
        for study in read_items(frame, "RTReferencedStudySequence"):
            yield from read_items(study, "RTReferencedSeriesSequence")
