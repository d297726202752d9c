"""The elements of a DICOM file up to its pixels, as bytes: for files that are written plainly, in a fraction of a library's time.

Plain are files with a preamble and a transfer syntax in little endian, not deflated, whose every element is of a known VR and ends
within the header. Of anything else `read_elements` returns None, and the slow way decides. Standard: PS3.5 7.1, 7.5; PS3.10 7.1.
"""

import os
import re
import struct
from collections.abc import Container
from dataclasses import dataclass

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

MEDIA_CLASS, TRANSFER_SYNTAX = 0x0002_0002, 0x0002_0010
# What is read of a file at first, and then as long as its header goes on; beyond the last the slow way takes over.
_READ_BYTES = (16 << 10, 128 << 10, 1 << 20)
_PREAMBLE_BYTES = 128
_UNDEFINED = 0xFFFF_FFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFE_E000, 0xFFFE_E00D, 0xFFFE_E0DD
_PIXELS = frozenset((0x7FE0_0008, 0x7FE0_0009, 0x7FE0_0010))
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_EXPLICIT, _IMPLICIT, _LENGTH = struct.Struct("<HH2sH"), struct.Struct("<HHI"), struct.Struct("<I")
_OTHERWISE_WRITTEN = {ExplicitVRBigEndian.encode(), DeflatedExplicitVRLittleEndian.encode()}
_UID = re.compile(rb"[\d.]{1,64}")
# Deeper nesting is damage, or not for this reader.
_DEEPEST = 16


class _NotPlain(Exception):
    """The file is to be read the slow way."""


class _Short(Exception):
    """The header goes on behind what was read."""


@dataclass(frozen=True, slots=True)
class PlainElements:
    """The wanted elements of a file's header.

    Attributes:
        values: bytes of each wanted element that is there, the last one of several, and of the class that the file's head names.
        vrs: as the file writes them; none where they are implicit.
        place: where the pixels' element begins, or the file ends.
        present: whether anything follows there.
        overlay_bits, private_compression: whether the header has a bit position of an overlay, and any of Elscint's private group.
    """

    values: dict[int, bytes]
    vrs: dict[int, bytes]
    transfer_syntax: str
    implicit_vr: bool
    place: int
    present: bool
    overlay_bits: bool
    private_compression: bool


def read_elements(descriptor: int, size: int, wanted: Container[int]) -> PlainElements | None:
    """Return the wanted elements of an open file of so many bytes; None where it is not plainly written.

    Raises:
        OSError: it cannot be read.
    """
    for limit in _READ_BYTES:
        data = os.pread(descriptor, limit, 0)
        if data[_PREAMBLE_BYTES : _PREAMBLE_BYTES + 4] != b"DICM":
            return None
        try:
            return _parse(data, size, wanted)
        except _Short:
            if len(data) >= size:
                return None
        except _NotPlain:
            return None
    return None


def _parse(data: bytes, size: int, wanted: Container[int]) -> PlainElements:
    values: dict[int, bytes] = {}
    vrs: dict[int, bytes] = {}
    try:
        place = _walk(
            data, _PREAMBLE_BYTES + 4, {MEDIA_CLASS, TRANSFER_SYNTAX}, values, vrs, _Flags(), within_group_2=True
        )
        syntax = values.pop(TRANSFER_SYNTAX, b"").rstrip(b"\0")
        if _UID.fullmatch(syntax) is None or syntax in _OTHERWISE_WRITTEN:
            raise _NotPlain
        flags = _Flags()
        walk = _walk_implicit if syntax == ImplicitVRLittleEndian.encode() else _walk
        place = walk(data, place, wanted, values, vrs, flags)
    except struct.error:
        raise _Short from None
    vrs.pop(TRANSFER_SYNTAX, None)
    if place >= len(data) and place != size:
        raise _Short
    return PlainElements(
        values,
        vrs,
        syntax.decode(),
        walk is _walk_implicit,
        place,
        place < size,
        flags.overlay_bits,
        flags.private_compression,
    )


