"""Whether a DICOM file is whole: every element there to its end, and as many pixels as its header says.

A reply that was cut short is no error to pydicom, nor always to who fetched it: an archive without Content-Length just ends. What
is no image and was cut between two elements passes here; that a reply came to its end is told where it is read.
"""

import io
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag
from pydicom.uid import UID

from cvtbatch.errors import InputError

DAMAGED_INSTANCE = "damaged_instance"
_PREAMBLE_BYTES = 128
_META_GROUP = 2
_UNDEFINED_LENGTH = 0xFFFFFFFF
# Longer values, which are pixels as a rule, are passed over: whether they are there to their end is told by the file's.
_READ_BYTES = 4096
_TRANSFER_SYNTAX, _CLASS, _SOP_UID, _SERIES_UID = 0x00020010, 0x00080016, 0x00080018, 0x0020000E
_SAMPLES, _FRAMES, _ROWS, _COLUMNS, _BITS = 0x00280002, 0x00280008, 0x00280010, 0x00280011, 0x00280100
_PHOTOMETRIC = 0x00280004
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_PIXEL_DATA = 0x7FE00010
Elements = Mapping[int, DataElement | RawDataElement]


@dataclass(frozen=True, slots=True)
class Instance:
    """Which instance a file holds."""

    series_uid: str
    sop_uid: str


def read_instance(file: BinaryIO) -> Instance:
    """Return which instance a file of DICOM's Part 10 holds, once all of it is seen to be there; pixels are not read.

    Raises:
        InputError: "damaged_instance": it is no such file, breaks off, or has fewer pixels than its header says.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if file.read(_PREAMBLE_BYTES + 4)[_PREAMBLE_BYTES:] != b"DICM":
        raise InputError(DAMAGED_INSTANCE, "what came is no DICOM file")
    try:
        elements = dict(_elements(file, size))
        _require_pixels(elements)
    except (EOFError, ValueError, OSError, LookupError, NotImplementedError, struct.error, zlib.error) as error:
        raise InputError(
            DAMAGED_INSTANCE, "the instance breaks off, or its elements cannot be read", str(error)
        ) from None
    instance = Instance(_text(elements, _SERIES_UID), _text(elements, _SOP_UID))
    if not (instance.series_uid and instance.sop_uid):
        raise InputError(
            DAMAGED_INSTANCE, "the instance breaks off, or says of itself neither which it is nor of which series"
        )
    return instance


def _elements(file: BinaryIO, size: int) -> Iterator[tuple[int, DataElement | RawDataElement]]:
    """Yield every element by its tag; short values alone have their bytes."""
    meta = dict(_walk(file, implicit=False, little=True, of_meta=True))
    syntax = UID(_text(meta, _TRANSFER_SYNTAX))
    yield from meta.items()
    if syntax.is_deflated:
        inflated = zlib.decompress(file.read(), -zlib.MAX_WBITS)
        file, size = io.BytesIO(inflated), len(inflated)
    yield from _walk(file, implicit=syntax.is_implicit_VR, little=syntax.is_little_endian)
    if file.tell() != size:
        raise EOFError(f"its last element ends at byte {file.tell()}, the file at {size}")


def _walk(
    file: BinaryIO, *, implicit: bool, little: bool, of_meta: bool = False
) -> Iterator[tuple[int, DataElement | RawDataElement]]:
    def is_past_meta(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        return tag >> 16 != _META_GROUP

    stop = is_past_meta if of_meta else None
    for element in data_element_generator(file, implicit, little, stop, defer_size=_READ_BYTES):
        if isinstance(element, RawDataElement):
            _require_value(element)
        yield int(element.tag), element


def _require_value(element: RawDataElement) -> None:
    """Refuse a value that breaks off; one of undefined length has an end of its own, and what was passed over none of its bytes."""
    value, length = element.value, element.length
    if isinstance(value, bytes) and len(value) != length != _UNDEFINED_LENGTH:
        raise EOFError(f"{element.tag} has {len(value)} of {length} bytes")


def _require_pixels(elements: Elements) -> None:
    """Refuse an image without pixels, and pixels that are fewer than the header says; compressed ones have an end of their own."""
    is_image = "Image" in UID(_text(elements, _CLASS)).name
    if is_image and not _PIXELS & elements.keys():
        raise InputError(DAMAGED_INSTANCE, "the instance is an image, and its pixels are missing")
    pixels = elements.get(_PIXEL_DATA)
    if not isinstance(pixels, RawDataElement) or pixels.length == _UNDEFINED_LENGTH:
        return
    little = pixels.is_little_endian
    sizes = [_number(elements, tag, little) for tag in (_ROWS, _COLUMNS, _BITS)]
    # Of two pixels side by side, 4:2:2 has one value each of both colours.
    samples = 2 if _text(elements, _PHOTOMETRIC).endswith("422") else _number(elements, _SAMPLES, little)
    rows, columns, bits = sizes
    frames = int(_text(elements, _FRAMES) or 1)
    needed = -(-frames * rows * columns * samples * bits // 8)
    if pixels.length < needed:
        raise InputError(
            DAMAGED_INSTANCE,
            f"the instance has {pixels.length} bytes of pixels, where its header says that there are {needed}",
        )


def _text(elements: Elements, tag: int) -> str:
    value = elements[tag].value if tag in elements else b""
    return value.decode("ascii", "replace").strip("\0 ") if isinstance(value, bytes) else ""


def _number(elements: Elements, tag: int, little: bool) -> int:
    value = elements[tag].value if tag in elements else b""
    return int.from_bytes(value, "little" if little else "big") if isinstance(value, bytes) else 0
