"""The digest of a table's values: equal for equal rows, whatever files, order, version of the table or place hold them.

Rows are sorted by key, and each column is hashed as little-endian bytes: which values are null, then the values, texts and lists
with their lengths. Every NaN counts as the same one; -0.0 is another value than 0.0. A column that is null in every row is left
out, so that columns which a table gains later change no digest.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.spec import digest

DIGEST_FORMAT = "cvtbatch-content-1"
# Columns that are put in order and hashed at a time: each is in memory two or three times meanwhile.
COLUMNS_TOGETHER = 2


@dataclass(frozen=True, slots=True)
class Vectors:
    """A column of lists of numbers that may be larger than memory.

    Attributes:
        kind: of the lists.
        parts: hands the column over, some rows at a time, as often as it is called.
    """

    name: str
    kind: pa.ListType
    parts: Callable[[], Iterator[pa.Array]]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Columns of float64 that may be larger than memory.

    Attributes:
        count: of the rows.
        parts: hand some rows and some columns over at a time: of each column all rows, in order.
        whole: hands some of the columns over, all rows at once, as the columns beside these.
    """

    names: Sequence[str]
    count: int
    parts: Iterator[pa.Table]
    whole: Callable[[Sequence[str]], Iterator[pa.Table]]


def table_digest(columns: Iterable[pa.Table | Vectors | Numbers], order: pa.Array | None = None) -> str:
    """Return the digest of a table that is handed over in groups of columns, rows by key.

    Args:
        order: which rows of groups that are tables there are, by key; by default all, as they are.
    """
    digests: dict[str, str] = {}
    for group in columns:
        if isinstance(group, Vectors):
            digests[group.name] = _vectors_digest(group)
        elif isinstance(group, Numbers):
            digests.update(_number_digests(group, order))
        else:
            digests.update(_digests(group, order))
    hasher = hashlib.sha256(DIGEST_FORMAT.encode())
    for _, of_column in sorted(digests.items()):
        hasher.update(of_column.encode())
    return hasher.hexdigest()


def _digests(columns: pa.Table, order: pa.Array | None) -> dict[str, str]:
    """Return the digests of columns by name, but for those that are null in every row."""

    def of_column(name: str) -> str:
        column = columns[name]
        if order is not None and column.null_count < len(column):
            column = column.take(order)
        return digest(name, *_canonical(_whole(column))) if column.null_count < len(column) else ""

    with ThreadPoolExecutor(COLUMNS_TOGETHER) as pool:
        found = zip(columns.column_names, pool.map(of_column, columns.column_names), strict=True)
        return {name: of_rows for name, of_rows in found if of_rows}


def _number_digests(group: Numbers, order: pa.Array | None) -> dict[str, str]:
    """Return the digests of columns by name, those of the whole; none of what is null in every row."""
    digests: dict[str, _NumberDigest] = {}
    nulls = dict.fromkeys(group.names, 0)
    for part in group.parts:
        for name, column in zip(part.column_names, part.columns, strict=True):
            nulls[name] += column.null_count
            if nulls[name]:
                digests.pop(name, None)
            else:
                (digests.get(name) or digests.setdefault(name, _NumberDigest(name, group.count))).add(_whole(column))
    found = {name: of_column.hexdigest() for name, of_column in digests.items()}
    # Which values are null comes before the values.
    for columns in group.whole([name for name in group.names if 0 < nulls[name] < group.count]):
        found.update(_digests(columns, order))
    return found


class _NumberDigest:
    """The digest of a column of float64 in parts, no value of which is null."""

    def __init__(self, name: str, count: int) -> None:
        self._hasher = hashlib.sha256()
        for known in (name.encode(), str(pa.float64()).encode(), b"\x01" * count):
            _update(self._hasher.update, len(known), [known])
        _update(self._hasher.update, 8 * count, [])

    def add(self, values: pa.Array) -> None:
        """Take the next values."""
        self._hasher.update(list(_canonical(values))[-1])

    def hexdigest(self) -> str:
        """Return the digest, once all values have been taken."""
        return self._hasher.hexdigest()


