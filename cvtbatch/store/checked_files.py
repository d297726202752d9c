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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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


class _Footer:
    """What the footer of a file says of its rows and columns.

    Args:
        file: of which no more than the footer is looked at.
    """

    def __init__(self, file: ds.ParquetFileFragment) -> None:
        file.ensure_complete_metadata()
        self._file, self.schema, self.metadata = file, file.physical_schema, file.metadata

    def plan(self, query: Query) -> "_Plan":
        """Return what to read."""
        groups = (
            list(range(self.metadata.num_row_groups))
            if query.where is None
            else [group.id for group in self._file.subset(query.where, schema=query.schema).row_groups]
        )
        places = sorted(place for name in query.schema.names if (place := self.schema.get_field_index(name)) >= 0)
        return _Plan(
            groups=groups,
            rows=sum(self.metadata.row_group(group).num_rows for group in groups),
            columns={place: self.schema.field(place) for place in places},
            chunks={place: [group * self.metadata.num_columns + place for group in groups] for place in places},
        )


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is read of a file.

    Attributes:
        groups: numbers of the row groups.
        rows: how many are in them.
        columns: by their place in the file, ascending.
        chunks: by the same, the numbers of a column's chunks.
    """

    groups: list[int]
    rows: int
    columns: Mapping[int, pa.Field]
    chunks: Mapping[int, list[int]]

    def read(self, file: pq.ParquetFile, use_threads: bool, same: Mapping[int, int]) -> tuple[int, pa.Table]:
        """Return how many rows there are, and their columns.

        Args:
            same: by the place of a column that of the one to read in its stead, whose values are the same.
        """
        names = {place: self.columns[same.get(place, place)].name for place in self.columns}
        rows = file.read_row_groups(self.groups, list(dict.fromkeys(names.values())), use_threads=use_threads)
        columns = [rows[name] for name in names.values()]
        return self.rows, pa.table(columns, [field.name for field in self.columns.values()])


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


class CheckedFile:
    """A data file with digests that is open: what it says of its columns is what was written. Of one thread at a time.

    Args:
        key: of the file, below the store's root.
        table: its name, for errors.

    Raises:
        FormatError: the file is gone, or what is read of it is not what was written.
        StorageError: it cannot be reached.
    """

    def __init__(self, location: Location, key: str, table: str) -> None:
        named = NAME.fullmatch(key)
        assert named is not None, key
        self._location, self._key, self._table = location, key, table
        with self._reading():
            tail, size = get_tail(location, key, int(named["length"], 16))
            if _tail_digest(tail) != named["digest"]:
                raise _DamagedError("what it says of its columns")
            footer = len(tail) - END_BYTES - int.from_bytes(tail[-END_BYTES:-4], "little")
            count = int.from_bytes(tail[footer - 4 : footer], "little")
            # Of two thousand columns few are read: what is said of each is looked up when it is.
            self._ends, self._digests = np.frombuffer(tail, "<u8", count), tail[8 * count : footer - 4]
            self._footer = _Footer(ds.ParquetFileFormat().make_fragment(pa.BufferReader(tail)))
            self._pieces = _Pieces(size)
            self._file = _OpenFile(self._pieces, self._footer)

    def read(self, query: Query) -> tuple[int, pa.Table]:
        """Return rows, as far as the file has the columns, and how many they are.

        Raises:
            FormatError, StorageError: as for the class.
        """
        with self._reading():
            plan = self._footer.plan(query)
            chunks = self._checked_chunks(sorted(itertools.chain(*plan.chunks.values())))
            self._pieces.hold({self._start(number): chunk for number, chunk in chunks.items()})
            return plan.read(self._file, use_threads=False, same=self._same(plan, chunks))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Say of what cannot be read whether it is damaged, or out of reach."""
        with storage_errors(f"reading table {self._table}"):
            try:
                yield
            except FileNotFoundError:
                raise _damaged(self._table, "it is gone", self._key) from None
            except _DamagedError as error:
                raise _damaged(self._table, f"{error} is not what was written", self._key) from None

    def _start(self, number: int) -> int:
        """Return where a column chunk begins, by number; one more than there are begins where the last one ends."""
        return int(self._ends[number - 1]) if number else 0

    def _digest_of(self, number: int) -> bytes:
        """Return the digest of a column chunk, as it was written."""
        return self._digests[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES]

    def _checked_chunks(self, numbers: Sequence[int]) -> dict[int, memoryview]:
        """Read column chunks, given by number, ascending, and return them by it."""
        # Neighbours are read together.
        breaks = [place for place in range(1, len(numbers)) if numbers[place] != numbers[place - 1] + 1]
        runs = [numbers[first:end] for first, end in itertools.pairwise([0, *breaks, len(numbers)]) if end > first]
        ranges = [(self._start(run[0]), self._start(run[-1] + 1)) for run in runs]
        chunks: dict[int, memoryview] = {}
        for run, (start, _), data in zip(runs, ranges, get_ranges(self._location, self._key, ranges), strict=True):
            for number in run:
                chunk = data[self._start(number) - start : self._start(number + 1) - start]
                if _digest(chunk) != self._digest_of(number):
                    raise _DamagedError("a column")
                chunks[number] = chunk
        return chunks

    def _same(self, plan: _Plan, chunks: Mapping[int, memoryview]) -> dict[int, int]:
        """Return columns, by place, with the first one that is of their type and has their bytes, so that it is read for them.

        So where all values of many are null: to decode those takes longer than all else.
        """
        first: dict[tuple[object, ...], int] = {}
        same = {}
        for place, field in plan.columns.items():
            own, kind = plan.chunks[place], field.type
            # The type itself is told apart by a text, which takes longer to make than all else.
            digests = [self._digest_of(number) for number in own]
            other = first.setdefault((kind.id, field.nullable, *digests), place)
            if (
                other != place
                and plan.columns[other].type == kind
                and all(
                    bytes(chunks[one]) == bytes(chunks[two]) for one, two in zip(own, plan.chunks[other], strict=True)
                )
            ):
                same[place] = other
        return same


