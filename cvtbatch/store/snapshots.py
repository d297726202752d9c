"""Snapshots: rows frozen under a name.

A snapshot pins every table at a version, and records how many current rows its content has there and their digest, so that what
is read from it later can be proved to be the same. Nothing is copied: tables only grow, Delta's log is never cleaned up, and
vacuum keeps the pinned versions. What was current then is computed anew from the pinned versions. A revision other than 0 is an
erasure (`cvtbatch.store.erasure`).
"""

import datetime
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cvtbatch import contracts
from cvtbatch.errors import InputError
from cvtbatch.manifest import require_centers
from cvtbatch.nearest import did_you_mean, enumerated, nearest
from cvtbatch.run_id import make_run_id
from cvtbatch.store.arrow_rows import Row
from cvtbatch.store.content import content_digest
from cvtbatch.store.measuring import FrozenTable, measure
from cvtbatch.store.opened import OpenedStore
from cvtbatch.store.reading import Selection, View
from cvtbatch.store.tables import Pin

TABLE = "snapshots"
AUTOMATIC = "auto-"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# In which tables are looked at: a row before the rows that it stands on.
CONTENT = ("reviews", "radiomics", "embeddings", "outlines", "regions", "rois", "cases", "volumes")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was frozen.

    Attributes:
        revision: 0, and one more with every erasure from it.
        made_by: the command or purpose that recorded it.
        selection: what it is restricted to.
        tables: by name.
        named_specs: ids of the specifications that the rows name.
        content_digest: of all rows that are frozen (`content_digest`).
        erased_cases: how many cases were erased from it since it was created.
        recorded_at: when (UTC); None until it is recorded.
    """

    name: str
    revision: int
    made_by: str
    selection: Selection
    tables: Mapping[str, FrozenTable]
    named_specs: tuple[str, ...]
    content_digest: str
    erased_cases: int = 0
    recorded_at: datetime.datetime | None = None

    @property
    def automatic(self) -> bool:
        """Whether a command recorded it by itself."""
        return self.name.startswith(AUTOMATIC)

    def pins(self) -> dict[str, Pin]:
        """Return where every table is read, by name."""
        return {name: frozen.pin for name, frozen in self.tables.items()}

    def view(self, store: OpenedStore) -> View:
        """Return the rows that are frozen."""
        label = {"snapshot": self.name, "content_digest": self.content_digest}
        return store.view(self.pins(), self.selection, label)

    def to_document(self) -> dict[str, object]:
        """Return what `cvtbatch snapshot show --json` says of it."""
        return {
            "name": self.name,
            "revision": self.revision,
            "automatic": self.automatic,
            "made_by": self.made_by,
            "recorded_at": self.recorded_at.isoformat() if self.recorded_at else "",
            "centers": list(self.selection.centers),
            "restricted_to_specs": list(self.selection.spec_ids),
            "rois": list(self.selection.rois),
            "specs": list(self.named_specs),
            "content_digest": self.content_digest,
            "erased_cases": self.erased_cases,
            "tables": self._tables(),
        }

    def to_row(self) -> Row:
        """Return the row of table snapshots that records it, as of now; `_from_row` reads it."""
        now = datetime.datetime.now(datetime.UTC)
        return {
            "name": self.name,
            "revision": self.revision,
            "automatic": self.automatic,
            "made_by": self.made_by,
            "centers": list(self.selection.centers),
            "spec_ids": list(self.selection.spec_ids),
            "rois": list(self.selection.rois),
            "content_digest": self.content_digest,
            "erased_cases": self.erased_cases,
            "tables": json.dumps(self._tables()),
            "named_specs": list(self.named_specs),
            "run_id": make_run_id(now),
            "recorded_at": now,
        }

    def _tables(self) -> dict[str, dict[str, object]]:
        """Return what is pinned, by table."""
        return {
            name: {
                "version": frozen.pin.version,
                "sequence": frozen.pin.sequence,
                "rows": frozen.rows,
                "digest": frozen.digest,
            }
            for name, frozen in sorted(self.tables.items())
        }


def read_snapshots(store: OpenedStore) -> list[Snapshot]:
    """Return every snapshot of a store, oldest first, each in the revision that holds."""
    holding: dict[str, Snapshot] = {}
    for row in store.table(TABLE).read().sort_by("sequence").to_pylist():
        found = _from_row(row)
        if found.name not in holding or holding[found.name].revision < found.revision:
            holding[found.name] = found
    return list(holding.values())


def read_snapshot(store: OpenedStore, name: str) -> Snapshot:
    """Return a snapshot.

    Raises:
        InputError: the store has none of this name.
    """
    known = {snapshot.name: snapshot for snapshot in read_snapshots(store)}
    if name not in known:
        near = nearest(name, known, cutoff=0.0)
        advice = f"the nearest of its {len(known)} is {near[0]}" if near else "it has none yet"
        raise InputError("no_such_snapshot", f"the store has no snapshot {name!r}; {advice}")
    return known[name]


def create_snapshot(store: OpenedStore, name: str, selection: Selection, made_by: str) -> tuple[Snapshot, bool, View]:
    """Freeze the current rows under a name, and return the snapshot, whether it is new, and its rows.

    Raises:
        InputError: the name is not usable, or taken by other content; the selection names what is not there, or holds no rows.
    """
    if not NAME.fullmatch(name) or name.startswith(AUTOMATIC):
        raise InputError(
            "bad_snapshot_name",
            f"{name!r} cannot name a snapshot: use 1 to 64 letters, digits, dots, hyphens and underscores, a letter or digit "
            f"first, and not {AUTOMATIC}, which begins those that commands record by themselves",
        )
    fresh, view = _freeze(store, name, _checked(store, selection), made_by)
    if not any(frozen.rows for frozen in fresh.tables.values()):
        raise InputError("empty_snapshot", f"nothing to freeze as {name}: the store has no such rows")
    return *_record(store, fresh), view


def automatic_snapshot(store: OpenedStore, made_by: str) -> Snapshot:
    """Record the rows as they are, for a command that reads a version and was given none; named by content, once."""
    view = store.view()
    content = _content(store)
    now = [(name, pin.sequence) for name in content if (pin := view.pin(name)) is not None]
    for known in reversed(read_snapshots(store)):
        then = [(name, known.tables[name].pin.sequence) for name in content if name in known.tables]
        if known.automatic and then == now:
            return known
    fresh, _ = _freeze(store, AUTOMATIC, Selection(), made_by)
    return _record(store, replace(fresh, name=f"{AUTOMATIC}{fresh.content_digest[:12]}"))[0]


def pinned_versions(store: OpenedStore, table: str) -> list[int]:
    """Return the versions of a table that snapshots need, ascending."""
    pins = (snapshot.pins().get(table) for snapshot in read_snapshots(store))
    return sorted({pin.version for pin in pins if pin is not None})


def _record(store: OpenedStore, fresh: Snapshot) -> tuple[Snapshot, bool]:
    """Append a snapshot unless its name is taken; of two at once the first counts."""
    known = {snapshot.name: snapshot for snapshot in read_snapshots(store)}
    if fresh.name not in known and store.table(TABLE).append([fresh.to_row()]):
        return read_snapshot(store, fresh.name), True
    there = read_snapshot(store, fresh.name)
    if there.content_digest != fresh.content_digest:
        raise InputError(
            "snapshot_exists",
            f"there is a snapshot {fresh.name} already, of other content ({there.content_digest[:12]}, now "
            f"{fresh.content_digest[:12]}): a snapshot never changes, choose another name",
        )
    return there, False


def _content(store: OpenedStore) -> list[str]:
    """Return the tables that are content, in the order in which they are looked at: feature sets and descriptions first."""
    return [
        *(table.contract.name for table in store.feature_sets().values()),
        *contracts.description_tables(),
        *CONTENT,
    ]


def _pinned_tables(store: OpenedStore) -> list[str]:
    """Return the tables that a snapshot pins, in the order in which they are looked at."""
    content = _content(store)
    return [*content, *(name for name in store.table_names() if name not in {*content, TABLE})]


def _freeze(store: OpenedStore, name: str, selection: Selection, made_by: str) -> tuple[Snapshot, View]:
    """Return the snapshot of the rows as they are now, and these rows."""
    now = store.view()
    pins = {table: pin for table in _pinned_tables(store) if (pin := now.pin(table)) is not None}
    view = store.view(pins, selection)
    tables, named = measure(view, pins)
    digest = content_digest({table: (frozen.rows, frozen.digest) for table, frozen in tables.items()})
    return Snapshot(name, 0, made_by, selection, tables, named, digest), view


def _checked(store: OpenedStore, selection: Selection) -> Selection:
    """Return the selection, sorted, with the specifications that those in it build on."""
    view = store.view()
    specs = view.specs_with(selection.spec_ids)
    require_centers(selection.centers, view.centers() if selection.centers else ())
    rois = set(view.rows("rois", ["roi"])["roi"].to_pylist()) if selection.rois else set()
    for roi in selection.rois:
        if roi not in rois:
            told = f"{did_you_mean(roi, rois)}it has {enumerated(rois)}"
            raise InputError("no_such_roi", f"the store has no ROI {roi!r}; {told}")
    chain = set(selection.spec_ids)
    chain |= {specs[spec_id].parent_id for spec_id in chain if specs[spec_id].parent_id}
    return Selection(tuple(sorted(selection.centers)), tuple(sorted(chain)), tuple(sorted(selection.rois)))


def _from_row(row: Mapping[str, Any]) -> Snapshot:
    """Return the snapshot that a row of table snapshots records."""
    tables = {
        name: FrozenTable(Pin(entry["version"], entry["sequence"]), entry["rows"], entry["digest"])
        for name, entry in json.loads(row["tables"]).items()
    }
    return Snapshot(
        name=row["name"],
        revision=row["revision"],
        made_by=row["made_by"],
        selection=Selection(tuple(row["centers"]), tuple(row["spec_ids"]), tuple(row["rois"])),
        tables=tables,
        named_specs=tuple(row["named_specs"]),
        content_digest=row["content_digest"],
        erased_cases=row["erased_cases"],
        recorded_at=row["recorded_at"],
    )
