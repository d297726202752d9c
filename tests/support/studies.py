"""Studies of several series as archives hold them, small: for tests of what an index makes of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.support.series import HEAD

THIN = (2.5,) * 35
CT = "1.2.840.10008.5.1.4.1.1.2"
PIXELS = (4, 4)


def add_series(
    study: Path, name: str, patient: str, gaps: Sequence[float] = HEAD, study_name: str = "", **tags: object
) -> Path:
    """Write a series of tiny axial slices into a folder of a study, and return it.

    Args:
        study_name: what the StudyInstanceUID is of; by default the study's folder.
    """
    folder, key = study / name, f"{study}/{name}"
    folder.mkdir(parents=True)
    values: dict[str, object] = {
        "SOPClassUID": CT,
        "StudyInstanceUID": generate_uid(entropy_srcs=["study", study_name or str(study)]),
        "SeriesInstanceUID": generate_uid(entropy_srcs=[key]),
        "FrameOfReferenceUID": generate_uid(entropy_srcs=[key, "frame"]),
        **{"PatientID": patient, "PatientName": f"DOE^{patient}", "AccessionNumber": f"ACC{patient}"},
        **{
            "StudyDate": "20240531",
            "StudyTime": "142000",
            "Modality": "CT",
            "Manufacturer": "TEST",
            "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        },
        **{
            "KVP": 120,
            "SliceThickness": gaps[0],
            "PixelSpacing": [40, 40],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        },
        **{"Rows": PIXELS[0], "Columns": PIXELS[1], "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2"},
        **{"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 0},
        **{"RescaleSlope": 1, "RescaleIntercept": -1024, "RescaleType": "HU"},
        **tags,
    }
    dataset = Dataset()
    for tag, value in values.items():
        setattr(dataset, tag, value)
    dataset.file_meta = meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = dataset.SOPClassUID, ExplicitVRLittleEndian
    random = np.random.default_rng(sum(key.encode()))
    for number, depth in enumerate([0.0, *np.cumsum(gaps)], start=1):
        dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[key, str(number)])
        dataset.ImagePositionPatient, dataset.InstanceNumber = [-80, -80, round(float(depth), 3)], number
        dataset.PixelData = random.integers(0, 2500, PIXELS).astype("<u2").tobytes()
        dataset.save_as(folder / f"{number:04d}.dcm", enforce_file_format=True)
    return folder


def write_named_outline(path: Path, series_uid: str, segments: Sequence[str]) -> None:
    """Write what an index reads of a DICOM SEG: its class, the series that it names, and its segments."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(path)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.Modality, dataset.PatientID = "SEG", "elsewhere"
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=[str(path), "study"])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[str(path), "series"])
    named = Dataset()
    named.SeriesInstanceUID = series_uid
    dataset.ReferencedSeriesSequence = [named]
    dataset.SegmentSequence = []
    for number, label in enumerate(segments, 1):
        item = Dataset()
        item.SegmentNumber, item.SegmentLabel = number, label
        dataset.SegmentSequence.append(item)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
