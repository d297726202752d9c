"""The size that a compressed frame claims for itself, read before a decoder takes memory for it.

A decoder believes the codestream, not the DICOM header around it: a damaged one can claim 65535 x 65535 pixels, or another size
than the slice has.
"""

import struct

_JPEG_START, _J2K_START = b"\xff\xd8", b"\xff\x4f\xff\x51"
# Start of frame, with any coding (ITU-T T.81 table B.1), and that of JPEG-LS (T.87); C4, C8 and CC are other segments.
_FRAME_MARKERS = (set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}
# Markers without a segment: TEM, RSTn, SOI, and the fill byte.
_BARE_MARKERS = {0x01, *range(0xD0, 0xD9), 0xFF}
_J2K_SEARCH_BYTES = 256


def frame_size(frame: bytes) -> tuple[int, int, int] | None:
    """Return (rows, columns, components) of a JPEG, JPEG-LS or JPEG 2000 frame; None if it is none of them."""
    if frame.startswith(_JPEG_START):
        return _jpeg_size(frame)
    place = frame.find(_J2K_START, 0, _J2K_SEARCH_BYTES)
    if place < 0 or len(frame) < place + 42:
        return None
    # SIZ of ISO/IEC 15444-1 A.5.1, after its marker: length, capabilities, extent and offset of the image, tiles, components.
    _, _, width, height, left, top, _, _, _, _, components = struct.unpack_from(">HHIIIIIIIIH", frame, place + 4)
    return height - top, width - left, components


def _jpeg_size(frame: bytes) -> tuple[int, int, int] | None:
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
            _, rows, columns, components = struct.unpack_from(">BHHB", frame, place + 4)
            return rows, columns, components
        (length,) = struct.unpack_from(">H", frame, place + 2)
        place += 2 + max(length, 2)
    return None
