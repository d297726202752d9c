"""A ball in a head on slices of any geometry, and its outline as DICOM SEG and RTSTRUCT written by others' means than ours."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid, SliceStack
from cvtbatch.ingest import ImageSlices, SourceMask, read_mask
from cvtbatch.manifest import RoiSource

# What the images of tests say of themselves.
FRAME_OF_REFERENCE, SERIES = "1.2.3", "1.2.4"
# Millimetres from slice to slice.
UNEVEN = (5.0,) * 4 + (1.1,) * 4 + (7.0,) * 5
# Rows of a matrix: where the scanner's x, y and table direction point in the patient.
ORIENTATIONS = {
    "axial": np.eye(3),
    "feet first, prone": np.diag([-1.0, -1.0, 1.0]),
    "coronal": np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]]),
    "sagittal": np.array([[0, 1.0, 0], [0, 0, -1.0], [-1.0, 0, 0]]),
    "oblique": np.linalg.qr(np.array([[1.0, 0.2, -0.1], [-0.2, 1.0, 0.3], [0.1, -0.3, 1.0]]))[0],
}


@dataclass(frozen=True)
class Ball:
    """A ball of blood in a ball of tissue, on a stack of slices."""

    stack: SliceStack
    center_mm: np.ndarray
    radius_mm: float = 18.0

    def hu(self) -> np.ndarray:
        """HU of the slices, int16."""
        distance = np.stack([np.linalg.norm(points - self.center_mm, axis=-1) for points in self.pixel_centers()])
        return np.where(distance < self.radius_mm, 65, np.where(distance < 27, 33, -1000)).astype(np.int16)

    def mask(self) -> np.ndarray:
        """1 where a pixel's centre lies in the ball, uint8."""
        return (self.hu() == 65).astype(np.uint8)

    def on(self, grid: Grid) -> np.ndarray:
        """The ball itself at the voxels of a grid, bool."""
        z, y, x = np.meshgrid(*(np.arange(n) for n in grid.shape_zyx), indexing="ij")
        points = grid.to_point(np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1).astype(float))
        return (np.linalg.norm(points - self.center_mm, axis=1) < self.radius_mm).reshape(grid.shape_zyx)

    def pixel_centers(self) -> Iterator[np.ndarray]:
        """Physical points (rows, columns, 3) of each slice."""
        stack = self.stack
        x = np.arange(stack.columns)[None, :, None] * stack.pixel_mm[0] * np.array(stack.row_axis)
        y = np.arange(stack.rows)[:, None, None] * stack.pixel_mm[1] * np.array(stack.column_axis)
        return (np.array(position) + x + y for position in stack.positions_mm)

    def circles(self) -> list[np.ndarray]:
        """The ball's section with each slice as a contour of 240 points, where there is one."""
        stack, circles = self.stack, []
        angle = np.linspace(0, 2 * np.pi, 240, endpoint=False)[:, None]
        for position in stack.positions_mm:
            offset = self.center_mm - np.array(position)
            depth = float(offset @ np.array(stack.slice_axis))
            if abs(depth) < self.radius_mm - 0.01:
                center = self.center_mm - depth * np.array(stack.slice_axis)
                ring = np.cos(angle) * np.array(stack.row_axis) + np.sin(angle) * np.array(stack.column_axis)
                circles.append(center + np.sqrt(self.radius_mm**2 - depth**2) * ring)
        return circles


def traced(mask_yx: np.ndarray) -> np.ndarray:
    """The outer border of one part as OpenCV's `findContours` finds it: pixels (n, 2), x y, each beside the next."""
    clockwise = [(-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1)]
    padded = np.pad(mask_yx, 1)
    y, x = (int(index[0]) for index in np.nonzero(padded))
    steps: list[tuple[int, int, int]] = []
    turn = 3  # as if it had come from the left
    while True:
        ways = [(turn + 5 + k) % 8 for k in range(8)]
        turn = next(way for way in ways if padded[y + clockwise[way][1], x + clockwise[way][0]])
        if steps and steps[0] == (x, y, turn):
            return np.array(steps)[:, :2] - 1
        steps.append((x, y, turn))
        x, y = x + clockwise[turn][0], y + clockwise[turn][1]


