"""Erasure of a case: its rows and volumes out of the current tables and, on request, out of all history.

Out of the current tables: they get a new version without its rows, and the files that they were in stay, since snapshots read
them. Out of all history means:

1. the rows are deleted from the newest version, in which all other rows that a snapshot holds still are, for tables only grow;
2. a checkpoint of that version becomes the beginning of the table's log;
3. every snapshot gets a revision that is pinned to that version, with the sequences that it had; what it holds there must have
   the digest that it had before without the case, or nothing is destroyed;
4. what the log no longer names, the log before the checkpoint, and files that a killed writer left with the case in them, go;
5. every file of the tables is read and searched for the case: what is found is an error.

Each step may be interrupted, and the whole done again. Neither writers nor readers can be at work while history is taken away.
"""

import datetime
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from urllib.parse import unquote

import pyarrow.compute as pc

from cvtbatch.errors import InputError, InternalError, StorageError
from cvtbatch.nearest import nearest
from cvtbatch.store.content import content_digest
from cvtbatch.store.location import Location
from cvtbatch.store.measuring import measure
from cvtbatch.store.objects import get_listed, list_keys, list_objects, remove_objects
from cvtbatch.store.opened import OpenedStore
from cvtbatch.store.rewriting import delete_case
from cvtbatch.store.snapshots import TABLE, Snapshot, read_snapshots
from cvtbatch.store.tables import Pin, Table
from cvtbatch.store.traces import Traces, find_traces, mentions_case, read_columns

# A file that no log names may be one that a writer is about to commit.
WRITING_SECONDS = 600
# Tables in which a row stands on rows of those after it.
STANDING = ("radiomics", "embeddings", "failures", "rois", "volumes", "cases")
LOG_FILE = re.compile(r".*/_delta_log/(\d{20})\.(?:json|checkpoint\..*parquet|crc)")


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was erased, and where the case still is.

    Attributes:
        rows: rows taken out of the current tables, by table.
        changed_snapshots: names of those that held the case and hold it no more.
        kept_by: names of those that hold it still.
        searched: files that were searched for the case in the end.
    """

    case_key: str
    rows: Mapping[str, int]
    volumes: int
    changed_snapshots: tuple[str, ...]
    kept_by: tuple[str, ...]
    searched: int


def erase_case(store: OpenedStore, case_key: str, from_snapshots: bool) -> Erasure:
    """Erase a case.

    Args:
        from_snapshots: out of every snapshot and all history too.

    Raises:
        InputError: the store does not have the case.
        StorageError: the store cannot be written, or a writer may be at work.
        InternalError: other rows than the case's would change, or a trace of it was left.
    """
    named = [name for name in store.table_names() if "case_key" in store.table(name).contract.arrow().names]
    # What stands on other rows comes before them; so do the tables of feature sets and descriptions.
    order = [*(name for name in named if name not in STANDING), *STANDING]
    tables = {name: table for name in order if (table := store.table(name)).pin() is not None}
    traces = find_traces(store.location, tables, case_key)
    holding = {
        snapshot.name: paths for snapshot in read_snapshots(store) if (paths := _held(store, snapshot, case_key))
    }
    there = {name: _count(table, case_key) for name, table in tables.items()}
    if not any(there.values()) and not (from_snapshots and traces.found):
        kept = f"; snapshots that have it: {', '.join(holding)} (--from-snapshots)" if holding else ""
        near = nearest(case_key, store.view().rows("cases", ["case_key"])["case_key"].to_pylist(), 3)
        like = f"; near it are {', '.join(near)}" if near else ""
        raise InputError("no_such_case", f"the store has no case {case_key!r}{like}{kept}")
    for table in tables.values():
        delete_case(table, case_key)
    if not from_snapshots:
        volumes = _delete_arrays(store.location, traces.paths.difference(*holding.values()))
        return Erasure(case_key, there, volumes, (), tuple(holding), 0)
    beginnings = {name: table.log.begin() for name, table in tables.items()}
    _pin_anew(store, beginnings, case_key)
    for name, version in beginnings.items():
        _delete_history(store.location, tables[name], version, traces)
    volumes = _delete_arrays(store.location, traces.paths)
    return Erasure(case_key, there, volumes, tuple(holding), (), _search_all(store.location, traces))


def _held(store: OpenedStore, snapshot: Snapshot, case_key: str) -> set[str]:
    """Return what a snapshot holds of a case: its volumes and masks, and the case itself."""
    view = snapshot.view(store)
    held: set[str] = set()
    for name, column in (("cases", "case_key"), ("volumes", "path"), ("rois", "path")):
        rows = view.rows(name, list(dict.fromkeys(["case_key", column])))
        held.update(rows.filter(pc.equal(rows["case_key"], case_key))[column].to_pylist())
    return held


def _count(table: Table, case_key: str) -> int:
    return int(table.read(["case_key"], pc.field("case_key") == case_key).num_rows)


def _pin_anew(store: OpenedStore, beginnings: Mapping[str, int], case_key: str) -> None:
    """Give every snapshot a revision that is pinned to where the tables' logs begin, once it is proved to hold the same."""
    while stale := [snapshot for snapshot in read_snapshots(store) if _is_before(snapshot, beginnings)]:
        for snapshot in stale:
            pins = {
                name: Pin(max(pin.version, beginnings.get(name, 0)), pin.sequence)
                for name, pin in snapshot.pins().items()
            }
            before, named = measure(snapshot.view(store), snapshot.pins(), case_key)
            after, _ = measure(store.view(pins, snapshot.selection), pins)
            if any(replace(before[name], pin=pins[name]) != frozen for name, frozen in after.items()):
                raise InternalError(
                    "erasure_refused",
                    f"snapshot {snapshot.name} would lose more than the case; nothing of it was taken",
                )
            changed = any(after[name].digest != frozen.digest for name, frozen in snapshot.tables.items())
            revised = replace(
                snapshot,
                revision=snapshot.revision + 1,
                made_by="forget",
                tables=after,
                named_specs=named,
                content_digest=content_digest({name: (frozen.rows, frozen.digest) for name, frozen in after.items()}),
                erased_cases=snapshot.erased_cases + changed,
            )
            store.table(TABLE).append([revised.to_row()])


