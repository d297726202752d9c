"""Rows in another order, and some of them: also of more embeddings than the offsets of one Arrow array count, 2**31 numbers.

Arrow puts all of a column into one array before it takes from it, which fails beyond that: a million embeddings of 2048 numbers.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Numbers that the lists of one array may have together.
MOST_NUMBERS = int(np.iinfo(np.int32).max)


def take_rows(rows: pa.Table, places: pa.Array, most: int = MOST_NUMBERS) -> pa.Table:
    """Return the rows at some places, in their order; null where a place is.

    Args:
        most: numbers that the lists of one array of the result have together.
    """
    lists = [column for column in rows.columns if pa.types.is_list(column.type)]
    widest = max((pc.max(pc.list_value_length(column)).as_py() or 0 for column in lists), default=0)
    if widest * max(rows.num_rows, len(places)) <= most:
        return rows.take(places)
    at_once = max(most // widest, 1)
    parts = [_taken(rows, places.slice(start, at_once)) for start in range(0, len(places), at_once)]
    return pa.concat_tables([rows.schema.empty_table(), *parts])


def sort_rows(rows: pa.Table, key: Sequence[str], most: int = MOST_NUMBERS) -> pa.Table:
    """Return rows in ascending order of some columns; arguments as for `take_rows`."""
    order = pc.sort_indices(rows.select(list(dict.fromkeys(key))), [(column, "ascending") for column in key])
    return take_rows(rows, order, most)


def _taken(rows: pa.Table, places: pa.Array) -> pa.Table:
    """Return the rows at some places, of which those in the same batch are taken together: no array has more than is wanted."""
    needed = np.unique(places.drop_null().to_numpy())
    held = pa.Table.from_batches(_at(rows, needed), rows.schema)
    return held.take(pc.index_in(places, value_set=pa.array(needed, places.type)))


def _at(rows: pa.Table, places: np.ndarray[tuple[int], np.dtype[np.integer]]) -> Iterator[pa.RecordBatch]:
    start = 0
    for batch in rows.to_batches():
        first, stop = np.searchsorted(places, [start, start + batch.num_rows])
        if first < stop:
            yield batch.take(pa.array(places[first:stop] - start))
        start += batch.num_rows
