"""The network of blast-ct, DeepMedic at three scales, computed densely.

Monteiro et al., Lancet Digital Health 2020;2:e314-e322; Kamnitsas et al., Med Image Anal 2017;36:61-78. Three paths of eight units
see every fifth, every third and every voxel; a head of three units of one voxel reads all three. A unit is batch norm, PReLU with
one slope and a convolution without bias or padding, plus its input where it has as many channels as its output.

Two things make it cheap, and change no value but in its last bits. Each scale is a network of its own, so that coarse ones are
computed once for a region and not once for a tile. And training left channels that nothing reads (their weights decayed below
1e-12): they are left out, from the head backwards.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from cvtbatch.outlining.tiles import Box, Region, TileSize, needed_tiles
from cvtbatch.outlining.weights import HEAD, PATHS, Tensors

# Voxels of its own scale that a path sees beyond each voxel that it computes.
MARGIN = 8
# In the order of the paths; a voxel of scale s stands for s voxels along each axis, and is the middle one.
SCALES = (5, 3, 1)
BATCH_NORM_EPSILON = 1e-5
# HU are clipped to these and brought to -1..1.
LOWEST_HU, HIGHEST_HU = -15.0, 100.0

Channels = npt.NDArray[np.bool_]  # which channels of a layer are computed


def normalise(hu_zyx: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Return HU as the network takes them."""
    clipped = np.clip(hu_zyx.astype(np.float32), LOWEST_HU, HIGHEST_HU)
    return (2 * clipped - (LOWEST_HU + HIGHEST_HU)) / np.float32(HIGHEST_HU - LOWEST_HU)


@dataclass(frozen=True, slots=True)
class Features:
    """What a path makes of a box of the region that was asked for.

    Attributes:
        values: (z, y, x, channels) of the box.
    """

    box: Box
    values: torch.Tensor


class Unit(torch.nn.Module):
    """From (n, channels, z, y, x) to as many channels as its kernel has, and as many voxels fewer as its kernel needs.

    Args:
        tensors: of the whole network; those of this unit begin with `name`.
        written: the channels of its output that are computed.

    Attributes:
        read: the channels of its input that they need; no others may be handed over.
    """

    mean: torch.Tensor
    variance: torch.Tensor
    gain: torch.Tensor
    offset: torch.Tensor
    kernel: torch.Tensor
    carried: torch.Tensor  # which of the channels that are read go on to the output, beside the convolution

    def __init__(self, tensors: Mapping[str, npt.NDArray[np.float32]], name: str, written: Channels) -> None:
        super().__init__()
        kernel = tensors[f"{name}.conv.weight"]
        self.read: Channels = (kernel[written] != 0).any(axis=(0, 2, 3, 4))
        self._shortcut = kernel.shape[0] == kernel.shape[1]
        if self._shortcut:
            self.read = self.read | written
        self._crop = kernel.shape[-1] // 2
        self._slope = float(tensors[f"{name}.prelu.weight"][0])
        norm = {"mean": "running_mean", "variance": "running_var", "gain": "weight", "offset": "bias"}
        for buffer, tensor in norm.items():
            self.register_buffer(buffer, torch.from_numpy(tensors[f"{name}.bn.{tensor}"][self.read]))
        used = torch.from_numpy(kernel[written][:, self.read])
        self.register_buffer("kernel", used.contiguous(memory_format=torch.channels_last_3d))
        among_read = np.flatnonzero(written[self.read]) if self._shortcut else np.empty(0, np.int64)
        self.register_buffer("carried", torch.from_numpy(among_read))

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        values = given.contiguous(memory_format=torch.channels_last_3d)
        normed = functional.batch_norm(values, self.mean, self.variance, self.gain, self.offset, eps=BATCH_NORM_EPSILON)
        active = functional.leaky_relu(normed, self._slope, inplace=True)
        result = _convolve(active, self.kernel)
        if self._shortcut:
            inside = slice(self._crop, -self._crop or None)
            own = values if len(self.carried) == values.shape[1] else values[:, self.carried]
            result += own[:, :, inside, inside, inside]
        return result