def ball(gaps_mm: Sequence[float] = (4.0,) * 15, tilt_deg: float = 0.0, orientation: str = "axial") -> Ball:
    """A ball on 80 x 72 pixels of 0.9 x 0.8 mm; the table moves along the third axis, gaps are along the normal."""
    turn, tilt = ORIENTATIONS[orientation], np.radians(tilt_deg)
    row, column = np.array([1.0, 0, 0]) @ turn, np.array([0.0, np.cos(tilt), -np.sin(tilt)]) @ turn
    table = np.array([0.0, 0, 1.0]) @ turn / np.cos(tilt)
    # A gantry tilts about its middle.
    corner = np.array([5.0, -10.0, 40.0]) - 36.0 * row - 28.8 * column
    positions = tuple(tuple((corner + depth * table).tolist()) for depth in np.concatenate([[0], np.cumsum(gaps_mm)]))
    normal = np.cross(row, column)
    stack = SliceStack(80, 72, (0.9, 0.8), *(tuple(axis.tolist()) for axis in (row, column, normal)), positions)
    center = np.array([5.0, -10.0, 40.0]) + table * sum(gaps_mm) / 2 + 1.3 * row + 0.7 * column
    return Ball(stack, center)


def slices_of(stack: SliceStack, frame_of_reference: str | None = None, series: str | None = None) -> ImageSlices:
    """An image on a stack, as far as readers of outlines need to know it."""
    return ImageSlices(stack, frame_of_reference, series)


def another_image() -> ImageSlices:
    """An image of other sizes than a mask's, which then lies where its own file says."""
    return slices_of(ball().stack)


def roi(path: Path, label: int | None = None, segment: str | None = None) -> RoiSource:
    """An outline of the manifest."""
    return RoiSource("A/1/hematoma/A/1", "hematoma", "A", 1, str(path), path.name, label, segment, 1)


def image_of(stack: SliceStack, thickness_mm: float | None = None) -> ImageSlices:
    """An image of the series SERIES, with instances as those of `ct_slices`."""
    instances = tuple((f"{SERIES}.{number}", 1) for number in range(1, len(stack.positions_mm) + 1))
    return ImageSlices(stack, FRAME_OF_REFERENCE, SERIES, thickness_mm, instances)


def datasets(folder: Path) -> list[pydicom.Dataset]:
    """The slices of a series, in the order of their numbers, with the tags that highdicom wants."""
    slices = sorted(
        (pydicom.dcmread(path) for path in folder.iterdir()), key=lambda dataset: int(dataset.InstanceNumber)
    )
    for dataset in slices:
        for name in ("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime"):
            setattr(dataset, name, dataset.get(name, ""))
        dataset.PatientName = "Head^Synthetic"
    return slices


def ct_slices(stack: SliceStack, series: str, thickness_mm: float) -> list[pydicom.Dataset]:
    """The slices of a series without pixels, as far as highdicom wants to know them; instances are named after the series."""
    slices = []
    for number, position in enumerate(stack.positions_mm, start=1):
        dataset = pydicom.Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, f"{series}.{number}"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = "1.2.9", series, "1.2.3"
        dataset.Modality, dataset.PatientName, dataset.PatientID, dataset.InstanceNumber = (
            "CT",
            "Head^Synthetic",
            "1",
            number,
        )
        for name in ("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime"):
            setattr(dataset, name, "")
        dataset.Rows, dataset.Columns = stack.rows, stack.columns
        dataset.PixelSpacing, dataset.SliceThickness = [stack.pixel_mm[1], stack.pixel_mm[0]], thickness_mm
        dataset.ImageOrientationPatient = [round(value, 9) for value in (*stack.row_axis, *stack.column_axis)]
        dataset.ImagePositionPatient = [round(value, 6) for value in position]
        slices.append(dataset)
    return slices


