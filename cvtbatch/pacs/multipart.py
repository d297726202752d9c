"""The parts of a multipart/related reply (RFC 2387, RFC 2046), one after the other while it arrives."""

from collections.abc import Iterable, Iterator

from cvtbatch.pacs.retries import away

_END_OF_HEADERS = b"\r\n\r\n"


def split_parts(chunks: Iterable[bytes], boundary: str) -> Iterator[bytes]:
    """Yield the content of each part once it is there to its end; one part is in memory.

    Args:
        chunks: of the reply's body, cut anywhere.

    Raises:
        UnavailableError: the body ends before the delimiter that closes it, after the parts that are whole were yielded.
    """
    arriving = iter(chunks)
    delimiter = b"\r\n--" + boundary.encode("latin-1")
    # The first delimiter need not have a line before it.
    buffer, searched, inside = bytearray(b"\r\n"), 0, False
    while True:
        at = buffer.find(delimiter, searched)
        while at < 0 or len(buffer) < at + len(delimiter) + 2:
            searched = max(0, len(buffer) - len(delimiter)) if at < 0 else at
            buffer += _next(arriving)
            at = buffer.find(delimiter, searched)
        if inside:
            yield _content(buffer, at)
        after = at + len(delimiter)
        if buffer[after : after + 2] == b"--":
            return
        del buffer[:after]
        searched, inside = 0, True


def _next(arriving: Iterator[bytes]) -> bytes:
    for chunk in arriving:
        return chunk
    raise away("the archive's reply broke off")


def _content(buffer: bytearray, end: int) -> bytes:
    """Return what stands between the headers of a part and its end."""
    begin = buffer.find(_END_OF_HEADERS, 0, end)
    with memoryview(buffer) as view:
        return bytes(view[begin + len(_END_OF_HEADERS) if begin >= 0 else 0 : end])