class _OpenFile(pq.ParquetFile):  # type: ignore[misc]  # Arrow has no types
    """A Parquet file each of whose columns is one of numbers, of texts, or of lists of such."""

    def __init__(self, pieces: "_Pieces", footer: _Footer) -> None:
        self._schema = footer.schema
        super().__init__(pieces, metadata=footer.metadata, pre_buffer=False)

    def _build_nested_paths(self) -> "_Places":
        """Return where columns are by name; Arrow takes the path of each apart for it, which of two thousand takes 2 ms."""
        return _Places(self._schema)


@dataclass(frozen=True, slots=True)
class _Places:
    """The places of a schema's columns by name, as a list of one each."""

    schema: pa.Schema

    def __contains__(self, name: str) -> bool:
        return int(self.schema.get_field_index(name)) >= 0

    def __getitem__(self, name: str) -> list[int]:
        return [self.schema.get_field_index(name)]


class UncheckedFile:
    """A data file without digests that is open; otherwise as `CheckedFile`.

    Args:
        path: as `Location.filesystem` takes it.
    """

    def __init__(self, location: Location, path: str, table: str) -> None:
        self._path, self._table, self._files = path, table, location.filesystem()
        with storage_errors(f"reading table {table}"):
            self._footer = _Footer(ds.ParquetFileFormat().make_fragment(path, self._files))

    def read(self, query: Query) -> tuple[int, pa.Table]:
        """Return rows, as far as the file has the columns, and how many they are."""
        with storage_errors(f"reading table {self._table}"):
            plan, metadata = self._footer.plan(query), self._footer.metadata
            with pq.ParquetFile(self._path, filesystem=self._files, metadata=metadata, pre_buffer=True) as file:
                return plan.read(file, use_threads=True, same={})


class _DamagedError(Exception):
    """What is named is not what was written."""


class _Pieces(io.RawIOBase):
    """A file of which some pieces are in memory, and no others are read.

    Args:
        size: of the whole file in bytes.
    """

    def __init__(self, size: int) -> None:
        self._size, self._place = size, 0
        self.hold({})

    def hold(self, pieces: Mapping[int, memoryview]) -> None:
        """Have these pieces in memory, by where they begin, and no others any more."""
        self._pieces, self._starts = pieces, sorted(pieces)

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
