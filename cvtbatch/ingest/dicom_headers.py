"""Headers of DICOM files, read: what a file says of each CT slice in it, without its pixels.

A classic CT file holds one slice. An enhanced one (Enhanced CT, Legacy Converted Enhanced CT) holds a frame a slice, whose place
and rescale stand in functional groups of the frame or of all frames (DICOM PS3.3 C.7.6.16).
"""

import re
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeVar, cast

import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.tag import Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from cvtbatch.counts import counted
from cvtbatch.errors import CvtbatchError, InputError, UnavailableError
from cvtbatch.ingest.compression import is_lossy
from cvtbatch.ingest.contrast import hints_at_contrast
from cvtbatch.ingest.multi_energy import names_multi_energy
from cvtbatch.ingest.slice_header import PixelFormat, SliceHeader
from cvtbatch.ingest.streams import Limited
from cvtbatch.ingest.tags import (
    bare_uid,
    quiet,
    read_integer,
    read_items,
    read_number,
    read_numbers,
    read_private_text,
    read_text,
    read_texts,
    read_time,
)

_Value = TypeVar("_Value")
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = {"1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"}
# A head of thin slices has hundreds; what claims more than this is damaged, or no head.
FRAME_LIMIT = 10_000
# Elements above this are read when they are asked for; whatever a header holds, no more of it is read than the limit, to which the
# functional groups of many thousand frames do not come near.
_LARGE_ELEMENT_BYTES = 1 << 20
_HEADER_LIMIT_BYTES = 64 << 20
_PREAMBLE_BYTES = 128
# The preamble and what says of the file how it is written.
_START_BYTES = 1024
_STANDARD_ROOT = "1.2.840.10008."
_STANDARD_UID = re.compile(r"1\.2\.840\.10008(\.(0|[1-9]\d*))+")
_OVERLAY_BIT_POSITION = 0x0102
# Functional groups that describe a slice; those of converted attributes are what a legacy series said of it.
_MACROS = (
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
    "CTImageFrameTypeSequence",
    "CTReconstructionSequence",
    "CTXRayDetailsSequence",
    "FrameContentSequence",
    "UnassignedPerFrameConvertedAttributesSequence",
    "UnassignedSharedConvertedAttributesSequence",
)
# Where Philips scanners, by Elscint's private elements, name a compression of their own.
_PRIVATE_COMPRESSION = (0x07A1, "ELSCINT1", 0x11)


def read_headers(name: str, file: BinaryIO) -> list[SliceHeader] | None:
    """Return the CT slices of a file, none if it is another object; None if the file is not DICOM.

    Raises:
        InputError: the file is DICOM and damaged.
    """
    with quiet():
        try:
            dataset = _open(file)
            if dataset is None:
                return None
            place, following = file.tell(), file.read(1)
            return list(_slices(name, dataset, place, present=bool(following)))
        except CvtbatchError:
            raise
        except Exception as error:  # pydicom raises many kinds on damaged files
            raise InputError(
                "unreadable_file", "a DICOM file cannot be read: damaged or truncated", f"{name}: {error}"
            ) from None


def read_identity(file: BinaryIO) -> tuple[str | None, str | None]:
    """Return class and SeriesInstanceUID of a file whose header cannot be read as a whole; None for what cannot be told."""
    with quiet():
        start, header = _read_until(file, "SOPClassUID"), _read_until(file, "SeriesInstanceUID")
        # A directory (DICOMDIR) says what it is in its file's head alone.
        class_uid, in_head = read_text(start, "SOPClassUID"), read_text(start.file_meta, "MediaStorageSOPClassUID")
        return in_head if class_uid in {None, in_head} else None, bare_uid(
            read_text(header, "SeriesInstanceUID") or ""
        ) or None


def _read_until(file: BinaryIO, name: str) -> pydicom.FileDataset:
    """Return the elements of a file up to one that is named; none where they cannot be read."""
    last = Tag(name)
    file.seek(0)
    try:
        return read_partial(
            _limited(file), lambda tag, vr, length: tag > last, defer_size=_LARGE_ELEMENT_BYTES, force=True
        )
    except UnavailableError:
        raise
    except Exception:  # pydicom raises many kinds on damaged files
        return pydicom.FileDataset("", {}, file_meta=FileMetaDataset())


def is_other_object(class_uid: str | None) -> bool:
    """Say whether a UID is a class of objects that are no CT image."""
    return is_class(class_uid) and class_uid not in {CT_IMAGE_STORAGE, *ENHANCED_CT}


def is_dicom(file: BinaryIO) -> bool:
    """Say whether a file is DICOM, as far as can be told before its pixels."""
    with quiet():
        try:
            return _open(file) is not None
        except UnavailableError:
            raise
        except Exception:  # pydicom raises many kinds on damaged files
            return True


