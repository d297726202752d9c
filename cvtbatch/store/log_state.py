"""What a log says a table is at one version, as numbers that two readings of it can be compared by."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from deltalake import DeltaTable

from cvtbatch.contracts import TableContract
from cvtbatch.store.data_files import DataFile


@dataclass(frozen=True, slots=True)
class State:
    """What a log says of a table.

    Attributes:
        files: by data file a number that stands for its path, size, rows, and the bounds of some columns.
        sequence: of the last transaction.
        bounded: these columns; another version of cvtbatch may have others.
    """

    files: Mapping[str, int]
    sequence: int
    bounded: tuple[str, ...]

    def text(self) -> str:
        """Return what a commit says of it; equal for equal states."""
        total = sum(self.files.values()) % 2**128
        return f"{len(self.files)} files, transaction {self.sequence}, {total:032x} by {' '.join(self.bounded)}"


def bounded_columns(contract: TableContract) -> tuple[str, ...]:
    """Return the columns of texts and integers by whose bounds files are passed over."""
    types = {field.name: field.type for field in contract.fields}
    return tuple(name for name in (*contract.key, "sequence") if types[name] in {"string", "integer"})


def numbers_in(delta: DeltaTable, bounded: Sequence[str]) -> dict[str, int]:
    """Return the numbers of a version's data files, by path, as the log has them."""
    files = pa.table(delta.get_add_actions(flatten=True))
    columns = ["path", "size_bytes", "num_records"]
    bounds = [f"{bound}.{name}" for bound in ("min", "max") for name in bounded]
    rows = files.select([name for name in files.column_names if name in {*columns, *bounds}]).to_pylist()
    return {row["path"]: _number([row.get(name) for name in (*columns, *bounds)]) for row in rows}


def number_of(file: DataFile, bounded: Sequence[str]) -> int:
    """Return the number of a data file that is about to be committed."""
    bounds = [bounds.get(name) for bounds in (file.least, file.most) for name in bounded]
    return _number([file.path, file.size, file.rows, *bounds])


def _number(values: Sequence[str | int | None]) -> int:
    """Return 128 bits of the digest of some values."""
    text = json.dumps(values, ensure_ascii=True)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")
