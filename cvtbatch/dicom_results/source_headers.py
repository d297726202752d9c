"""Headers of a series' slices, cut to what an object derived from them must have; and identifiers that follow from content.

Patient and study are named as the source names them now. Of the patient that is name, id, birth date and sex, of the study its
UID, id, date, time and accession number: no comments, history, occupation or physicians, which highdicom would copy.
"""

import datetime
import io
import logging
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pydicom
from pydicom.uid import UID, ExplicitVRLittleEndian

from cvtbatch.errors import InputError
from cvtbatch.spec import digest

UTF_8 = "ISO_IR 192"
OF_PATIENT_AND_STUDY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
)
"""What names them in every object, of type 2: there, but perhaps empty."""
_MAY_BE_EMPTY = (*OF_PATIENT_AND_STUDY, "PositionReferenceIndicator")
_REQUIRED = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
)
_IF_THERE = ("SliceThickness", "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
KEPT = (*_MAY_BE_EMPTY, *_REQUIRED, *_IF_THERE)
"""What is read of a source's header."""
_SEXES = {"M", "F", "O"}
_NAMESPACE = uuid.UUID("5d1b2b1c-58b4-5c0e-9c57-0d1a4f6d7f11")
PENDING = "2.25.0"
"""Identifier of what is not whole yet."""


def cut_headers(headers: Sequence[pydicom.Dataset]) -> list[pydicom.Dataset]:
    """Return headers of classic CT slices with what derived objects require, their texts in UTF-8.

    Raises:
        InputError: "unusable_header": what an object has to name is not there.
    """
    with quiet():
        return [_cut(header) for header in headers]


def _cut(header: pydicom.Dataset) -> pydicom.Dataset:
    cut = pydicom.Dataset()
    cut.file_meta = pydicom.dataset.FileMetaDataset()
    cut.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    cut.SpecificCharacterSet, cut.Modality, cut.ReferringPhysicianName = UTF_8, "CT", ""
    for name in _MAY_BE_EMPTY:
        value = header.get(name)
        setattr(cut, name, "" if value is None else str(value))
    if cut.PatientSex not in _SEXES:
        cut.PatientSex = ""
    missing = [name for name in _REQUIRED if header.get(name) in (None, "")]
    if missing:
        raise InputError(
            "unusable_header", f"the source's slices have no {', '.join(missing)}, which a DICOM result has to name"
        )
    for name in (*_REQUIRED, *_IF_THERE):
        if header.get(name) not in (None, ""):
            setattr(cut, name, header[name].value)
    return cut


def derived_uid(*parts: str) -> str:
    """Return a UID under 2.25 (PS3.5 B.2) that follows from its parts, and from which they cannot be read."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, digest(*parts)).int}"


@contextmanager
def quiet() -> Iterator[None]:
    """Silence highdicom and pydicom, whose warnings show the values that they are about: a patient's name, for one."""
    loggers = [logging.getLogger(name) for name in ("highdicom", "pydicom")]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            # Of those below them too, unlike `disabled`.
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)


def tracking_uid(header: pydicom.Dataset, roi_key: str) -> str:
    """Return the UID of an outline, whatever becomes of it."""
    return derived_uid("tracking", str(header.StudyInstanceUID), roi_key)


def identify(dataset: pydicom.Dataset, recorded_at: datetime.datetime) -> None:
    """Name an object by what it holds: equal content has equal UIDs, and another one has others.

    Args:
        recorded_at: becomes its date and time, in place of the clock's.
    """
    date, time = f"{recorded_at:%Y%m%d}", f"{recorded_at:%H%M%S}"
    dataset.ContentDate = dataset.InstanceCreationDate = date
    dataset.ContentTime = dataset.InstanceCreationTime = time
    for equipment in dataset.get("ContributingEquipmentSequence", ()):
        equipment.ContributionDateTime = f"{date}{time}"
    content = io.BytesIO()
    pydicom.dcmwrite(content, dataset, enforce_file_format=True)
    uid = UID(derived_uid("instance", digest(content.getvalue())))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.SeriesInstanceUID = derived_uid("series", uid)
