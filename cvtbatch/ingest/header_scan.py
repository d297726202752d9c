"""Headers of many files, fast: what `dicom_headers` says of a CT slice, by reading the first bytes of its file.

Most files of an archive are written plainly (`plain_elements`), and of those the forty values that are wanted are converted here,
as pydicom does. Whatever is odd in a file - a character, a VR, a length - makes it go the slow way, so that there is one answer.
"""

import math
import re
import struct
from collections.abc import Container
from dataclasses import dataclass

from cvtbatch.ingest.compression import is_lossy
from cvtbatch.ingest.contrast import hints_at_contrast
from cvtbatch.ingest.dicom_headers import CT_IMAGE_STORAGE, FRAME_LIMIT
from cvtbatch.ingest.multi_energy import names_multi_energy
from cvtbatch.ingest.plain_elements import MEDIA_CLASS, PlainElements, read_elements
from cvtbatch.ingest.slice_header import PixelFormat, SliceHeader
from cvtbatch.ingest.tags import bare_uid, to_time

_CHARACTER_SET = 0x0008_0005
_CLASS, _INSTANCE, _STUDY, _SERIES = 0x0008_0016, 0x0008_0018, 0x0020_000D, 0x0020_000E
_PATIENT, _STUDY_DATE, _STUDY_TIME = 0x0010_0020, 0x0008_0020, 0x0008_0030
_PADDING, _PADDING_LIMIT = 0x0028_0120, 0x0028_0121
# What each wanted element is written as.
_VRS: dict[int, frozenset[bytes]] = {
    tag: frozenset(vrs.encode().split())
    for tag, vrs in {
        _CHARACTER_SET: "CS",
        0x0008_0008: "CS",  # ImageType
        _CLASS: "UI",
        _INSTANCE: "UI",
        _STUDY_DATE: "DA",
        _STUDY_TIME: "TM",
        0x0008_002A: "DT",  # AcquisitionDateTime
        0x0008_0032: "TM",  # AcquisitionTime
        0x0008_0070: "LO",  # Manufacturer
        0x0008_103E: "LO",  # SeriesDescription
        0x0008_1090: "LO",  # ManufacturerModelName
        _PATIENT: "LO",
        0x0018_0010: "LO",  # ContrastBolusAgent
        0x0018_0050: "DS",  # SliceThickness
        0x0018_0060: "DS",  # KVP
        0x0018_1210: "SH",  # ConvolutionKernel
        0x0018_5100: "CS",  # PatientPosition
        _STUDY: "UI",
        _SERIES: "UI",
        0x0020_0012: "IS",  # AcquisitionNumber
        0x0020_0032: "DS",  # ImagePositionPatient
        0x0020_0037: "DS",  # ImageOrientationPatient
        0x0020_0052: "UI",  # FrameOfReferenceUID
        0x0020_0100: "IS",  # TemporalPositionIdentifier
        0x0020_1041: "DS",  # SliceLocation
        0x0028_0002: "US",  # SamplesPerPixel
        0x0028_0008: "IS",  # NumberOfFrames
        0x0028_0010: "US",  # Rows
        0x0028_0011: "US",  # Columns
        0x0028_0030: "DS",  # PixelSpacing
        0x0028_0100: "US",  # BitsAllocated
        0x0028_0101: "US",  # BitsStored
        0x0028_0102: "US",  # HighBit
        0x0028_0103: "US",  # PixelRepresentation
        _PADDING: "US SS",
        _PADDING_LIMIT: "US SS",
        0x0028_1052: "DS",  # RescaleIntercept
        0x0028_1053: "DS",  # RescaleSlope
        0x0028_1054: "LO",  # RescaleType
        0x0028_2110: "CS",  # LossyImageCompression
    }.items()
}
# Where one of these is there, the slow way reads: a list of agents, and what belongs to frames.
_UNCOMMON = frozenset((0x0018_0012, 0x0008_9007, 0x0018_9074, 0x0020_9128, 0x0020_9156))
_WANTED = frozenset(_VRS) | _UNCOMMON
_ASCII = re.compile(rb"[\x20-\x7e]*\0?")
_LATIN = re.compile(rb"[\x20-\x7e\xa0-\xff]*\0?")
_NUMBERS = re.compile(rb"[0-9+\-.eE \\]*\0?")
_WHOLE = re.compile(rb" *[+-]?\d{1,9} *\0?")
# Character sets in which ASCII is ASCII; those in which the rest is Latin 1 too. With code extensions the first one counts, as
# long as no escape comes.
_ASCII_SETS = frozenset(b"|ISO_IR 6|ISO_IR 100|ISO_IR 101|ISO_IR 109|ISO_IR 144|ISO_IR 192|GB18030|GBK".split(b"|"))
_LATIN_SETS = frozenset((b"", b"ISO_IR 6", b"ISO_IR 100"))
_US, _SS = struct.Struct("<H"), struct.Struct("<h")


