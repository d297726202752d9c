"""Rows taken and sorted are Arrow's own, also where their lists have more numbers than the offsets of one array count."""

import numpy as np
import pyarrow as pa
import pytest

from cvtbatch.store.fused_embeddings import behind_one_another
from cvtbatch.store.taken_rows import MOST_NUMBERS, sort_rows, take_rows

WIDTH = 4


@pytest.fixture
def rows() -> pa.Table:
    """Return rows in chunks of unequal size, some of which are empty, one of which is another one's slice."""
    generator = np.random.default_rng(1)
    tables = []
    for count in (3, 0, 7, 1, 9):
        numbers = generator.random((count, WIDTH), np.float32)
        lists = pa.array(list(numbers), pa.list_(pa.float32()))
        names = pa.array([f"r{n}" for n in generator.permutation(count)], pa.string())
        tables.append(pa.table({"name": names, "numbers": lists}))
    return pa.concat_tables([*tables, tables[-1].slice(2, 5)])


def numbers_of(chunk: pa.Array) -> int:
    """Return how many numbers the lists of an array have."""
    return len(chunk.flatten())


@pytest.mark.parametrize("most", [WIDTH - 1, WIDTH, 3 * WIDTH, MOST_NUMBERS])
@pytest.mark.parametrize(
    "places", [[], [4], [0, 1, 2], [24, 0, 13, 13, 5, 24, 0], [None, 3, None, 20, 3], list(range(24, -1, -1))]
)
def test_rows_are_taken_as_arrow_takes_them(rows: pa.Table, places: list[int | None], most: int) -> None:
    wanted = pa.array(places, pa.int64())
    taken = take_rows(rows, wanted, most)
    assert taken.equals(rows.take(wanted))
    assert taken.schema.equals(rows.schema)
    if most < MOST_NUMBERS:
        assert all(numbers_of(chunk) <= max(most, WIDTH) for chunk in taken["numbers"].chunks)


def test_nothing_is_taken_of_no_rows(rows: pa.Table) -> None:
    assert take_rows(rows.slice(0, 0), pa.array([None, None], pa.int64()), 1)["numbers"].to_pylist() == [None, None]


@pytest.mark.parametrize("most", [WIDTH, 5 * WIDTH, MOST_NUMBERS])
def test_rows_are_sorted_as_arrow_sorts_them(rows: pa.Table, most: int) -> None:
    rows = rows.append_column("number", pa.array(np.arange(len(rows)) % 3))
    assert sort_rows(rows, ["number", "name"], most).equals(
        rows.sort_by([("number", "ascending"), ("name", "ascending")])
    )


def test_more_numbers_than_one_array_counts_are_no_error() -> None:
    """A quarter of a gigabyte of truth values stands for the 9 GB of a million embeddings."""
    wide = 2**20
    values = np.zeros(256 * wide, bool)
    values[::7] = True
    chunk = pa.FixedSizeListArray.from_arrays(pa.array(values), wide).cast(pa.list_(pa.bool_()))
    many = pa.table({"numbers": pa.chunked_array([chunk] * 9)})  # the same memory nine times
    with pytest.raises(pa.ArrowInvalid, match="offset overflow"):
        many.take(pa.array([2300, 1]))
    taken = take_rows(many, pa.array([2300, 1]))
    assert taken["numbers"].combine_chunks().equals(pa.concat_arrays([chunk.slice(2300 % 256, 1), chunk.slice(1, 1)]))


@pytest.mark.parametrize("most", [1, 5, 10, 33, MOST_NUMBERS])
def test_networks_stand_behind_one_another_in_arrays_that_arrow_can_count(most: int) -> None:
    generator = np.random.default_rng(2)
    first, second = generator.random((10, 3), np.float32), generator.random((10, 2), np.float32)
    kind = pa.list_(pa.float32())
    columns = [
        pa.chunked_array([pa.array(list(first[:4]), kind), pa.array(list(first[4:]), kind)]),
        pa.chunked_array([pa.array(list(second), kind)]),
    ]
    fused = behind_one_another(columns, most)
    fused.validate(full=True)
    assert fused.to_pylist() == np.hstack([first, second]).tolist()
    assert most == MOST_NUMBERS or all(numbers_of(chunk) <= max(most, 5) for chunk in fused.chunks)
