"""DICOM Segmentation objects: binary, fractional and label-map frames, each with its own position.

Read with pydicom, since only the frames of the chosen segment are decoded and each goes where it says that it lies; highdicom's
`get_volume` wants frames of one gap and drops empty ones. Standard: PS3.3 A.51, C.8.20.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, RLELossless

from cvtbatch.counts import counted
from cvtbatch.errors import InputError
from cvtbatch.geometry import ORTHONORMAL_TOLERANCE, Triple, Vector
from cvtbatch.ingest.dicom_references import Reference, read_references
from cvtbatch.ingest.jpeg import BY_GDCM, FrameFormat, JpegDecoder
from cvtbatch.ingest.outlines import Segment, choose_segment, require_own_number
from cvtbatch.ingest.planes import usable_step
from cvtbatch.manifest import RoiSource

SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP_SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
# A fractional pixel is in the ROI from this share of MaximumFractionalValue on, be it an occupancy or a probability.
FRACTION_THRESHOLD = 0.5
# Frames may differ by as much in direction cosines, and in spacing in mm.
SAME_PLACE = 1e-4
# Largest side of a frame; beyond it a file is damaged, or of a microscope.
SIDE_LIMIT = 4096
# Named, since GDCM ends the process over some damaged frames: what it alone decodes has a process of its own.
DECODERS: dict[UID, str] = {
    RLELossless: "pydicom",
    **dict.fromkeys(JPEGLSTransferSyntaxes, "pyjpegls"),
    **dict.fromkeys(JPEG2000TransferSyntaxes, "pylibjpeg"),
}
Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of the chosen segment: 1 in the ROI, where its first pixel's centre lies, and which images it names."""

    pixels_yx: Mask
    position_mm: Triple
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of one segment, all of one orientation and spacing.

    Attributes:
        pixel_mm: distance of neighbours along a row (x) and down a column (y).
        planes_mm: (n, 3), positions of the segment's frames, empty ones too; where one frame alone is not empty, of all frames of
            the object that lie parallel to it.
        spacing_mm, thickness_mm: distance and thickness of planes as the file states them (`usable_step`).
        series: SeriesInstanceUIDs of the series that the object names.
    """

    frames: tuple[Frame, ...]
    pixel_mm: tuple[float, float]
    row_axis: Vector
    column_axis: Vector
    planes_mm: Vector
    spacing_mm: float | None
    thickness_mm: float | None
    series: frozenset[str]


def claimed_bytes(dataset: pydicom.Dataset) -> int:
    """Return what the frames of a segmentation take, decoded, by its header."""
    frames, rows, columns = (int(dataset.get(name) or 0) for name in ("NumberOfFrames", "Rows", "Columns"))
    return frames * rows * columns * max(1, int(dataset.get("BitsAllocated") or 0) // 8)


def parse_frames(dataset: pydicom.Dataset, roi: RoiSource) -> Frames:
    """Decode the frames of the segment that the manifest names.

    Raises:
        InputError: there is no such segment, or it has no frame or no pixel.
        Exception: many kinds, where the object is damaged.
    """
    if "SegmentSequence" not in dataset or "PixelData" not in dataset:
        raise InputError("unreadable_file", "the segmentation has no segments or no pixel data: damaged or truncated")
    # Number 0 of a label map is its background.
    listed = [item for item in dataset.SegmentSequence if int(item.SegmentNumber) > 0]
    segments = [Segment(int(item.SegmentNumber), str(item.get("SegmentLabel") or "")) for item in listed]
    number = segments[choose_segment(segments, roi)].number
    require_own_number(number, [segment.number for segment in segments], "segments")
    kind = str(dataset.get("SegmentationType", ""))
    if kind not in {"BINARY", "FRACTIONAL", "LABELMAP"}:
        raise InputError("unsupported_mask", "the segmentation is none of BINARY, FRACTIONAL and LABELMAP")
    described = len(dataset.get("PerFrameFunctionalGroupsSequence") or ())
    if described != int(dataset.get("NumberOfFrames") or 0):
        stated = dataset.get("NumberOfFrames")
        raise InputError("unreadable_file", f"{stated} frames, of which {described} are described: damaged")
    chosen = [index for index in range(described) if kind == "LABELMAP" or _segment_of(dataset, index) == number]
    positions = [_position(dataset, index) for index in chosen]
    frames = tuple(
        Frame(pixels, position, _sources(dataset, index))
        for index, pixels, position in zip(chosen, _decode(dataset, chosen, kind, number), positions, strict=True)
        if pixels.any()
    )
    if not frames:
        raise InputError("empty_mask", f"the segment is empty: no pixel in its {counted(len(chosen), 'frame')}")
    places = np.array([_place(dataset, index) for index in chosen])
    _check_places(places, frames)
    _require_one_a_place(frames)
    measures = _group(dataset, chosen[0], "PixelMeasuresSequence")
    spacing, thickness = (float(measures.get(name) or 0) for name in ("SpacingBetweenSlices", "SliceThickness"))
    return Frames(
        frames,
        (places[0, 7], places[0, 6]),
        places[0, :3],
        places[0, 3:6],
        np.array(positions) if len(frames) > 1 else _planes(dataset, places[0, :6]),
        usable_step(spacing),
        usable_step(thickness),
        frozenset(str(item.get("SeriesInstanceUID") or "") for item in dataset.get("ReferencedSeriesSequence") or ()),
    )


def _group(dataset: pydicom.Dataset, index: int, name: str) -> pydicom.Dataset:
    """Return what a functional group says of a frame: the frame's own, or that of all frames."""
    own, shared = dataset.PerFrameFunctionalGroupsSequence[index], dataset.get("SharedFunctionalGroupsSequence")
    group: pydicom.Dataset = (own if name in own or not shared else shared[0])[name].value[0]
    return group