def write_seg(
    path: Path,
    slices: Sequence[pydicom.Dataset],
    pixels: np.ndarray,
    names: Sequence[str] = ("clot",),
    kind: str = "BINARY",
    **more,
) -> Path:
    """Write a DICOM SEG with highdicom.

    Args:
        pixels: (slices, rows, columns) or, with segments, (slices, rows, columns, segments).
    """
    described = [
        highdicom.seg.SegmentDescription(
            number, name, codes.SCT.MorphologicallyAbnormalStructure, codes.SCT.Hemorrhage, "MANUAL"
        )
        for number, name in enumerate(names, start=1)
    ]
    dataset = highdicom.seg.Segmentation(
        slices, pixels, kind, described, generate_uid(), 100, generate_uid(), 1, "cvtbatch", "test", "1", "1", **more
    )
    dataset.save_as(path)
    return path


Contours = Sequence[tuple[str, np.ndarray] | tuple[str, np.ndarray, str]]
CONTOUR_DATA = 0x30060050


def raw_coordinates(text: bytes, explicit: bool = False) -> RawDataElement:
    """ContourData as its bytes stand in a file; a VR of short length cannot hold many of them."""
    text += b" " * (len(text) % 2)
    return RawDataElement(Tag(CONTOUR_DATA), "UN" if explicit else "DS", len(text), text, 0, not explicit, True)


def write_structure_set(
    path: Path,
    rois: Mapping[str, Contours],
    frame_of_reference: str = "1.2.3",
    series: str = "1.2.4",
    explicit: bool = False,
) -> Path:
    """Write an RTSTRUCT; the contours of an ROI are geometric types and points (n, 3), and may name an instance."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.481.3", generate_uid()
    # A contour of more than 64 kB needs lengths of four bytes: implicit, as nearly all writers do.
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if explicit else ImplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.Modality, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "RTSTRUCT", generate_uid(), generate_uid()
    named, study = pydicom.Dataset(), pydicom.Dataset()
    named.SeriesInstanceUID, study.RTReferencedSeriesSequence = series, [named]
    frame = pydicom.Dataset()
    frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = frame_of_reference, [study]
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    dataset.StructureSetROISequence, dataset.ROIContourSequence = pydicom.Sequence(), pydicom.Sequence()
    for number, (name, contours) in enumerate(rois.items(), start=1):
        described, drawn = pydicom.Dataset(), pydicom.Dataset()
        described.ROINumber, described.ROIName, described.ReferencedFrameOfReferenceUID = (
            number,
            name,
            frame_of_reference,
        )
        drawn.ReferencedROINumber, drawn.ContourSequence = number, pydicom.Sequence()
        for kind, points, *instances in contours:
            contour = pydicom.Dataset()
            if instances:
                contour.ContourImageSequence = [pydicom.Dataset()]
                contour.ContourImageSequence[0].ReferencedSOPClassUID = CTImageStorage
                contour.ContourImageSequence[0].ReferencedSOPInstanceUID = instances[0]
            contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(points)
            text = "\\".join(f"{value:.8g}" for value in np.ravel(points)).encode()
            contour[CONTOUR_DATA] = raw_coordinates(text, explicit)
            drawn.ContourSequence.append(contour)
        dataset.StructureSetROISequence.append(described)
        dataset.ROIContourSequence.append(drawn)
    dataset.save_as(path, enforce_file_format=True)
    return path


def read(path: Path, image: ImageSlices) -> SourceMask:
    """Read the first outline of a file on an image."""
    return read_mask(roi(path), lambda: image)


def refused(path: Path, image: ImageSlices) -> InputError:
    """Read what cannot be read, and return why."""
    with pytest.raises(InputError) as raised:
        read(path, image)
    return raised.value
