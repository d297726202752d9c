"""The process in which gdcm decodes JPEG frames: gdcm ends its process over some damaged ones, and must not end a worker.

Run as a script, and alone: it imports gdcm and nothing else, which takes a twentieth of a second. It reads frames from standard
input, each after a `REQUEST` of syntax, columns, rows, bits allocated, bits stored, whether signed, and length; it writes to
standard output, each after a `REPLY` of its length, the pixels, none where a frame cannot be decoded. It ends with its input.
"""

import struct
import sys

REQUEST = struct.Struct("<64sIIIIII")
REPLY = struct.Struct("<I")


def _decode(
    frame: bytes, syntax: str, columns: int, rows: int, bits_allocated: int, bits_stored: int, signed: int
) -> bytes:
    import gdcm

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((columns, rows, 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    image.SetPixelFormat(gdcm.PixelFormat(1, bits_allocated, bits_stored, bits_stored - 1, signed))
    # gdcm hands out char* as str.
    pixels: bytes = image.GetBuffer().encode("utf-8", "surrogateescape")
    return pixels


def main() -> None:
    """Decode until the input ends."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while len(head := source.read(REQUEST.size)) == REQUEST.size:
        syntax, *format_of_pixels, length = REQUEST.unpack(head)
        frame = source.read(length)
        try:
            pixels = _decode(frame, syntax.rstrip(b"\0").decode(), *format_of_pixels)
        except Exception:  # whatever gdcm raises, the frame cannot be decoded
            pixels = b""
        sink.write(REPLY.pack(len(pixels)))
        sink.write(pixels)
        sink.flush()


if __name__ == "__main__":
    main()
