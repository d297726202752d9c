"""Data files of a table, read in their order: while one's rows are looked at, those after it are read."""

import functools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.contracts import TableContract
from cvtbatch.store.checked_files import Query
from cvtbatch.store.data_files import StoredRows
from cvtbatch.store.filters import require_fitting
from cvtbatch.store.location import Location

# Files that are read at a time where all their rows are wanted at once.
FILES_AT_ONCE = 8
# And the most on a disk, that answers at once: of more threads each waits for the interpreter, which they take from one another.
THREADS_ON_DISK = 2
# Files of whose rows little is left, that may wait to be taken: so threads go on while the interpreter holds up who takes them.
REDUCED_AHEAD = 32
# Of files that are read over and over, what so many columns of them are said to be stays in memory: some 3 KB each.
KEPT_COLUMNS = 2**14
Result = TypeVar("Result")


class OpenFiles:
    """Rows of some data files, of one reader at a time.

    Args:
        paths: as `Location.filesystem` takes them.
        where: which rows; by default all.
        schema: that of the table as it is stored, if not its contract's.

    Raises:
        InputError: the filter does not fit.
    """

    def __init__(
        self,
        location: Location,
        contract: TableContract,
        paths: Sequence[str],
        where: pc.Expression | None = None,
        schema: pa.Schema | None = None,
    ) -> None:
        self._open = functools.partial(StoredRows, location, contract)
        self._most = THREADS_ON_DISK if location.scheme == "file" else FILES_AT_ONCE
        # Its threads begin with the first file, and end with this: to begin some for each look takes longer than many a look.
        self._pool = ThreadPoolExecutor(self._most)
        self._paths, self._where = paths, where
        self._schema = contract.arrow() if schema is None else schema
        self._kept: Mapping[str, StoredRows] = {}
        require_fitting(where, self._schema)

    def stay_open(self) -> bool:
        """Say whether `keep` keeps the files: not where what they say of their columns takes too much memory."""
        return len(self._paths) * len(self._schema) <= KEPT_COLUMNS

    def keep(self) -> Self:
        """Open the files now, to be read over and over, if they may stay open."""
        if self.stay_open():
            self._kept = dict(zip(self._paths, self._ahead(self._open, self._most), strict=True))
        return self

    def parts(self, columns: Sequence[str], together: int) -> Iterator[pa.Table]:
        """Yield some columns of the rows, file by file, one more than so many of which are in work at a time."""
        return self._made(columns, min(together, self._most), lambda rows: rows)

    def reduced(self, columns: Sequence[str], work: Callable[[pa.Table], Result]) -> Iterator[Result]:
        """Yield what is made of some columns of the rows, file by file, by the threads that read them: much less than the rows."""
        return self._made(columns, REDUCED_AHEAD, work)

    def _made(self, columns: Sequence[str], together: int, work: Callable[[pa.Table], Result]) -> Iterator[Result]:
        # An expression does not tell which columns it names, but its text does; a column too many only costs time.
        named, asked = "" if self._where is None else str(self._where), {*columns}
        needed = [name for name in self._schema.names if name in asked or name in named]
        query = Query(pa.schema([self._schema.field(name) for name in needed]), self._where)

        def read(path: str) -> Result:
            rows = (self._kept.get(path) or self._open(path)).read(query)
            return work((rows if self._where is None else rows.filter(self._where)).select(list(columns)))

        return self._ahead(read, together)

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Return some columns of all rows."""
        parts = list(self.parts(columns, FILES_AT_ONCE))
        if not parts:
            return pa.schema([self._schema.field(name) for name in columns]).empty_table()
        return pa.concat_tables(parts)

    def _ahead(self, work: Callable[[str], Result], together: int) -> Iterator[Result]:
        """Yield what is made of the files, in their order; so many are in work, or wait, while the one before them is looked at."""
        coming: deque[Future[Result]] = deque()
        for path in self._paths:
            coming.append(self._pool.submit(work, path))
            if len(coming) > together:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
