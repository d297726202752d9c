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
from dataclasses import dataclass

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
# Of frames they stand in functional groups (PS3.3 C.7.6.16.2.1 to 4).
_OF_A_PLACE = {
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "ImagePositionPatient": "PlanePositionSequence",
}
_SHARED, _PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
_IF_THERE = ("SliceThickness", "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
KEPT = (*_MAY_BE_EMPTY, *_REQUIRED, *_IF_THERE, "NumberOfFrames", _SHARED, _PER_FRAME)
"""What is read of a source's header."""
_SEXES = {"M", "F", "O"}
_NAMESPACE = uuid.UUID("5d1b2b1c-58b4-5c0e-9c57-0d1a4f6d7f11")
PENDING = "2.25.0"
"""Identifier of what is not whole yet."""


@dataclass(frozen=True, slots=True, eq=False)
class SourceSlices:
    """The slices of a source, images of their own or frames of one.

    Attributes:
        headers: of every image, cut; in the order of the slices.
        frames: of every slice its number in the one image, from 1; None where each is an image.
    """

    headers: Sequence[pydicom.Dataset]
    frames: tuple[int, ...] | None = None

    @property
    def first(self) -> pydicom.Dataset:
        """The header that patient and study are taken from."""
        return self.headers[0]


def cut_headers(headers: Sequence[pydicom.Dataset], instances: Sequence[tuple[str, int]]) -> SourceSlices:
    """Return headers of CT images with what derived objects require, their texts in UTF-8.

    Args:
        headers: of every slice that of its image.
        instances: of every slice SOPInstanceUID and number of the frame, from 1.

    Raises:
        InputError: "unusable_header": what an object has to name is not there; "enhanced_source": slices are frames of several
            images.
    """
    with quiet():
        if not any(_PER_FRAME in header for header in headers):
            return SourceSlices([_cut(header, header) for header in headers])
        if len({uid for uid, _ in instances}) > 1:
            raise InputError(
                "enhanced_source",
                "the slices are frames of several enhanced CT objects, and a DICOM result refers to frames of one",
            )
        frames = tuple(frame for _, frame in instances)
        return SourceSlices([_cut_frames(headers[0], frames[0])], frames)


def _cut_frames(header: pydicom.Dataset, frame: int) -> pydicom.Dataset:
    """Return the header of an image whose frames have spacing and orientation of one of them, and a place each."""
    placed = [_place(header, number) for number in range(len(header[_PER_FRAME].value))]
    cut = _cut(header, placed[frame - 1])
    if not cut.get("SliceThickness"):
        raise InputError(
            "unusable_header", "the source's frames have no SliceThickness, which a DICOM result has to name"
        )
    shared = pydicom.Dataset()
    for name in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
        setattr(shared, name, [_only(cut, *(one for one, group in _OF_A_PLACE.items() if group == name))])
    setattr(cut, _SHARED, [shared])
    setattr(cut, _PER_FRAME, [pydicom.Dataset() for _ in placed])
    for item, place in zip(cut[_PER_FRAME].value, placed, strict=True):
        item.PlanePositionSequence = [_only(place, "ImagePositionPatient")]
    cut.NumberOfFrames = len(placed)
    return cut


def _place(header: pydicom.Dataset, index: int) -> pydicom.Dataset:
    """Return where a frame lies, out of its own functional groups or of those of all frames."""
    groups = [header[_PER_FRAME].value[index], *header.get(_SHARED, ())]
    found = pydicom.Dataset()
    for name, macro in _OF_A_PLACE.items():
        items = [item for group in groups for item in group.get(macro) or () if item.get(name) not in (None, "")]
        if items:
            setattr(found, name, items[0][name].value)
    return found


def _only(dataset: pydicom.Dataset, *names: str) -> pydicom.Dataset:
    item = pydicom.Dataset()
    for name in names:
        setattr(item, name, dataset[name].value)
    return item


def _cut(header: pydicom.Dataset, place: pydicom.Dataset) -> pydicom.Dataset:
    """Return a header cut.

    Args:
        place: what says where the image, or a frame of it, lies.
    """
    cut = pydicom.Dataset()
    cut.file_meta = pydicom.dataset.FileMetaDataset()
    cut.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    cut.SpecificCharacterSet, cut.Modality, cut.ReferringPhysicianName = UTF_8, "CT", ""
    for name in _MAY_BE_EMPTY:
        value = header.get(name)
        setattr(cut, name, "" if value is None else str(value))
    if cut.PatientSex not in _SEXES:
        cut.PatientSex = ""
    for name in (*_REQUIRED, *_IF_THERE):
        said = place if name in _OF_A_PLACE else header
        if said.get(name) not in (None, ""):
            setattr(cut, name, said[name].value)
    if missing := [name for name in _REQUIRED if name not in cut]:
        raise InputError(
            "unusable_header", f"the source's slices have no {', '.join(missing)}, which a DICOM result has to name"
        )
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
