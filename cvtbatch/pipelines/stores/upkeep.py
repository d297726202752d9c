"""Upkeep of a store beside its readers and writers: small files made into larger ones, and garbage removed."""

import datetime
import time
from collections import Counter

from cvtbatch.store import FeatureStore
from cvtbatch.store.garbage import LIVE_RUN_DAYS, find_garbage
from cvtbatch.store.objects import probe_writing, remove_objects
from cvtbatch.store.rewriting import compact

Document = dict[str, object]

# Data files are made about this large: some thousand rows of features, and a fraction of a gigabyte of memory while it is done.
TARGET_BYTES = 64 * 2**20
REMOVED_TOGETHER = 1000


def compact_store(url: str) -> Document:
    """Compact every table, and return the JSON document of `cvtbatch compact --json`.

    Raises:
        StorageError, FormatError: as `FeatureStore`, or the store cannot be written.
    """
    store = FeatureStore(url)
    probe_writing(store.location)
    started = time.monotonic()
    tables = []
    for name in store.table_names():
        table = store.table(name)
        if table.pin() is not None:
            done = compact(table, TARGET_BYTES)
            tables.append({"table": name, "files_before": done.files_before, "files_after": done.files_after})
    return {
        "command": "compact",
        "store": store.location.url,
        "tables": tables,
        "seconds": round(time.monotonic() - started, 3),
    }


def collect_garbage(url: str, older_than_h: float, dry_run: bool, now: datetime.datetime | None = None) -> Document:
    """Remove what nobody needs and was written at least so long ago, and return the JSON document of `cvtbatch gc --json`.

    Nothing is removed that was written since the start of a run that has not ended: it may be alive. A run that was killed never
    says that it ended; after a week it is taken for that.

    Args:
        older_than_h: hours; must be longer than anybody reads from one opened table.
        dry_run: only say what would be removed.
        now: the moment that ages are counted to; by default the present.

    Raises:
        StorageError, FormatError: as `FeatureStore`, or the store cannot be written.
    """
    store = FeatureStore(url)
    now = now or datetime.datetime.now(datetime.UTC)
    unended = _unended_runs(store, now - datetime.timedelta(days=LIVE_RUN_DAYS))
    cut = min([now - datetime.timedelta(hours=older_than_h), *unended.values()])
    garbage = find_garbage(store, cut)
    keys = sorted(found.object.key for found in garbage)
    if not dry_run:
        for first in range(0, len(keys), REMOVED_TOGETHER):
            remove_objects(store.location, keys[first : first + REMOVED_TOGETHER])
    objects, sizes = Counter(found.kind for found in garbage), Counter[str]()
    for found in garbage:
        sizes[found.kind] += found.object.size
    return {
        "command": "gc",
        "store": store.location.url,
        "dry_run": dry_run,
        "written_before": cut.isoformat(),
        "unended_runs": sorted(unended),
        "removed": [{"kind": kind, "objects": objects[kind], "bytes": sizes[kind]} for kind in sorted(objects)],
        "objects": len(keys),
        "bytes": sizes.total(),
        "keys": keys,
    }


def _unended_runs(store: FeatureStore, since: datetime.datetime) -> dict[str, datetime.datetime]:
    """Return when the runs started that began since a moment and have not ended, by run_id."""
    runs = store.table("runs").current(["run_id", "state", "recorded_at"]).to_pylist()
    started = {row["run_id"]: row["recorded_at"] for row in runs if row["state"] == "started"}
    return {run_id: moment for run_id, moment in started.items() if moment >= since}
