"""The frames of a DICOM file's pixel data, decompressed."""

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.encaps import encapsulate, generate_frames
from pydicom.filereader import data_element_generator, read_dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGExtended12Bit,
    JPEGLSTransferSyntaxes,
    RLELossless,
    UncompressedTransferSyntaxes,
)

from cvtbatch.counts import counted
from cvtbatch.errors import InputError
from cvtbatch.ingest.codestreams import read_claim
from cvtbatch.ingest.compression import describe_encoding
from cvtbatch.ingest.jpeg import BY_GDCM, FrameFormat, JpegDecoder
from cvtbatch.ingest.slice_header import PixelFormat

# One decoder a syntax, so that a series decodes to equal bits wherever several are installed.
_DECODERS: dict[UID, str] = {
    RLELossless: "pydicom",
    **dict.fromkeys(JPEGLSTransferSyntaxes, "pyjpegls"),
    # HTJ2K is among them.
    **dict.fromkeys(JPEG2000TransferSyntaxes, "pylibjpeg"),
}
# End of image of JPEG and JPEG-LS, end of codestream of JPEG 2000; the frame may be padded.
_END_OF_IMAGE = b"\xff\xd9"
_TAIL_BYTES = 8
_EXTENDED_JPEG_BITS = 12
_CHUNK_BYTES = 1 << 20
_UNDEFINED_LENGTH = 0xFFFFFFFF
_PIXEL_DATA = Tag("PixelData")


def read_frames(file: BinaryIO, pixels: PixelFormat, jpeg: JpegDecoder) -> Iterator[npt.NDArray[np.uint16]]:
    """Yield the frames (rows, columns) of a file, each pixel as the 16 bits in which it lies.

    Raises:
        InputError: the encoding is not read; pixel data are not as long, or a compressed frame not as large, as the header says.
        Exception: any other kind; decoders raise many on damaged data.
    """
    native = pixels.transfer_syntax in {"", *UncompressedTransferSyntaxes}
    if not native and pixels.transfer_syntax not in {*_DECODERS, *BY_GDCM}:
        raise InputError("unreadable_pixels", describe_encoding(pixels.transfer_syntax, pixels.private_compression))
    return _native_frames(file, pixels) if native else _decoded_frames(_pixel_data(file, pixels), pixels, jpeg)


def _pixel_data(file: BinaryIO, pixels: PixelFormat) -> bytes:
    """Return the value of PixelData, empty if there is none; what stands before it in the file is not read again."""
    if pixels.offset is None:
        dataset: pydicom.Dataset = pydicom.dcmread(file, force=True)
    else:
        file.seek(pixels.offset)
        dataset = read_dataset(file, pixels.implicit_vr, pixels.little_endian, specific_tags=[_PIXEL_DATA])
    return bytes(dataset.PixelData) if "PixelData" in dataset else b""


def _native_frames(file: BinaryIO, pixels: PixelFormat) -> Iterator[npt.NDArray[np.uint16]]:
    """Yield frame after frame, none of them before all are seen to be there and nothing but padding after them."""
    size = 2 * pixels.rows * pixels.columns
    if pixels.offset is None:
        data = _pixel_data(file, pixels)
        file, place, length = BytesIO(data), 0, len(data)
    else:
        place, length = _find_pixels(file, pixels)
    if not _is_whole(file, place, length, pixels.frames * size):
        raise InputError(
            "unreadable_pixels",
            f"{counted(pixels.frames, 'frame')} of {pixels.columns} x {pixels.rows} pixels: {pixels.frames * size} bytes; "
            f"the pixel data, said to have {length}, are truncated or damaged",
        )
    file.seek(place)
    for _ in range(pixels.frames):
        stored = np.frombuffer(file.read(size), dtype="<u2" if pixels.little_endian else ">u2")
        yield stored.astype(np.uint16, copy=False).reshape(pixels.rows, pixels.columns)


