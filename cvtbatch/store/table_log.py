"""The log of one table: opened, checked, and committed to.

A flipped bit in a log loses a file, brings back one that was replaced, or moves the bounds by which files are passed over. So
every commit says what the whole table is after it: how many data files, the last transaction, and a digest of what the log has on
every file (its path, which holds the digest of its content, its size, its rows, the bounds of its keys). Whoever opens a version
works that out from what was read, checkpoints included, and compares. A commit of an earlier release, or by another program, does
not say it, and is not checked; the next of ours does again.
"""

import json
import logging
import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.schema import Schema
from deltalake.transaction import RemoveAction

from cvtbatch.contracts import TableContract
from cvtbatch.errors import CvtbatchError, FormatError, StorageError
from cvtbatch.store.checked_files import is_checked
from cvtbatch.store.data_files import DataFile
from cvtbatch.store.location import Location
from cvtbatch.store.log_heads import FOLDER, Heads
from cvtbatch.store.log_state import State, bounded_columns, number_of, numbers_in
from cvtbatch.store.objects import get
from cvtbatch.store.storage_errors import FILE_NAMES, UNREACHED, storage_errors

APP_ID = "cvtbatch"
# How often a commit that met another writer, or an error that may pass, is tried again.
ATTEMPTS = 30
# Where a commit says what the table is after it.
STATE = "cvtbatch.state"
# A handle that follows a table commit by commit grows slower with each; one that is opened anew starts from the last checkpoint.
COMMITS_PER_HANDLE = 20
# What no snapshot may lose is never cleaned up behind its back.
CONFIGURATION = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
}
# What the table library says of a log that it cannot make sense of; of one that it cannot reach it says other things.
DAMAGE = re.compile(
    r"Json error|Schema error|Arrow error|Parquet|line \d+ column|Invalid Checkpoint|LogSegment|contiguous commit files"
    r"|No table metadata|No protocol"
)
HINT = "Had a _last_checkpoint hint"
# Where folders are remembered for a while (NFS), a writer's last version may be seen before its entry in the log: what is waited.
LATE_SECONDS = (0.1, 0.3, 0.6, 1.0)
_logger = logging.getLogger(__name__)
# Stores of which it was said that they hold what cannot be checked.
_noted: set[Location] = set()


