"""What becomes of an item, and the executor that defines correctness: one item after another, in this process."""

from collections.abc import Callable, Iterable, Iterator
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
    """An item that took its worker down every time, the last time alone on a fresh one; it is not tried again.

    Attributes:
        deaths: how many workers died with it.
    """

    item: Item
    deaths: int


Outcome = Done[Item, Result] | Lost[Item]


def run_inline(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Outcome[Item, Result]]:
    """Call the function on every item, in order; what it raises ends the run."""
    for item in items:
        yield Done(item, function(item))
