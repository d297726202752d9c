"""Data files of a table: rows cut by partition, sealed, stored, and described for the table's log; and rows read from them."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
from deltalake.transaction import AddAction

from cvtbatch.contracts import TableContract
from cvtbatch.errors import InternalError
from cvtbatch.store.checked_files import CheckedFile, Query, UncheckedFile, encode_checked, is_checked
from cvtbatch.store.location import Location
from cvtbatch.store.objects import put
from cvtbatch.store.storage_errors import storage_errors

# Texts shorter than this stand whole in the statistics of the log.
EXACT_IN_LOG = 32
# Comes after every text that begins alike.
LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class DataFile:
    """A stored file that no commit names yet.

    Attributes:
        path: below the table's folder.
        size: bytes.
        partition: the values, as text, that all its rows have in the columns by which the table is partitioned.
        least: of columns of texts and integers, by name.
        most: likewise.
        nulls: how many there are, by column.
    """

    path: str
    size: int
    rows: int
    partition: Mapping[str, str]
    least: Mapping[str, str | int]
    most: Mapping[str, str | int]
    nulls: Mapping[str, int]

    def to_action(self, data_change: bool) -> AddAction:
        """Return what a commit says of it."""
        statistics = {
            "numRecords": self.rows,
            "minValues": self.least,
            "maxValues": self.most,
            "nullCount": self.nulls,
        }
        # Not escaped: of characters beyond the first 65,536 the table library reads the escapes as other characters.
        text = json.dumps(statistics, ensure_ascii=False)
        return AddAction(self.path, self.size, self.partition, int(time.time() * 1000), data_change, text)


def write_data_files(location: Location, contract: TableContract, rows: pa.Table) -> list[DataFile]:
    """Write rows, which may have columns that the contract does not know, into a file a partition.

    Raises:
        InternalError: a row lacks what every row has.
        StorageError: the store cannot be written.
    """
    return [_write(location, contract, partition, part) for partition, part in _partitions(rows, contract.partition_by)]


def _partitions(rows: pa.Table, columns: Sequence[str]) -> Iterator[tuple[dict[str, str], pa.Table]]:
    """Yield the rows of every partition, without the columns by which the table is partitioned, and their values as text."""
    if not columns:
        yield {}, rows
        return
    for values in rows.select(list(columns)).group_by(list(columns), use_threads=False).aggregate([]).to_pylist():
        part = rows
        for name, value in values.items():
            part = part.filter(pc.equal(part[name], value))
        # As Delta writes booleans.
        yield {name: str(value).lower() for name, value in values.items()}, part.drop_columns(list(columns))


def _write(location: Location, contract: TableContract, partition: dict[str, str], rows: pa.Table) -> DataFile:
    """Write the rows of one partition into one file, and describe it."""
    leading = [field.name for field in contract.fields[: contract.key_field_count()]]
    with_statistics = [name for name in leading if name in rows.column_names and not pa.types.is_list(rows[name].type)]
    for field in contract.fields:
        if field.required and field.name in rows.column_names and rows[field.name].null_count:
            raise InternalError("incomplete_row", f"a row of table {contract.name} has no {field.name}")
    name, data = encode_checked(rows, with_statistics)
    path = "/".join([*(f"{column}={value}" for column, value in partition.items()), name])
    put(location, f"tables/{contract.name}/{path}", data)
    bounds = {name: pc.min_max(rows[name]).as_py() for name in with_statistics if _is_bounded(rows[name].type)}
    there = {name: bound for name, bound in bounds.items() if bound["min"] is not None}
    return DataFile(
        path=path,
        size=len(data),
        rows=rows.num_rows,
        partition=partition,
        least={name: _cut(bound["min"], "") for name, bound in there.items()},
        most={name: _cut(bound["max"], LAST) for name, bound in there.items()},
        nulls={name: rows[name].null_count for name in with_statistics},
    )


class StoredRows:
    """The rows of a data file that is open; what has digests is checked.

    Args:
        path: as `Location.filesystem` takes it.

    Raises:
        FormatError: the file is damaged.
        StorageError: it cannot be reached.
    """

    def __init__(self, location: Location, contract: TableContract, path: str) -> None:
        key = path.removeprefix(f"{location.path}/")
        folders = (part.partition("=") for part in key.split("/")[:-1])
        self._partition = {name: unquote(value) for name, equals, value in folders if equals}
        self._table, self._checked = contract.name, is_checked(key)
        self._file = (
            CheckedFile(location, key, contract.name) if self._checked else UncheckedFile(location, path, contract.name)
        )

    def read(self, query: Query) -> pa.Table:
        """Return rows, among them all that are wanted; columns that the file lacks are null.

        Raises:
            FormatError, StorageError: as for the class.
        """
        count, rows = self._file.read(query)
        there = dict(zip(rows.column_names, rows.columns, strict=True))
        columns = []
        for field in query.schema:
            if field.name in there:
                column = there[field.name]
                columns.append(column if column.type == field.type else column.cast(field.type))
            elif field.name in self._partition:
                value = pa.scalar(self._partition[field.name]).cast(field.type)
                columns.append(pa.chunked_array([pa.repeat(value, count)]))
            else:
                columns.append(pa.chunked_array([pa.nulls(count, field.type)]))
        table = pa.table(columns, schema=query.schema)
        if not self._checked:
            with storage_errors(f"reading table {self._table}"):
                _check_rows(table)
        return table


def _check_rows(rows: pa.Table) -> None:
    """Make sure that every text is one, and that what must be there is: Parquet hands on what is no UTF-8.

    Raises:
        ArrowInvalid: it is not what was written.
    """
    for field, column in zip(rows.schema, rows.columns, strict=True):
        if not pa.types.is_floating(field.type):
            column.validate(full=True)
        if column.null_count and not field.nullable:
            raise pa.ArrowInvalid(f"{field.name} is missing in a row")


def _is_bounded(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_int64(kind))


def _cut(bound: str | int, end: str) -> str | int:
    """Return a bound as short as the log takes it; a long text is cut off, and `end` is put there."""
    return bound[:EXACT_IN_LOG] + end if isinstance(bound, str) and len(bound) > EXACT_IN_LOG else bound
