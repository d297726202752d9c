"""On a worker: some items, one after another, as one task."""

import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Generic

from cvtbatch.engine.memory import NeedsMemory, limit_needed_bytes, this_worker
from cvtbatch.engine.outcome import Item, Result
from cvtbatch.engine.watchdog import Watchdog
from cvtbatch.errors import ResourceError
from cvtbatch.library_versions import differing_versions, library_versions

# A task gives back the items that it has not begun by then.
LONGEST_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Refused:
    """An item that its worker cannot hold.

    Attributes:
        worker: its address.
        limit_bytes: memory limit under which a worker could.
    """

    worker: str
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class BatchResult(Generic[Result]):
    """Results of the first items of a batch, in order; the rest was not begun.

    Attributes:
        seconds: that these took.
    """

    results: tuple[Result | Refused, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Batch(Generic[Item, Result]):
    """What is sent to a worker as one task: what its items share is pickled once.

    Attributes:
        topic: of the scheduler's events, for items that run beyond their limit.
        items: (number, item, limit in seconds).
    """

    function: Callable[[Item], Result]
    topic: str
    items: Sequence[tuple[int, Item, float | None]]


def run_batch(pickled: bytes, versions: Mapping[str, str] | None = None) -> BatchResult[Result]:
    """Call a batch's function on its items, until all are done or the time of a task is over.

    What the function raises on the first item is raised. At a later one the task ends before it, so that the item is the first of a
    task to come, and what was done is not lost.

    Args:
        versions: of the driver's libraries; drivers of 0.2.0 and before name none.

    Raises:
        ResourceError: "worker_version", this worker would compute with others; it has begun nothing.
    """
    worker = this_worker()
    if worker is None:
        raise RuntimeError("a batch runs on a worker")
    ours = library_versions()
    earlier = [f"cvtbatch {ours['cvtbatch']} (here an earlier one)"]
    if differing := earlier if versions is None else differing_versions(versions, ours):
        raise ResourceError(
            "worker_version",
            f"worker {worker.address} has another version than the command that it works for: {', '.join(differing)}; install "
            "the same on every machine, and run again: what was committed is safe",
        )
    batch: Batch[object, Result] = pickle.loads(pickled)
    started = time.monotonic()
    results: list[Result | Refused] = []
    for number, item, limit_s in batch.items:
        if time.monotonic() - started > LONGEST_SECONDS:
            break
        try:
            with _watchdog().limit(worker, batch.topic, number, limit_s):
                results.append(batch.function(item))
        except NeedsMemory as refusal:
            results.append(Refused(worker.address, limit_needed_bytes(refusal.needed_bytes)))
        except Exception:
            if not results:
                raise
            break
    return BatchResult(tuple(results), time.monotonic() - started)


@cache
def _watchdog() -> Watchdog:
    return Watchdog()
