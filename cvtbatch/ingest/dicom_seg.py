"""DICOM Segmentation objects: binary, fractional and label-map frames, each placed by its own position.

Read with pydicom, since only the frames of the chosen segment are decoded and each goes where it says that it lies; highdicom's
`get_volume` wants frames of one gap and drops empty ones. Standard: PS3.3 A.51, C.8.20.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, RLELossless

from cvtbatch.errors import InputError
from cvtbatch.geometry import ORTHONORMAL_TOLERANCE, Grid, SliceStack, Triple, Vector
from cvtbatch.imaging.placement import SAME_PLANE_MM, require_inside
from cvtbatch.ingest.outlines import Segment, SourceMask, choose_segment
from cvtbatch.manifest import RoiSource

SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP_SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
# A fractional pixel is in the ROI from this share of MaximumFractionalValue on, be it an occupancy or a probability.
FRACTION_THRESHOLD = 0.5
# Frames may differ by as much in direction cosines, and in spacing in mm.
SAME_PLACE = 1e-4
# A frame's pixels are the slice's pixels within this share of one.
SAME_PIXEL = 0.1
# Frames off the image's slices lie on a regular grid if none is farther from it than this share of its step.
REGULAR_TOLERANCE = 0.05
# Largest side of a frame; beyond it a file is damaged, or of a microscope.
SIDE_LIMIT = 4096
# Named, since GDCM ends the process over some damaged frames.
DECODERS: dict[UID, str] = {
    RLELossless: "pydicom",
    **dict.fromkeys(JPEGLSTransferSyntaxes, "pyjpegls"),
    **dict.fromkeys(JPEG2000TransferSyntaxes, "pylibjpeg"),
}
FORMAT = "DICOM SEG"
Mask = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of the chosen segment: 1 in the ROI, and where its first pixel's centre lies."""

    pixels_yx: Mask
    position_mm: Triple


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of one segment, all of one orientation and spacing.

    Attributes:
        pixel_mm: distance of neighbours along a row (x) and down a column (y).
        step_mm: distance of neighbouring planes as the file states it; None where it does not.
    """

    frames: tuple[Frame, ...]
    pixel_mm: tuple[float, float]
    row_axis: Vector
    column_axis: Vector
    step_mm: float | None


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
    kind = str(dataset.get("SegmentationType", ""))
    if kind not in {"BINARY", "FRACTIONAL", "LABELMAP"}:
        raise InputError("unsupported_mask", "the segmentation is none of BINARY, FRACTIONAL and LABELMAP")
    described = len(dataset.get("PerFrameFunctionalGroupsSequence") or ())
    if described != int(dataset.get("NumberOfFrames") or 0):
        stated = dataset.get("NumberOfFrames")
        raise InputError("unreadable_file", f"{stated} frames, of which {described} are described: damaged")
    chosen = [index for index in range(described) if kind == "LABELMAP" or _segment_of(dataset, index) == number]
    positions = [_group(dataset, index, "PlanePositionSequence").ImagePositionPatient for index in chosen]
    frames = tuple(
        Frame(pixels, (float(x), float(y), float(z)))
        for pixels, (x, y, z) in zip(_decode(dataset, chosen, kind, number), positions, strict=True)
        if pixels.any()
    )
    if not frames:
        raise InputError("empty_mask", f"the segment is empty: none of its {len(chosen)} frames has a pixel")
    places = np.array([_place(dataset, index) for index in chosen])
    _check_places(places, frames)
    measures = _group(dataset, chosen[0], "PixelMeasuresSequence")
    step = float(measures.get("SpacingBetweenSlices") or measures.get("SliceThickness") or 0)
    return Frames(frames, (places[0, 7], places[0, 6]), places[0, :3], places[0, 3:6], step or None)


def _group(dataset: pydicom.Dataset, index: int, name: str) -> pydicom.Dataset:
    """Return what a functional group says of a frame: the frame's own, or that of all frames."""
    own, shared = dataset.PerFrameFunctionalGroupsSequence[index], dataset.get("SharedFunctionalGroupsSequence")
    group: pydicom.Dataset = (own if name in own or not shared else shared[0])[name].value[0]
    return group


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


def place_frames(segment: Frames, stack: SliceStack) -> SourceMask:
    """Return a segment on the slices of the image where all of its frames lie on them, pixel on pixel, else on a grid of its own.

    Raises:
        InputError: its frames lie on no slices of the image and on no regular grid, or most of it beside the image's pixels.
    """
    on_slices = _on_slices(segment, stack)
    return SourceMask(on_slices, stack, FORMAT) if on_slices is not None else _on_own_grid(segment)


