"""What tells of a case, in whatever file of a store's tables: its keys, and values that no other case's row has."""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cvtbatch.store.location import Location
from cvtbatch.store.objects import get_listed, list_keys

# Endings of columns that tell of a case where no other case's row has the same value.
IDENTIFYING = ("_digest", "_fingerprint", "_hash")


@dataclass(frozen=True, slots=True)
class Traces:
    """What tells of a case.

    Attributes:
        paths: its volumes and masks that no other case's row names.
        digests: values of its rows that no other case's row has.
        found: whether there is any row of it, in any version.
    """

    case_key: str
    paths: frozenset[str]
    digests: frozenset[str]
    found: bool

    def within(self, text: str) -> bool:
        """Say whether a value tells of the case."""
        key = self.case_key
        return text in self.digests or text == key or text.startswith(f"{key}/")


def find_traces(location: Location, tables: Iterable[str], case_key: str) -> Traces:
    """Collect what tells of a case in every file of some tables, whatever version it belongs to.

    Args:
        tables: their names.

    Raises:
        StorageError: a file cannot be read.
    """
    own: dict[str, set[str]] = {"path": set(), "digest": set()}
    others: dict[str, set[str]] = {"path": set(), "digest": set()}
    found = False
    for name in tables:
        for key in _data_files(location, name):
            rows = read_columns(location, key, None)
            if rows is None or "case_key" not in rows.column_names:
                continue
            is_own = pc.equal(rows["case_key"], case_key)
            found = found or bool(pc.any(is_own).as_py())
            for column in rows.column_names:
                if column != "path" and not column.endswith(IDENTIFYING):
                    continue
                kind = "path" if column == "path" else "digest"
                own[kind].update(rows.filter(is_own)[column].unique().to_pylist())
                others[kind].update(rows.filter(pc.invert(is_own))[column].unique().to_pylist())
    paths, digests = (frozenset(own[kind] - others[kind] - {"", None}) for kind in ("path", "digest"))
    return Traces(case_key, paths, digests, found)


def mentions_case(location: Location, key: str, traces: Traces) -> bool:
    """Say whether a file tells of the case; one that cannot be read may."""
    if key.endswith(".json") or not PurePosixPath(key).suffix:
        lines = get_listed(location, key).decode().splitlines()
        return any(traces.within(text) for line in lines for text in _texts(json.loads(line)))
    columns = read_columns(location, key, None)
    if columns is None:
        return True
    return any(traces.within(text) for text in _texts(columns.to_pydict()))


def _texts(value: object) -> Iterator[str]:
    """Yield every text in a value, keys and JSON within texts included."""
    if isinstance(value, str):
        yield value
        if value.startswith("{"):
            with contextlib.suppress(ValueError):
                yield from _texts(json.loads(value))
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _texts(key)
            yield from _texts(part)
    elif isinstance(value, Iterable) and not isinstance(value, bytes):
        for part in value:
            yield from _texts(part)


def read_columns(location: Location, key: str, columns: Sequence[str] | None) -> pa.Table | None:
    """Return some columns of a Parquet file, by default all that hold texts; None for a file that was never finished."""
    data = get_listed(location, key)
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        schema = file.schema_arrow
        wanted = [field.name for field in schema if (field.name in columns if columns else not _is_numeric(field.type))]
        return file.read(wanted)
    except pa.ArrowInvalid:
        return None


def _is_numeric(kind: pa.DataType) -> bool:
    item = kind.value_type if pa.types.is_list(kind) else kind
    return bool(pa.types.is_primitive(item))


def _data_files(location: Location, name: str) -> list[str]:
    """Return the data files of a table, whichever version names them, and those that none does."""
    return [key for key in list_keys(location, f"tables/{name}/") if "/_delta_log/" not in key]