class Network:
    """One member of the ensemble, on its device.

    Args:
        tensors: by blast-ct's names, with values below 1e-12 set to 0.

    Attributes:
        widths: channels that are computed of each path.
    """

    def __init__(self, tensors: Tensors, device: torch.device) -> None:
        every_class = np.ones(len(tensors[f"{HEAD[-1]}.conv.weight"]), np.bool_)
        self._head = _units(tensors, HEAD, every_class, device)
        ends = np.cumsum([len(tensors[f"{path[-1]}.conv.weight"]) for path in PATHS])
        parts = np.split(self._head[0].read, ends[:-1])
        self._paths = tuple(_units(tensors, path, part, device) for path, part in zip(PATHS, parts, strict=True))
        self.widths = tuple(int(part.sum()) for part in parts)

    def features(self, path: int, samples: torch.Tensor, region: Region, size: TileSize) -> Iterator[Features]:
        """Yield what one path makes of its input, tile by tile, at the wanted voxels at least.

        Each layer advances by some planes at a time, and keeps the last two of its input for the next time.

        Args:
            path: 0, 1 or 2, for scales 5, 3 and 1.
            samples: (z, y, x) of the path's scale, with a margin of `MARGIN` voxels on each side.
            region: wanted voxels, (z, y, x) without the margin.
        """
        units = self._paths[path]
        inputs = [
            samples.new_zeros(
                (1, size.planes + 2, *(length - 2 * layer for length in samples.shape[1:]), channels)
            ).permute(0, 4, 1, 2, 3)
            for layer, channels in enumerate(unit.kernel.shape[1] for unit in units)
        ]
        for start in range(0, len(samples), size.planes):
            for values in inputs:
                values[:, :, :2] = values[:, :, -2:].clone()
            read = samples[start : start + size.planes]
            inputs[0][0, 0, 2 : 2 + len(read)] = read
            for layer, unit in enumerate(units):
                # Counted from the layer's own corner; it lags two planes behind its input.
                first = start - 2 * (layer + 1)
                for z, y, x in needed_tiles(region, first, 2 * (len(units) - 1 - layer), size):
                    planes = slice(z.start - first, z.stop - first)
                    result = unit(inputs[layer][:, :, _with_margin(planes), _with_margin(y), _with_margin(x)])
                    if layer + 1 == len(units):
                        yield Features((z, y, x), result[0].permute(1, 2, 3, 0))
                    else:
                        inputs[layer + 1][:, :, 2 + planes.start : 2 + planes.stop, y, x] = result

    def probabilities(self, features: torch.Tensor) -> torch.Tensor:
        """Return the probabilities of the classes, (voxels, classes), from the features of all paths, (voxels, channels)."""
        # A row of voxels, whose channels lie together as in the paths.
        values = features[None, None, None].permute(0, 4, 1, 2, 3)
        for unit in self._head:
            values = unit(values)
        return torch.softmax(values[0, :, 0, 0].T.float(), dim=1)


def _convolve(values: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Convolve, on a CPU in oneDNN, which torch's own rule leaves out for tiles of few rows and for kernels of one voxel: a path
    eight times slower.
    """
    if values.device.type == "cpu" and torch.backends.mkldnn.is_available():
        return torch.mkldnn_convolution(values, kernel, None, (0, 0, 0), (1, 1, 1), (1, 1, 1), 1)
    return functional.conv3d(values, kernel)


def _with_margin(box: slice) -> slice:
    """Return the part of a layer's input that a part of its output needs."""
    return slice(box.start, box.stop + 2)


def _units(tensors: Tensors, names: tuple[str, ...], written: Channels, device: torch.device) -> tuple[Unit, ...]:
    """Return units one behind the other, of which each computes what the one behind it reads."""
    units: list[Unit] = []
    for name in reversed(names):
        unit = Unit(tensors, name, written).to(device)
        units.insert(0, unit)
        written = unit.read
    return tuple(units)
