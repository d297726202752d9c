"""A network up to its penultimate layer, on the device that is there.

Values depend on device, thread count, memory layout and batch shape in their last bits, and on nothing else: convolutions are
chosen by rule and not by timing, and every batch is padded to one shape. So a slice has the same bits whatever lies beside it.
Between devices and batch shapes float32 stays within 1e-5 of the vector's norm.

On CUDA one stream does everything in order. A batch is copied from pinned memory and started without waiting, and its result is
waited for only when the next one has been started, so that the device never waits for the host; the copy itself, 51 MB for 256
slices, is far below a hundredth of a batch's time, and a stream of its own would buy nothing.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import torch

from cvtbatch.embedding.architectures import LIBRARY
from cvtbatch.embedding.compute import CPU_BATCH, CUDA_BATCH, Compute, Embeddings
from cvtbatch.embedding.device import choose_device, set_arithmetic
from cvtbatch.embedding.preprocessing import Gray
from cvtbatch.embedding.torchvision_models import shapes_alone
from cvtbatch.embedding.weights import Weights
from cvtbatch.errors import InputError, ResourceError

# A CPU that computes has no cores to spare for reading, and needs few slices a second.
CUDA_READERS = 16


class Network(torch.nn.Module):
    """From what was prepared of slices or boxes, 0..1, to the values of the penultimate layer (n, values), float32.

    Args:
        dtype: of the layers; the input is normalised in float32 whatever they are.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, weights: Weights, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        architecture, taken = weights.architecture, weights.architecture.taken
        # Other libraries' networks may hold what no file of weights has, computed when they are made.
        with shapes_alone() if architecture.library == LIBRARY else nullcontext():
            self.body = architecture.build(architecture)
        tensors = {name: torch.from_numpy(values.copy()) for name, values in weights.tensors.items()}
        own = {name: tensor for name, tensor in self.body.state_dict().items() if not tensor.is_floating_point()}
        # On the meta device these are BatchNorm's counters.
        counted = {name: torch.tensor(0) if tensor.is_meta else tensor for name, tensor in own.items()}
        self.body.load_state_dict({**tensors, **counted}, assign=True)
        box = taken.kind == "box"
        self.layout = torch.channels_last_3d if box else torch.channels_last
        self.body.to(dtype=dtype)
        # A layout is of one rank, and a network may have tensors of others.
        for tensor in (*self.body.parameters(), *self.body.buffers()):
            if tensor.ndim == (5 if box else 4):
                tensor.data = tensor.data.to(memory_format=self.layout)
        self.dtype = dtype
        of_channel = (1, taken.channels, *(1,) * (3 if box else 2))
        self.register_buffer("mean", torch.tensor(taken.mean).view(of_channel))
        self.register_buffer("std", torch.tensor(taken.std).view(of_channel))

    def forward(self, gray: torch.Tensor) -> torch.Tensor:
        channels = gray[:, None] if gray.ndim == self.mean.ndim - 1 else gray
        normalised = ((channels - self.mean) / self.std).to(self.dtype)
        values: torch.Tensor = self.body(normalised.contiguous(memory_format=self.layout))
        return values.float()


@dataclass(slots=True)
class _Launched:
    """A batch under way: its results as they will be, of which `count` are no padding."""

    values: torch.Tensor
    count: int
    event: "torch.cuda.Event | None"


class Backbone:
    """The network on its device, fed batch by batch.

    Attributes:
        batch: slices of a batch; halved whenever the device's memory does not suffice.
        device: "cpu", or the GPU's name.
        readers: threads that read slices ahead of it.
    """

    def __init__(self, weights: Weights, compute: Compute) -> None:
        if compute.threads is not None:
            torch.set_num_threads(compute.threads)
        self._device = choose_device(compute.device, "embedding.device")
        self._cuda = self._device.type == "cuda"
        self._architecture = weights.architecture
        self._tf32 = compute.precision == "tf32"
        dtype = torch.bfloat16 if compute.precision == "bfloat16" else torch.float32
        network = Network(weights, dtype).eval().requires_grad_(False).to(self._device)
        self._forward = torch.compile(network, dynamic=False) if compute.compiled else network
        self._pinned: list[torch.Tensor] = []
        self._turn = 0
        self.batch = compute.batch or (CUDA_BATCH if self._cuda else CPU_BATCH)
        self.device = torch.cuda.get_device_name(self._device) if self._cuda else "cpu"
        self.readers = min(CUDA_READERS, os.cpu_count() or 1) if self._cuda else 1

    def embed(self, batches: Iterable[Gray]) -> Iterator[Embeddings]:
        """Yield the embeddings of batches, in pieces: together as many rows as came in, in order.

        Raises:
            ResourceError: the device's memory does not suffice for a single slice.
            InputError: "bad_backbone": the network gives other values than it is said to.
        """
        set_arithmetic(self._tf32)
        waiting: _Launched | None = None
        for gray in batches:
            start = 0
            while start < len(gray):
                launched = self._launch_within_memory(gray[start:])
                start += launched.count
                if waiting is not None:
                    yield _fetch(waiting)
                waiting = launched
        if waiting is not None:
            yield _fetch(waiting)

    def _launch_within_memory(self, gray: Gray) -> _Launched:
        while True:
            try:
                return self._launch(gray[: self.batch])
            except torch.cuda.OutOfMemoryError as error:
                text = str(error)
            # Outside the handler, which would keep the failed batch's tensors alive.
            if self.batch == 1:
                raise ResourceError(
                    "gpu_memory",
                    "the GPU has no room for a single slice: free it, or set embedding.device to cpu",
                    text,
                )
            self.batch //= 2
            if self._cuda:
                torch.cuda.synchronize(self._device)
                torch.cuda.empty_cache()
            self._pinned.clear()

    def _launch(self, gray: Gray) -> _Launched:
        """Start a batch, padded to the one shape."""
        with torch.inference_mode():
            host = self._host_buffer(gray.shape[1:])
            host[: len(gray)] = torch.from_numpy(gray)
            host[len(gray) :] = 0
            values = self._forward(host.to(self._device, non_blocking=True))
            if values.shape[1:] != (self._architecture.values,):
                raise InputError(
                    "bad_backbone",
                    f"embedding.backbone {self._architecture.name} gives values of shape {list(values.shape[1:])} a row, and says "
                    f"{self._architecture.values}",
                )
            if not self._cuda:
                return _Launched(values, len(gray), None)
            result = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            result.copy_(values, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
            return _Launched(result, len(gray), event)

    def _host_buffer(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Return one of two buffers in turn: a batch's has been read before the batch after the next is started."""
        if not self._pinned:
            self._pinned = [torch.empty((self.batch, *shape), pin_memory=self._cuda) for _ in range(2)]
        self._turn = 1 - self._turn
        return self._pinned[self._turn]


def _fetch(launched: _Launched) -> Embeddings:
    if launched.event is not None:
        launched.event.synchronize()
    return launched.values[: launched.count].numpy().copy()
