"""What becomes of an item, and the executor that defines correctness: one item after another, in this process."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from cvtbatch.engine.memory import NeedsMemory, memory_left_bytes

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Done(Generic[Item, Result]):
    """The function returned for an item."""

    item: Item
    result: Result


@dataclass(frozen=True, slots=True)
class Lost(Generic[Item]):
    """An item that took its worker down every time, the last time alone on a fresh one; it is not tried again.

    Attributes:
        deaths: how many workers died with it.
    """

    item: Item
    deaths: int


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


def run_inline(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Outcome[Item, Result]]:
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
