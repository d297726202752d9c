"""Rows to score as pandas has them, to Arrow and back: in the same order, under the same index."""

import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeGuard

import numpy as np
import pyarrow as pa

from cvtbatch.dlrn.clinical_columns import numbers_of
from cvtbatch.dlrn.model import FrozenModel
from cvtbatch.dlrn.pooling import Pooling
from cvtbatch.dlrn.scoring import IDENTITY, SpecIds, needed_columns, require_columns
from cvtbatch.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


EMBEDDING = Pooling.LARGEST.column
# A number of an embedding, in a column of its own.
_NUMBERED = re.compile(r"emb_\d{4}")


class RoundedWarning(UserWarning):
    """Values to score were rounded: they hold fewer bits than the store's, on which the model was fitted."""


def is_frame(rows: object) -> "TypeGuard[pd.DataFrame]":
    """Say whether rows are a pandas DataFrame, without loading pandas for those who have none."""
    return any(f"{base.__module__}.{base.__name__}".startswith("pandas.") for base in type(rows).__mro__) and hasattr(
        rows, "columns"
    )


def to_table(model: FrozenModel, specs: SpecIds, rows: "pa.Table | pd.DataFrame") -> pa.Table:
    """Return rows to score as a table; of a DataFrame only the columns that scoring looks at, null for NaN.

    The largest slice's embedding may be one column `embedding` of lists, or a column for each number, `emb_0000` ...: these are put
    together by name, wherever they stand; a row that has none of its numbers has no embedding. A pooled one is a column of lists.

    Raises:
        InputError: "bad_argument": they are neither; "missing_column"; "bad_column": a column is there twice, holds values of
            several kinds, or the embedding is there in both forms.
    """
    if not isinstance(rows, pa.Table) and not is_frame(rows):
        whose = type(rows).__module__.partition(".")[0]
        raise InputError(
            "bad_argument",
            f"rows to score are an Arrow table or a pandas DataFrame, not a {type(rows).__name__} of {whose}"
            + "; its to_arrow() gives a table" * hasattr(rows, "to_arrow"),
        )
    names = [str(name) for name in (rows.column_names if isinstance(rows, pa.Table) else rows.columns)]
    spread = _spread_among(names, model.loadings.shape[0]) if model.pooling is Pooling.LARGEST else []
    require_columns(model, [*names, EMBEDDING] if spread else names)
    if not isinstance(rows, pa.Table):
        looked_at = [*IDENTITY, *specs.by_column(), *needed_columns(model), *spread]
        rows = pa.table({name: _column(rows, name) for name in dict.fromkeys(looked_at) if name in rows.columns})
    _warn_of_rounding(model, rows, spread)
    return _together(rows, spread) if spread else rows


def _spread_among(names: Sequence[str], length: int) -> list[str]:
    """Return the columns that hold an embedding's numbers one by one, in their order; none where it is one column.

    Raises:
        InputError: "bad_column": it is there in both forms, twice, or with more numbers; "missing_column": with fewer.
    """
    own = [name for name in names if _NUMBERED.fullmatch(name)]
    if not own:
        return []
    if EMBEDDING in names:
        raise InputError(
            "bad_column", f"the embedding is there twice, as {EMBEDDING} and as {own[0]} ...: leave out one"
        )
    spread = [f"emb_{number:04d}" for number in range(length)]
    if missing := sorted(set(spread) - set(own)):
        raise InputError(
            "missing_column",
            f"the bundle takes embeddings of {length} numbers, {spread[0]} to {spread[-1]}; {len(missing)} of these columns are "
            f"missing, the first is {missing[0]}",
        )
    if more := sorted(set(own) - set(spread)):
        raise InputError(
            "bad_column", f"column {more[0]}: the bundle takes embeddings of {length} numbers, to {spread[-1]}"
        )
    if twice := [name for name in spread if own.count(name) > 1]:
        raise InputError("bad_column", f"the table has column {twice[0]} {own.count(twice[0])} times")
    return spread


def _together(table: pa.Table, spread: Sequence[str]) -> pa.Table:
    """Return a table with the embedding's numbers as one column of lists, null where all of them are."""
    values = np.stack([numbers_of(table, name) for name in spread], axis=1)
    lists = pa.FixedSizeListArray.from_arrays(
        pa.array(values.astype(np.float32).ravel()), len(spread), mask=pa.array(np.isnan(values).all(axis=1))
    )
    return table.drop_columns(list(spread)).append_column(EMBEDDING, lists)


def _warn_of_rounding(model: FrozenModel, table: pa.Table, spread: Sequence[str]) -> None:
    """Warn of values that hold fewer bits than those that the model was fitted on."""
    kinds = {name: _bits_of(table, name) for name in (*model.radiomics, *(spread or [model.pooling.column]))}
    enough = {**dict.fromkeys(kinds, 32), **dict.fromkeys(model.radiomics, 64)}
    if rounded := [name for name, bits in kinds.items() if bits < enough[name]]:
        warnings.warn(
            f"{len(rounded)} columns hold fewer bits than a store's (float{enough[rounded[0]]}), the first is {rounded[0]} "
            f"(float{kinds[rounded[0]]}): votes may differ from those of the store's own rows",
            RoundedWarning,
            stacklevel=4,
        )


def _bits_of(table: pa.Table, name: str) -> int:
    """Return how many bits a column's numbers have; 64 of what is no floating point."""
    kind = table.schema.field(table.schema.get_all_field_indices(name)[0]).type
    kind = getattr(kind, "value_type", kind)
    return int(kind.bit_width) if pa.types.is_floating(kind) else 64


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