def _find_pixels(file: BinaryIO, pixels: PixelFormat) -> tuple[int, int]:
    """Return where the value of PixelData begins in a file, and how many bytes it is said to have; 0 if that is not said."""
    found = [(0, 0)]

    def at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
        if tag == _PIXEL_DATA:
            found.append((file.tell(), 0 if length == _UNDEFINED_LENGTH else length))
        return bool(tag == _PIXEL_DATA)

    file.seek(pixels.offset or 0)
    # What stands between is passed over.
    for _ in data_element_generator(
        file, pixels.implicit_vr, pixels.little_endian, stop_when=at_pixels, specific_tags=[_PIXEL_DATA]
    ):
        pass
    return found[-1]


def _is_whole(file: BinaryIO, place: int, length: int, expected: int) -> bool:
    """Say whether so many bytes of a file are there from a place on, of which those past the expected are zero."""
    if not 0 < expected <= length:
        return False
    file.seek(place + expected - 1)
    if len(file.read(1)) < 1:
        return False
    spare = length - expected
    while spare and (data := file.read(min(spare, _CHUNK_BYTES))):
        if data.strip(b"\0"):
            return False
        spare -= len(data)
    return True


def _decoded_frames(data: bytes, pixels: PixelFormat, jpeg: JpegDecoder) -> Iterator[npt.NDArray[np.uint16]]:
    syntax = UID(pixels.transfer_syntax)
    stored = FrameFormat(syntax, pixels.rows, pixels.columns, pixels.bits_allocated, pixels.bits_stored, pixels.signed)
    for frame in generate_frames(data, number_of_frames=pixels.frames):
        if syntax != RLELossless:
            _check_claim(frame, pixels)
        values = jpeg.decode(frame, stored) if syntax in BY_GDCM else _decoded(frame, pixels)
        yield values.view(np.uint16)


def _check_claim(frame: bytes, pixels: PixelFormat) -> None:
    """Refuse a compressed frame that is not what the header says, or that has no end."""
    claim, syntax = read_claim(frame), UID(pixels.transfer_syntax)
    fits = (
        claim is not None and claim[:3] == (pixels.rows, pixels.columns, 1) and claim.precision <= pixels.bits_allocated
    )
    if fits and claim is not None and syntax == JPEGExtended12Bit:
        fits = claim.precision == pixels.bits_stored <= _EXTENDED_JPEG_BITS
    elif fits and claim is not None and syntax not in JPEG2000TransferSyntaxes:  # JPEG 2000 alone knows of signs
        fits = claim.precision >= pixels.bits_stored
    if not fits:
        raise InputError(
            "unreadable_pixels",
            f"a compressed frame claims {tuple(claim or ())} (rows, columns, values a pixel, bits), its slice has "
            f"{(pixels.rows, pixels.columns, 1, pixels.bits_stored)}",
        )
    if _END_OF_IMAGE not in frame[-_TAIL_BYTES:]:
        raise InputError("unreadable_pixels", "a compressed frame has no end: truncated or damaged")


def _decoded(frame: bytes, pixels: PixelFormat) -> npt.NDArray[np.generic]:
    syntax = UID(pixels.transfer_syntax)
    decode: Callable[..., tuple[npt.NDArray[np.generic], object]] = get_decoder(syntax).as_array
    values, _ = decode(
        encapsulate([frame]),
        raw=True,
        decoding_plugin=_DECODERS[syntax],
        transfer_syntax_uid=syntax,
        rows=pixels.rows,
        columns=pixels.columns,
        number_of_frames=1,
        samples_per_pixel=1,
        photometric_interpretation="MONOCHROME2",
        pixel_representation=int(pixels.signed),
        bits_allocated=pixels.bits_allocated,
        bits_stored=pixels.bits_stored,
        pixel_keyword="PixelData",
        correct_unused_bits=False,
    )
    return np.asarray(values)
