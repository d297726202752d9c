"""Data files with digests: Arrow and Polars read them as any, and no byte of what is read can change unseen."""

import datetime
import math
from pathlib import Path

import numpy as np
import polars
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from cvtbatch.errors import FormatError
from cvtbatch.store.checked_files import CheckedFile, Query, encode_checked, is_checked
from cvtbatch.store.location import Location
from cvtbatch.store.objects import put

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
ROWS = pa.table(
    {
        "key": ["a", "b", "c"],
        "number": pa.array([1.5, None, math.nan]),
        "count": [1, 2, 3],
        "vector": pa.array([[1.0, 2.0], [], None], pa.list_(pa.float32())),
        "moment": pa.array([NOW] * 3, pa.timestamp("us", tz="UTC")),
        "flag": [True, False, None],
    }
)


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Location, str]:
    location, (name, data) = Location(str(tmp_path)), encode_checked(ROWS, ["key", "count"])
    put(location, name, data)
    return location, name


def read(stored: tuple[Location, str], columns: list[str], where: pc.Expression | None = None) -> pa.Table:
    schema = pa.schema([ROWS.schema.field(name) for name in columns])
    count, rows = CheckedFile(*stored, "made").read(Query(schema, where))
    assert count == rows.num_rows or not columns
    return rows


def test_others_read_it_as_any_parquet_file(stored: tuple[Location, str]) -> None:
    path = Path(stored[0].path, stored[1])
    assert is_checked(stored[1])
    for found in (pq.read_table(path), read(stored, ROWS.column_names)):
        assert found.schema.equals(ROWS.schema)
        assert repr(found.to_pylist()) == repr(ROWS.to_pylist())
    assert repr(polars.read_parquet(path).to_arrow()["number"].to_pylist()) == repr(ROWS["number"].to_pylist())


def test_each_byte_of_a_file_is_covered(stored: tuple[Location, str]) -> None:
    path = Path(stored[0].path, stored[1])
    sound = path.read_bytes()
    for place in range(len(sound)):
        damaged = bytearray(sound)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(FormatError, match="table made is damaged") as raised:
            read(stored, ROWS.column_names)
        assert raised.value.kind == "table_damaged"
        assert stored[1] in raised.value.private
        assert stored[1] not in raised.value.message


@pytest.mark.parametrize("change", [b"", b"PAR1", slice(0, -1), slice(1, None), slice(0, 100), None])
def test_a_file_that_is_cut_emptied_or_gone_is_damaged(stored: tuple[Location, str], change: object) -> None:
    path = Path(stored[0].path, stored[1])
    sound = path.read_bytes()
    if change is None:
        path.unlink()
    else:
        path.write_bytes(sound[change] if isinstance(change, slice) else change)  # type: ignore[arg-type]
    with pytest.raises(FormatError) as raised:
        read(stored, ["key"])
    assert raised.value.kind == "table_damaged"


def test_only_chunks_of_asked_columns_are_looked_at(stored: tuple[Location, str]) -> None:
    path = Path(stored[0].path, stored[1])
    damaged = bytearray(path.read_bytes())
    damaged[pq.read_metadata(path).row_group(0).column(3).data_page_offset] ^= 1
    path.write_bytes(damaged)
    assert read(stored, ["key", "count", "flag"])["count"].to_pylist() == [1, 2, 3]
    with pytest.raises(FormatError):
        read(stored, ["vector"])


def test_parts_that_a_filter_excludes_are_not_read(stored: tuple[Location, str]) -> None:
    assert read(stored, ["key"], pc.field("key") == "z").num_rows == 0
    assert read(stored, ["key"], pc.field("key") == "a").num_rows == 3


def test_a_file_of_several_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = pq.write_table
    monkeypatch.setattr(pq, "write_table", lambda *args, **keywords: write(*args, row_group_size=100, **keywords))
    rows = pa.table({"key": np.arange(950), "value": np.arange(950) / 7})
    location, (name, data) = Location(str(tmp_path)), encode_checked(rows, ["key"])
    put(location, name, data)
    assert pq.read_metadata(tmp_path / name).num_row_groups == 10
    file = CheckedFile(location, name, "made")
    for columns in (["key"], ["value"], ["key", "value"]):
        found = file.read(Query(rows.select(columns).schema, None))
        assert found == (950, rows.select(columns))
    where = (pc.field("key") >= 350) & (pc.field("key") < 420)
    count, some = file.read(Query(rows.schema, where))
    assert (count, some["key"].to_pylist()) == (200, list(range(300, 500)))


def test_columns_of_the_same_bytes_and_type_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So columns that are null everywhere; a number and a moment of the same bytes are two things, and so is what is required."""
    some, none = pa.array([1.5, None, math.nan]), pa.nulls(3, pa.float64())
    columns = {"m": pa.array([1, 2, 3]), "a": some, "x": none, "b": some, "y": none, "c": pa.array([1.5, None, 2.0])}
    columns |= {"z": pa.nulls(3, pa.string()), "n": columns["m"], "t": columns["m"].cast(pa.timestamp("us", tz="UTC"))}
    columns |= {"o": columns["m"]}
    fields = [pa.field(name, values.type, nullable=name != "n") for name, values in columns.items()]
    rows = pa.table(list(columns.values()), schema=pa.schema(fields))
    location, (name, data) = Location(str(tmp_path)), encode_checked(rows, [])
    put(location, name, data)
    decoded: list[str] = []
    read_groups = pq.ParquetFile.read_row_groups

    def noting(file: pq.ParquetFile, groups: list[int], columns: list[str], **keywords: bool) -> pa.Table:
        decoded.extend(columns)
        return read_groups(file, groups, columns, **keywords)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", noting)
    count, found = CheckedFile(location, name, "made").read(Query(rows.schema, None))
    assert count == 3
    assert found.column_names == rows.column_names
    assert repr(found.to_pydict()) == repr(rows.to_pydict())
    assert decoded == ["m", "a", "x", "c", "z", "n", "t", "o"]