def begins_as_dicom(start: bytes) -> bool:
    """Say whether the first bytes of a file may be those of DICOM, with a preamble or without."""
    return start[_PREAMBLE_BYTES : _PREAMBLE_BYTES + 4] == b"DICM" or _may_begin_a_dataset(start)


def _open(file: BinaryIO) -> pydicom.FileDataset | None:
    start = file.read(_START_BYTES)
    file.seek(0)
    if start[_PREAMBLE_BYTES : _PREAMBLE_BYTES + 4] == b"DICM":
        # A deflated file has no header that could be read by itself.
        header = file if DeflatedExplicitVRLittleEndian.encode() in start else _limited(file)
        return pydicom.dcmread(header, stop_before_pixels=True, defer_size=_LARGE_ELEMENT_BYTES)
    if not _may_begin_a_dataset(start):
        return None
    # Without a preamble almost anything parses: only an object that names a class of the standard is taken for DICOM.
    try:
        dataset = pydicom.dcmread(_limited(file), stop_before_pixels=True, defer_size=_LARGE_ELEMENT_BYTES, force=True)
    except (InvalidDicomError, ValueError, struct.error, EOFError, KeyError, NotImplementedError):
        return None
    return dataset if _STANDARD_UID.fullmatch(_class_uid(dataset) or "") else None


def _limited(file: BinaryIO) -> BinaryIO:
    refusal = InputError("too_large", f"the header of a DICOM file takes more than {_HEADER_LIMIT_BYTES >> 20} MiB")
    return cast(BinaryIO, Limited(file, _HEADER_LIMIT_BYTES, refusal))


def _may_begin_a_dataset(start: bytes) -> bool:
    """Say whether bytes may be the first element of a dataset: of group 0002 or 0008, in either byte order, with a low number."""
    if len(start) < 8:
        return False
    return any(
        struct.unpack(f"{order}H", start[:2])[0] in {0x0002, 0x0008}
        and struct.unpack(f"{order}H", start[2:4])[0] <= 0x0060
        for order in "<>"
    )


def _class_uid(dataset: pydicom.FileDataset) -> str | None:
    return read_text(dataset, "SOPClassUID") or read_text(dataset.file_meta, "MediaStorageSOPClassUID")


def is_class(class_uid: str | None) -> bool:
    """Say whether a UID is a class of objects: of the standard, or of a vendor; the rest of a UID that was cut is neither."""
    uid = UID(class_uid or "", pydicom.config.IGNORE)
    return uid.type == "SOP Class" or (uid.is_valid and uid.is_private and not _STANDARD_ROOT.startswith(uid))


def _slices(name: str, dataset: pydicom.FileDataset, place: int, *, present: bool) -> Iterator[SliceHeader]:
    class_uid = _class_uid(dataset)
    if class_uid not in {CT_IMAGE_STORAGE, *ENHANCED_CT}:
        if not is_class(class_uid) and read_text(dataset, "Modality") in {None, "CT"}:
            raise InputError(
                "unreadable_file", "a DICOM object without a known SOPClassUID: damaged or truncated", name
            )
        return
    if not read_text(dataset, "SeriesInstanceUID"):
        raise InputError("unreadable_file", "a CT image without SeriesInstanceUID: damaged or truncated", name)
    pixels = _pixel_format(name, dataset, place, present=present)
    if class_uid == CT_IMAGE_STORAGE:
        yield _slice(name, 0, pixels, [dataset])
        return
    frames = read_items(dataset, "PerFrameFunctionalGroupsSequence")
    if len(frames) != pixels.frames:
        raise InputError(
            "missing_geometry",
            f"a multi-frame CT of {counted(pixels.frames, 'frame')} describes the place of {len(frames):,}",
            name,
        )
    shared = list(read_items(dataset, "SharedFunctionalGroupsSequence"))
    for index, groups in enumerate(frames):
        yield _slice(name, index, pixels, [*_macros(groups), *_macros(*shared), dataset])


def _macros(*groups: pydicom.Dataset) -> list[pydicom.Dataset]:
    """Return the functional groups of a frame, or of all frames, that describe a slice."""
    return [items[0] for group in groups for name in _MACROS if (items := read_items(group, name))]


