"""One table of the store: a Delta table to which rows are appended, each once, however many writers there are.

Every append carries the table's shared application transaction, so that of two coordinators that started from one version one
conflicts. On conflict the table is looked at again, what is there already is dropped, and the rest is tried anew: a batch that
was committed but not acknowledged does no harm. The transaction's number is the row's `sequence`, unique to an append and never
changed by compaction: "rows after N" is all that a writer has to read to know what others did, however the files are cut.
"""

import datetime
import functools
import operator
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from cvtbatch.contracts import TableContract
from cvtbatch.errors import StorageError
from cvtbatch.store.arrow_rows import Row, to_arrow
from cvtbatch.store.data_files import EXACT_IN_LOG, DataFile, write_data_files
from cvtbatch.store.fingerprints import fingerprints_of, newest_of
from cvtbatch.store.known_rows import KnownRows
from cvtbatch.store.location import Location
from cvtbatch.store.log_heads import Heads
from cvtbatch.store.open_files import OpenFiles
from cvtbatch.store.placed_rows import PlacedRows
from cvtbatch.store.storage_errors import storage_errors
from cvtbatch.store.table_log import APP_ID, ATTEMPTS, TableLog

# Rows that are looked at, and files that are read, at a time where a table is gone through.
ROWS_TOGETHER = 8192
FILES_TOGETHER = 4
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Pin:
    """A table as it stood at one moment: the rows of a version whose sequence is not larger.

    Tables grow by appends that are numbered, so the sequence alone says what was there; the version says where to look. After an
    erasure a snapshot names a later version, and its sequence keeps the rows that came since out of it.
    """

    version: int
    sequence: int


