"""What to say of work that no worker could do."""

from typing import TypeVar

from cvtbatch.engine import Done, Expired, Outcome, TooLarge, Undone
from cvtbatch.errors import ResourceError

Item = TypeVar("Item")
Result = TypeVar("Result")


def why_undone(outcome: Undone[Item], what: str) -> ResourceError:
    """Return the error that an outcome means; `what` is worked on, e.g. "this case"."""
    if isinstance(outcome, Expired):
        return ResourceError(
            "time_limit",
            f"{what} ran twice for longer than its limit of {outcome.limit_s:.0f} s, the second time with a worker to itself; "
            "if it only needs longer, try it with --retry-failed and a larger run.time_limit_s",
            outcome.where,
        )
    if isinstance(outcome, TooLarge):
        needed_gb, largest_gb = outcome.needed_bytes / 1e9, outcome.largest_bytes / 1e9
        return ResourceError(
            "too_large",
            f"a process that works on {what} needs {needed_gb:.1f} GB of memory, the largest worker may take {largest_gb:.1f} GB; "
            "try it with --retry-failed, and fewer workers or a machine with more memory",
        )
    return ResourceError(
        "worker_killed",
        f"{outcome.workers_lost} worker processes died over {what}, the last one with nothing else to do: "
        "too little memory for it, or a crash in a library; try it with --retry-failed and fewer workers",
    )


def require_done(outcome: Outcome[Item, Result], what: str) -> Result:
    """Return the result of work that the rest depends on.

    Raises:
        ResourceError: no worker could do it.
    """
    if isinstance(outcome, Done):
        return outcome.result
    raise why_undone(outcome, what)
