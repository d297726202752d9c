"""DICOM RT Structure Sets: planar contours.

Points and open contours hold no area; they and closed ones without area are ignored, and flagged. Standard: PS3.3 C.8.8.6.
"""

from dataclasses import dataclass

import numpy as np
import pydicom

from cvtbatch.counts import counted
from cvtbatch.errors import InputError
from cvtbatch.geometry import Vector
from cvtbatch.ingest.dicom_references import Reference, read_references
from cvtbatch.ingest.outlines import Segment, choose_segment, require_own_number
from cvtbatch.manifest import RoiSource

STRUCTURE_SET_STORAGE = "1.2.840.10008.5.1.4.1.1.481.3"
CLOSED = {"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"}
CONTOUR_DATA = (0x3006, 0x0050)
# A closed contour of less area has none, up to round-off.
NO_AREA_MM2 = 1e-6
# No patient is farther from the origin.
FARTHEST_MM = 1e5


@dataclass(frozen=True, slots=True)
class Contour:
    """A closed contour.

    Attributes:
        points_mm: corners (n, 3), LPS.
        is_xor: whether it says that it is to be combined by exclusive or.
        references: the images that it says that it was drawn on.
    """

    points_mm: Vector
    is_xor: bool
    references: tuple[Reference, ...]

    def area_mm2(self) -> float:
        """Return the area that it spans in space."""
        return _area_mm2(self.points_mm)


@dataclass(frozen=True, slots=True)
class Contours:
    """The closed contours of one ROI, and how many of its contours hold no area."""

    closed: tuple[Contour, ...]
    ignored: int


def parse_contours(dataset: pydicom.Dataset, roi: RoiSource) -> tuple[Contours, pydicom.Dataset]:
    """Return the contours of the ROI that the manifest names, and the item that describes the ROI.

    Raises:
        InputError: there is no such ROI, or its coordinates are not usable, or it has no closed contour.
        Exception: many kinds, where the object is damaged.
    """
    if "StructureSetROISequence" not in dataset or "ROIContourSequence" not in dataset:
        raise InputError("unreadable_file", "the structure set has no ROIs or no contours: damaged or truncated")
    described = {int(item.ROINumber): item for item in dataset.StructureSetROISequence}
    drawn = {int(item.ReferencedROINumber): item.get("ContourSequence") or () for item in dataset.ROIContourSequence}
    numbers = [number for number in described if drawn.get(number)]
    segments = [Segment(number, str(described[number].get("ROIName") or "")) for number in numbers]
    number = numbers[choose_segment(segments, roi)]
    require_own_number(number, [int(item.ROINumber) for item in dataset.StructureSetROISequence], "ROIs")
    require_own_number(number, [int(item.ReferencedROINumber) for item in dataset.ROIContourSequence], "ROIs' contours")
    contours = [_contour(item) for item in drawn[number]]
    closed = tuple(contour for contour in contours if contour is not None)
    if not closed:
        raise InputError(
            "empty_mask",
            f"no closed one with an area among the {counted(len(contours), 'contour')} of the ROI",
            roi.mask or "",
        )
    return Contours(closed, len(contours) - len(closed)), described[number]


def _contour(item: pydicom.Dataset) -> Contour | None:
    """Return a closed contour; None for what holds no area.

    Raises:
        InputError: `bad_contour`.
    """
    if str(item.get("ContourGeometricType", "")) not in CLOSED:
        return None
    numbers = _numbers(item)
    points = numbers.reshape(-1, 3) if len(numbers) % 3 == 0 else np.empty((0, 3))
    stated = item.get("NumberOfContourPoints")
    usable = bool((np.abs(points) <= FARTHEST_MM).all())  # False for NaN too
    if len(numbers) % 3 or not usable or (stated is not None and int(stated) != len(points)):
        raise InputError(
            "bad_contour",
            f"a contour has {len(numbers)} coordinates for {stated} points, or one that is no number up to {FARTHEST_MM:g} mm",
        )
    if any(float(part) for part in item.get("ContourOffsetVector") or ()):
        raise InputError(
            "bad_contour",
            "a contour has a ContourOffsetVector, which the standard has retired: where it lies cannot be told; write the "
            "structure set anew without",
        )
    if len(points) < 3 or _area_mm2(points) < NO_AREA_MM2:
        return None
    is_xor = str(item.ContourGeometricType) == "CLOSEDPLANAR_XOR"
    return Contour(points, is_xor, read_references(item.get("ContourImageSequence") or ()))


def _numbers(item: pydicom.Dataset) -> Vector:
    """Return ContourData, from its bytes where it is still undecoded: a million decimals as objects take long and much memory."""
    value: object = item.get_item(CONTOUR_DATA).value if CONTOUR_DATA in item else None
    if isinstance(value, bytes):
        parts = value.strip(b" \0").split(b"\\")
        return np.array([] if parts == [b""] else parts, dtype=np.float64)
    return np.array(item.get("ContourData") or [], dtype=np.float64).ravel()


def _area_mm2(points: Vector) -> float:
    """Return the area that a closed planar polygon spans in space."""
    spokes = points - points[0]
    return float(np.linalg.norm(np.cross(spokes[:-1], spokes[1:]).sum(axis=0))) / 2