class _Odd(Exception):
    """A value that the slow way is to read."""


class PlainHeader:
    """The header of a plainly written file; values are what `tags` reads by way of pydicom.

    Raises, with every value:
        _Odd: it is written in a way that only the slow way knows.
    """

    def __init__(self, elements: PlainElements) -> None:
        self.elements, self._values = elements, elements.values
        for tag, vr in elements.vrs.items():
            if tag in _VRS and vr not in _VRS[tag]:
                raise _Odd
        if not _UNCOMMON.isdisjoint(elements.values):
            raise _Odd
        charset = elements.values.get(_CHARACTER_SET, b"").rstrip(b"\0 ").lstrip(b" ")
        if charset.split(b"\\")[0] not in _ASCII_SETS:
            raise _Odd
        self._is_latin = charset in _LATIN_SETS

    def texts(self, tag: int, letters: bool = False) -> tuple[str, ...]:
        """Return every non-empty value; `letters` where the character set of the file counts."""
        value = self._values.get(tag)
        if not value:
            return ()
        allowed = _LATIN if letters and self._is_latin else _ASCII
        if allowed.fullmatch(value) is None:
            raise _Odd
        parts = (part.strip() for part in value.rstrip(b"\0").decode("latin-1").split("\\"))
        return tuple(part for part in parts if part)

    def text(self, tag: int, letters: bool = False) -> str | None:
        texts = self.texts(tag, letters)
        return texts[0] if texts else None

    def numbers(self, tag: int, count: int) -> tuple[float, ...] | None:
        value = self._values.get(tag)
        if not value:
            return None
        if _NUMBERS.fullmatch(value) is None:
            raise _Odd
        try:
            numbers = tuple(map(float, value.rstrip(b"\0").decode("ascii").split("\\")))
        except ValueError:
            return None
        return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None

    def number(self, tag: int) -> float | None:
        numbers = self.numbers(tag, 1)
        return None if numbers is None else numbers[0]

    def integer(self, tag: int) -> int | None:
        """Return a whole number that is written in text."""
        value = self._values.get(tag)
        if not value or not value.strip(b" \0"):
            return None
        if _WHOLE.fullmatch(value) is None:
            raise _Odd
        return int(value.rstrip(b"\0"))

    def short(self, tag: int, signed: bool = False) -> int | None:
        """Return a whole number that is written in two bytes."""
        value = self._values.get(tag)
        if not value:
            return None
        if len(value) != 2:
            raise _Odd
        [number] = (_SS if signed else _US).unpack(value)
        return int(number)

    def padding(self, tag: int, representation: int | None) -> int | None:
        """Return a pixel value, whose sign is that of the VR, or where there is none, of the pixels."""
        vr = self.elements.vrs.get(tag)
        if vr is None and tag in self._values and representation not in {0, 1}:
            raise _Odd
        return self.short(tag, signed=representation == 1 if vr is None else vr == b"SS")


def read_plain_header(descriptor: int, size: int, wanted: Container[int] = _WANTED) -> PlainHeader | None:
    """Return the header of an open file of so many bytes, None where only the slow way can read it.

    Raises:
        OSError: it cannot be read.
    """
    elements = read_elements(descriptor, size, wanted)
    try:
        return None if elements is None else PlainHeader(elements)
    except _Odd:
        return None


