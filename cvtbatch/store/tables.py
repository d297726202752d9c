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
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.schema import Schema

from cvtbatch.contracts import TableContract
from cvtbatch.errors import FormatError, StorageError
from cvtbatch.key_index import KeyIndex, hashed, key_array
from cvtbatch.store.location import Location, storage_errors

APP_ID = "cvtbatch"
# How often an append that met another writer, or an error that may pass, is tried again.
APPEND_ATTEMPTS = 30
# A handle that follows a table commit by commit grows slower with each; one that is opened anew starts from the last checkpoint.
COMMITS_PER_HANDLE = 20
# Rows that are looked at, and files that are read, at a time where a table is gone through.
ROWS_TOGETHER = 8192
FILES_TOGETHER = 4
# Texts shorter than this stand whole in the statistics of the log.
EXACT_IN_LOG = 32
# What no snapshot may lose is never cleaned up behind its back.
CONFIGURATION = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
}
Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Pin:
    """A table as it stood at one moment: the rows of a version whose sequence is not larger.

    Tables grow by appends that are numbered, so the sequence alone says what was there; the version says where to look. After an
    erasure a snapshot names a later version, and its sequence keeps the rows that came since out of it.
    """

    version: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Compaction:
    """How many data files a table had, and has now."""

    files_before: int
    files_after: int