def _position(dataset: pydicom.Dataset, index: int) -> Triple:
    x, y, z = _group(dataset, index, "PlanePositionSequence").ImagePositionPatient
    return float(x), float(y), float(z)


def _planes(dataset: pydicom.Dataset, orientation: Vector) -> Vector:
    """Return the positions (n, 3) of all frames that lie parallel to the chosen ones; another segment's damage is not theirs."""
    positions = []
    for index in range(len(dataset.PerFrameFunctionalGroupsSequence)):
        with contextlib.suppress(KeyError, AttributeError, IndexError, TypeError, ValueError):
            position, place = _position(dataset, index), np.array(_place(dataset, index))
            if np.allclose(place[:6], orientation, rtol=0, atol=SAME_PLACE):
                positions.append(position)
    return np.array(positions)


def _sources(dataset: pydicom.Dataset, index: int) -> tuple[Reference, ...]:
    """Return the images that a frame says that it was derived from."""
    derivations = dataset.PerFrameFunctionalGroupsSequence[index].get("DerivationImageSequence") or ()
    return read_references(source for item in derivations for source in item.get("SourceImageSequence") or ())


def _segment_of(dataset: pydicom.Dataset, index: int) -> int:
    return int(_group(dataset, index, "SegmentIdentificationSequence").ReferencedSegmentNumber)


def _place(dataset: pydicom.Dataset, index: int) -> list[float]:
    """Return a frame's six direction cosines and two spacings."""
    orientation = _group(dataset, index, "PlaneOrientationSequence").ImageOrientationPatient
    spacing = _group(dataset, index, "PixelMeasuresSequence").PixelSpacing
    return [*map(float, orientation), *map(float, spacing)]


