"""In ResNet101's place where it is tuned: a network that learns in no time."""

import torch

from cvtbatch.embedding.architectures import Architecture
from cvtbatch.embedding.weights import Weights


class SmallNetwork(torch.nn.Module):
    """In the place of `backbone.Network`: one convolution, learnt in no time."""

    DIMENSIONS = 64
    ARCHITECTURE = Architecture("resnet101", ("fc",), "conv1", DIMENSIONS)

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