def _is_before(snapshot: Snapshot, beginnings: Mapping[str, int]) -> bool:
    return any(pin.version < beginnings.get(name, 0) for name, pin in snapshot.pins().items())


def _delete_history(location: Location, table: Table, beginning: int, traces: Traces) -> None:
    """Delete the files that no version from `beginning` on names, and the log before it."""
    name = table.contract.name
    committed, kept = set[str](), set[str]()
    for key in list_keys(location, f"tables/{name}/_delta_log/"):
        if number := LOG_FILE.fullmatch(key):
            added = {f"tables/{name}/{path}" for path in _added(location, key)}
            committed |= added
            kept |= added if key.endswith(".json") and int(number[1]) > beginning else set()
    kept.update(table.files_at(beginning))
    superseded, leftovers, old = list[str](), list[str](), list[str]()
    for key in list_keys(location, f"tables/{name}/"):
        number = LOG_FILE.fullmatch(key)
        if number:
            old += [key] if int(number[1]) < beginning else []
        elif key in committed:
            superseded += [key] if key not in kept else []
        elif key not in kept and mentions_case(location, key, traces):
            leftovers.append(key)
    now = datetime.datetime.now(datetime.UTC)
    for entry in list_objects(location, f"tables/{name}/"):
        age = (now - entry.modified).total_seconds()
        if entry.key in leftovers and age < WRITING_SECONDS:
            raise StorageError(
                "store_busy",
                f"table {name} has a file with the case that was written {age:.0f} s ago and belongs to no version: "
                f"stop what writes there; {WRITING_SECONDS} s after it was stopped, the file can go",
            )
    # The log last: it tells which files to delete, should this be interrupted.
    remove_objects(location, [*superseded, *leftovers])
    remove_objects(location, old)


def _added(location: Location, key: str) -> set[str]:
    """Return the data files that a commit or a checkpoint adds, by path below the table's folder."""
    if key.endswith(".json"):
        entries = [json.loads(line) for line in get_listed(location, key).decode().splitlines()]
        added = [entry["add"] for entry in entries if "add" in entry]
    else:
        # An erasure before this one left no commits before its checkpoint.
        checkpoint = read_columns(location, key, ("add",))
        added = [] if checkpoint is None else [entry for entry in checkpoint["add"].to_pylist() if entry is not None]
    return {unquote(entry["path"]) for entry in added}


def _delete_arrays(location: Location, paths: Iterable[str]) -> int:
    """Delete volumes and masks, and return how many."""
    arrays = [path for path in sorted(paths) if PurePosixPath(path).parts[0] in {"volumes", "masks"}]
    for path in arrays:
        remove_objects(location, list_keys(location, f"{path}/"))
    return len(arrays)


def _search_all(location: Location, traces: Traces) -> int:
    """Search every file of every table, current or not, and return how many there are.

    Raises:
        InternalError: one of them tells of the case.
    """
    keys = list_keys(location, "tables/")
    mentioning = [key for key in keys if mentions_case(location, key, traces)]
    mentioning += [key for path in sorted(traces.paths) for key in list_keys(location, f"{path}/")]
    if mentioning:
        raise InternalError(
            "erasure_incomplete", f"{len(mentioning)} files still tell of the case", "\n".join(mentioning)
        )
    return len(keys)
