"""A page as a DICOM Secondary Capture (PS3.3 A.8.1), 8 bit RGB, for viewers that show no report. Its pixels name nobody."""

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from cvtbatch import __version__
from cvtbatch.dicom_results.source_headers import OF_PATIENT_AND_STUDY, PENDING, UTF_8, identify
from cvtbatch.dicom_results.values import Results

SERIES_NUMBER = 9003


def to_capture(page_yxc: npt.NDArray[np.uint8], results: Results, header: pydicom.Dataset) -> Dataset:
    """Return a page as a Secondary Capture.

    Args:
        page_yxc: RGB (rows, columns, 3); rows towards the patient's left, columns towards the back.
        results: that it shows.
        header: of a slice of the source, cut.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SpecificCharacterSet = UTF_8
    for name in ("StudyInstanceUID", "ReferringPhysicianName", *OF_PATIENT_AND_STUDY):
        setattr(dataset, name, header[name].value)
    dataset.SOPInstanceUID = dataset.SeriesInstanceUID = PENDING
    dataset.SeriesNumber, dataset.InstanceNumber = SERIES_NUMBER, 1
    dataset.Modality, dataset.BodyPartExamined, dataset.ConversionType = "OT", "HEAD", "SYN"
    dataset.Manufacturer = dataset.ManufacturerModelName = "cvtbatch"
    dataset.SecondaryCaptureDeviceManufacturer, dataset.SecondaryCaptureDeviceSoftwareVersions = "cvtbatch", __version__
    dataset.SeriesDescription = "Results on a page, for research use (cvtbatch)"
    dataset.ImageType, dataset.BurnedInAnnotation = ["DERIVED", "SECONDARY"], "NO"
    dataset.PatientOrientation = ["L", "P"]
    dataset.DateOfSecondaryCapture = f"{results.recorded_at:%Y%m%d}"
    dataset.TimeOfSecondaryCapture = f"{results.recorded_at:%H%M%S}"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = *page_yxc.shape[:2], 3
    dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PixelData = np.ascontiguousarray(page_yxc).tobytes() + b"\0" * (page_yxc.size % 2)
    identify(dataset, results.recorded_at)
    return dataset
