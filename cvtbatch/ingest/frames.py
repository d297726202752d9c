"""The frames of a DICOM file's pixel data, decompressed."""

from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.encaps import encapsulate, generate_frames
from pydicom.filereader import read_dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGExtended12Bit,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
    UncompressedTransferSyntaxes,
)

from cvtbatch.errors import InputError
from cvtbatch.ingest.codestreams import read_claim
from cvtbatch.ingest.compression import describe_encoding
from cvtbatch.ingest.headers import PixelFormat
from cvtbatch.ingest.jpeg import JpegDecoder

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
_PIXEL_DATA = Tag("PixelData")


def read_frames(file: BinaryIO, pixels: PixelFormat, jpeg: JpegDecoder) -> Iterator[npt.NDArray[np.uint16]]:
    """Yield the frames (rows, columns) of a file, each pixel as the 16 bits in which it lies.

    Raises:
        InputError: the encoding is not read; pixel data are not as long, or a compressed frame not as large, as the header says.
        Exception: any other kind; decoders raise many on damaged data.
    """
    if not _is_native(pixels) and pixels.transfer_syntax not in {*_DECODERS, *JPEGTransferSyntaxes}:
        raise InputError("unreadable_pixels", describe_encoding(pixels.transfer_syntax, pixels.private_compression))
    data = _pixel_data(file, pixels)
    return _native_frames(data, pixels) if _is_native(pixels) else _decoded_frames(data, pixels, jpeg)


def _is_native(pixels: PixelFormat) -> bool:
    return pixels.transfer_syntax in {"", *UncompressedTransferSyntaxes}


def _pixel_data(file: BinaryIO, pixels: PixelFormat) -> bytes:
    """Return the value of PixelData, empty if there is none; what stands before it in the file is not read again."""
    if pixels.offset is None:
        dataset: pydicom.Dataset = pydicom.dcmread(file, force=True)
    else:
        file.seek(pixels.offset)
        dataset = read_dataset(file, pixels.implicit_vr, pixels.little_endian, specific_tags=[_PIXEL_DATA])
    return bytes(dataset.PixelData) if "PixelData" in dataset else b""


def _native_frames(data: bytes, pixels: PixelFormat) -> Iterator[npt.NDArray[np.uint16]]:
    expected = 2 * pixels.frames * pixels.rows * pixels.columns
    if len(data) < expected or data[expected:].strip(b"\0"):
        raise InputError(
            "unreadable_pixels",
            f"{pixels.frames} frames of {pixels.columns} x {pixels.rows} pixels take {expected} bytes; "
            f"the pixel data have {len(data)}: truncated or damaged",
        )
    stored = np.frombuffer(data, dtype="<u2" if pixels.little_endian else ">u2", count=expected // 2)
    yield from stored.astype(np.uint16, copy=False).reshape(pixels.frames, pixels.rows, pixels.columns)


def _decoded_frames(data: bytes, pixels: PixelFormat, jpeg: JpegDecoder) -> Iterator[npt.NDArray[np.uint16]]:
    syntax = UID(pixels.transfer_syntax)
    for frame in generate_frames(data, number_of_frames=pixels.frames):
        if syntax != RLELossless:
            _check_claim(frame, pixels)
        yield jpeg.decode(frame, pixels) if syntax in JPEGTransferSyntaxes else _decoded(frame, pixels)


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


def _decoded(frame: bytes, pixels: PixelFormat) -> npt.NDArray[np.uint16]:
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
    return np.asarray(values).view(np.uint16)
