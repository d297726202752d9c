"""Rows that a run holds until it appends them, whole batches at a time: it alone appends, its workers return values."""

import datetime
import time
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from cvtbatch import contracts
from cvtbatch.pipelines.extraction.case_result import Row
from cvtbatch.pipelines.extraction.set_settings import require_columns
from cvtbatch.pipelines.shared.run_log import RunLog
from cvtbatch.spec import Spec
from cvtbatch.store import FeatureStore

# Order of a batch: a row is never there before the rows that it stands on, nor a value before what an audit said of it.
BATCH_ORDER = ("volumes", "cases", "rois", "outlines", "regions", "failures", "radiomics", "embeddings")
# Bytes of rows that are held before they are committed, however few cases they are.
HELD_BYTES = 40 * 2**20
# What a value takes as a Python object.
VALUE_BYTES = 100


def batch_order(sets: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the tables of a batch in order; those of feature sets and descriptions come with the study's features."""
    place = BATCH_ORDER.index(contracts.RADIOMICS) + 1
    return (*BATCH_ORDER[:place], *sets, *BATCH_ORDER[place:])


def bookkeeping(run_id: str) -> Row:
    """Return the columns of every row that say who appended it, and when."""
    return {"run_id": run_id, "recorded_at": datetime.datetime.now(datetime.UTC)}


def spec_row(spec: Spec, run_id: str) -> Row:
    """Return the row of table `specs` that keeps a specification."""
    return {
        "spec_id": spec.spec_id,
        "kind": spec.kind,
        "parent_id": spec.parent_id,
        "settings": spec.settings,
        **bookkeeping(run_id),
    }


class RowBatch:
    """Holds rows, and appends them table by table once they are many, old or heavy.

    Args:
        log: told each commit.
        most_items: cases or outlines whose rows are held at most.
        most_seconds: how long rows are held at most.
        sets: specifications of feature sets, by their tables.
        descriptions: tables of what else describes outlines.

    Attributes:
        appended: rows that were appended since the run began, by table.
        commits: appends to tables.
    """

    def __init__(
        self,
        store: FeatureStore,
        run_id: str,
        log: RunLog,
        most_items: int,
        most_seconds: float,
        sets: Mapping[str, Spec] = MappingProxyType({}),
        descriptions: Sequence[str] = (),
    ) -> None:
        self._store, self._run_id, self._log = store, run_id, log
        self._most_items, self._most_seconds = most_items, most_seconds
        self._unclaimed = dict(sets)
        self._order = batch_order((*sets, *descriptions))
        self._rows: dict[str, list[Row]] = {name: [] for name in self._order}
        self._items = 0
        self._committed_at = time.monotonic()
        self.appended = dict.fromkeys(self._order, 0)
        self.commits = 0

    def hold(self, table: str, rows: Iterable[Row]) -> None:
        """Take rows of a table, without book-keeping, into the batch."""
        self._rows[table].extend(rows)

    def count_item(self) -> None:
        """Take note that all rows of one more case or outline are in the batch."""
        self._items += 1

    def commit_if_due(self) -> None:
        """Append the batch if it is large, old or heavy.

        Raises:
            StorageError: as `commit`.
        """
        late = time.monotonic() - self._committed_at >= self._most_seconds
        held = sum(len(rows) * _row_bytes(rows[0]) for rows in self._rows.values() if rows)
        if late or held >= HELD_BYTES or self._items >= self._most_items:
            self.commit()

    def commit(self) -> None:
        """Append the batch, table by table, in `batch_order`.

        Raises:
            StorageError: a table cannot be written; its rows and those of the tables after it are still held.
            InputError: "set_taken": another run took the name of a feature set for other columns since this one began.
        """
        appended: dict[str, int] = {}
        columns = bookkeeping(self._run_id)
        for name in self._order:
            rows = self._rows[name]
            for row in rows:
                row.update(columns)
            if rows:
                self._claim(name)
                appended[name] = self._store.table(name).append(rows)
                self.appended[name] += appended[name]
                self._rows[name] = []
                self.commits += 1
        if appended:
            self._log.write("info", "committed", cases=self._items, rows=appended)
        self._items = 0
        self._committed_at = time.monotonic()

    def _claim(self, table: str) -> None:
        """Take the name of a feature set with its first rows: a set that never has any leaves it to another file."""
        if (spec := self._unclaimed.get(table)) is not None:
            self._store.table("specs").append([spec_row(spec, self._run_id)])
            require_columns(self._store, [spec])
            self._store.create_tables()
            del self._unclaimed[table]


def _row_bytes(row: Row) -> int:
    """Return what a row takes in memory, the features and embeddings that it has as vectors included."""
    vectors = (value.nbytes for value in row.values() if isinstance(value, np.ndarray))
    return VALUE_BYTES * len(row) + sum(vectors)