class TableLog:
    """The log of one table.

    Args:
        heads: of the store.
    """

    def __init__(self, location: Location, contract: TableContract, heads: Heads) -> None:
        self.name, self.uri = contract.name, location.table_uri(contract.name)
        self._location, self._contract, self._heads = location, contract, heads
        self._bounded = bounded_columns(contract)
        self._delta: DeltaTable | None = None
        # Former versions that were read.
        self._kept: dict[int, DeltaTable] = {}
        self._opened_version = 0
        # The state of the newest version that is known.
        self._version, self._state = -1, State({}, 0, self._bounded)

    def create(self) -> None:
        """Create the table if it is not there, or add the columns that it lacks, beside others that may do the same."""
        configuration = {**CONFIGURATION, "delta.dataSkippingNumIndexedCols": str(self._contract.key_field_count())}
        with self._reading(f"creating table {self.name}"):
            for attempt in range(ATTEMPTS):
                try:
                    delta = self.newest()
                    if delta is None:
                        # Not DeltaTable.create(): its log names the folder that the store was made in.
                        write_deltalake(
                            self.uri,
                            self._contract.arrow().empty_table(),
                            mode="ignore",
                            configuration=configuration,
                            partition_by=list(self._contract.partition_by) or None,
                            storage_options=self._location.table_options(),
                            commit_properties=CommitProperties({STATE: State({}, 0, self._bounded).text()}),
                        )
                        delta = self.load()
                    self._add_columns(delta)
                    self._heads.record(self.name, int(delta.version()))
                except DeltaError:
                    if attempt == ATTEMPTS - 1:
                        raise
                    time.sleep(random.uniform(0.01, 0.1))
                else:
                    return

    def _add_columns(self, delta: DeltaTable) -> None:
        """Add the columns that the contract gained since the table was created; in older rows they are null."""
        known = {field.name for field in delta.schema().fields}
        missing = [field for field in self._contract.arrow() if field.name not in known]
        if missing:
            fields = Schema.from_arrow(pa.schema(missing)).fields
            delta.alter.add_columns(fields, commit_properties=self._properties(self._state_of(delta)))

    def begin(self) -> int:
        """Write a checkpoint from which the table can be read without the log before it, and return its version."""
        for attempt in range(ATTEMPTS):
            delta = self.newest()
            if delta is None:
                raise StorageError("store_incomplete", f"table {self.name} is missing from the store")
            properties = self._properties(self._state_of(delta))
            with storage_errors(f"writing a checkpoint of table {self.name}"):
                try:
                    # A commit that changes nothing: the log has to begin with a version that says nothing of its past.
                    delta.alter.set_table_properties(
                        dict(list(CONFIGURATION.items())[:1]), commit_properties=properties
                    )
                except CommitFailedError:
                    time.sleep(random.uniform(0.005, 0.05) * (attempt + 1))
                    continue
                delta.create_checkpoint()
            self._heads.record(self.name, int(delta.version()))
            return int(delta.version())
        raise StorageError("store_busy", f"table {self.name} has writers that leave no room: stop them")

    def newest(self) -> DeltaTable | None:
        """Return the table at its newest version, or None where it was never created.

        Raises:
            FormatError: commits are gone, or the log is not what was committed.
        """
        # Looked at first: the log is not shorter later.
        least = self._heads.newest(self.name)
        with self._reading(f"opening table {self.name}"):
            try:
                if self._delta is not None:
                    self._delta.update_incremental()
                if self._delta is None or self._delta.version() >= self._opened_version + COMMITS_PER_HANDLE:
                    self._delta = self._open(None)
                    self._opened_version = self._delta.version()
            except TableNotFoundError:
                if least >= 0:
                    raise self._commits_lost(least, -1) from None
                return None
        if self._delta.version() < least:
            self._delta = self._wait_for(least)
        self._state_of(self._delta)
        return self._delta

    def _wait_for(self, least: int) -> DeltaTable:
        """Return the table at a version that was committed and is not seen yet.

        Raises:
            FormatError: it is not seen later either.
        """
        for pause in LATE_SECONDS:
            time.sleep(pause)
            with self._reading(f"opening table {self.name}"):
                delta = self._open(None)
            if delta.version() >= least:
                return delta
        raise self._commits_lost(least, int(delta.version()))

    def forget(self) -> None:
        """Open the table anew the next time."""
        self._delta = None

    def at(self, version: int) -> DeltaTable:
        """Return the table at a version, as a handle that is good until `newest` is called: the one at hand, where it is there.

        Raises:
            FormatError: as for `load`.
        """
        if self._delta is not None and self._delta.version() == version:
            self._state_of(self._delta)
            return self._delta
        if version not in self._kept:
            self._kept[version] = self.load(version)
        return self._kept[version]

    def load(self, version: int | None = None) -> DeltaTable:
        """Return the table at a version, by default the newest, as a handle of its own.

        Raises:
            FormatError: there is no such version any more, or the log is not what was committed.
        """
        doing = f"opening table {self.name}" if version is None else f"reading version {version} of table {self.name}"
        with self._reading(doing):
            try:
                delta = self._open(version)
            except DeltaError:
                if version is not None and (newest := self._newest_version()) < version:
                    raise self._commits_lost(version, newest) from None
                raise
        self._state_of(delta)
        return delta

    def sequence(self, delta: DeltaTable) -> int:
        """Return the number of the last transaction of a version."""
        return self._state_of(delta).sequence

    def _newest_version(self) -> int:
        """Return at which version the log ends; -1 if there is none."""
        try:
            return int(self._open(None).version())
        except TableNotFoundError:
            return -1

    @contextmanager
    def _reading(self, doing: str) -> Iterator[None]:
        """Turn what the table library raises over a log into an error that says whether it is damaged, or out of reach."""
        with storage_errors(doing):
            try:
                yield
            except CvtbatchError:
                raise
            except Exception as error:  # of some damage the table library makes no error of its own kind
                if HINT in str(error):
                    raise self.damaged(
                        "its file _last_checkpoint names a checkpoint that is not there (it is a hint: where all entries of the "
                        "log are there, remove that one file)",
                        str(error),
                    ) from error
                text = FILE_NAMES.sub("a file", str(error))
                if DAMAGE.search(text) and not re.search(UNREACHED, text, re.DOTALL):
                    raise self.damaged("it makes no sense", str(error)) from error
                raise

    def _open(self, version: int | None) -> DeltaTable:
        return DeltaTable(self.uri, version=version, storage_options=self._location.table_options())

    def _commits_lost(self, recorded: int, found: int) -> FormatError:
        missing = f"version {recorded}" if found + 1 == recorded else f"versions {found + 1} to {recorded}"
        return FormatError(
            "commits_lost",
            f"the log of table {self.name} is damaged: its newest commits are gone. Version {recorded} was committed, and it ends "
            f"{f'at {found}' if found >= 0 else 'before it begins'}: restore {missing} of tables/{self.name}/_delta_log "
            "from a backup or another copy of the store. If there is none, or if this is a copy that was made while a run "
            f"wrote, remove the folder {FOLDER}/{self.name} of the store, and run extract again: it computes what is missing",
        )

    def _state_of(self, delta: DeltaTable) -> State:
        """Return the state of a version, which is checked once.

        Raises:
            FormatError: it is not what the commit of that version says.
        """
        version = int(delta.version())
        if version == self._version:
            return self._state
        recorded, own = self._recorded(version), self._bounded
        bounded = own if recorded is None else tuple(recorded.rpartition(" by ")[2].split())
        with self._reading(f"looking at the log of table {self.name}"):
            sequence = int(delta.transaction_version(APP_ID) or 0)
            state = State(numbers_in(delta, own), sequence, own)
            told = state if bounded == own else State(numbers_in(delta, bounded), sequence, bounded)
        if recorded is not None and recorded != told.text():
            raise self.damaged(f"at version {version} it has {told.text()}, and {recorded} were committed")
        if state.files and (recorded is None or not all(map(is_checked, state.files))):
            self._note()
        if version > self._version:
            self._version, self._state = version, state
        return state

    def _recorded(self, version: int) -> str | None:
        """Return what a commit says the table is after it; None if it says nothing."""
        try:
            text = get(self._location, f"tables/{self.name}/_delta_log/{version:020}.json")
            entries = [json.loads(line) for line in text.splitlines()]
            information = [entry["commitInfo"] for entry in entries if "commitInfo" in entry]
            recorded = [entry[STATE] for entry in information if STATE in entry]
        except FileNotFoundError:
            raise self.damaged(f"the entry of version {version} is missing") from None
        except (ValueError, TypeError) as error:
            raise self.damaged(f"the entry of version {version} makes no sense", str(error)) from None
        if not information:
            # An earlier version of ours says at least which command committed.
            raise self.damaged(f"the entry of version {version} is empty or cut off")
        return str(recorded[0]) if recorded else None

    def damaged(self, what: str, private: str = "") -> FormatError:
        """Return the error of a log that is not what was committed."""
        return FormatError(
            "table_log_damaged",
            f"the log of table {self.name} is damaged: {what}; restore tables/{self.name}/_delta_log from a backup or another copy "
            "of the store",
            private,
        )

    def _note(self) -> None:
        """Say, once a process and store, that something of it is not checked."""
        if self._location not in _noted:
            _noted.add(self._location)
            _logger.warning(
                "rows of this store were written by an earlier version of cvtbatch (table %s and perhaps others): whether "
                "they are damaged cannot be checked; `cvtbatch compact` brings them under check",
                self.name,
            )

    def commit(
        self,
        delta: DeltaTable,
        added: Sequence[DataFile],
        removed: Mapping[str, int] | None = None,
        sequence: int | None = None,
    ) -> None:
        """Commit stored files as the version after that of `delta`, or not at all.

        Args:
            removed: data files that go, and their sizes.
            sequence: the transaction; None where files change and no row does.

        Raises:
            CommitFailedError: somebody else committed that version, or it is not known whether it was committed.
        """
        gone, before, now = removed or {}, self._state_of(delta), int(time.time() * 1000)
        files = {path: number for path, number in before.files.items() if path not in gone}
        files.update((file.path, number_of(file, self._bounded)) for file in added)
        after = State(files, before.sequence if sequence is None else sequence, before.bounded)
        changes = sequence is not None
        delta.create_write_transaction(
            [
                *(file.to_action(changes) for file in added),
                *(RemoveAction(path, changes, now, size) for path, size in gone.items()),
            ],
            "append",
            delta.schema(),
            list(self._contract.partition_by),
            commit_properties=self._properties(after, sequence),
        )
        self._version, self._state = int(delta.version()) + 1, after
        self._heads.record(self.name, self._version)

    def _properties(self, after: State, sequence: int | None = None) -> CommitProperties:
        transactions = None if sequence is None else [Transaction(APP_ID, sequence)]
        return CommitProperties({STATE: after.text()}, max_commit_retries=0, app_transactions=transactions)
