"""The outlining network as its publication describes it, slow and literal, and small weights for it."""

import numpy as np
import torch
from torch.nn import functional

from cvtbatch.outlining.weights import HEAD, PATHS

SCALES = (5, 3, 1)
PATH_CHANNELS = (1, 3, 3, 4, 4, 4, 4, 5, 5)
HEAD_CHANNELS = (15, 6, 6, 5)
PATCH_IN, PATCH_OUT = 110, 30

Tensors = dict[str, np.ndarray]


def small_tensors(seed: int) -> Tensors:
    """Return random tensors under blast-ct's names, of a network with few channels, some of which nothing reads."""
    rng = np.random.default_rng(seed)
    tensors: Tensors = {}
    units = [
        *(unit for path in PATHS for unit in zip(path, PATH_CHANNELS, PATH_CHANNELS[1:], [3] * 8, strict=False)),
        *zip(HEAD, HEAD_CHANNELS, HEAD_CHANNELS[1:], [1] * 3, strict=False),
    ]
    for name, given, made, side in units:
        tensors[f"{name}.bn.weight"] = rng.normal(1, 0.3, given)
        tensors[f"{name}.bn.bias"] = rng.normal(0, 0.3, given)
        tensors[f"{name}.bn.running_mean"] = rng.normal(0, 0.3, given)
        tensors[f"{name}.bn.running_var"] = rng.uniform(0.5, 2, given)
        tensors[f"{name}.conv.weight"] = rng.normal(0, (given * side**3) ** -0.5, (made, given, side, side, side))
        tensors[f"{name}.prelu.weight"] = rng.normal(0.2, 0.4, 1)
    for path in PATHS:
        # Channel 2 of the first two layers, and channel 1 of the last: nothing behind them reads them.
        tensors[f"{path[2]}.conv.weight"][:, 2] = 0
        tensors[f"{path[1]}.conv.weight"][[0, 1], 2] = 0
        # Channel 3 of the fourth layer's output: read by no convolution of the next one, and carried on beside it.
        tensors[f"{path[4]}.conv.weight"][:, 3] = 0
    # Probabilities that differ from place to place.
    tensors[f"{HEAD[-1]}.conv.weight"] *= 8
    for dead in (1, 6, 11):
        tensors[f"{HEAD[0]}.conv.weight"][:, dead] = 0
    return {name: values.astype(np.float32) for name, values in tensors.items()}


class LiteralNetwork(torch.nn.Module):
    """Patches of 110 voxels in, of 30 out, as blast-ct computes them: every scale from the patch, subsampled and repeated."""

    def __init__(self, tensors: Tensors) -> None:
        super().__init__()
        self.paths = torch.nn.ModuleList(
            torch.nn.ModuleList(_LiteralUnit(tensors, name) for name in path) for path in PATHS
        )
        self.head = torch.nn.ModuleList(_LiteralUnit(tensors, name) for name in HEAD)
        self.eval().requires_grad_(False)

    def forward(self, patch: torch.Tensor) -> torch.Tensor:
        """From (n, 1, 110, 110, 110) to probabilities (n, 5, 30, 30, 30)."""
        seen = []
        for scale, path in zip(SCALES, self.paths, strict=True):
            side = PATCH_OUT + 2 * len(path) * scale
            values = _middle(patch, side)[:, :, scale // 2 :: scale, scale // 2 :: scale, scale // 2 :: scale]
            for unit in path:
                values = unit(values)
            seen.append(functional.interpolate(values, scale_factor=scale, mode="nearest"))
        values = torch.cat(seen, dim=1)
        for unit in self.head:
            values = unit(values)
        return torch.softmax(values, dim=1)


def patch_probabilities(network: LiteralNetwork, volume: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Return the probabilities (5, z, y, x) of all patches at multiples of 30 in which a voxel of the region lies."""
    margin = (PATCH_IN - PATCH_OUT) // 2
    over = [-length % PATCH_OUT for length in volume.shape]
    padded = np.pad(volume, [(margin, margin + extra) for extra in over], mode="edge")
    found = np.zeros((5, *(length + extra for length, extra in zip(volume.shape, over, strict=True))), np.float32)
    for corner in np.ndindex(*(length // PATCH_OUT for length in found.shape[1:])):
        start = [PATCH_OUT * index for index in corner]
        here = tuple(slice(first, first + PATCH_OUT) for first in start)
        if region[here].any():
            patch = padded[tuple(slice(first, first + PATCH_IN) for first in start)]
            found[(slice(None), *here)] = network(torch.from_numpy(patch.copy())[None, None])[0].numpy()
    return found[:, : volume.shape[0], : volume.shape[1], : volume.shape[2]]


class _LiteralUnit(torch.nn.Module):
    def __init__(self, tensors: Tensors, name: str) -> None:
        super().__init__()
        kernel = torch.from_numpy(tensors[f"{name}.conv.weight"])
        self.norm = torch.nn.BatchNorm3d(kernel.shape[1])
        names = ("weight", "bias", "running_mean", "running_var")
        self.norm.load_state_dict(
            {part: torch.from_numpy(tensors[f"{name}.bn.{part}"]) for part in names}, strict=False
        )
        self.prelu = torch.nn.PReLU()
        self.prelu.load_state_dict({"weight": torch.from_numpy(tensors[f"{name}.prelu.weight"])})
        self.convolution = torch.nn.Conv3d(kernel.shape[1], kernel.shape[0], kernel.shape[2], bias=False)
        self.convolution.load_state_dict({"weight": kernel})

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        result = self.convolution(self.prelu(self.norm(values)))
        return result + _middle(values, result.shape[-1]) if values.shape[1] == result.shape[1] else result


def _middle(values: torch.Tensor, side: int) -> torch.Tensor:
    start = (values.shape[-1] - side) // 2
    return values[:, :, start : start + side, start : start + side, start : start + side]
