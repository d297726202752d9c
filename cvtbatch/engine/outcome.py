"""What becomes of an item that a function is called on."""

from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Done(Generic[Item, Result]):
    """The function returned for an item."""

    item: Item
    result: Result


@dataclass(frozen=True, slots=True)
class Lost(Generic[Item]):
    """An item whose worker was lost every time, the last time alone on a fresh one; it is not tried again.

    Attributes:
        workers_lost: how many.
    """

    item: Item
    workers_lost: int


@dataclass(frozen=True, slots=True)
class Expired(Generic[Item]):
    """An item that ran beyond its limit twice, the second time with a worker to itself; it is not tried again.

    Attributes:
        limit_s: the limit, in seconds.
        where: what the worker was doing then, as a traceback; empty where native code did not let it be asked.
    """

    item: Item
    limit_s: float
    where: str


@dataclass(frozen=True, slots=True)
class TooLarge(Generic[Item]):
    """An item that needs more memory than any worker may use; it was not begun.

    Attributes:
        needed_bytes: what a process that works on it takes.
        largest_bytes: what the largest worker may take.
    """

    item: Item
    needed_bytes: int
    largest_bytes: int


Undone = Lost[Item] | Expired[Item] | TooLarge[Item]
Outcome = Done[Item, Result] | Undone[Item]
