"""A `map` over a cluster's workers, for pure code that takes one."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from cvtbatch import engine
from cvtbatch.engine import Cluster, Done
from cvtbatch.errors import ResourceError

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class _Numbered(Generic[A]):
    number: int
    item: A


def _run(function: Callable[[A], B], item: _Numbered[A]) -> B:
    return function(item.item)


def map_on(cluster: Cluster, function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
    """Yield what a function returns for each item, in the items' order, whoever works on it.

    Args:
        function: where the cluster has workers, it and the items are picklable.

    Raises:
        ResourceError: a worker died over an item, or the scheduler went away.
    """
    numbered = [_Numbered(number, item) for number, item in enumerate(items)]
    waiting: dict[int, B] = {}
    turn = 0
    for outcome in engine.run(cluster, partial(_run, function), numbered):
        if not isinstance(outcome, Done):
            raise ResourceError(
                "worker_killed",
                "worker processes died over a part of the computation: too little memory for it; try fewer workers",
            )
        waiting[outcome.item.number] = outcome.result
        while turn in waiting:
            yield waiting.pop(turn)
            turn += 1
