"""Columns of simpler models: what describes outlines, by its table; words as one of them."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cvtbatch.errors import InputError
from cvtbatch.pipelines.models.compare_columns import column_values

KEYS = ("C1/1/hematoma/A/1", "C1/2/hematoma/A/1", "C1/3/hematoma/A/1")
DATA: Any = SimpleNamespace(
    cohort=SimpleNamespace(
        keys=KEYS, radiomics_names=("a", "b"), radiomics=np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    ),
    clinical={"epilepsy": [True, None, False], "etiology": ["CVT", "HP", None], "volume_ml": [1.5, 2.5, None]},
)
ROWS = {
    "roi_key": ["C1/3/hematoma/A/1", "C1/1/hematoma/A/1", "C9/1/hematoma/A/1"],
    "island_sign": [True, False, True],
    "density_cv": [0.25, None, 0.5],
    "region": ["lobar", "deep", "deep"],
}


class Described:
    """A view that has a row of two of the three outlines, and one of another cohort's."""

    def __init__(self, rows: dict[str, list[object]]) -> None:
        self.rows = rows

    def described(self, table: str, columns: list[str]) -> pa.Table:
        return pa.table({name: self.rows[name] for name in columns})


def values(name: str, rows: dict[str, list[object]] = ROWS) -> list[float | None]:
    view: Any = Described(rows)
    found = column_values(name, "compare.variants.x", DATA, view)
    return [None if np.isnan(value) else float(value) for value in found]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("b", [2, 4, 6]),
        ("epilepsy", [1, None, 0]),
        ("volume_ml", [1.5, 2.5, None]),
        ("signs.island_sign", [0, None, 1]),
        ("signs.density_cv", [None, None, 0.25]),
        ("locations.region=lobar", [0, None, 1]),
        ("locations.region=deep", [1, None, 0]),
    ],
)
def test_each_row_has_its_own_value_and_nothing_where_there_is_none(name: str, expected: list[float | None]) -> None:
    assert values(name) == expected


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "etiology",
            "no column of numbers 'etiology'; beside the features there are epilepsy, volume_ml, and locations.COLUMN",
        ),
        ("signs.island_sgn", "did you mean 'island_sign'?"),
        ("locations.region", "table locations has no column of numbers 'region'"),
        ("signs.island_sign=yes", "table signs has no column of words 'island_sign'"),
        ("signs.roi_key=x", "no column of words 'roi_key'"),
        ("signs.sequence", "no column of numbers 'sequence'"),
    ],
)
def test_what_is_none_is_told_with_what_there_is(name: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        values(name)
    assert caught.value.kind == "no_such_column"
    assert told in caught.value.message


def test_outlines_that_nobody_described_are_told_how_they_are() -> None:
    with pytest.raises(InputError, match=r"describe=\[signs\]"):
        values("signs.island_sign", {name: column[2:] for name, column in ROWS.items()})