def _check_places(places: Vector, frames: Sequence[Frame]) -> None:
    """Refuse frames (n, 8) that differ in orientation or spacing, or have none that can be used."""
    rows, columns, spacing = places[0, :3], places[0, 3:6], places[0, 6:]
    products = np.array([rows @ rows, columns @ columns, rows @ columns])
    square = np.allclose(products, [1, 1, 0], rtol=0, atol=ORTHONORMAL_TOLERANCE)
    known = bool(np.isfinite([frame.position_mm for frame in frames]).all())
    if (
        not known
        or not square
        or not (spacing > 0).all()
        or not np.allclose(places, places[0], rtol=0, atol=SAME_PLACE)
    ):
        raise InputError(
            "bad_geometry", "the frames of the segment have no usable orientation and spacing, or differ in them"
        )


def _require_one_a_place(frames: Sequence[Frame]) -> None:
    """Refuse a segment that differs in two frames of one place, as at two times: of which the image is cannot be told."""
    by_place: dict[Triple, Mask] = {}
    for frame in frames:
        first = by_place.setdefault(frame.position_mm, frame.pixels_yx)
        if not np.array_equal(first, frame.pixels_yx):
            raise InputError(
                "unreadable_file",
                "two frames of the segment that differ lie at one place, as of several times: which belongs to the image cannot be "
                "told; write the one that does by itself",
            )


def _decode(dataset: pydicom.Dataset, chosen: Sequence[int], kind: str, number: int) -> Iterator[Mask]:
    largest = float(dataset.MaximumFractionalValue) if kind == "FRACTIONAL" else 1 / FRACTION_THRESHOLD
    if not largest > 0:
        raise InputError("unreadable_file", f"MaximumFractionalValue is {largest:g}: damaged")
    threshold = FRACTION_THRESHOLD * largest
    for pixels in _stored(dataset, chosen):
        yield (pixels == number if kind == "LABELMAP" else pixels >= threshold).astype(np.uint8)


def _stored(dataset: pydicom.Dataset, chosen: Sequence[int]) -> Iterator[npt.NDArray[np.unsignedinteger]]:
    """Yield the stored values of frames.

    Raises:
        Exception: many kinds, where the pixel data are damaged.
    """
    if not chosen:
        return
    syntax: UID = dataset.file_meta.TransferSyntaxUID
    if max(int(dataset.Rows), int(dataset.Columns)) > SIDE_LIMIT:
        raise InputError(
            "too_large", f"frames of {dataset.Columns} x {dataset.Rows} pixels; the limit is {SIDE_LIMIT} a side"
        )
    if syntax in JPEGLSTransferSyntaxes and syntax in BY_GDCM:
        yield from _by_gdcm(dataset, chosen)
        return
    if syntax.is_compressed or int(dataset.BitsAllocated) != 1:
        plugin = DECODERS[syntax] if syntax.is_compressed else ""
        frames = get_decoder(syntax).iter_array(dataset, indices=list(chosen), raw=True, decoding_plugin=plugin)
        yield from (pixels for pixels, _ in frames)
        return
    # Bits are packed without a gap between frames (PS3.5 8.1.1), where pydicom expects each to begin with a byte.
    rows, columns, packed = int(dataset.Rows), int(dataset.Columns), np.frombuffer(dataset.PixelData, np.uint8)
    for index in chosen:
        first = index * rows * columns
        bits = np.unpackbits(packed[first // 8 : (first + rows * columns + 7) // 8], bitorder="little")
        yield bits[first % 8 : first % 8 + rows * columns].reshape(rows, columns)


def _by_gdcm(dataset: pydicom.Dataset, chosen: Sequence[int]) -> Iterator[npt.NDArray[np.unsignedinteger]]:
    bits = int(dataset.BitsAllocated)
    stored = FrameFormat(
        dataset.file_meta.TransferSyntaxUID,
        int(dataset.Rows),
        int(dataset.Columns),
        bits,
        int(dataset.BitsStored),
        False,
    )
    frames = list(generate_frames(dataset.PixelData, number_of_frames=int(dataset.NumberOfFrames)))
    with JpegDecoder() as jpeg:
        for index in chosen:
            yield jpeg.decode(frames[index], stored)
