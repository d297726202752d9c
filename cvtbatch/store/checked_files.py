"""Parquet files of which no byte is believed unread: what of them is read was hashed before it left the writer's memory.

    PAR1 | column chunks | where each chunk ends, its digest, how many | footer, its length, PAR1
                         |<--------------------- tail ------------------------------------->|

A file is cut into its column chunks, in stored order; the digest of each stands between the last one and the footer, where
Parquet lets anything stand. The file's name holds the length and the digest of that tail, and the name is in the table's log: the
digests come and go with their file, and are committed with it, in one step. Other readers see an ordinary Parquet file. Reading
takes the tail, in one piece, and the chunks of the columns that are asked for, whole; each is hashed once more.

Files of before have other names, and nothing to check them by; `cvtbatch compact` writes them anew.
"""

import hashlib
import io
import itertools
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq

from cvtbatch.errors import FormatError

NAME = re.compile(r"(?:.*/)?part-[0-9a-f]{32}-(?P<length>[0-9a-f]{8})-(?P<digest>[0-9a-f]{32})\.parquet")
DIGEST_BYTES = 8
TAIL_DIGEST_BYTES = 16
# Of a Parquet file the last bytes: the length of its footer, and a magic word.
END_BYTES = 8


def is_checked(path: str) -> bool:
    """Say whether a data file has digests, by its name."""
    return NAME.fullmatch(path) is not None


def seal(rows: pa.Table, with_statistics: Sequence[str]) -> tuple[str, bytes]:
    """Return rows as the bytes of a Parquet file with digests, and the name that it must have.

    Args:
        with_statistics: columns by whose bounds parts of the file can be passed over.
    """
    sink = pa.BufferOutputStream()
    texts = [field.name for field in rows.schema if pa.types.is_string(field.type)]
    # What Arrow would say of 1,834 columns once more is half of the footer.
    pq.write_table(rows, sink, write_statistics=list(with_statistics), use_dictionary=texts, store_schema=False)
    written = sink.getvalue()
    view = memoryview(written)
    footer = len(view) - END_BYTES - int.from_bytes(view[-END_BYTES:-4], "little")
    ends = _chunk_ends(pq.read_metadata(pa.BufferReader(written)), footer)
    starts = [0, *ends[:-1]]
    digests = b"".join(_digest(view[start:end]) for start, end in zip(starts, ends, strict=True))
    tail = b"".join((np.array(ends, "<u8").tobytes(), digests, len(ends).to_bytes(4, "little"), view[footer:]))
    name = f"part-{uuid.uuid4().hex}-{len(tail):08x}-{_tail_digest(tail)}.parquet"
    return name, b"".join((view[:footer], tail))


def _chunk_ends(metadata: pq.FileMetaData, footer: int) -> list[int]:
    """Return where the column chunks end, ascending; the last of them reaches to the footer."""
    ends = []
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(metadata.num_columns)):
            start = column.data_page_offset
            if column.has_dictionary_page:
                start = min(start, column.dictionary_page_offset)
            ends.append(start + column.total_compressed_size)
    return [*ends[:-1], footer]


