"""What a store's runs are doing, seen from anywhere that the store can be read from: `status`, again and again."""

import datetime
import time
from collections import deque
from collections.abc import Iterator

from cvtbatch.pipelines.stores.status import Document, read_status
from cvtbatch.store import FeatureStore

# The rate is that of the last so many looks.
LOOKS = 12
# A look that takes long, as at a large store, is taken more rarely: it costs at most one part of so many of the time.
SHARE = 5


def watch_status(url: str, seconds: float) -> Iterator[Document]:
    """Yield the document of `status` with what moves in it (`watch`), now and every so many seconds, without end.

    A table that nobody wrote to is not read again.

    Raises:
        StorageError, FormatError: as `FeatureStore`.
    """
    store = FeatureStore(url)
    settled: deque[tuple[float, int]] = deque(maxlen=LOOKS)
    document: Document = {}
    seen: object = None
    while True:
        began = time.monotonic()
        pins = [store.table(name).pin() for name in store.table_names()]
        if pins != seen:
            document, seen = read_status(url), pins
        settled.append((time.monotonic(), _settled(document)))
        yield {**document, "watch": {**_moment(store, document), "cases_per_second": _rate(settled)}}
        time.sleep(max(seconds, SHARE * (time.monotonic() - began)))


def _settled(document: Document) -> int:
    """Return how many cases are done, failed or await their mask."""
    cases = document["cases"]
    assert isinstance(cases, dict)
    return int(cases["done"] + cases["failed"] + cases["no_hemorrhage"] + cases["awaiting_mask"])


def _rate(settled: "deque[tuple[float, int]]") -> float | None:
    """Return how many cases a second were settled between the first and the last look; None after the first one."""
    (since, before), (now, after) = settled[0], settled[-1]
    return round((after - before) / (now - since), 4) if len(settled) > 1 else None


def _moment(store: FeatureStore, document: Document) -> Document:
    """Return the time, how long ago anybody wrote to the store, and the runs that have not ended."""
    now = datetime.datetime.now(datetime.UTC)
    written = [moment for name in store.table_names() if (moment := store.table(name).written_at())]
    runs = document["runs"]
    assert isinstance(runs, list)
    running = [
        {
            "run_id": run["run_id"],
            "cases": run["cases"],
            "age_s": _seconds_since(datetime.datetime.fromisoformat(run["started_at"]), now),
        }
        for run in runs
        if run["state"] == "started"
    ]
    return {
        "time": now.isoformat(timespec="seconds"),
        "silent_s": _seconds_since(max(written), now) if written else None,
        "running": running,
    }


def _seconds_since(then: datetime.datetime, now: datetime.datetime) -> float:
    # Clocks of several machines need not agree.
    return round(max(0.0, (now - then).total_seconds()), 1)
