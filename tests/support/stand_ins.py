"""Stand-ins for what is slow: a backbone of block means, and a command that uses it in a process of its own."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
from click.testing import CliRunner

from cvtbatch.embedding import weights as weights_module
from cvtbatch.embedding.compute import Compute
from cvtbatch.embedding.weights import Weights
from cvtbatch.pipelines.extraction import embedding_worker
from cvtbatch.pipelines.extraction.embedding_plan import WeightsRef


class BlockMeans:
    """In the backbone's place: as many numbers as it gives, that depend on the slice and on the weights, in no time."""

    device = "cpu"
    readers = 1
    # What instances have embedded, in order.
    embedded: int = 0

    def __init__(self, weights: Weights, compute: Compute) -> None:
        self.scale = 1 + float(np.abs(weights.tensors["conv1.weight"]).sum())
        self.values = weights.architecture.values
        self.batch = compute.batch or 4

    def embed(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for gray in batches:
            type(self).embedded += len(gray)
            first = gray.reshape(len(gray), -1)[:, : 224 * 224]  # of windows the first, of a box some slices
            means = first.reshape(len(gray), 32, 7, 32, 7).mean(axis=(2, 4)).reshape(len(gray), 1024)
            yield (self.scale * np.concatenate([means, means**2], axis=1)[:, : self.values]).astype(np.float32)


# Of every network's tensors, a few of a ResNet's.
SHAPES = {"conv1.weight": (64, 3, 7, 7), "bn1.bias": (64,)}


def load_block_means(wanted: Sequence[tuple[WeightsRef, Compute]]) -> tuple[BlockMeans, ...]:
    return tuple(BlockMeans(embedding_worker._fetch(ref), compute) for ref, compute in wanted)


@contextmanager
def standing_in() -> Iterator[None]:
    """Let block means stand in for the backbone, and a few tensors for its weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedding_worker, "_backbones", load_block_means)
        patch.setattr(weights_module, "shapes", lambda _: SHAPES)
        patch.setattr(BlockMeans, "embedded", 0)
        weights_module.random_weights.cache_clear()
        try:
            yield
        finally:
            weights_module.random_weights.cache_clear()


@pytest.fixture
def block_means() -> Iterator[type[BlockMeans]]:
    """Block means stand in for the backbone."""
    with standing_in():
        yield BlockMeans


def run_with_block_means(arguments: Sequence[str]) -> None:
    """Run a command in this process, which is nobody else's."""
    from cvtbatch.cli import cli

    embedding_worker._backbones = load_block_means  # type: ignore[assignment]
    weights_module.shapes = lambda _: SHAPES  # type: ignore[assignment]
    CliRunner().invoke(cli, list(arguments))
