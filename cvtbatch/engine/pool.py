"""What the driver knows of the workers, and what it does about those that send no heartbeat.

A worker that hangs (stopped, or its host) keeps its connection, so that nothing reports it as lost. The driver watches the
heartbeats that the scheduler has seen, by its own monotonic clock, and has the scheduler end workers that are silent for too long:
by their nanny, where there is one, else by taking them off its list. Their items are requeued.
"""

import asyncio
import time
from collections.abc import Coroutine, Set
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from cvtbatch.errors import ResourceError

if TYPE_CHECKING:
    from distributed import Client

# How often the scheduler is asked about its workers.
POLL_SECONDS = 2.0
# A worker that hangs is given up after so long; one whose native code does not let it send a heartbeat is not distinguishable.
SILENT_SECONDS = 30.0
# So long a scheduler may take to answer.
UNREACHABLE_SECONDS = 60.0
# A nanny's time to end its worker.
END_SECONDS = 15.0


class Pool:
    """The workers of a client that an item may go to: all, or those that advertise a resource."""

    def __init__(self, client: "Client", resource: str | None) -> None:
        if client.scheduler is None:
            raise scheduler_lost("the client is closed")
        self.loop: asyncio.AbstractEventLoop = client.sync(_this_loop)
        self._scheduler, self._resource = client.scheduler, resource
        self._workers: dict[str, dict[str, Any]] = {}
        self._seen: dict[str, float] = {}
        self._silent_s: dict[str, float] = {}
        self._asked_at = self._answered_at = time.monotonic()
        self._answer = self._ask()

    @property
    def slots(self) -> int:
        """How many items can run at once."""
        return sum(_slots(worker, self._resource) for worker in self._workers.values())

    @property
    def largest_bytes(self) -> int:
        """The largest memory limit of a worker."""
        return max((int(worker["memory_limit"]) for worker in self._workers.values()), default=0)

    def able_workers(self, limit_bytes: int, refused: Set[str]) -> list[str]:
        """Return the workers that may hold an item: of enough memory, or with no limit and not known to have refused it."""
        return [
            address
            for address, worker in self._workers.items()
            if _slots(worker, self._resource)
            and (worker["memory_limit"] >= limit_bytes if worker["memory_limit"] else address not in refused)
        ]

    def wait_for_answer(self) -> None:
        """Wait for the first answer.

        Raises:
            ResourceError: there is none.
        """
        while not self._workers and not self._answer.done():
            self.poll()
            time.sleep(0.01)
        self.poll()

    def poll(self) -> None:
        """Take the scheduler's last answer, if there is one, and ask again if it is time; never waits.

        Raises:
            ResourceError: the scheduler has not answered for too long, or has gone away.
        """
        now = time.monotonic()
        if self._answer.done():
            error = self._answer.exception()
            if error is None:
                self._update(self._answer.result()["workers"], min(now - self._answered_at, 2 * POLL_SECONDS))
                self._answered_at = now
            if now - self._asked_at >= POLL_SECONDS:
                self._answer, self._asked_at = self._ask(), now
        if now - self._answered_at > UNREACHABLE_SECONDS:
            raise scheduler_lost(f"no answer for {UNREACHABLE_SECONDS:.0f} s")

    def _ask(self) -> "Future[dict[str, Any]]":
        return self._in_background(self._scheduler.identity(n_workers=-1))

    def _update(self, workers: dict[str, dict[str, Any]], passed_s: float) -> None:
        """Take the workers as they are now, and have those ended that are silent for too long.

        Args:
            passed_s: what a silence has grown by, however long the driver itself slept.
        """
        from distributed.scheduler import heartbeat_interval

        self._silent_s = {
            address: self._silent_s.get(address, 0.0) + passed_s
            if self._seen.get(address) == worker["last_seen"]
            else 0.0
            for address, worker in workers.items()
        }
        self._seen = {address: worker["last_seen"] for address, worker in workers.items()}
        self._workers = workers
        patience_s = max(SILENT_SECONDS, 10 * heartbeat_interval(len(workers)))
        silent = [address for address, silent_s in self._silent_s.items() if silent_s > patience_s]
        if silent:
            self._seen = {address: seen for address, seen in self._seen.items() if address not in silent}
            self._in_background(
                self._scheduler.restart_workers(
                    workers=silent,
                    timeout=END_SECONDS,
                    wait_for_workers=False,
                    on_error="return",
                    stimulus_id="cvtbatch-silent-worker",
                )
            )

    def _in_background(self, call: "Coroutine[Any, Any, dict[str, Any]]") -> "Future[dict[str, Any]]":
        return asyncio.run_coroutine_threadsafe(call, self.loop)


async def _this_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def _slots(worker: dict[str, Any], resource: str | None) -> int:
    if worker["status"] != "running":
        return 0
    return int(worker["nthreads"] if resource is None else worker["resources"].get(resource, 0))


def scheduler_lost(why: str) -> ResourceError:
    """Return the error for a scheduler that is gone."""
    return ResourceError(
        "scheduler_lost", "the scheduler went away; what was committed is safe, run again to continue", why
    )