def _slice(name: str, frame: int, pixels: PixelFormat, layers: list[pydicom.Dataset]) -> SliceHeader:
    """Return a slice whose every value stands in the first of the layers that has it."""

    def layer(tag: str) -> pydicom.Dataset:
        return next((dataset for dataset in layers if tag in dataset), layers[-1])

    def first(read: Callable[[pydicom.Dataset, str], _Value | None], *tags: str) -> _Value | None:
        return next((value for tag in tags if (value := read(layer(tag), tag)) is not None), None)

    slope, intercept = (read_number(layer(tag), tag) for tag in ("RescaleSlope", "RescaleIntercept"))
    frame_type, image_type = read_texts(layer("FrameType"), "FrameType"), read_texts(layer("ImageType"), "ImageType")
    return SliceHeader(
        file=name,
        frame=frame,
        pixels=pixels,
        series_uid=bare_uid(read_text(layers[-1], "SeriesInstanceUID") or ""),
        instance_uid=bare_uid(read_text(layers[-1], "SOPInstanceUID") or ""),
        study_uid=read_text(layers[-1], "StudyInstanceUID"),
        frame_of_reference_uid=read_text(layers[-1], "FrameOfReferenceUID"),
        image_type=frame_type or image_type,
        acquisition_number=first(read_integer, "FrameAcquisitionNumber", "AcquisitionNumber"),
        acquisition_time=first(read_time, "AcquisitionTime"),
        acquisition_datetime=first(read_time, "FrameAcquisitionDateTime", "AcquisitionDateTime"),
        temporal_position=first(read_integer, "TemporalPositionIndex", "TemporalPositionIdentifier"),
        stack_id=read_text(layer("StackID"), "StackID") if len(layers) > 1 else None,
        manufacturer=read_text(layer("Manufacturer"), "Manufacturer"),
        model=read_text(layer("ManufacturerModelName"), "ManufacturerModelName"),
        kernel=read_text(layer("ConvolutionKernel"), "ConvolutionKernel"),
        kvp=read_number(layer("KVP"), "KVP"),
        slice_thickness_mm=read_number(layer("SliceThickness"), "SliceThickness"),
        contrast=_contrast(layers[-1], frame_type or image_type),
        multi_energy=names_multi_energy(read_texts(layers[-1], "SeriesDescription"), (*frame_type, *image_type)),
        patient_position=read_text(layer("PatientPosition"), "PatientPosition"),
        orientation=read_numbers(layer("ImageOrientationPatient"), "ImageOrientationPatient", 6),
        position_mm=read_numbers(layer("ImagePositionPatient"), "ImagePositionPatient", 3),
        slice_location_mm=read_number(layer("SliceLocation"), "SliceLocation"),
        pixel_spacing_mm=read_numbers(layer("PixelSpacing"), "PixelSpacing", 2),
        rescale=None if slope is None or intercept is None else (slope, intercept),
        rescale_type=read_text(layer("RescaleType"), "RescaleType"),
        lossy=is_lossy(
            pixels.transfer_syntax,
            read_text(layer("LossyImageCompression"), "LossyImageCompression"),
            [*frame_type, *image_type],
        ),
    )


def _contrast(dataset: pydicom.Dataset, image_type: tuple[str, ...]) -> bool | None:
    return hints_at_contrast(
        read_text(dataset, "ContrastBolusAgent"),
        bool(read_items(dataset, "ContrastBolusAgentSequence")),
        read_texts(dataset, "SeriesDescription"),
        image_type,
    )


def _pixel_format(name: str, dataset: pydicom.FileDataset, place: int, *, present: bool) -> PixelFormat:
    syntax = UID(read_text(dataset.file_meta, "TransferSyntaxUID") or "")
    implicit, little = dataset.original_encoding
    deflated = syntax == DeflatedExplicitVRLittleEndian
    rows, columns, allocated = (read_integer(dataset, tag) or 0 for tag in ("Rows", "Columns", "BitsAllocated"))
    frames = read_integer(dataset, "NumberOfFrames")
    if frames is not None and not 0 <= frames <= FRAME_LIMIT:
        raise InputError("too_large", f"a CT object claims {frames} frames; the limit is {FRAME_LIMIT}", name)
    stored = read_integer(dataset, "BitsStored") or allocated
    high_bit = read_integer(dataset, "HighBit")
    low, high = read_integer(dataset, "PixelPaddingValue"), read_integer(dataset, "PixelPaddingRangeLimit")
    return PixelFormat(
        transfer_syntax=str(syntax),
        implicit_vr=bool(implicit),
        little_endian=bool(little),
        offset=None if deflated else place,
        present=deflated or present,
        rows=rows,
        columns=columns,
        frames=1 if frames is None else frames,
        samples=read_integer(dataset, "SamplesPerPixel") or 1,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=stored - 1 if high_bit is None else high_bit,
        signed=read_integer(dataset, "PixelRepresentation") == 1,
        private_compression=read_private_text(dataset, *_PRIVATE_COMPRESSION),
        padding=None if low is None else (low, low if high is None else high),
        overlay_bits=any((group, _OVERLAY_BIT_POSITION) in dataset for group in range(0x6000, 0x6020, 2)),
    )
