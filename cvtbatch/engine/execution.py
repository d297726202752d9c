"""A function on many items: one after another in this process, which defines correctness, or on the workers of a cluster."""

from collections.abc import Callable, Generator, Iterable

from cvtbatch.engine.cluster import Cluster
from cvtbatch.engine.memory import NeedsMemory, memory_left_bytes
from cvtbatch.engine.outcome import Done, Item, Outcome, Result, TooLarge
from cvtbatch.engine.submission import run_on_workers


def run(
    cluster: Cluster,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    resource: str | None = None,
    limit_s: Callable[[Item], float | None] = lambda _: None,
    on_wait: Callable[[str], None] = lambda _: None,
) -> Generator[Outcome[Item, Result], None, None]:
    """Call the function on every item, wherever the cluster works; outcomes come as they are ready.

    The three options are about workers: in this process an item needs no resource, has no limit and is never waited for.

    Args:
        function: what it raises ends the run, but for NeedsMemory; where there are workers, they can import it.
        items: drawn only as fast as they are worked off; where there are workers, picklable.
        resource: go only to workers that advertise it; an item takes one of it.
        limit_s: how long an item may take, in seconds; None for as long as it likes.
        on_wait: called about twice a second while nothing is ready, with what is wrong, or an empty text; may raise.

    Returns:
        outcomes; closed before their end, what is in flight is given up.

    Raises:
        ResourceError: the scheduler went away, or there has been no worker for too long.
    """
    if cluster.client is None:
        return run_inline(function, items)
    return run_on_workers(cluster.client, function, items, resource, limit_s, on_wait)


def run_inline(
    function: Callable[[Item], Result], items: Iterable[Item]
) -> Generator[Outcome[Item, Result], None, None]:
    """Call the function on every item, in order; what it raises ends the run, but for NeedsMemory.

    Nothing limits how long an item takes: who could end it is the process itself.
    """
    for item in items:
        try:
            result = function(item)
        except NeedsMemory as refusal:
            yield TooLarge(item, refusal.needed_bytes, memory_left_bytes())
        else:
            yield Done(item, result)