class _Flags:
    """What is there besides the wanted elements."""

    __slots__ = ("overlay_bits", "private_compression")

    def __init__(self) -> None:
        self.overlay_bits = self.private_compression = False

    def note(self, group: int, element: int) -> None:
        self.overlay_bits |= element == 0x0102 and 0x6000 <= group < 0x6020 and not group % 2
        self.private_compression |= group == 0x07A1


def _walk(
    data: bytes,
    place: int,
    wanted: Container[int],
    values: dict[int, bytes],
    vrs: dict[int, bytes],
    flags: _Flags,
    within_group_2: bool = False,
) -> int:
    """Take the wanted elements from `place` on, written with their VRs; return where the pixels or another group begins."""
    end = len(data)
    unpack = _EXPLICIT.unpack_from
    while place < end:
        group, element, vr, length = unpack(data, place)
        if within_group_2 and group != 2:
            return place
        tag = group << 16 | element
        if tag in _PIXELS:
            return place
        if vr in _SHORT_VRS:
            start = place + 8
        elif vr in _LONG_VRS:
            start = place + 12
            [length] = _LENGTH.unpack_from(data, place + 8)
            if length == _UNDEFINED:
                if vr != b"SQ":
                    raise _NotPlain
                place = _after_items(data, start, 0)
                if tag in wanted:
                    values[tag], vrs[tag] = data[start:place], vr
                continue
        else:
            raise _NotPlain
        place = start + length
        if tag in wanted:
            if place > end:
                raise _Short
            values[tag], vrs[tag] = data[start:place], vr
        elif group == 0x07A1 or element == 0x0102:
            flags.note(group, element)
        elif group < 8 and not within_group_2:
            raise _NotPlain
    return place


def _walk_implicit(
    data: bytes, place: int, wanted: Container[int], values: dict[int, bytes], vrs: dict[int, bytes], flags: _Flags
) -> int:
    """Do what `_walk` does where elements are written without their VRs; undefined lengths are left to the slow way."""
    end, first = len(data), data[place + 4 : place + 6]
    if first.isalpha() and first.isupper():
        raise _NotPlain  # written with VRs, whatever the file says of itself
    unpack = _IMPLICIT.unpack_from
    while place < end:
        group, element, length = unpack(data, place)
        tag = group << 16 | element
        if tag in _PIXELS:
            return place
        if length == _UNDEFINED or group < 8 or group == 0xFFFE:
            raise _NotPlain
        start = place + 8
        place = start + length
        if tag in wanted:
            if place > end:
                raise _Short
            values[tag] = data[start:place]
        elif group == 0x07A1 or element == 0x0102:
            flags.note(group, element)
    return place


def _after_items(data: bytes, place: int, depth: int) -> int:
    """Return where a sequence of undefined length ends, whose items are written with their VRs."""
    if depth > _DEEPEST:
        raise _NotPlain
    while True:
        group, element, length = _IMPLICIT.unpack_from(data, place)
        tag = group << 16 | element
        place += 8
        if tag == _SEQUENCE_END:
            return place
        if tag != _ITEM:
            raise _NotPlain
        place = _after_item(data, place, depth) if length == _UNDEFINED else place + length


def _after_item(data: bytes, place: int, depth: int) -> int:
    while True:
        group, element, vr, length = _EXPLICIT.unpack_from(data, place)
        if group << 16 | element == _ITEM_END:
            return place + 8
        if vr in _SHORT_VRS:
            place += 8 + length
        elif vr in _LONG_VRS:
            [length] = _LENGTH.unpack_from(data, place + 8)
            if length != _UNDEFINED:
                place += 12 + length
            elif vr == b"SQ":
                place = _after_items(data, place + 12, depth + 1)
            else:
                raise _NotPlain
        else:
            raise _NotPlain
