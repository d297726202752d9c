"""Keeps the device busy: items of a few slices each are read ahead in threads and cut into full batches across items."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np

from cvtbatch.embedding.compute import Embeddings
from cvtbatch.embedding.preprocessing import Gray, Slices

Item = TypeVar("Item")

# Batches of slices that are read or being read while one is computed.
BATCHES_AHEAD = 2


class Embedder(Protocol):
    """What computes: a `Backbone`, or a stand-in."""

    batch: int
    readers: int

    def embed(self, batches: Iterator[Gray]) -> Iterator[Embeddings]: ...


def embed_items(
    items: Sequence[Item],
    slices_of: Callable[[Item], int],
    load: Callable[[Item], Slices],
    embedder: Embedder,
) -> Iterator[tuple[Item, Slices | Exception, Embeddings]]:
    """Yield every item, in order, with its slices and their embeddings, or with what was raised when it was loaded
    and none.

    Args:
        slices_of: about how many slices an item has; bounds what is read ahead.
        load: called in the embedder's `readers` threads.

    Raises:
        ResourceError: the device gave out.
    """
    waiting: deque[tuple[Item, Slices | Exception]] = deque()
    computed = np.empty((0, 0), np.float32)
    with ThreadPoolExecutor(embedder.readers, thread_name_prefix="slices") as threads:
        loaded = _read_ahead(items, slices_of, load, threads, BATCHES_AHEAD * embedder.batch)
        for values in embedder.embed(_batches(loaded, waiting, embedder.batch)):
            computed = np.concatenate([computed, values]) if len(computed) else values
            while waiting and len(computed) >= _rows(waiting[0][1]):
                item, slices = waiting.popleft()
                if isinstance(slices, Exception):
                    yield item, slices, computed[:0]
                else:
                    yield item, slices, computed[: len(slices.index)]
                    computed = computed[len(slices.index) :]
        for item, error in waiting:
            if isinstance(error, Exception):
                yield item, error, computed[:0]


def _rows(loaded: Slices | Exception) -> int:
    return 0 if isinstance(loaded, Exception) else len(loaded.index)


def _read_ahead(
    items: Sequence[Item],
    slices_of: Callable[[Item], int],
    load: Callable[[Item], Slices],
    threads: ThreadPoolExecutor,
    ahead: int,
) -> Iterator[tuple[Item, Slices | Exception]]:
    """Yield items as they are loaded, in order; about `ahead` slices, and at least one item, are under way."""
    reading: deque[tuple[Item, Future[Slices]]] = deque()
    source = iter(items)
    more = True
    while more or reading:
        while more and (not reading or sum(slices_of(item) for item, _ in reading) < ahead):
            item = next(source, None)
            if item is None:
                more = False
                break
            reading.append((item, threads.submit(load, item)))
        if reading:
            item, future = reading.popleft()
            try:
                yield item, future.result()
            except Exception as error:  # the caller knows which of them end the run
                yield item, error


def _batches(
    loaded: Iterator[tuple[Item, Slices | Exception]], waiting: deque[tuple[Item, Slices | Exception]], size: int
) -> Iterator[Gray]:
    """Cut the slices of items into batches of one size, the last one smaller; note in `waiting` whose they are."""
    parts: list[Gray] = []
    held = 0
    for item, slices in loaded:
        waiting.append((item, slices))
        if isinstance(slices, Exception):
            continue
        parts.append(slices.gray)
        held += len(slices.gray)
        if held >= size:
            together = np.concatenate(parts)
            full = held - held % size
            for start in range(0, full, size):
                yield together[start : start + size]
            parts, held = [together[full:]], held - full
    if held:
        yield np.concatenate(parts)
