"""Full batches across items, in order, read ahead while others are computed."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from cvtbatch.embedding.batching import embed_items
from cvtbatch.embedding.preprocessing import Slices


class Doubler:
    """Stands in for the backbone: an embedding is twice the slice's number; one batch stays in flight, as on a GPU."""

    def __init__(self, batch: int, readers: int = 2) -> None:
        self.batch, self.readers = batch, readers
        self.sizes: list[int] = []

    def embed(self, batches: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        waiting = None
        for gray in batches:
            self.sizes.append(len(gray))
            if waiting is not None:
                yield waiting
            waiting = 2 * gray[:, :1, 0]
        if waiting is not None:
            yield waiting


def item(first: int, count: int) -> Slices:
    gray = np.zeros((count, 2, 2), np.float32)
    gray[:, 0, 0] = np.arange(first, first + count)
    return Slices(tuple(range(first, first + count)), (1.0,) * count, 0, 0, gray)


@pytest.mark.parametrize("batch", [1, 3, 4, 7, 100])
@pytest.mark.parametrize("readers", [1, 3])
def test_every_item_comes_back_in_order_with_its_own_values(batch: int, readers: int) -> None:
    counts = [3, 1, 0, 8, 2, 0, 5, 1, 0]  # 0: cannot be read
    firsts = np.cumsum([0, *counts])[:-1].tolist()

    def load(number: int) -> Slices:
        if not counts[number]:
            raise ValueError(f"item {number}")
        return item(firsts[number], counts[number])

    embedder = Doubler(batch, readers)
    found = list(embed_items(range(len(counts)), lambda number: counts[number], load, embedder))
    assert [number for number, _, _ in found] == list(range(len(counts)))
    for number, slices, values in found:
        if not counts[number]:
            assert (str(slices), len(values)) == (f"item {number}", 0)
        else:
            np.testing.assert_array_equal(values[:, 0], 2 * np.arange(firsts[number], firsts[number] + counts[number]))
    assert embedder.sizes == [batch] * (20 // batch) + ([20 % batch] if 20 % batch else [])


def test_items_that_all_fail_need_no_batch() -> None:
    def load(_: int) -> Slices:
        raise OSError

    embedder = Doubler(2)
    assert [type(error) for _, error, _ in embed_items(range(5), lambda _: 1, load, embedder)] == [OSError] * 5
    assert embedder.sizes == []


def test_reading_goes_on_while_a_batch_is_computed_and_not_far_ahead() -> None:
    read: list[int] = []
    moved = threading.Event()

    def load(number: int) -> Slices:
        read.append(number)
        if number == 3:
            moved.set()
        return item(number, 1)

    class Waiting(Doubler):
        def embed(self, batches: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
            for gray in batches:
                # While the first batch is computed, the slices of the next are read.
                assert moved.wait(10)
                assert max(read) <= gray[0, 0, 0] + 6
                yield gray[:, :1, 0]

    assert len(list(embed_items(range(50), lambda _: 1, load, Waiting(2)))) == 50