class Table:
    """A table, by its contract; `append` is for coordinators alone."""

    def __init__(self, location: Location, contract: TableContract) -> None:
        self.contract = contract
        self._location = location
        self._uri = location.table_uri(contract.name)
        self._delta: DeltaTable | None = None
        self._pinned: dict[int, DeltaTable] = {}
        self._opened_version = 0
        # Rows up to this sequence are known: the state of every key's newest.
        self._known_sequence = 0
        self._newest = KeyIndex()

    def create(self) -> None:
        """Create the table if it is not there, or add the columns that it lacks, beside others that may do the same."""
        configuration = {**CONFIGURATION, "delta.dataSkippingNumIndexedCols": str(self.contract.key_field_count())}
        empty = self.contract.arrow().empty_table()
        options = self._location.table_options()
        with storage_errors(f"creating table {self.contract.name}"):
            for attempt in range(APPEND_ATTEMPTS):
                try:
                    # Not DeltaTable.create(): its log names the folder that the store was made in.
                    write_deltalake(
                        self._uri,
                        empty,
                        mode="ignore",
                        configuration=configuration,
                        partition_by=list(self.contract.partition_by) or None,
                        storage_options=options,
                    )
                    self._add_columns()
                except DeltaError:
                    if attempt == APPEND_ATTEMPTS - 1:
                        raise
                    time.sleep(random.uniform(0.01, 0.1))
                else:
                    return

    def _add_columns(self) -> None:
        """Add the columns that the contract gained since the table was created; in older rows they are null."""
        delta = self._load()
        known = {field.name for field in delta.schema().fields}
        missing = [field for field in self.contract.arrow() if field.name not in known]
        if missing:
            delta.alter.add_columns(Schema.from_arrow(pa.schema(missing)).fields)

    def _load(self, version: int | None = None) -> DeltaTable:
        return DeltaTable(self._uri, version=version, storage_options=self._location.table_options())

    def _open(self) -> DeltaTable | None:
        """Return the table at its newest version, or None where it was never created."""
        with storage_errors(f"opening table {self.contract.name}"):
            try:
                if self._delta is not None:
                    self._delta.update_incremental()
                if self._delta is None or self._delta.version() >= self._opened_version + COMMITS_PER_HANDLE:
                    self._delta = self._load()
                    self._opened_version = self._delta.version()
            except TableNotFoundError:
                return None
            return self._delta

    def open(self) -> DeltaTable | None:
        """Return Delta's own table at its newest version, for who does more than read and append."""
        return self._open()

    def begin_log(self) -> int:
        """Write a checkpoint from which the table can be read without the log before it, and return its version."""
        delta = self._open()
        if delta is None:
            raise StorageError("store_incomplete", f"table {self.contract.name} is missing from the store")
        with storage_errors(f"writing a checkpoint of table {self.contract.name}"):
            # A commit that changes nothing: the log has to begin with a version that says nothing of its past.
            delta.alter.set_table_properties(dict(list(CONFIGURATION.items())[:1]))
            delta.create_checkpoint()
        return int(delta.version())

    def files_at(self, version: int) -> list[str]:
        """Return the data files of a version, as keys below the store's root."""
        with storage_errors(f"reading version {version} of table {self.contract.name}"):
            return [path.removeprefix(f"{self._location.path}/") for path in self._files(self._load(version))]

    def pin(self) -> Pin | None:
        """Return the table as it stands now, or None where it was never created."""
        delta = self._open()
        return None if delta is None else Pin(int(delta.version()), int(delta.transaction_version(APP_ID) or 0))

    def dataset(self, pin: Pin | None = None) -> ds.Dataset:
        """Return all rows of the newest or a pinned version, for other readers: none of them is in memory yet."""
        dataset = self._dataset(self._files_of(pin))
        return dataset if pin is None else dataset.filter(_until(pin))

    def _files_of(self, pin: Pin | None, predicate: str | None = None) -> list[str]:
        if pin is None:
            delta = self._open()
            return [] if delta is None else self._files(delta, predicate)
        with storage_errors(f"reading version {pin.version} of table {self.contract.name}"):
            if pin.version not in self._pinned:
                self._pinned[pin.version] = self._load(pin.version)
            return self._files(self._pinned[pin.version], predicate)

    def _dataset(self, files: Sequence[str]) -> ds.Dataset:
        schema = self.contract.arrow()
        if not files:
            return ds.dataset(schema.empty_table())
        folders = ds.partitioning(pa.schema([schema.field(name) for name in self.contract.partition_by]), flavor="hive")
        with storage_errors(f"reading table {self.contract.name}"):
            return ds.dataset(
                list(files),
                schema=schema,
                format="parquet",
                filesystem=self._location.filesystem(),
                partitioning=folders,
                partition_base_dir=self._location.data_path(self._uri),
            )

    def _files(self, delta: DeltaTable, predicate: str | None = None) -> list[str]:
        """Return the data files; with a predicate, those whose statistics do not exclude it."""
        return [self._location.data_path(uri) for uri in delta.file_uris(file_pruning_predicate=predicate)]

    def written_at(self) -> datetime.datetime | None:
        """Return when somebody last wrote to the table, by that writer's clock; None where it was never created."""
        delta = self._open()
        if delta is None:
            return None
        with storage_errors(f"looking at the log of table {self.contract.name}"):
            [newest] = delta.history(1)
        return datetime.datetime.fromtimestamp(newest["timestamp"] / 1000, datetime.UTC)

    def count(self) -> int:
        """Return how many rows there are, current or not, as the log has it."""
        delta = self._open()
        rows = [] if delta is None else pa.table(delta.get_add_actions()).column("num_records").to_pylist()
        if None in rows:
            raise FormatError("store_damaged", f"the log of table {self.contract.name} is not what was written")
        return sum(rows)

    def counts(self, column: str) -> Counter[str]:
        """Return how many rows, current or not, have each value of a text column.

        The log tells of files in which all rows agree, as those of one append do in a specification; only others are read.
        """
        delta = self._open()
        counts: Counter[str] = Counter()
        mixed = []
        for file in [] if delta is None else pa.table(delta.get_add_actions(flatten=True)).to_pylist():
            least, most = file.get(f"min.{column}"), file.get(f"max.{column}")
            # The log cuts long texts.
            if least is not None and least == most and len(least) < EXACT_IN_LOG and file[f"null_count.{column}"] == 0:
                counts[least] += file["num_records"]
            else:
                mixed.append(self._location.data_path(f"{self._uri}/{file['path']}"))
        if mixed:
            counts.update(self._scan(self._dataset(mixed), [column], None)[column].to_pylist())
        return counts

    def version_at(self, moment: datetime.datetime) -> int | None:
        """Return the version that stood at a moment (the first, before there was one), or None where there is no table."""
        delta = self._open()
        if delta is None:
            return None
        with storage_errors(f"looking for a version of table {self.contract.name}"):
            then = self._load()
            then.load_as_version(moment)
            return int(then.version())

    def compact(self, target_bytes: int) -> Compaction:
        """Rewrite files that are far smaller than `target_bytes` into larger ones; no row and no sequence changes.

        Safe beside readers, who keep the files of the version that they opened, and beside appends; another compaction or an
        erasure at the same time makes it start again.

        Raises:
            StorageError: the store cannot be written, or others never left room.
        """
        for attempt in range(APPEND_ATTEMPTS):
            with storage_errors(f"compacting table {self.contract.name}"):
                delta = self._load()
                try:
                    # One at a time: its memory is the target, decoded, a few times.
                    metrics = delta.optimize.compact(target_size=target_bytes, max_concurrent_tasks=1)
                except CommitFailedError:
                    time.sleep(random.uniform(0.05, 0.2) * (attempt + 1))
                    continue
                files = len(delta.file_uris())
            self._delta = None
            return Compaction(files - metrics["numFilesAdded"] + metrics["numFilesRemoved"], files)
        raise StorageError("store_busy", f"table {self.contract.name}: compaction met other writers; run again")

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
            return self._scan(self.dataset(pin), columns, where)
        least, most = pc.min_max(roi_keys).as_py().values()
        files = self._files_of(pin, f"roi_key >= {_literal(least)} AND roi_key <= {_literal(most)}")
        # The bounds too, by which parts of a file are passed over.
        key = pc.field("roi_key")
        wheres = [key >= least, key <= most, key.isin(roi_keys), where, None if pin is None else _until(pin)]
        return self._scan(self._dataset(files), columns, _all(wheres))

    def _scan(self, dataset: ds.Dataset, columns: Sequence[str] | None, where: pc.Expression | None) -> pa.Table:
        wanted = list(columns) if columns is not None else self.contract.arrow().names
        with storage_errors(f"reading table {self.contract.name}"):
            # Not DeltaTable.to_pyarrow_table(): it can abort the process at exit.
            # What a file says of its 1,834 columns takes megabytes, decoded: it is not kept for a second scan.
            rows = dataset.to_table(columns=wanted, filter=where, cache_metadata=False)
            _check_rows(rows)
            return rows

    def stream(
        self, columns: Sequence[str], where: pc.Expression | None = None, pin: Pin | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield rows of the newest or a pinned version, some at a time and in any order; none but these are in memory."""
        return self._stream(self._files_of(pin), columns, _all([where, None if pin is None else _until(pin)]))

    def _stream(
        self, files: Sequence[str], columns: Sequence[str], where: pc.Expression | None
    ) -> Iterator[pa.RecordBatch]:
        # Arrow reads ahead of a slow reader up to a gigabyte, whatever it is told: as far as the files go that it knows of.
        for first in range(0, len(files), FILES_TOGETHER):
            dataset = self._dataset(files[first : first + FILES_TOGETHER])
            with storage_errors(f"reading table {self.contract.name}"):
                # What a file says of its 1,834 columns is held too.
                batches = dataset.to_batches(
                    columns=list(columns), filter=where, batch_size=ROWS_TOGETHER, cache_metadata=False
                )
                for batch in batches:
                    _check_rows(batch)
                    if batch.num_rows:
                        yield batch

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
            rows: values by column, `sequence` left out; absent columns are null. Of several rows of one key the last counts.

        Returns:
            how many rows were appended.

        Raises:
            StorageError: the store cannot be written, or other writers never left room.
        """
        for attempt in range(APPEND_ATTEMPTS):
            delta = self._refresh()
            fresh, states = self._fresh(rows)
            if not fresh:
                return 0
            sequence = (delta.transaction_version(APP_ID) or 0) + 1
            try:
                self._commit(delta, fresh, sequence)
            except CommitFailedError:
                # Another writer, or a commit of ours that was not acknowledged: look again.
                time.sleep(random.uniform(0.005, 0.05) * (attempt + 1))
                continue
            self._newest.update(states)
            self._known_sequence = sequence
            return len(fresh)
        raise StorageError(
            "store_busy", f"table {self.contract.name}: {APPEND_ATTEMPTS} appends met other writers; run again"
        )

    def _commit(self, delta: DeltaTable, rows: Sequence[Row], sequence: int) -> None:
        schema = self.contract.arrow()
        place = schema.get_field_index("sequence")
        table = pa.Table.from_pylist(rows, schema=schema.remove(place))
        table = table.add_column(place, schema.field(place), [pa.array([sequence] * len(rows), pa.int64())])
        properties = CommitProperties(app_transactions=[Transaction(APP_ID, sequence)], max_commit_retries=0)
        try:
            # Merging, for a later revision may have given the table columns that this one does not know.
            write_deltalake(delta, table, mode="append", schema_mode="merge", commit_properties=properties)
        except CommitFailedError:
            raise
        except Exception:
            self._delta = None
            with storage_errors(f"appending to table {self.contract.name}"):
                raise

    def _refresh(self) -> DeltaTable:
        """Return the newest version, its keys known; only rows that were not seen before are read."""
        delta = self._open()
        if delta is None:
            raise StorageError("store_incomplete", f"table {self.contract.name} is missing from the store")
        last = delta.transaction_version(APP_ID) or 0
        if last > self._known_sequence:
            columns = list(dict.fromkeys([*self.contract.key, *self.contract.state, "sequence"]))
            with storage_errors(f"looking for new rows of table {self.contract.name}"):
                unseen = self._files(delta, f"sequence > {self._known_sequence}")
            self._index(self._stream(unseen, columns, pc.field("sequence") > self._known_sequence))
            self._known_sequence = last
        return delta

    def _index(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Remember the states of rows by key; the newest row of a key counts, in whatever order they come."""
        keys, states, sequences = bytearray(), array("Q"), array("q")
        for batch in batches:
            rows = batch.to_pylist()
            keys += b"".join(map(self._key, rows))
            states.extend(map(self._state, rows))
            sequences.extend(row["sequence"] for row in rows)
        order = np.argsort(np.array(sequences), kind="stable")
        self._newest.add(key_array([bytes(keys)])[order], np.array(states, np.uint64)[order])
        # Else the allocator keeps what small pieces of many batches were in.
        pa.default_memory_pool().release_unused()

    def _fresh(self, rows: Sequence[Row]) -> tuple[list[Row], dict[bytes, int]]:
        """Return the rows to append, one a key, and their states by key."""
        last = {self._key(row): row for row in rows}
        states = {key: self._state(row) for key, row in last.items()}
        known, found = self._newest.find(list(states))
        fresh = [
            key
            for (key, state), before, there in zip(states.items(), known.tolist(), found.tolist(), strict=True)
            if not there or before != state
        ]
        return [last[key] for key in fresh], {key: states[key] for key in fresh}

    def _key(self, row: Row) -> bytes:
        return hashed([row.get(name) for name in self.contract.key])

    def _state(self, row: Row) -> int:
        """Return a number that tells states of one key apart; a key that has one row for ever has one state."""
        state = self.contract.state
        return int.from_bytes(hashed([row.get(name) for name in state])[:8], "little") if state else 0


def _check_rows(rows: pa.Table | pa.RecordBatch) -> None:
    """Make sure that every text is one, and that what must be there is: Parquet hands on what is no UTF-8.

    Raises:
        ArrowInvalid: it is not what was written.
    """
    for field, column in zip(rows.schema, rows.columns, strict=True):
        if not pa.types.is_floating(field.type):
            column.validate(full=True)
        if column.null_count and not field.nullable:
            raise pa.ArrowInvalid(f"{field.name} is missing in a row")


def _until(pin: Pin) -> pc.Expression:
    return pc.field("sequence") <= pin.sequence


def _all(wheres: Sequence[pc.Expression | None]) -> pc.Expression | None:
    """Return the filter of rows that pass all of some filters."""
    given = [where for where in wheres if where is not None]
    return functools.reduce(operator.and_, given) if given else None


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def newest(rows: pa.Table, key: Sequence[str]) -> pa.Array:
    """Return the indices of the newest row of every key, in order; `rows` have their sequence."""
    numbered = rows.select([*key, "sequence"]).append_column("row", pa.array(np.arange(rows.num_rows)))
    newest_first = numbered.sort_by([("sequence", "descending")])
    first = newest_first.group_by(list(key), use_threads=False).aggregate([("row", "first")])
    return first.sort_by("row_first")["row_first"].combine_chunks()


def equal_to(values: Mapping[str, str]) -> pc.Expression:
    """Return the filter of rows that have these values in these columns."""
    return functools.reduce(operator.and_, (pc.field(name) == value for name, value in values.items()))
