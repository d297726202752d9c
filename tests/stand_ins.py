"""Stand-ins for what is slow: a backbone of block means, and a command that uses it in a process of its own."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from cvtbatch.embedding import backbone
from cvtbatch.embedding.compute import Compute
from cvtbatch.embedding.weights import Weights
from cvtbatch.pipelines import embedding_task


class BlockMeans:
    """In the backbone's place: 2,048 numbers that depend on the slice and on the weights, in no time."""

    device = "cpu"
    readers = 1
    # What instances have embedded, in order.
    embedded: int = 0

    def __init__(self, weights: Weights, compute: Compute) -> None:
        self.scale = 1 + float(np.abs(weights.tensors["conv1.weight"]).sum())
        self.batch = compute.batch or 4

    def embed(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for gray in batches:
            type(self).embedded += len(gray)
            means = gray.reshape(len(gray), 32, 7, 32, 7).mean(axis=(2, 4)).reshape(len(gray), 1024)
            yield (self.scale * np.concatenate([means, means**2], axis=1)).astype(np.float32)


@pytest.fixture
def block_means(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[BlockMeans]]:
    """Let block means stand in for the backbone."""
    monkeypatch.setattr(backbone, "Backbone", BlockMeans)
    monkeypatch.setattr(BlockMeans, "embedded", 0)
    embedding_task._backbone.cache_clear()
    yield BlockMeans
    embedding_task._backbone.cache_clear()


def run_with_block_means(arguments: Sequence[str]) -> None:
    """Run a command in this process, which is nobody else's."""
    from cvtbatch.cli import cli

    backbone.Backbone = BlockMeans  # type: ignore[assignment,misc]
    CliRunner().invoke(cli, list(arguments))


class SmallNetwork(torch.nn.Module):
    """In the place of `backbone.Network`: one convolution, learnt in no time."""

    DIMENSIONS = 64

    def __init__(self, seed_or_weights: int | Weights) -> None:
        super().__init__()
        self.body = torch.nn.Module()
        if isinstance(seed_or_weights, int):
            generator = torch.Generator().manual_seed(seed_or_weights)
            kernel = torch.randn((self.DIMENSIONS, 1, 7, 7), generator=generator) / 7
        else:
            kernel = torch.tensor(seed_or_weights.tensors["conv1.weight"])
        self.body.conv1 = torch.nn.Module()
        self.body.conv1.weight = torch.nn.Parameter(kernel)

    def forward(self, gray: torch.Tensor) -> torch.Tensor:
        coarse = torch.nn.functional.avg_pool2d(gray[:, None], 8)
        return torch.nn.functional.conv2d(coarse, self.body.conv1.weight, stride=7).relu().mean(dim=(2, 3))