def plain_slice(name: str, header: PlainHeader) -> SliceHeader | None:
    """Return the slice of a classic CT image, None where only the slow way can read it."""
    try:
        return _slice(name, header) if header.text(_SERIES) and header.text(_CLASS) == CT_IMAGE_STORAGE else None
    except _Odd:
        return None


def _slice(name: str, header: PlainHeader) -> SliceHeader:
    slope, intercept = header.number(0x0028_1053), header.number(0x0028_1052)
    image_type, description = header.texts(0x0008_0008), header.texts(0x0008_103E, letters=True)
    pixels = _pixel_format(header)
    return SliceHeader(
        file=name,
        frame=0,
        pixels=pixels,
        series_uid=bare_uid(header.text(_SERIES) or ""),
        instance_uid=bare_uid(header.text(_INSTANCE) or ""),
        study_uid=header.text(_STUDY),
        frame_of_reference_uid=header.text(0x0020_0052),
        image_type=image_type,
        acquisition_number=header.integer(0x0020_0012),
        acquisition_time=to_time(header.text(0x0008_0032)),
        acquisition_datetime=to_time(header.text(0x0008_002A)),
        temporal_position=header.integer(0x0020_0100),
        stack_id=None,
        manufacturer=header.text(0x0008_0070, letters=True),
        model=header.text(0x0008_1090, letters=True),
        kernel=header.text(0x0018_1210, letters=True),
        kvp=header.number(0x0018_0060),
        slice_thickness_mm=header.number(0x0018_0050),
        contrast=hints_at_contrast(header.text(0x0018_0010, letters=True), False, description, image_type),
        multi_energy=names_multi_energy(description, image_type),
        patient_position=header.text(0x0018_5100),
        orientation=header.numbers(0x0020_0037, 6),
        position_mm=header.numbers(0x0020_0032, 3),
        slice_location_mm=header.number(0x0020_1041),
        pixel_spacing_mm=header.numbers(0x0028_0030, 2),
        rescale=None if slope is None or intercept is None else (slope, intercept),
        rescale_type=header.text(0x0028_1054, letters=True),
        lossy=is_lossy(pixels.transfer_syntax, header.text(0x0028_2110), image_type),
    )


def _pixel_format(header: PlainHeader) -> PixelFormat:
    elements = header.elements
    frames = header.integer(0x0028_0008)
    if elements.private_compression or (frames is not None and not 0 <= frames <= FRAME_LIMIT):
        raise _Odd
    allocated = header.short(0x0028_0100) or 0
    stored = header.short(0x0028_0101) or allocated
    high_bit, representation = header.short(0x0028_0102), header.short(0x0028_0103)
    low, high = header.padding(_PADDING, representation), header.padding(_PADDING_LIMIT, representation)
    return PixelFormat(
        transfer_syntax=elements.transfer_syntax,
        implicit_vr=elements.implicit_vr,
        little_endian=True,
        offset=elements.place,
        present=elements.present,
        rows=header.short(0x0028_0010) or 0,
        columns=header.short(0x0028_0011) or 0,
        frames=1 if frames is None else frames,
        samples=header.short(0x0028_0002) or 1,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=stored - 1 if high_bit is None else high_bit,
        signed=representation == 1,
        private_compression=None,
        padding=None if low is None else (low, low if high is None else high),
        overlay_bits=elements.overlay_bits,
    )


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose study an object is of; texts are empty where the file has none, and private.

    Attributes:
        study_time: StudyDate and StudyTime, as digits.
    """

    patient_id: str = ""
    study_uid: str = ""
    study_time: str = ""


def plain_identity(header: PlainHeader) -> tuple[str | None, Identity] | None:
    """Return the class of an object and whose it is, None where only the slow way can read it, or the file's head contradicts."""
    try:
        class_uid = header.text(_CLASS)
        if class_uid != header.text(MEDIA_CLASS):
            return None
        return class_uid, Identity(
            header.text(_PATIENT, letters=True) or "",
            bare_uid(header.text(_STUDY) or ""),
            (header.text(_STUDY_DATE) or "") + (header.text(_STUDY_TIME) or ""),
        )
    except _Odd:
        return None
