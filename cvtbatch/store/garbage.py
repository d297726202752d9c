"""What a store no longer needs: found by what names it, removed by age.

Nobody locks a store, so an object that no row names may be one that a run is about to name, or that a reader who opened a table a
moment ago is about to read. Both are told from garbage by age. Of every table four kinds of versions count: the newest, the one
that stood at the cut, and those that snapshots pin; whoever opened a table since the cut reads one of these or files that are
younger than the cut. What was written before the cut and is in none of them is garbage: volumes and masks without a row, data
files that compaction replaced or whose commit never came, and what an interrupted write left half done.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cvtbatch.store.objects import StoredObject, list_objects
from cvtbatch.store.opened import OpenedStore
from cvtbatch.store.snapshots import pinned_versions
from cvtbatch.store.tables import Pin

# How long a run that has not said that it ended is taken to be alive.
LIVE_RUN_DAYS = 7
GROUP = re.compile(r"(volume|mask)s/[0-9a-f]{2}/[0-9a-f]{32}\.ome\.zarr")
DATA_FILE = re.compile(r"tables/([A-Za-z0-9_-]+)/(?!_).*\.parquet")
# Names under which a write is prepared: by object_store on a disk, by Delta's log, by the probe of a store's rights.
STAGED = re.compile(r".*#\d+|tables/[A-Za-z0-9_-]+/_delta_log/_commit_.*|cvtbatch-store\.json\.probe.*")
GROUP_TABLES = ("volumes", "rois")
ALL_ROWS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Garbage:
    """An object that nobody needs."""

    kind: Literal["volume", "mask", "data_file", "staged"]
    object: StoredObject


def find_garbage(store: OpenedStore, cut: datetime) -> list[Garbage]:
    """Return the objects that nobody needs and that were written before `cut`.

    Raises:
        StorageError: the store cannot be read.
    """
    # Listed first: an object that gets its row from now on is found named.
    objects = list(list_objects(store.location))
    needed: set[str] = set()
    tables = store.table_names()
    for name in tables:
        needed.update(_needed_by(store, name, cut))
    # The parts of a group are of one age: that of the youngest.
    ages: dict[str, datetime] = {}
    for entry in objects:
        if group := GROUP.match(entry.key):
            ages[group[0]] = max(entry.modified, ages.get(group[0], entry.modified))
    return [found for entry in objects for found in _if_garbage(entry, tables, needed, ages, cut)]


def _needed_by(store: OpenedStore, name: str, cut: datetime) -> Iterator[str]:
    """Yield the data files, and the groups, that the versions of a table that count name."""
    table = store.table(name)
    newest, at_cut = table.pin(), table.version_at(cut)
    if newest is None or at_cut is None:
        return
    for version in sorted({newest.version, at_cut, *pinned_versions(store, name)}):
        yield from table.files_at(version)
        if name in GROUP_TABLES:
            yield from table.read(["path"], pin=Pin(version, ALL_ROWS))["path"].to_pylist()


def _if_garbage(
    entry: StoredObject, tables: tuple[str, ...], needed: set[str], ages: dict[str, datetime], cut: datetime
) -> Iterator[Garbage]:
    """Yield an object, once, if no version that counts needs it and it is old enough."""
    group, file = GROUP.match(entry.key), DATA_FILE.fullmatch(entry.key)
    if STAGED.fullmatch(entry.key):
        if entry.modified < cut:
            yield Garbage("staged", entry)
    elif group:
        if group[0] not in needed and ages[group[0]] < cut:
            yield Garbage("volume" if group[1] == "volume" else "mask", entry)
    elif file and file[1] in tables and entry.key not in needed and entry.modified < cut:
        yield Garbage("data_file", entry)
