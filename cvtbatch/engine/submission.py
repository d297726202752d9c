"""Bounded submission to Dask workers: the driver holds a window of tasks, never the archive.

A worker may die for reasons of its own, so an item that was on it is sent again. An item that was on a second worker that died
is suspect: it waits until everything else is done, and then runs alone on fresh workers, where a further death is its own doing.
No innocent neighbour is blamed and nothing is retried for ever.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from cvtbatch.engine.execution import Done, Item, Lost, Outcome, Result
from cvtbatch.errors import ResourceError

if TYPE_CHECKING:
    from distributed import Client, Future

# Tasks in flight for each worker thread: one runs, one is there when it ends.
TASKS_PER_THREAD = 2
# Deaths of workers after which an item is run alone.
DEATHS_BEFORE_ISOLATION = 2


def run_on_workers(
    client: "Client", function: Callable[[Item], Result], items: Iterable[Item], resource: str | None = None
) -> Iterator[Outcome[Item, Result]]:
    """Call the function on every item, on the workers of a client; outcomes come as they are ready.

    Args:
        function: importable on the workers; what it raises ends the run.
        items: picklable; drawn only as fast as they are worked off.
        resource: go to workers that advertise it alone; an item takes one of it.

    Raises:
        ResourceError: the scheduler went away.
    """
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    source = iter(items)
    deaths: dict[int, int] = {}
    suspects: list[tuple[int, Item]] = []
    running: dict[Future[Result], tuple[int, Item]] = {}
    ready = as_completed([], loop=client.loop)
    count = 0
    # A key that this client has used before would give that task's result.
    run = uuid.uuid4().hex[:8]

    def submit(number: int, item: Item) -> None:
        key = f"item-{run}-{number}-{deaths.get(number, 0)}"
        future = client.submit(function, item, pure=False, key=key, resources=_one(resource))
        running[future] = (number, item)
        ready.add(future)

    def fill() -> None:
        nonlocal count
        window = TASKS_PER_THREAD * max(1, places(client, resource))
        while len(running) < window:
            try:
                item = next(source)
            except StopIteration:
                return
            submit(count, item)
            count += 1

    fill()
    while running:
        future = next(ready)
        number, item = running.pop(future)
        try:
            yield Done(item, future.result())
        except KilledWorker:
            deaths[number] = deaths.get(number, 0) + 1
            if deaths[number] < DEATHS_BEFORE_ISOLATION:
                submit(number, item)
            else:
                suspects.append((number, item))
        except BaseException as error:
            _raise_if_scheduler_lost(error)
            raise
        del future
        fill()
    for number, item in suspects:
        yield _run_alone(client, function, item, deaths[number], f"item-{run}-{number}-alone", resource)


def _run_alone(
    client: "Client", function: Callable[[Item], Result], item: Item, deaths: int, key: str, resource: str | None
) -> Outcome[Item, Result]:
    from distributed.scheduler import KilledWorker

    client.wait_for_workers(1)
    try:
        return Done(item, client.submit(function, item, pure=False, key=key, resources=_one(resource)).result())
    except KilledWorker:
        return Lost(item, deaths + 1)
    except BaseException as error:
        _raise_if_scheduler_lost(error)
        raise


def places(client: "Client", resource: str | None = None) -> int:
    """Return how many items can run at once: a worker's threads, or what it advertises of a resource."""
    if resource is None:
        return sum(client.nthreads().values())
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return sum(int(worker["resources"].get(resource, 0)) for worker in workers)


def _one(resource: str | None) -> dict[str, int] | None:
    return None if resource is None else {resource: 1}


def _raise_if_scheduler_lost(error: BaseException) -> None:
    from concurrent.futures import CancelledError

    from distributed.client import FutureCancelledError
    from distributed.comm.core import CommClosedError

    if isinstance(error, CancelledError | FutureCancelledError | CommClosedError):
        raise ResourceError(
            "scheduler_lost", "the scheduler went away; what was committed is safe, run again to continue", str(error)
        ) from None
