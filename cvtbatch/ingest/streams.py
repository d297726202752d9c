"""Files that take little memory whatever they hold: unpacked only as far as it is asked for, or read no further than a limit."""

import zlib
from collections.abc import Callable
from io import BufferedIOBase, BytesIO
from typing import BinaryIO

# Small: an unpacker that meets damage gives nothing of the chunk in which it lies.
_CHUNK_BYTES = 1 << 14


def unpacked_start(start: bytes, count: int) -> bytes:
    """Return the first bytes, at most `count`, of what gzip compressed; empty where it cannot be unpacked."""
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(start, count)
    except zlib.error:
        return b""


class Unpacked:
    """A stream that can only be read forward cheaply, as a file with places.

    What has been read of it stays in memory, so that going back needs no second unpacking; what nobody asks for is never held.

    Args:
        limit_bytes: of what is unpacked.
        refusal: what to raise instead of the errors that unpacking ends with; given None where the limit is passed.
    """

    def __init__(
        self, stream: BufferedIOBase, limit_bytes: int, refusal: Callable[[Exception | None], Exception]
    ) -> None:
        self._stream, self._limit_bytes, self._refusal = stream, limit_bytes, refusal
        self._kept, self._length, self._place = BytesIO(), 0, 0

    def read(self, size: int | None = -1) -> bytes:
        end = None if size is None or size < 0 else self._place + size
        self._reach(end)
        self._kept.seek(self._place)
        data = self._kept.read(size)
        self._place += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 2:
            self._reach(None)
        self._place = max(offset + (0, self._place, self._length)[whence], 0)
        return self._place

    def tell(self) -> int:
        return self._place

    def finish(self) -> int:
        """Forget what was kept and read the rest, so that its checksum is checked; return the length of all."""
        self._kept = BytesIO()
        while chunk := self._next():
            self._length += len(chunk)
        return self._length

    def _reach(self, end: int | None) -> None:
        while end is None or self._length < end:
            chunk = self._next()
            if not chunk:
                return
            self._kept.seek(self._length)
            self._kept.write(chunk)
            self._length += len(chunk)

    def _next(self) -> bytes:
        try:
            chunk = self._stream.read1(_CHUNK_BYTES)
        except Exception as error:  # every unpacker raises kinds of its own on damage
            raise self._refusal(error) from None
        if self._length + len(chunk) > self._limit_bytes:
            raise self._refusal(None)
        return chunk


class Limited:
    """A file of which no more than so many bytes are read, however often it is gone back; what is passed over does not count.

    Args:
        refusal: what to raise then.
    """

    def __init__(self, file: BinaryIO, limit_bytes: int, refusal: Exception) -> None:
        self._file, self._left_bytes, self._refusal = file, limit_bytes, refusal

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size if 0 <= size <= self._left_bytes else self._left_bytes + 1)
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise self._refusal
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()
