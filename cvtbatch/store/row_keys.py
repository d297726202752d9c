"""Rows of tables by what some of their columns say together: as one text, and which of them others have too."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc


def among(rows: pa.Table, others: pa.Table, columns: Sequence[str]) -> pa.ChunkedArray:
    """Say which rows have, in some columns, the values of one of the other rows."""
    return pc.is_in(joined(rows, columns), value_set=joined(others, columns).combine_chunks())


def joined(rows: pa.Table, columns: Sequence[str]) -> pa.ChunkedArray:
    """Return some text columns as one, which is equal where all of them are."""
    return pc.binary_join_element_wise(*(rows[column] for column in columns), "\n")


def as_text(rows: pa.Table, columns: Sequence[str]) -> pa.Array:
    """Return some columns as one text each row, which is equal where all of them are."""
    texts = pa.table([rows[column].cast(pa.string()) for column in columns], list(columns))
    return joined(texts, columns).combine_chunks()
