"""Rows of a table in an order of their own, a part of them at a time, with all of many columns.

A file's footer tells of every column, and of two thousand it takes longer to read than the values of a few. So that each file is
opened about as often as its rows need, parts follow the wanted order, and the files in which a part's rows lie are read for it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cvtbatch.errors import InternalError

# Rows of a part, or as many as the largest file has: of fewer, most that are read with them would be read for nothing.
PART_ROWS = 2**14
# How many of the rows that are read for all parts may be for nothing: so many times those that are wanted.
MOST_READ = 3


@dataclass(frozen=True, slots=True)
class PlacedRows:
    """Some rows of files, in an order of their own.

    Attributes:
        counts: rows by file, in stored order.
        places: of the rows among all of them, in the order in which they are wanted.
    """

    counts: Mapping[str, int]
    places: npt.NDArray[np.int64]

    def scattered(self) -> bool:
        """Say whether their order is so much another than the stored one that rows of all files would be read over and over."""
        sizes = np.array(list(self.counts.values()), np.int64)
        return sum(int(sizes[touched].sum()) for _, touched in self._parts()) > MOST_READ * max(1, len(self.places))

    def read(
        self,
        columns: Sequence[str],
        open_files: Callable[[Sequence[str]], Callable[[Sequence[str]], pa.Table]],
        most_bytes: int,
    ) -> Iterator[pa.Table]:
        """Yield part after part, in the wanted order, of each all columns, of float64, some of these at a time.

        Args:
            open_files: opens some files, and returns what returns some columns of their rows, in stored order.
            most_bytes: that this shall return.

        Raises:
            InternalError: "rows_missing": the files have not the rows that they are said to have.
        """
        files, sizes = list(self.counts), np.array(list(self.counts.values()), np.int64)
        for own, touched in self._parts():
            starts = np.cumsum(sizes)[touched] - sizes[touched]
            here = np.cumsum(sizes[touched]) - sizes[touched]
            whose = np.searchsorted(starts, own, side="right") - 1
            local = pa.array(own - starts[whose] + here[whose])
            read, nulls = open_files([files[file] for file in touched]), pa.nulls(len(own), pa.float64())
            together = max(1, most_bytes // (8 * int(sizes[touched].sum())))
            for first in range(0, len(columns), together):
                rows = read(columns[first : first + together])
                if rows.num_rows != sizes[touched].sum():
                    raise InternalError("rows_missing", f"files of {sizes[touched].sum()} rows have {rows.num_rows}")
                yield pa.table([_taken(column, local, nulls) for column in rows.columns], rows.column_names)

    def _parts(self) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """Yield the places of every part, and the numbers of the files that they lie in, ascending."""
        sizes = np.array(list(self.counts.values()), np.int64)
        together, ends = max(PART_ROWS, int(sizes.max(initial=0))), np.cumsum(sizes)
        for start in range(0, len(self.places), together):
            own = self.places[start : start + together]
            yield own, np.unique(np.searchsorted(ends, own, side="right"))


def _taken(column: pa.ChunkedArray, places: pa.Array, nulls: pa.Array) -> pa.Array:
    """Return some values of a column; where it has none, these nulls, so that no memory is moved for them."""
    return nulls if column.null_count == len(column) else column.take(places).combine_chunks()
