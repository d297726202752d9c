"""Digests of values: equal for equal ones, and what they are said to be."""

import hashlib
import math
import struct
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pytest

from cvtbatch.store.content import Numbers, Vectors, table_digest


def test_the_digest_of_values_is_what_it_says() -> None:
    """Against the bytes written out by hand."""

    def part(*parts: bytes) -> bytes:
        hasher = hashlib.sha256()
        for data in parts:
            hasher.update(struct.pack("<q", len(data)) + data)
        return hasher.hexdigest().encode()

    table = pa.table(
        {
            "absent": pa.array([None, None], pa.float64()),
            "list": pa.array([[1.0, math.nan], None], pa.list_(pa.float32())),
            "number": pa.array([-0.0, None], pa.float64()),
            "text": pa.array(["ä", ""], pa.string()),
            "yes": pa.array([True, False]),
        }
    )
    nan = struct.pack("<I", 0x7FC00000)
    lists = part(
        b"list", b"float list", b"\1\0", struct.pack("<2q", 2, 0), b"float", b"\1\1", struct.pack("<f", 1) + nan
    )
    number = part(b"number", b"double", b"\1\0", struct.pack("<2d", -0.0, 0))
    text = part(b"text", b"string", b"\1\1", struct.pack("<2q", 2, 0), "ä".encode())
    boolean = part(b"yes", b"bool", b"\1\1", b"\1\0")
    expected = hashlib.sha256(b"cvtbatch-content-1" + lists + number + text + boolean).hexdigest()
    assert table_digest([table]) == expected
    assert table_digest([table.select(["absent", "list"]), table.select(["number", "text", "yes"])]) == expected


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize(
    "rows", [[[1.0, math.nan], None, [], [2.0], [None, -0.0]], [[1.0], [2.0], [3.0]], [None, None], []]
)
def test_vectors_in_parts_have_the_digest_of_the_whole(rows: list[list[float | None] | None], size: int) -> None:
    whole = pa.array(rows, pa.list_(pa.float32()))

    def parts() -> Iterator[pa.Array]:
        return (whole.slice(start, size) for start in range(0, len(whole), size))

    assert table_digest([Vectors("v", whole.type, parts)]) == table_digest([pa.table({"v": whole})])


@pytest.mark.parametrize("size", [1, 3, 8])
def test_numbers_in_parts_have_the_digest_of_the_whole(size: int) -> None:
    """Of columns that have all values, none, and some; these come once more, whole."""
    columns = {
        "all": [1.0, math.nan, -0.0, math.inf, 5.0],
        "late": [1.0, 2.0, 3.0, None, 5.0],
        "none": [None] * 5,
        "early": [None, 2.0, 3.0, 4.0, math.nan],
    }
    table = pa.table({name: pa.array(values, pa.float64()) for name, values in columns.items()})
    again: list[list[str]] = []

    def whole(names: Sequence[str]) -> Iterator[pa.Table]:
        again.append(list(names))
        return (table.select([name]) for name in names)

    parts = (
        table.select(names).slice(start, size)
        for start in range(0, 5, size)
        for names in (["all", "late"], ["none", "early"])
    )
    text = pa.table({"b": ["x"] * 5})
    expected = table_digest([text, table])
    assert table_digest([Numbers(table.column_names, 5, parts, whole), text]) == expected
    assert again == [["late", "early"]]


@pytest.mark.parametrize(("one", "other"), [(0.0, -0.0), (0.0, None), (math.nan, None), (1.0, math.nextafter(1.0, 2))])
def test_values_that_differ_have_other_digests(one: float, other: float | None) -> None:
    digests = [table_digest([pa.table({"x": pa.array([value, 2.0], pa.float64())})]) for value in (one, other)]
    assert digests[0] != digests[1]


def test_every_nan_is_the_same() -> None:
    payloads = [struct.unpack("<d", struct.pack("<Q", bits))[0] for bits in (0x7FF8000000000000, 0xFFF8000000000001)]
    assert len({table_digest([pa.table({"x": [value]})]) for value in payloads}) == 1


def test_rows_in_an_order_of_their_own_have_the_digest_of_those_in_it() -> None:
    """Of columns in several pieces, with and without nulls; what is null in all rows that there are does not count."""
    rows = pa.table(
        {
            "text": ["b", None, "", "ä", "c"],
            "list": pa.array([[1.0], None, [], [math.nan, None], [2.0]], pa.list_(pa.float32())),
            "number": [1.0, None, math.nan, 4.0, 5.0],
            "whole": [1, 2, 3, 4, 5],
            "flag": [True, None, False, True, True],
            "elsewhere": pa.array([None, 7, None, None, None], pa.int64()),
            "none": pa.nulls(5, pa.float64()),
        }
    )
    pieces = pa.concat_tables([rows.slice(0, 2), rows.slice(2)])
    for order in ([3, 0, 4, 2], [1, 1], [4], []):
        places = pa.array(order, pa.int64())
        assert table_digest([pieces], places) == table_digest([rows.take(places)])
        assert table_digest([pieces], places) == table_digest(
            [pa.concat_tables([rows.slice(at, 1) for at in [0, *order]]).slice(1)]
        )
    assert table_digest([pieces], pa.array([3, 0])) == table_digest(
        [rows.drop_columns(["elsewhere"]).take(pa.array([3, 0]))]
    )
