"""The size and depth that a compressed frame claims for itself, read before a decoder takes memory for it.

A decoder believes the codestream, not the DICOM header around it: a damaged one can claim 65535 x 65535 pixels, or another size
than the slice has.
"""

import struct
from typing import NamedTuple

_JPEG_START, _J2K_START = b"\xff\xd8", b"\xff\x4f\xff\x51"
# Start of frame, with any coding (ITU-T T.81 table B.1), and that of JPEG-LS (T.87); C4, C8 and CC are other segments.
_FRAME_MARKERS = (set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}
# Markers without a segment: TEM, RSTn, SOI, and the fill byte.
_BARE_MARKERS = {0x01, *range(0xD0, 0xD9), 0xFF}
_J2K_SEARCH_BYTES = 256


class FrameClaim(NamedTuple):
    """What a codestream says of its frame; `precision` is in bits."""

    rows: int
    columns: int
    components: int
    precision: int


def read_claim(frame: bytes) -> FrameClaim | None:
    """Return what a JPEG, JPEG-LS or JPEG 2000 frame claims; None if it is none of them."""
    if frame.startswith(_JPEG_START):
        return _jpeg_claim(frame)
    place = frame.find(_J2K_START, 0, _J2K_SEARCH_BYTES)
    if place < 0 or len(frame) < place + 43:
        return None
    # SIZ of ISO/IEC 15444-1 A.5.1, after its marker: length, capabilities, extent and offset of the image, tiles, components, and
    # the depth of the first one, less one, below a bit for its sign.
    _, _, width, height, left, top, _, _, _, _, components, depth = struct.unpack_from(
        ">HHIIIIIIIIHB", frame, place + 4
    )
    return FrameClaim(height - top, width - left, components, (depth & 0x7F) + 1)


def _jpeg_claim(frame: bytes) -> FrameClaim | None:
    place = 2
    while place + 4 <= len(frame):
        if frame[place] != 0xFF:
            return None
        marker = frame[place + 1]
        if marker in _BARE_MARKERS:
            place += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAME_MARKERS:
            if place + 10 > len(frame):
                return None
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, place + 4)
            return FrameClaim(rows, columns, components, precision)
        (length,) = struct.unpack_from(">H", frame, place + 2)
        place += 2 + max(length, 2)
    return None
