"""Rows in an order of their own, part by part, are those that taking them all at once gives."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pytest

from cvtbatch.errors import InternalError
from cvtbatch.store import placed_rows
from cvtbatch.store.placed_rows import PlacedRows

COUNTS = {"a": 5, "b": 0, "c": 9, "d": 1, "e": 6}
ENDS = dict(zip(COUNTS, np.cumsum(list(COUNTS.values())).tolist(), strict=True))
ROWS = sum(COUNTS.values())
TABLE = pa.table({f"x{number}": np.arange(ROWS) * (number + 1.0) for number in range(7)}).append_column(
    "none", pa.nulls(ROWS, pa.float64())
)


def open_files(files: Sequence[str]) -> Callable[[Sequence[str]], pa.Table]:
    rows = pa.concat_tables([TABLE.slice(ENDS[file] - COUNTS[file], COUNTS[file]) for file in files])
    return lambda columns: rows.select(list(columns))


def draw(kind: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    some = np.sort(rng.choice(ROWS, rng.integers(0, ROWS), replace=False))
    return {"all": np.arange(ROWS), "some": some, "backwards": some[::-1], "mixed": rng.permutation(some)}[kind]


@pytest.mark.parametrize("kind", ["all", "some", "backwards", "mixed"])
@pytest.mark.parametrize("most_bytes", [1, 8 * 3 * 9, 2**20])
def test_parts_are_the_rows_in_their_order(kind: str, most_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placed_rows, "PART_ROWS", 4)
    for seed in range(5):
        places = draw(kind, seed)
        found: dict[str, list[float]] = {name: [] for name in TABLE.column_names}
        for part in PlacedRows(COUNTS, places).read(TABLE.column_names, open_files, most_bytes):
            for name in part.column_names:
                found[name] += part[name].to_pylist()
        assert found == TABLE.take(pa.array(places)).to_pydict()


def test_scattered_is_what_would_be_read_over_and_over() -> None:
    counts = dict.fromkeys(map(str, range(100)), 1000)
    near = np.arange(100_000).reshape(100, 1000)[::-1].ravel()
    assert not PlacedRows(counts, near).scattered()
    assert not PlacedRows(counts, near[:0]).scattered()
    assert PlacedRows(counts, np.arange(100_000).reshape(1000, 100).T.ravel()).scattered()


def test_files_that_lack_rows_are_told() -> None:
    rows = PlacedRows({**COUNTS, "e": 7}, np.arange(ROWS))
    with pytest.raises(InternalError, match="files of 22 rows have 21"):
        list(rows.read(["x0"], open_files, 1))
