"""What becomes of an item whose worker is lost: tried again, tried again by itself, or given up.

A worker may be lost for reasons of its own, so that an item that was on it is requeued, in a task of its own. An item that was on
a second lost worker is suspect: it waits until everything else is done, and then runs alone on fresh workers, where a further loss
is its own doing. An item that ran beyond its limit is known by its number; it is tried once more when the others are done, with a
worker to itself. No item is given up for what another did, and none is retried for ever.
"""

from dataclasses import dataclass
from enum import Enum

# Lost workers after which an item is run alone.
LOSSES_BEFORE_ISOLATION = 2


class Retry(Enum):
    """What is done with an item whose worker is lost."""

    REQUEUE = "soon, in a task of its own"
    OVERDUE = "when the others are done, with a worker to itself"
    SUSPECT = "when everything else is done, alone"
    EXPIRED = "given up: it ran beyond its limit again"
    LOST = "given up: its worker was lost although it ran alone"


@dataclass(slots=True)
class Attempts:
    """What has happened to an item until now.

    Attributes:
        losses: workers that were lost with it.
        expired: it ran beyond its limit.
    """

    losses: int = 0
    expired: bool = False


def after_loss(attempts: Attempts, *, expired: bool, worker_ended: bool, alone: bool) -> Retry:
    """Count a loss, and return what is done with the item.

    Args:
        expired: the item ran beyond its limit, which ended its worker.
        worker_ended: its worker was ended because of another item.
        alone: nothing else was at work.
    """
    if expired:
        if attempts.expired or alone:
            return Retry.EXPIRED
        attempts.expired = True
        return Retry.OVERDUE
    if worker_ended:
        return Retry.REQUEUE
    attempts.losses += 1
    if alone:
        return Retry.LOST
    return Retry.REQUEUE if attempts.losses < LOSSES_BEFORE_ISOLATION else Retry.SUSPECT