class Table:
    """A table, by its contract; `append` is for coordinators alone."""

    def __init__(self, location: Location, contract: TableContract, heads: Heads) -> None:
        self.contract = contract
        self.log = TableLog(location, contract, heads)
        self._location = location
        # Data files of versions that were read, by path, and the number of the last transaction. Rows are found again by their
        # places in stored order, and two handles of one version may list its files in two orders.
        self._pinned: dict[int, tuple[tuple[str, ...], int]] = {}
        self._known = KnownRows(contract)

    def files_at(self, version: int) -> list[str]:
        """Return the data files of a version, as keys below the store's root."""
        with storage_errors(f"reading version {version} of table {self.contract.name}"):
            return [path.removeprefix(f"{self._location.path}/") for path in self._files(self.log.load(version))]

    def pin(self) -> Pin | None:
        """Return the table as it stands now, or None where it was never created."""
        delta = self.log.newest()
        return None if delta is None else Pin(int(delta.version()), self.log.sequence(delta))

    def dataset(self) -> ds.Dataset:
        """Return all rows of the newest version, for other readers: none is in memory yet, and none is checked."""
        files, schema = self._files_of(None), self.contract.arrow()
        if not files:
            return ds.dataset(schema.empty_table())
        folders = ds.partitioning(pa.schema([schema.field(name) for name in self.contract.partition_by]), flavor="hive")
        with storage_errors(f"reading table {self.contract.name}"):
            return ds.dataset(
                files,
                schema=schema,
                format="parquet",
                filesystem=self._location.filesystem(),
                partitioning=folders,
                partition_base_dir=self._location.data_path(self.log.uri),
            )

    def _files_of(self, pin: Pin | None, predicate: str | None = None) -> Sequence[str]:
        """Return the data files of the newest or a pinned version; predicate as for `_files`."""
        if pin is None:
            delta = self.log.newest()
            return [] if delta is None else self._files(delta, predicate)
        with storage_errors(f"reading version {pin.version} of table {self.contract.name}"):
            return self._at(pin)[0] if predicate is None else self._files(self.log.at(pin.version), predicate)

    def _at(self, pin: Pin) -> tuple[Sequence[str], int]:
        """Return the data files of a pinned version, and the number of its last transaction."""
        if pin.version not in self._pinned:
            delta = self.log.at(pin.version)
            self._pinned[pin.version] = tuple(self._files(delta)), int(delta.transaction_version(APP_ID) or 0)
        return self._pinned[pin.version]

    def _until(self, pin: Pin | None) -> pc.Expression | None:
        """Return the filter of a pinned version's rows; None where no row is newer."""
        if pin is None:
            return None
        with storage_errors(f"reading version {pin.version} of table {self.contract.name}"):
            _, newest_sequence = self._at(pin)
        return None if newest_sequence <= pin.sequence else pc.field("sequence") <= pin.sequence

    def _files(self, delta: DeltaTable, predicate: str | None = None) -> list[str]:
        """Return the data files; with a predicate, those whose statistics do not exclude it."""
        return [self._location.data_path(uri) for uri in delta.file_uris(file_pruning_predicate=predicate)]

    def path(self, path: str) -> str:
        """Return where a data file lies that the log names by its path below the table's folder."""
        return self._location.data_path(f"{self.log.uri}/{path}")

    def written_at(self) -> datetime.datetime | None:
        """Return when somebody last wrote to the table, by that writer's clock; None where it was never created."""
        delta = self.log.newest()
        if delta is None:
            return None
        with storage_errors(f"looking at the log of table {self.contract.name}"):
            [newest] = delta.history(1)
        return datetime.datetime.fromtimestamp(newest["timestamp"] / 1000, datetime.UTC)

    def count(self) -> int:
        """Return how many rows there are, current or not, as the log has it."""
        delta = self.log.newest()
        rows = [] if delta is None else pa.table(delta.get_add_actions()).column("num_records").to_pylist()
        if None in rows:
            raise self.log.damaged("it does not say how many rows a file has")
        return sum(rows)

    def counts(self, column: str) -> Counter[str]:
        """Return how many rows, current or not, have each value of a text column.

        The log tells of files in which all rows agree, as those of one append do in a specification; only others are read.
        """
        delta = self.log.newest()
        counts: Counter[str] = Counter()
        mixed = []
        for file in [] if delta is None else pa.table(delta.get_add_actions(flatten=True)).to_pylist():
            least, most = file.get(f"min.{column}"), file.get(f"max.{column}")
            # The log cuts long texts.
            if least is not None and least == most and len(least) < EXACT_IN_LOG and file[f"null_count.{column}"] == 0:
                counts[least] += file["num_records"]
            else:
                mixed.append(self.path(file["path"]))
        if mixed:
            counts += counted(self.scan(mixed, [column])[column])
        return counts

    def in_order(
        self, columns: Sequence[str], places: npt.NDArray[np.int64], pin: Pin, most_bytes: int
    ) -> Iterator[pa.Table] | None:
        """Return rows of a pinned version in an order of their own, a part of rows and columns at a time.

        None where the table has to be gone through column by column: rows are scattered over all files, or newer ones among them.

        Args:
            columns: of float64.
            places: of the rows in stored order.
            most_bytes: that are read together.
        """
        if self._until(pin) is not None:
            return None
        counts = self._rows_by_file(pin)
        rows = PlacedRows({file: counts[file] for file in self._files_of(pin)}, places)
        return (
            None if rows.scattered() else rows.read(columns, lambda files: self._opened(files).keep().read, most_bytes)
        )

    def in_groups(self, columns: Sequence[str], pin: Pin, most_bytes: int) -> Iterator[pa.Table]:
        """Yield all rows of a pinned version in stored order, some of the columns at a time, at least one.

        Args:
            most_bytes: that they take together, by what those of the first file take; twice as much where for every group all
                files are opened anew.
        """
        files, where = self._files_of(pin), self._until(pin)
        if not files or not columns:
            return
        sample = self._opened(files[:1], where).read(columns)
        opened = self._opened(files, where)
        most_bytes *= 1 if opened.stay_open() else 2
        room = most_bytes * sample.num_rows // max(1, sum(self._rows_by_file(pin).values()))
        sizes = {column: sample[column].nbytes for column in columns}
        del sample
        opened.keep()
        for group in _groups(sizes, room):
            yield opened.read(group)
            # Else the allocator keeps what the columns were in.
            pa.default_memory_pool().release_unused()

    def _rows_by_file(self, pin: Pin) -> dict[str, int]:
        """Return how many rows the files of a pinned version have, as the log has it."""
        actions = pa.table(self.log.at(pin.version).get_add_actions()).select(["path", "num_records"]).to_pylist()
        return {self.path(action["path"]): action["num_records"] for action in actions}

    def _opened(
        self, files: Sequence[str], where: pc.Expression | None = None, schema: pa.Schema | None = None
    ) -> OpenFiles:
        """Return rows of data files; arguments as for `OpenFiles`."""
        return OpenFiles(self._location, self.contract, files, where, schema)

    def version_at(self, moment: datetime.datetime) -> int | None:
        """Return the version that stood at a moment (the first, before there was one), or None where there is no table."""
        delta = self.log.newest()
        if delta is None:
            return None
        with storage_errors(f"looking for a version of table {self.contract.name}"):
            then = self.log.load()
            then.load_as_version(moment)
            return int(then.version())

    def read(
        self,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
        pin: Pin | None = None,
        roi_keys: pa.Array | None = None,
    ) -> pa.Table:
        """Return rows of the newest or a pinned version; only the asked columns are read from storage.

        Args:
            roi_keys: of these outlines alone, at least one; only files in which the log says that they may be are opened.
        """
        if roi_keys is None:
            return self.scan(self._files_of(pin), columns, _all([where, self._until(pin)]))
        least, most = pc.min_max(roi_keys).as_py().values()
        files = self._files_of(pin, f"roi_key >= {_literal(least)} AND roi_key <= {_literal(most)}")
        # The bounds too, by which parts of a file are passed over.
        key = pc.field("roi_key")
        wheres = [key >= least, key <= most, key.isin(roi_keys), where, self._until(pin)]
        return self.scan(files, columns, _all(wheres))

    def scan(
        self,
        files: Sequence[str],
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
        schema: pa.Schema | None = None,
    ) -> pa.Table:
        """Return rows of some data files, in their order.

        Args:
            schema: that of the table as it is stored, if not its contract's.
        """
        schema = self.contract.arrow() if schema is None else schema
        return self._opened(files, where, schema).read(schema.names if columns is None else columns)

    def stream(
        self,
        columns: Sequence[str],
        where: pc.Expression | None = None,
        pin: Pin | None = None,
        run_ids: Sequence[str] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield rows of the newest or a pinned version in stored order, some at a time; few more than these are in memory.

        Args:
            run_ids: of these runs alone, at least one; only files in which the log says that they may be are opened.
        """
        predicate = None if run_ids is None else " OR ".join(f"run_id = {_literal(run_id)}" for run_id in run_ids)
        of_runs = None if run_ids is None else pc.field("run_id").isin(pa.array(run_ids, pa.string()))
        return self._stream(self._files_of(pin, predicate), columns, _all([of_runs, where, self._until(pin)]))

    def _stream(
        self, files: Sequence[str], columns: Sequence[str], where: pc.Expression | None
    ) -> Iterator[pa.RecordBatch]:
        for rows in self._opened(files, where).parts(columns, FILES_TOGETHER):
            yield from (batch for batch in rows.to_batches(max_chunksize=ROWS_TOGETHER) if batch.num_rows)

    def reduced(
        self, columns: Sequence[str], where: pc.Expression | None, pin: Pin | None, work: Callable[[pa.Table], Result]
    ) -> Iterator[Result]:
        """Yield what is made of rows, file by file, as for `stream`, by the threads that read them."""
        files, where = self._files_of(pin), _all([where, self._until(pin)])
        return self._opened(files, where).reduced(columns, work)

    def current(self, columns: Sequence[str] | None = None, pin: Pin | None = None) -> pa.Table:
        """Return the newest row of every key."""
        key = list(self.contract.key)
        wanted = list(columns) if columns is not None else self.contract.arrow().names
        rows = self.read(list(dict.fromkeys([*wanted, *key, "sequence"])), pin=pin)
        if self.contract.appends == "when_changed":
            rows = rows.take(newest(rows, key))
        return rows.select(wanted)

    def append(self, rows: Sequence[Row]) -> int:
        """Append the rows that are new: a key's only row, or one that differs from the key's newest in its state.

        Args:
            rows: values by column, `sequence` left out; absent columns are null; features may be a vector (`FEATURES`). Of several
                rows of one key the last counts.

        Returns:
            how many rows were appended.

        Raises:
            StorageError: the store cannot be written, or other writers never left room.
        """
        for attempt in range(ATTEMPTS):
            delta = self._refresh()
            fresh, states = self._known.fresh(rows)
            if not fresh:
                return 0
            sequence = self.log.sequence(delta) + 1
            try:
                self._commit(delta, fresh, sequence)
            except CommitFailedError:
                # Another writer, or a commit of ours that was not acknowledged: look again.
                time.sleep(random.uniform(0.005, 0.05) * (attempt + 1))
                continue
            self._known.add(states, sequence)
            return len(fresh)
        raise StorageError("store_busy", f"table {self.contract.name}: {ATTEMPTS} appends met other writers; run again")

    def _commit(self, delta: DeltaTable, rows: Sequence[Row], sequence: int) -> None:
        """Write rows, and commit them as the version after that of `delta`.

        Raises:
            CommitFailedError: another writer was first, or it is not known whether they were committed.
        """
        table = to_arrow(rows, self.contract, sequence)
        try:
            self.log.commit(delta, self.write(table), sequence=sequence)
        except CommitFailedError:
            raise
        except Exception:
            self.log.forget()
            with storage_errors(f"appending to table {self.contract.name}"):
                raise

    def write(self, rows: pa.Table) -> list[DataFile]:
        """Write rows, with their sequences, into data files that no commit names yet."""
        return write_data_files(self._location, self.contract, rows)

    def _refresh(self) -> DeltaTable:
        """Return the newest version, its rows known; only those that were not seen before are read."""
        delta = self.log.newest()
        if delta is None:
            raise StorageError("store_incomplete", f"table {self.contract.name} is missing from the store")
        last = self.log.sequence(delta)
        seen = self._known.sequence
        if last > seen:
            with storage_errors(f"looking for new rows of table {self.contract.name}"):
                unseen = self._files(delta, f"sequence > {seen}")
            self._known.learn(self._stream(unseen, self._known.columns, pc.field("sequence") > seen), last)
        return delta


def _groups(sizes: Mapping[str, int], room: int) -> Iterator[list[str]]:
    """Yield columns, in order, as many together as there is room for, at least one."""
    group: list[str] = []
    for column, size in sizes.items():
        if group and sum(sizes[other] for other in group) + size > room:
            yield group
            group = []
        group.append(column)
    if group:
        yield group


def _all(wheres: Sequence[pc.Expression | None]) -> pc.Expression | None:
    """Return the filter of rows that pass all of some filters."""
    given = [where for where in wheres if where is not None]
    return functools.reduce(operator.and_, given) if given else None


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def newest(rows: pa.Table, key: Sequence[str]) -> pa.Array:
    """Return the indices of the newest row of every key, in order; `rows` have their sequence."""
    return pa.array(newest_of(fingerprints_of(rows, key), rows["sequence"].to_numpy()))


def counted(texts: pa.ChunkedArray) -> Counter[str]:
    """Return how many rows have each text of a column."""
    return Counter({entry["values"]: entry["counts"] for entry in pc.value_counts(texts).to_pylist()})


def equal_to(values: Mapping[str, str]) -> pc.Expression:
    """Return the filter of rows that have these values in these columns."""
    return functools.reduce(operator.and_, (pc.field(name) == value for name, value in values.items()))
