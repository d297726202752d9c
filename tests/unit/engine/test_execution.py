"""In this process: one item after another, in order, and none that does not fit."""

import os
from collections.abc import Iterator

import pytest

from cvtbatch.engine import Cluster, Done, TooLarge, require_memory, run
from cvtbatch.errors import StorageError

HERE = Cluster(None, "inline", threads=None)


def half(number: int) -> int:
    if number % 2:
        raise StorageError("store_full", "the disk of the store is full")
    return number // 2


def test_items_are_drawn_and_done_one_by_one_and_a_fault_ends_the_run() -> None:
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for number in (4, 2, 6, 3, 8):
            drawn.append(number)
            yield number

    outcomes = run(HERE, half, items(), resource="GPU", limit_s=lambda _: 0.0)
    assert drawn == []
    assert [next(outcomes) for _ in range(3)] == [Done(4, 2), Done(2, 1), Done(6, 3)]
    assert drawn == [4, 2, 6]
    with pytest.raises(StorageError):
        next(outcomes)
    assert drawn == [4, 2, 6, 3]


def test_an_item_may_take_what_the_machine_has_free() -> None:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    small, large = run(HERE, require_memory, [1 << 20, pages])
    assert isinstance(small, Done)
    assert isinstance(large, TooLarge)
    assert (large.needed_bytes, large.largest_bytes < pages) == (pages, True)