def _digest(data: bytes | memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def _tail_digest(tail: bytes) -> str:
    return hashlib.blake2b(tail, digest_size=TAIL_DIGEST_BYTES).hexdigest()


@dataclass(frozen=True, slots=True)
class _Chunks:
    """Where the chunks of a file begin, and last where the tail does; and their digests."""

    bounds: npt.NDArray[np.uint64]
    digests: bytes

    @classmethod
    def of_tail(cls, tail: bytes, start: int) -> "_Chunks":
        footer = len(tail) - END_BYTES - int.from_bytes(tail[-END_BYTES:-4], "little")
        count = int.from_bytes(tail[footer - 4 : footer], "little")
        ends = np.frombuffer(tail, "<u8", count)
        return cls(np.concatenate([np.zeros(1, np.uint64), ends]), tail[8 * count : (8 + DIGEST_BYTES) * count])

    def around(self, start: int, end: int) -> range:
        """Return the numbers of the chunks that hold the bytes from `start` to `end`."""
        first = int(np.searchsorted(self.bounds, start, "right")) - 1
        return range(first, int(np.searchsorted(self.bounds, end, "left")))

    def agree(self, numbers: range, data: memoryview) -> bool:
        """Say whether some chunks, in one piece, are what was written."""
        bounds = [int(bound) - int(self.bounds[numbers[0]]) for bound in self.bounds[numbers[0] : numbers[-1] + 2]]
        found = b"".join(_digest(data[start:end]) for start, end in itertools.pairwise(bounds))
        return found == self.digests[DIGEST_BYTES * numbers[0] : DIGEST_BYTES * (numbers[-1] + 1)]


class _CheckedFile(io.RawIOBase):
    """A data file, opened for reading; what it hands over is what was written, or an error.

    Raises:
        FormatError: the file is not what was written, from every method that reads.
    """

    def __init__(self, file: pa.NativeFile, path: str, table: str) -> None:
        named = NAME.fullmatch(path)
        assert named is not None, path
        self._file, self._path, self._table = file, path, table
        self._size, self._place = int(file.size()), 0
        self._tail_start = self._size - int(named["length"], 16)
        self._tail = bytes(file.read_at(int(named["length"], 16), self._tail_start)) if self._tail_start >= 0 else b""
        if _tail_digest(self._tail) != named["digest"]:
            raise self._damaged("what it says of its columns")
        self._chunks = _Chunks.of_tail(self._tail, self._tail_start)

    def _damaged(self, what: str) -> FormatError:
        return FormatError(
            "table_damaged",
            f"a data file of table {self._table} is damaged: {what} is not what was written; restore that file from a backup "
            "or another copy of the store",
            self._path,
        )

    def _read_checked(self, start: int, end: int) -> bytes | memoryview:
        """Return some bytes, of which those before the tail are read, and checked, with the whole of their chunks."""
        if start >= self._tail_start:
            return self._tail[start - self._tail_start : end - self._tail_start]
        if end > self._tail_start:
            return b"".join((self._read_checked(start, self._tail_start), self._read_checked(self._tail_start, end)))
        numbers = self._chunks.around(start, end)
        first, last = int(self._chunks.bounds[numbers[0]]), int(self._chunks.bounds[numbers[-1] + 1])
        data = memoryview(self._file.read_at(last - first, first))
        if len(data) != last - first or not self._chunks.agree(numbers, data):
            raise self._damaged("a column")
        return data[start - first : end - first]

    # What Arrow calls.

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._size, self._place + size)
        data = self._read_checked(self._place, end) if end > self._place else b""
        self._place = max(self._place, end)
        return data  # type: ignore[return-value]  # Arrow takes whatever is a buffer, and so nothing is copied

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()


class _CheckedFiles(fs.FileSystemHandler):  # type: ignore[misc]  # pyarrow has no types
    """A file system to read from, whose files are checked where they can be."""

    def __init__(self, base: fs.FileSystem, table: str) -> None:
        self._base, self._table = base, table

    def get_type_name(self) -> str:
        return f"checked {self._base.type_name}"

    def normalize_path(self, path: str) -> str:
        return str(self._base.normalize_path(path))

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        return list(self._base.get_file_info(paths))

    def get_file_info_selector(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        return list(self._base.get_file_info(selector))

    def open_input_file(self, path: str) -> pa.NativeFile:
        file = self._base.open_input_file(path)
        return pa.PythonFile(_CheckedFile(file, path, self._table), mode="r") if is_checked(path) else file

    def open_input_stream(self, path: str) -> pa.NativeFile:
        return self.open_input_file(path)

    def _refuse(self, *_: object, **__: object) -> None:
        raise io.UnsupportedOperation("tables are read through this file system, not written")

    create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = delete_file = _refuse
    move = copy_file = open_output_stream = open_append_stream = _refuse


def checked(base: fs.FileSystem, table: str) -> fs.FileSystem:
    """Return a file system from which the data files of a table are read, and checked where they have digests."""
    return fs.PyFileSystem(_CheckedFiles(base, table))
