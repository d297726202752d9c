"""Volumes and masks written in the formats that ingest reads: what a synthetic archive is made of."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from cvtbatch.geometry import Grid, SliceStack, stored_grid
from cvtbatch.imaging.resampling import to_image
from cvtbatch.ingest.dicom_headers import CT_IMAGE_STORAGE

RESCALE_INTERCEPT = -1024


@dataclass(frozen=True, slots=True)
class SeriesTags:
    """What a written series says of itself.

    Attributes:
        name: unique; UIDs and the patient's pseudonym follow from it, so that equal series are equal files.
        description: SeriesDescription.
        tilt_deg: GantryDetectorTilt.
    """

    name: str
    description: str
    tilt_deg: float


def write_series(folder: Path, hu_zyx: npt.NDArray[np.int16], stack: SliceStack, tags: SeriesTags) -> None:
    """Write a CT series, one uncompressed file a slice, into a new folder."""
    folder.mkdir(parents=True)
    for index, position in enumerate(stack.positions_mm):
        dataset = _slice(hu_zyx[index], stack, tags, index, position)
        dataset.save_as(folder / f"{index + 1:04d}.dcm", enforce_file_format=True)


def _slice(
    hu_yx: npt.NDArray[np.int16],
    stack: SliceStack,
    tags: SeriesTags,
    index: int,
    position_mm: tuple[float, float, float],
) -> pydicom.Dataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(CT_IMAGE_STORAGE)
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[tags.name, "slice", str(index)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=[tags.name, "study"])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[tags.name, "series"])
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=[tags.name, "frame"])
    dataset.Modality, dataset.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Manufacturer, dataset.SeriesDescription = "cvtbatch synth", tags.description
    dataset.PatientName = dataset.PatientID = tags.name
    dataset.PatientIdentityRemoved = "YES"
    dataset.KVP, dataset.GantryDetectorTilt = 120, round(tags.tilt_deg, 3)
    dataset.InstanceNumber, dataset.SeriesNumber = index + 1, 1
    dataset.ImagePositionPatient = [_decimal(value) for value in position_mm]
    dataset.ImageOrientationPatient = [_decimal(value) for value in (*stack.row_axis, *stack.column_axis)]
    dataset.PixelSpacing = [_decimal(stack.pixel_mm[1]), _decimal(stack.pixel_mm[0])]
    dataset.SliceThickness = _decimal(float(np.median(stack.gaps_mm())))
    dataset.Rows, dataset.Columns = hu_yx.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, RESCALE_INTERCEPT, "HU"
    stored = np.clip(hu_yx.astype(np.int32) - RESCALE_INTERCEPT, 0, 65535)
    dataset.PixelData = stored.astype("<u2").tobytes()
    return dataset


def _decimal(value: float) -> str:
    """Return a number as a DICOM decimal string: 16 characters at most."""
    for digits in range(12, 0, -1):
        text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
        if len(text) <= 16:
            return "0" if text in {"-0", ""} else text
    return f"{value:.9e}"


def write_volume_file(path: Path, hu_zyx: npt.NDArray[np.int16], grid: Grid) -> None:
    """Write a volume as an image file; the suffix says which."""
    sitk.WriteImage(to_image(hu_zyx, grid), str(path), useCompression=True)


def write_mask_file(path: Path, mask_zyx: npt.NDArray[np.uint8], stack: SliceStack) -> None:
    """Write a mask drawn on a stack of even slices as an image file.

    Where slices are shifted in their plane, the file's grid covers all of them and each slice is moved by whole pixels, as tools
    do that export a segmentation without shear.
    """
    gap = float(np.median(stack.gaps_mm()))
    grid = stored_grid(stack, (*stack.pixel_mm, gap))
    shifts = stack.shifts_mm() - stack.shifts_mm().min(axis=0)
    placed = np.zeros((len(mask_zyx), *grid.shape_zyx[1:]), dtype=np.uint8)
    for index, plane in enumerate(mask_zyx):
        x, y = (round(shift / pixel) for shift, pixel in zip(shifts[index], stack.pixel_mm, strict=True))
        placed[index, y : y + stack.rows, x : x + stack.columns] = plane[: placed.shape[1] - y, : placed.shape[2] - x]
    sitk.WriteImage(to_image(placed, grid), str(path), useCompression=True)
