"""Rows to score as pandas has them, to Arrow and back: in the same order, under the same index."""

from typing import TYPE_CHECKING, TypeGuard

import pyarrow as pa

from cvtbatch.dlrn.model import FrozenModel
from cvtbatch.dlrn.scoring import IDENTITY, SpecIds, needed_columns, require_columns
from cvtbatch.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def is_frame(rows: object) -> "TypeGuard[pd.DataFrame]":
    """Say whether rows are a pandas DataFrame, without loading pandas for those who have none."""
    return any(f"{base.__module__}.{base.__name__}".startswith("pandas.") for base in type(rows).__mro__) and hasattr(
        rows, "columns"
    )


def to_table(model: FrozenModel, rows: "pa.Table | pd.DataFrame") -> pa.Table:
    """Return rows to score as a table; of a DataFrame only the columns that scoring looks at, null for NaN.

    Raises:
        InputError: "bad_argument": they are neither; "missing_column"; "bad_column": a column is there twice, or holds values of
            several kinds.
    """
    if isinstance(rows, pa.Table):
        return rows
    if not is_frame(rows):
        raise InputError(
            "bad_argument", f"rows to score are an Arrow table or a pandas DataFrame, not a {type(rows).__name__}"
        )
    require_columns(model, map(str, rows.columns))
    looked_at = [*IDENTITY, *SpecIds.__dataclass_fields__, *needed_columns(model)]
    return pa.table({name: _column(rows, name) for name in dict.fromkeys(looked_at) if name in rows.columns})


def _column(frame: "pd.DataFrame", name: str) -> pa.Array:
    column = frame[name]
    if column.ndim != 1:
        raise InputError("bad_column", f"the table has column {name} {column.shape[1]} times")
    try:
        return pa.array(column, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError):
        raise InputError(
            "bad_column", f"column {name} holds values of several kinds, or none that can be scored"
        ) from None


def to_frame(scores: pa.Table, rows: "pd.DataFrame") -> "pd.DataFrame":
    """Return scores under the index of the rows that they are of; NaN or None where something cannot be computed."""
    frame: pd.DataFrame = scores.to_pandas()
    return frame.set_index(rows.index)
