"""Data files of a table written anew: fewer and larger, with digests where they had none, or without a case's rows."""

import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from cvtbatch.errors import StorageError
from cvtbatch.store.checked_files import is_checked
from cvtbatch.store.data_files import DataFile
from cvtbatch.store.storage_errors import storage_errors
from cvtbatch.store.table_log import ATTEMPTS
from cvtbatch.store.tables import Table


@dataclass(frozen=True, slots=True)
class Compaction:
    """How many data files a table had, and has now."""

    files_before: int
    files_after: int


def compact(table: Table, target_bytes: int) -> Compaction:
    """Rewrite files that are far smaller than `target_bytes` into larger ones, and those without digests; no row changes.

    Safe beside readers, who keep the files of the version that they opened, and beside appends; if another compaction or an
    erasure takes the same files, it starts again.

    Raises:
        StorageError: the store cannot be written, or others never left room.
        FormatError: a file is damaged; the table stays as it was.
    """
    for _ in range(ATTEMPTS):
        delta = table.log.load()
        sizes = _sizes(delta)
        groups = list(_groups(table, delta, target_bytes))
        replaced = {path: sizes[path] for group in groups for path in group}
        written = [file for group in groups for file in table.write(_rows(table, delta, group))]
        if not groups or _commit(table, written, replaced):
            return Compaction(len(sizes), len(sizes) - len(replaced) + len(written))
    raise StorageError("store_busy", f"table {table.contract.name}: compaction met other writers; run again")


def delete_case(table: Table, case_key: str) -> None:
    """Rewrite the files that hold rows of a case without these; an append beside it conflicts, and both are tried again.

    Raises:
        StorageError: the store cannot be written, or others never left room.
        FormatError: a file is damaged; the table stays as it was.
    """
    others = pc.field("case_key") != case_key
    for attempt in range(ATTEMPTS):
        delta = table.log.load()
        sizes = _sizes(delta)
        holding = {path: size for path, size in sizes.items() if _holds(table, path, case_key)}
        if not holding:
            return
        # Not Delta's deletion: its log would name the case, and its files hold texts of a type that Arrow cannot always filter.
        kept = [rows for path in holding if (rows := _rows(table, delta, [path], others)).num_rows]
        written = [file for rows in kept for file in table.write(rows)]
        with storage_errors(f"deleting from table {table.contract.name}"):
            try:
                table.log.commit(delta, written, holding, table.log.sequence(delta) + 1)
            except CommitFailedError:
                time.sleep(random.uniform(0.005, 0.05) * (attempt + 1))
            else:
                return
    raise StorageError("store_busy", f"table {table.contract.name} has writers that leave no room: stop them")


def _commit(table: Table, written: list[DataFile], replaced: Mapping[str, int]) -> bool:
    """Commit files in the place of others, over whatever else came meanwhile; return whether these were still there."""
    with storage_errors(f"compacting table {table.contract.name}"):
        for attempt in range(ATTEMPTS):
            delta = table.log.load()
            if not replaced.keys() <= _sizes(delta).keys():
                return False
            try:
                table.log.commit(delta, written, replaced)
            except CommitFailedError:
                time.sleep(random.uniform(0.005, 0.05) * (attempt + 1))
            else:
                return True
    return False


def _groups(table: Table, delta: DeltaTable, target_bytes: int) -> Iterator[list[str]]:
    """Yield files of one partition that become one file, in the order in which they were written."""
    files = pa.table(delta.get_add_actions(flatten=True)).sort_by("modification_time").to_pylist()
    by_partition: dict[tuple[object, ...], list[dict[str, object]]] = {}
    for file in files:
        partition = tuple(file[f"partition.{name}"] for name in table.contract.partition_by)
        by_partition.setdefault(partition, []).append(file)
    for group in by_partition.values():
        paths, size = list[str](), 0
        for path, bytes_ in ((str(file["path"]), int(str(file["size_bytes"]))) for file in group):
            if bytes_ >= target_bytes and is_checked(path):
                continue
            if paths and size + bytes_ > target_bytes:
                yield from _worthwhile(paths)
                paths, size = [], 0
            paths.append(path)
            size += bytes_
        yield from _worthwhile(paths)


def _worthwhile(paths: list[str]) -> Iterator[list[str]]:
    """Yield files, once, if to rewrite them makes fewer of them, or gives them digests."""
    if len(paths) > 1 or not all(map(is_checked, paths)):
        yield paths


def _rows(table: Table, delta: DeltaTable, paths: list[str], where: pc.Expression | None = None) -> pa.Table:
    """Return the rows of some files, with the columns that the table has, be they known to the contract or not."""
    return table.scan([table.path(path) for path in paths], None, where, pa.schema(delta.schema()))


def _holds(table: Table, path: str, case_key: str) -> bool:
    return bool(table.scan([table.path(path)], ["case_key"], pc.field("case_key") == case_key).num_rows)


def _sizes(delta: DeltaTable) -> dict[str, int]:
    """Return the bytes of a version's data files, by path."""
    files = pa.table(delta.get_add_actions())
    return dict(zip(files["path"].to_pylist(), files["size_bytes"].to_pylist(), strict=True))
