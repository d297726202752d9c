"""Bounded submission to Dask workers: the driver holds a window of items, never the archive.

Dask's scheduler takes some hundred tasks a second, so that small items travel many a task: as many as a worker does in about a
second, by what the last ones took. Outcomes still come one by one.

What becomes of items whose worker is lost is decided in `retries`.
"""

import asyncio
import pickle
import queue
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from itertools import islice
from typing import TYPE_CHECKING, Generic

from cvtbatch.engine.batch import Batch, BatchResult, Refused, run_batch
from cvtbatch.engine.outcome import Done, Expired, Item, Lost, Outcome, Result, TooLarge
from cvtbatch.engine.pool import Pool, scheduler_lost
from cvtbatch.engine.retries import Attempts, Retry, after_loss
from cvtbatch.errors import ResourceError
from cvtbatch.library_versions import library_versions

if TYPE_CHECKING:
    from distributed import Client, Future

# Tasks in flight for each worker thread: one runs, one is there when it ends.
TASKS_PER_THREAD = 2
# What a task of several items is made to take, and how many it has at most.
TASK_SECONDS = 1.0
TASK_ITEMS = 300
# Items in flight at most, however many workers there are and as long as each has one.
WINDOW_ITEMS = 20_000
# Weight of the newest task in what an item is taken to last.
NEWEST = 0.5
# How often the driver acts while nothing is ready.
TICK_SECONDS = 0.5
# A run without any worker is given up after so long; workers may be restarted, or wait in a queue of the cluster.
NO_WORKERS_SECONDS = 3600.0
# So long workers may take to tell their versions, and how many of them an error names.
VERSIONS_SECONDS = 10.0
SHOWN_WORKERS = 5


@dataclass(slots=True, eq=False)
class _Entry(Generic[Item]):
    """An item on its way.

    Attributes:
        refused: workers that could not hold it.
        workers: those that may hold it, once one could not.
    """

    number: int
    item: Item
    limit_s: float | None
    attempts: Attempts = field(default_factory=Attempts)
    refused: set[str] = field(default_factory=set)
    workers: list[str] | None = None


@dataclass(frozen=True, slots=True)
class _Task(Generic[Item]):
    entries: list[_Entry[Item]]
    sent_at: float


def run_on_workers(
    client: "Client",
    function: Callable[[Item], Result],
    items: Iterable[Item],
    resource: str | None = None,
    limit_s: Callable[[Item], float | None] = lambda _: None,
    on_wait: Callable[[str], None] = lambda _: None,
) -> Generator[Outcome[Item, Result], None, None]:
    """Call the function on every item, on the workers of a client; outcomes come as they are ready.

    Args:
        function: importable on the workers; what it raises ends the run, but for NeedsMemory.
        items: picklable; drawn only as fast as they are worked off.
        resource: go only to workers that advertise it; an item takes one of it.
        limit_s: how long an item may take, in seconds; None for as long as it likes.
        on_wait: called about twice a second while nothing is ready, with what is wrong, or an empty text; may raise.

    Raises:
        ResourceError: the scheduler went away, or there has been no worker for too long.
    """
    run = _Run(client, function, resource, limit_s, on_wait)
    try:
        yield from run.outcomes(items)
    finally:
        run.close()


