"""Parquet files of which no byte is believed unread: what of them is read was hashed before it left the writer's memory.

    PAR1 | column chunks | where each chunk ends, its digest, how many | footer, its length, PAR1
                         |<--------------------- tail ------------------------------------->|

A file is cut into its column chunks, in stored order; the digest of each stands between the last one and the footer, where
Parquet lets anything stand. The file's name holds the length and the digest of that tail, and the name is in the table's log: the
digests come and go with their file, and are committed with it, in one step. Other readers see an ordinary Parquet file. Reading
takes the tail, in one piece, and the chunks of the columns that are asked for, whole; each is hashed once more, and only then
does Arrow see it. Files of before have other names, and nothing to check them by; `cvtbatch compact` writes them anew.

Arrow is handed bytes by the thread that reads, and calls back in no other: a thread of its own that waits for the interpreter
while that ends aborts the process, which is what a file system made of Python does to it.
"""

import hashlib
import io
import itertools
import re
import uuid
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from cvtbatch.errors import FormatError
from cvtbatch.store.location import Location
from cvtbatch.store.objects import get_ranges, get_tail
from cvtbatch.store.storage_errors import storage_errors

NAME = re.compile(r"(?:.*/)?part-[0-9a-f]{32}-(?P<length>[0-9a-f]{8})-(?P<digest>[0-9a-f]{32})\.parquet")
DIGEST_BYTES = 8
TAIL_DIGEST_BYTES = 16
# Of a Parquet file the last bytes: the length of its footer, and a magic word.
END_BYTES = 8


def is_checked(path: str) -> bool:
    """Say whether a data file has digests, by its name."""
    return NAME.fullmatch(path) is not None


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of a data file.

    Attributes:
        schema: the columns; each holds numbers, texts, or lists of such.
        where: a filter by whose columns' bounds row groups of the file are passed over; other rows that it leaves out are read.
    """

    schema: pa.Schema
    where: pc.Expression | None

    def plan(self, file: ds.ParquetFileFragment) -> "_Plan":
        """Return what to read of a file, for which no more than its footer is looked at."""
        file.ensure_complete_metadata()
        kept = file if self.where is None else file.subset(self.where, schema=self.schema)
        names, wanted = file.physical_schema.names, set(self.schema.names)
        return _Plan(
            metadata=file.metadata,
            groups=[group.id for group in kept.row_groups],
            rows=sum(group.num_rows for group in kept.row_groups),
            columns={name: place for place, name in enumerate(names) if name in wanted},
        )


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is read of a file.

    Attributes:
        groups: numbers of the row groups.
        rows: how many are in them.
        columns: by name their places in the file.
    """

    metadata: pq.FileMetaData
    groups: list[int]
    rows: int
    columns: Mapping[str, int]

    def chunks(self) -> list[int]:
        """Return the numbers of the column chunks, ascending."""
        return [group * self.metadata.num_columns + place for group in self.groups for place in self.columns.values()]

    def read(self, file: pq.ParquetFile, use_threads: bool) -> tuple[int, pa.Table]:
        """Return how many rows there are, and their columns."""
        return self.rows, file.read_row_groups(self.groups, list(self.columns), use_threads=use_threads)