def _vectors_digest(column: Vectors) -> str:
    """Return the digest of a column in parts, that of the whole; empty if it is null in every row."""
    valid, lengths, whole = [], [], True
    for part in column.parts():
        valid.append(np.asarray(part.is_valid()))
        lengths.append(np.asarray(pc.fill_null(pc.list_value_length(part), 0)).astype("<i8"))
        whole = whole and pc.list_flatten(part).null_count == 0
    there, sizes = np.concatenate(valid or [np.zeros(0, bool)]), np.concatenate(lengths or [np.zeros(0, "<i8")])
    if not there.any():
        return ""
    count = int(sizes.sum())
    of_values = column.kind.value_type
    hasher = hashlib.sha256()
    for known in (
        column.name.encode(),
        f"{of_values} list".encode(),
        there.tobytes(),
        sizes.tobytes(),
        str(of_values).encode(),
    ):
        _update(hasher.update, len(known), [known])
    validity = (
        (b"\x01" * int(part.sum()) for part in lengths)
        if whole
        else (np.asarray(pc.list_flatten(part).is_valid()).tobytes() for part in column.parts())
    )
    _update(hasher.update, count, validity)
    width = of_values.bit_width // 8
    _update(hasher.update, width * count, (list(_canonical(pc.list_flatten(part)))[-1] for part in column.parts()))
    return hasher.hexdigest()


def _update(update: Callable[[bytes | memoryview], None], length: int, pieces: Iterable[bytes | memoryview]) -> None:
    """Hash a part of so many bytes, as `digest` does."""
    update(length.to_bytes(8, "little"))
    for piece in pieces:
        update(piece)


def content_digest(tables: Mapping[str, tuple[int, str]]) -> str:
    """Return the digest of several tables, each by its number of rows and their digest; a table without rows does not count."""
    parts = [part for name, (rows, of_rows) in sorted(tables.items()) if rows for part in (name, str(rows), of_rows)]
    return digest(DIGEST_FORMAT, *parts)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _canonical(values: pa.Array) -> Iterator[bytes | memoryview]:
    """Yield type, nulls and values of an array as bytes that are equal for equal values only; where none is null, as they lie."""
    kind = values.type
    yield f"{kind.value_type} list".encode() if pa.types.is_list(kind) else str(kind).encode()
    yield np.asarray(values.is_valid()).tobytes() if values.null_count else b"\x01" * len(values)
    if pa.types.is_list(kind):
        yield _bytes_of(_filled(pc.list_value_length(values), 0), "<i8")
        yield from _canonical(pc.list_flatten(values))
    elif pa.types.is_string(kind):
        yield _bytes_of(_filled(pc.binary_length(values), 0), "<i8")
        yield _text_bytes(_filled(values, ""))
    elif pa.types.is_floating(kind):
        numbers = np.asarray(_filled(values, 0)).astype(f"<f{kind.bit_width // 8}", copy=False)
        unknown = np.isnan(numbers)
        if unknown.any():
            numbers = np.where(unknown, numbers.dtype.type(np.nan), numbers)
        yield _bytes_of(numbers, numbers.dtype.str)
    elif pa.types.is_boolean(kind):
        yield np.asarray(_filled(values, False)).tobytes()
    else:
        yield _bytes_of(_filled(values.cast(pa.int64()), 0), "<i8")


def _filled(values: pa.Array, value: object) -> pa.Array:
    """Return values with another one in the place of null."""
    return pc.fill_null(values, value) if values.null_count else values


def _text_bytes(texts: pa.Array) -> memoryview:
    """Return the bytes of all texts, none of which is null, one after the other, as Arrow has them in memory."""
    _, offsets, data = texts.buffers()
    first, end = np.frombuffer(offsets, "<i4", len(texts) + 1, 4 * texts.offset)[[0, -1]].tolist()
    return memoryview(data or b"")[first:end]


def _bytes_of(values: pa.Array | np.ndarray, kind: str) -> memoryview:
    """Return the bytes of numbers, none of which is null."""
    return np.asarray(values).astype(kind, copy=False).view(np.uint8).data