class _Run(Generic[Item, Result]):
    def __init__(
        self,
        client: "Client",
        function: Callable[[Item], Result],
        resource: str | None,
        limit_s: Callable[[Item], float | None],
        on_wait: Callable[[str], None],
    ) -> None:
        self.client, self.function, self.resource = client, function, resource
        self.limit_s, self.on_wait = limit_s, on_wait
        # A key that this client has used before would give that task's result.
        self.name = f"items-{uuid.uuid4().hex[:8]}"
        self.pool = Pool(client, resource)
        self.running: dict[Future[BatchResult[Result]], _Task[Item]] = {}
        self.ready: queue.SimpleQueue[tuple[Future[BatchResult[Result]], BatchResult[Result] | BaseException]] = (
            queue.SimpleQueue()
        )
        self.requeued: deque[_Entry[Item]] = deque()
        self.overdue: list[_Entry[Item]] = []
        self.suspects: list[_Entry[Item]] = []
        self.expired_where: dict[int, str] = {}
        self.ended_workers: set[str] = set()
        self.sent = 0
        self.item_seconds = TASK_SECONDS
        self.worked_at = time.monotonic()
        client.subscribe_topic(self.name, self._on_event)

    def outcomes(self, items: Iterable[Item]) -> Iterator[Outcome[Item, Result]]:
        self.pool.wait_for_answer()
        entries = (_Entry(number, item, self.limit_s(item)) for number, item in enumerate(items))
        yield from self._work(entries, TASKS_PER_THREAD)
        yield from self._work(iter(self.overdue), 1)
        yield from self._work(iter(self.suspects), None)

    def close(self) -> None:
        self.running.clear()
        if self.client.status == "running":
            self.client.unsubscribe_topic(self.name)

    def _work(self, source: Iterator[_Entry[Item]], ahead: int | None) -> Iterator[Outcome[Item, Result]]:
        """Work off entries with so many tasks a worker thread; None for one task at all."""
        while True:
            self.pool.poll()
            self._fill(source, ahead)
            if not self.running and (self.pool.slots or not self._has_more(source)):
                return
            try:
                future, answer = self.ready.get(timeout=TICK_SECONDS)
            except queue.Empty:
                self._on_idle()
                continue
            self.worked_at = time.monotonic()
            yield from self._on_answer(self.running.pop(future), answer, alone=ahead is None)

    def _has_more(self, source: Iterator[_Entry[Item]]) -> bool:
        """Return whether there is anything left to send."""
        if not self.requeued:
            self.requeued.extend(islice(source, 1))
        return bool(self.requeued)

    def _fill(self, source: Iterator[_Entry[Item]], ahead: int | None) -> None:
        window = self.pool.slots * ahead if ahead else min(self.pool.slots, 1)
        while len(self.running) < window:
            size = self._task_items(window) if ahead == TASKS_PER_THREAD else 1
            entries = [self.requeued.popleft()] if self.requeued else list(islice(source, size))
            if not entries:
                return
            self._send(entries)

    def _task_items(self, window: int) -> int:
        most = max(1, min(TASK_ITEMS, WINDOW_ITEMS // window))
        return max(1, min(most, int(TASK_SECONDS / max(self.item_seconds, 1e-9))))

    def _send(self, entries: list[_Entry[Item]]) -> None:
        items = [(entry.number, entry.item, entry.limit_s) for entry in entries]
        future: Future[BatchResult[Result]] = self.client.submit(
            run_batch,
            pickle.dumps(Batch(self.function, self.name, items)),
            library_versions(),
            pure=False,
            key=f"{self.name}-{self.sent}",
            resources=None if self.resource is None else {self.resource: 1},
            workers=entries[0].workers,
            allow_other_workers=entries[0].workers is not None,
        )
        self.sent += 1
        self.running[future] = _Task(entries, time.monotonic())
        asyncio.run_coroutine_threadsafe(self._follow(future), self.pool.loop)

    async def _follow(self, future: "Future[BatchResult[Result]]") -> None:
        """Wait for a task and fetch its result; the driver waits for neither, so that no hung worker stops it."""
        try:
            self.ready.put((future, await self.client.gather(future, asynchronous=True)))
        except BaseException as error:
            self.ready.put((future, error))
            if not isinstance(error, Exception):
                raise

    def _on_event(self, event: tuple[float, dict[str, object]]) -> None:
        """Note the item because of which a worker ends, and where it was."""
        _, expired = event
        self.expired_where[int(str(expired["number"]))] = str(expired["where"])
        self.ended_workers.add(str(expired["worker"]))

    def _on_idle(self) -> None:
        without = time.monotonic() - self.worked_at
        if self.pool.slots:
            self.worked_at = time.monotonic()
        elif without > NO_WORKERS_SECONDS:
            raise ResourceError(
                "no_workers",
                f"there has been no worker for {NO_WORKERS_SECONDS / 60:.0f} minutes; what was committed is safe, run again to "
                "continue",
            )
        self.on_wait("" if self.pool.slots else "no workers: waiting")

    def _on_answer(
        self, task: _Task[Item], answer: BatchResult[Result] | BaseException, alone: bool
    ) -> Iterator[Outcome[Item, Result]]:
        if isinstance(answer, BaseException):
            yield from self._on_error(task, answer, alone)
            return
        if answer.results:
            newest = answer.seconds / len(answer.results)
            self.item_seconds += NEWEST * (newest - self.item_seconds)
        for entry, result in zip(task.entries, answer.results, strict=False):
            if isinstance(result, Refused):
                yield from self._on_refusal(entry, result)
            else:
                yield Done(entry.item, result)
        self.requeued.extend(task.entries[len(answer.results) :])

    def _on_refusal(self, entry: _Entry[Item], refused: Refused) -> Iterator[Outcome[Item, Result]]:
        """Send an item that its worker could not hold to one that can."""
        entry.refused.add(refused.worker)
        entry.workers = self.pool.able_workers(refused.limit_bytes, entry.refused)
        if entry.workers:
            self.requeued.append(entry)
        else:
            yield TooLarge(entry.item, refused.limit_bytes, self.pool.largest_bytes)

    def _on_error(self, task: _Task[Item], error: BaseException, alone: bool) -> Iterator[Outcome[Item, Result]]:
        """Try the items of a task whose worker is lost again, or give them up; any other error ends the run."""
        from distributed import KilledWorker

        if not isinstance(error, KilledWorker):
            _raise_if_scheduler_lost(error)
            self._raise_if_worker_old(error)
            raise error
        ran_s = time.monotonic() - task.sent_at
        worker_ended = error.last_worker.address in self.ended_workers
        for entry in task.entries:
            where = self.expired_where.pop(entry.number, None)
            # Native code that holds the interpreter lets no worker report; alone, the time shows it.
            expired = where is not None or (alone and entry.limit_s is not None and ran_s > entry.limit_s)
            match after_loss(entry.attempts, expired=expired, worker_ended=worker_ended, alone=alone):
                case Retry.REQUEUE:
                    self.requeued.append(entry)
                case Retry.OVERDUE:
                    self.overdue.append(entry)
                case Retry.SUSPECT:
                    self.suspects.append(entry)
                case Retry.EXPIRED:
                    yield Expired(entry.item, entry.limit_s or 0.0, where or "")
                case Retry.LOST:
                    yield Lost(entry.item, entry.attempts.losses)

    def _raise_if_worker_old(self, error: BaseException) -> None:
        # What workers of 0.2.0 and before call a batch by has no versions to look at.
        if not isinstance(error, TypeError) or not str(error).startswith(f"{run_batch.__name__}() "):
            return
        ours = library_versions()["cvtbatch"]
        others = [f"{address} has cvtbatch {its}" for address, its in self._worker_versions().items() if its != ours]
        who = f"worker {', '.join(others[:SHOWN_WORKERS])}" if others else "a worker has an earlier version"
        raise ResourceError(
            "worker_version",
            f"{who}, and this command is of {ours}; install the same on every machine, and run again: what was committed is safe",
        ) from None

    def _worker_versions(self) -> dict[str, str]:
        """Return the version of each worker that tells it, by what every version can be asked."""

        async def ask() -> dict[str, str]:
            return dict(await self.client.run(metadata.version, "cvtbatch", on_error="ignore"))

        try:
            return asyncio.run_coroutine_threadsafe(ask(), self.pool.loop).result(VERSIONS_SECONDS)
        except Exception:  # whatever a worker that is lost or hangs makes Dask raise: the error itself is told
            return {}


def _raise_if_scheduler_lost(error: BaseException) -> None:
    from concurrent.futures import CancelledError

    from distributed.comm.core import CommClosedError

    if isinstance(error, asyncio.CancelledError | CancelledError | CommClosedError):
        raise scheduler_lost(str(error)) from None