def encode_checked(rows: pa.Table, with_statistics: Sequence[str]) -> tuple[str, bytes]:
    """Return rows as the bytes of a Parquet file with digests, and the name that it must have.

    Args:
        with_statistics: columns by whose bounds row groups can be passed over.
    """
    sink = pa.BufferOutputStream()
    texts = [field.name for field in rows.schema if pa.types.is_string(field.type)]
    # What Arrow would say of every feature's column once more is half of the footer.
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
    """Return the digest of a column chunk."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def _tail_digest(tail: bytes) -> str:
    return hashlib.blake2b(tail, digest_size=TAIL_DIGEST_BYTES).hexdigest()


def read_checked(location: Location, key: str, table: str, query: Query) -> tuple[int, pa.Table]:
    """Return rows of a data file with digests, as far as it has the columns, and how many they are.

    Args:
        key: of the file, below the store's root.
        table: its name, for errors.

    Raises:
        FormatError: the file is gone, or what is read of it is not what was written.
        StorageError: it cannot be reached.
    """
    named = NAME.fullmatch(key)
    assert named is not None, key
    with storage_errors(f"reading table {table}"):
        try:
            tail, size = get_tail(location, key, int(named["length"], 16))
            if _tail_digest(tail) != named["digest"]:
                raise _damaged(table, "what it says of its columns is not what was written", key)
            plan = query.plan(ds.ParquetFileFormat().make_fragment(pa.BufferReader(tail)))
            pieces = _Pieces(size, _checked_chunks(location, key, tail, plan.chunks()))
        except FileNotFoundError:
            raise _damaged(table, "it is gone", key) from None
        except _DamagedError:
            raise _damaged(table, "a column is not what was written", key) from None
        return plan.read(pq.ParquetFile(pieces, metadata=plan.metadata, pre_buffer=False), use_threads=False)


def read_unchecked(location: Location, path: str, table: str, query: Query) -> tuple[int, pa.Table]:
    """Return rows of a data file without digests, which `Location.filesystem` finds; otherwise as `read_checked`."""
    files = location.filesystem()
    with storage_errors(f"reading table {table}"):
        plan = query.plan(ds.ParquetFileFormat().make_fragment(path, files))
        with pq.ParquetFile(path, filesystem=files, metadata=plan.metadata, pre_buffer=True) as file:
            return plan.read(file, use_threads=True)


class _DamagedError(Exception):
    """A chunk is not what was written."""


def _checked_chunks(location: Location, key: str, tail: bytes, numbers: Sequence[int]) -> dict[int, memoryview]:
    """Read column chunks, given by number, ascending, and return them by where they begin."""
    footer = len(tail) - END_BYTES - int.from_bytes(tail[-END_BYTES:-4], "little")
    count = int.from_bytes(tail[footer - 4 : footer], "little")
    bounds = [0, *np.frombuffer(tail, "<u8", count).tolist()]
    digests = tail[8 * count : (8 + DIGEST_BYTES) * count]
    # Neighbours are read together.
    breaks = [place for place in range(1, len(numbers)) if numbers[place] != numbers[place - 1] + 1]
    runs = [numbers[first:end] for first, end in itertools.pairwise([0, *breaks, len(numbers)]) if end > first]
    ranges = [(bounds[run[0]], bounds[run[-1] + 1]) for run in runs]
    chunks: dict[int, memoryview] = {}
    for run, (start, _), data in zip(runs, ranges, get_ranges(location, key, ranges), strict=True):
        for number in run:
            chunk = data[bounds[number] - start : bounds[number + 1] - start]
            if _digest(chunk) != digests[DIGEST_BYTES * number : DIGEST_BYTES * (number + 1)]:
                raise _DamagedError
            chunks[bounds[number]] = chunk
    return chunks


class _Pieces(io.RawIOBase):
    """A file of which some pieces are in memory, and no others are read.

    Args:
        size: of the whole file in bytes.
        pieces: by where they begin.
    """

    def __init__(self, size: int, pieces: Mapping[int, memoryview]) -> None:
        self._size, self._pieces, self._starts, self._place = size, pieces, sorted(pieces), 0

    def read(self, size: int = -1) -> bytes:
        start = self._starts[bisect_right(self._starts, self._place) - 1]
        data = self._pieces[start][self._place - start : self._place - start + size]
        assert len(data) == size, "Arrow reads a column chunk, or a part of it"
        self._place += size
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


def _damaged(table: str, what: str, key: str) -> FormatError:
    return FormatError(
        "table_damaged",
        f"a data file of table {table} is damaged: {what}; restore that file from a backup or another copy of the store",
        key,
    )