def _on_slices(segment: Frames, stack: SliceStack) -> Mask | None:
    """Return the mask on the image's slices, or None if a frame is not on one of them, pixel on pixel."""
    mask = np.zeros((len(stack.positions_mm), stack.rows, stack.columns), dtype=np.uint8)
    drawn = lost = 0
    for frame in segment.frames:
        indices = _indices(frame, segment, stack)
        if indices is None:
            return None
        k, y, x = indices
        inside = (x >= 0) & (x < stack.columns) & (y >= 0) & (y < stack.rows)
        mask[k, y[inside], x[inside]] = 1
        drawn, lost = drawn + len(x), lost + int((~inside).sum())
    require_inside(lost / drawn, *_box_mm(segment))
    return mask


def _indices(frame: Frame, segment: Frames, stack: SliceStack) -> tuple[int, Indices, Indices] | None:
    """Return the slice that a frame lies on, and row and column there of each of its pixels in the ROI; None if it lies on none.

    A frame may run over the slice in any of the eight ways, and be cropped.
    """
    rows, columns = frame.pixels_yx.shape
    axes = np.array([stack.row_axis, stack.column_axis, stack.slice_axis])
    corner = np.array(frame.position_mm)
    steps = np.array([segment.column_axis * segment.pixel_mm[1], segment.row_axis * segment.pixel_mm[0]])
    k = int(np.abs(stack.depths_mm() - (corner - np.array(stack.positions_mm[0])) @ axes[2]).argmin())
    # First, last of the first column, last of the first row: in mm along the slice's axes, then in its pixels.
    ends = np.array([corner, corner + steps[0] * (rows - 1), corner + steps[1] * (columns - 1)])
    along = (ends - np.array(stack.positions_mm[k])) @ axes.T
    pixels = along[:, :2] / np.array(stack.pixel_mm)
    first, down, across = np.rint(pixels).astype(np.int64)
    if np.abs(along[:, 2]).max() > SAME_PLANE_MM or np.abs(pixels - np.rint(pixels)).max() > SAME_PIXEL:
        return None
    turn = np.rint(steps @ axes[:2].T / np.array(stack.pixel_mm)).astype(np.int64)
    is_turn = (np.abs(turn).sum(axis=0) == 1).all() and (np.abs(turn).sum(axis=1) == 1).all()
    if not is_turn or (down - first != turn[0] * (rows - 1)).any() or (across - first != turn[1] * (columns - 1)).any():
        return None
    place = np.argwhere(frame.pixels_yx) @ turn + first
    return k, place[:, 1], place[:, 0]


def _box_mm(segment: Frames) -> tuple[Vector, Vector]:
    points = np.concatenate(
        [
            np.array(frame.position_mm)
            + np.outer(index[1], segment.row_axis * segment.pixel_mm[0])
            + np.outer(index[0], segment.column_axis * segment.pixel_mm[1])
            for frame in segment.frames
            for index in [np.nonzero(frame.pixels_yx)]
        ]
    )
    return points.min(axis=0), points.max(axis=0)


def _on_own_grid(segment: Frames) -> SourceMask:
    """Return a segment whose frames are planes of a regular grid that has gaps where they are left out."""
    axes = np.array([segment.row_axis, segment.column_axis, np.cross(segment.row_axis, segment.column_axis)])
    positions = np.array([frame.position_mm for frame in segment.frames])
    offsets = (positions - positions[0]) @ axes.T
    depths = offsets[:, 2] - offsets[:, 2].min()
    steps = np.diff(np.unique(np.round(depths / SAME_PLANE_MM) * SAME_PLANE_MM))
    step = segment.step_mm or (float(steps.min()) if len(steps) else 0.0)
    planes = np.rint(depths / step) if step > 0 else depths
    sheared = float(np.abs(offsets[:, :2]).max()) > SAME_PLANE_MM
    sizes = {frame.pixels_yx.shape for frame in segment.frames}
    if step <= 0 or sheared or len(sizes) > 1 or float(np.abs(depths - planes * step).max()) > REGULAR_TOLERANCE * step:
        raise InputError(
            "mask_off_slices",
            "the frames of the segmentation lie neither on the slices of the image nor on a regular grid; "
            "check that it was drawn on this series",
        )
    [(rows, columns)] = sizes
    mask = np.zeros((int(planes.max()) + 1, rows, columns), dtype=np.uint8)
    for frame, plane in zip(segment.frames, planes.astype(int), strict=True):
        mask[plane] |= frame.pixels_yx
    x, y, z = positions[int(depths.argmin())].tolist()
    grid = Grid((columns, rows, len(mask)), (*segment.pixel_mm, step), (x, y, z), tuple(axes.T.ravel().tolist()))
    return SourceMask(mask, grid, FORMAT)
