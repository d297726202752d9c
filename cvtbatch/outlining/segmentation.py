"""A head's volume to the tissue in each voxel, as the mean of several networks says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from cvtbatch.embedding.device import set_arithmetic
from cvtbatch.errors import InputError, ResourceError
from cvtbatch.outlining.blood import BLOOD, Tissue
from cvtbatch.outlining.network import MARGIN, SCALES, Network, normalise
from cvtbatch.outlining.tiles import Region, TileSize, Wanted, find_wanted, sample
from cvtbatch.outlining.weights import Weights

Value = TypeVar("Value", bound=np.generic)

# Small enough for a processor's caches; a GPU wants more at a time.
CPU_TILE = TileSize(planes=8, rows=24)
CUDA_TILE = TileSize(planes=64, rows=512)
# A layer keeps two planes of its input.
FEWEST_PLANES = 2


@dataclass(frozen=True, slots=True)
class Segmentation:
    """The classes of the voxels of a region.

    Attributes:
        region: (z, y, x).
        probabilities: (voxels, classes), float32, the mean of the members; voxels in the region's order, classes in that of
            `Tissue`.
        blood: (members, voxels), what each of them takes for blood.
    """

    region: Region
    probabilities: npt.NDArray[np.float32]
    blood: npt.NDArray[np.bool_]

    def labels(self) -> npt.NDArray[np.uint8]:
        """Return the number of the likeliest class, (z, y, x); background outside the region."""
        return self._spread(self.probabilities.argmax(axis=1).astype(np.uint8))

    def probability(self, tissue: Tissue) -> npt.NDArray[np.float32]:
        """Return the probability of a class, (z, y, x); 0 outside the region."""
        return self._spread(self.probabilities[:, tissue])

    def members_blood(self) -> tuple[npt.NDArray[np.bool_], ...]:
        """Return what each member takes for blood, (z, y, x): `blood.agreement` makes a number of it."""
        return tuple(self._spread(own) for own in self.blood)

    def _spread(self, values: npt.NDArray[Value]) -> npt.NDArray[Value]:
        volume = np.zeros(self.region.shape, values.dtype)
        volume[self.region] = values
        return volume


class Segmenter:
    """The networks on their device.

    Args:
        threads: of the CPU; None leaves them as they are.

    Attributes:
        size: of what is computed at a time; smaller whenever the device's memory does not suffice.
    """

    def __init__(self, weights: Weights, device: torch.device, threads: int | None = None) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self._device = device
        self._members = [Network(tensors, device) for tensors in weights.members]
        self.size = CUDA_TILE if device.type == "cuda" else CPU_TILE

    def segment(self, hu_zyx: npt.NDArray[np.generic], region: Region) -> Segmentation:
        """Return the classes of the voxels of a region.

        Args:
            hu_zyx: at 1 mm, z to the head, y to the back, x to the patient's left.
            region: of its shape; voxels beyond it are seen, and edges of the volume go on beyond the volume.

        Raises:
            InputError: the two differ in shape.
            ResourceError: the device's memory does not suffice for the smallest tile.
        """
        if hu_zyx.shape != region.shape:
            raise InputError("bad_grid", f"a volume of {hu_zyx.shape} voxels has a region of {region.shape}")
        total = np.zeros((int(region.sum()), len(Tissue)), np.float32)
        blood = np.zeros((len(self._members), len(total)), np.bool_)
        if len(total):
            set_arithmetic(tf32=False)
            view = _View.of(hu_zyx, region, self._device)
            for number, network in enumerate(self._members):
                probabilities = self._within_memory(network, view)
                total += probabilities
                blood[number] = np.isin(probabilities.argmax(axis=1), BLOOD)
        return Segmentation(region, total / np.float32(len(self._members)), blood)

    def _within_memory(self, network: Network, view: "_View") -> npt.NDArray[np.float32]:
        while True:
            try:
                with torch.inference_mode():
                    return _run(network, view, self.size).cpu().numpy()
            except torch.cuda.OutOfMemoryError as error:
                text = str(error)
            # Outside the handler, which would keep the failed pass's tensors alive.
            if self.size.planes == FEWEST_PLANES:
                raise ResourceError("gpu_memory", "the GPU has no room for a head: free it, or compute on a CPU", text)
            self.size = TileSize(max(self.size.planes // 2, FEWEST_PLANES), max(self.size.rows // 2, 1))
            if self._device.type == "cuda":
                torch.cuda.empty_cache()


@dataclass(frozen=True, slots=True)
class _View:
    """What every member sees of a head.

    Attributes:
        wanted: voxels of each scale.
        samples: of each scale, with the margin.
        rank: of each voxel among those of the region, in the box of those of scale 1.
    """

    wanted: tuple[Wanted, ...]
    samples: tuple[torch.Tensor, ...]
    rank: npt.NDArray[np.int64]

    @classmethod
    def of(cls, hu_zyx: npt.NDArray[np.generic], region: Region, device: torch.device) -> "_View":
        volume = normalise(hu_zyx)
        wanted = tuple(find_wanted(region, scale) for scale in SCALES)
        samples = tuple(
            torch.from_numpy(sample(volume, scale, box, MARGIN)).to(device)
            for scale, box in zip(SCALES, wanted, strict=True)
        )
        inside = wanted[-1].region
        return cls(wanted, samples, np.cumsum(inside).reshape(inside.shape) - 1)


def _run(network: Network, view: _View, size: TileSize) -> torch.Tensor:
    """Return one member's probabilities of the wanted voxels, (voxels, classes)."""
    coarse = [
        _coarse_features(network, path, view.samples[path], view.wanted[path], size) for path in range(len(SCALES) - 1)
    ]
    fine = view.wanted[-1]
    found = view.samples[0].new_empty((int(fine.region.sum()), len(Tissue)))
    for features in network.features(len(SCALES) - 1, view.samples[-1], fine.region, size):
        here = np.nonzero(fine.region[features.box])
        place = [
            index + side.start + corner for index, side, corner in zip(here, features.box, fine.corner, strict=True)
        ]
        parts = []
        for scale, wanted, values in zip(SCALES[:-1], view.wanted[:-1], coarse, strict=True):
            parts.append(
                _at(values, [axis // scale - corner for axis, corner in zip(place, wanted.corner, strict=True)])
            )
        parts.append(_at(features.values, here))
        rank = torch.from_numpy(view.rank[features.box][here])
        found[rank] = network.probabilities(torch.cat(parts, dim=1))
    return found


def _coarse_features(
    network: Network, path: int, samples: torch.Tensor, wanted: Wanted, size: TileSize
) -> torch.Tensor:
    """Return a path's features, (z, y, x, channels), at the wanted voxels of its scale."""
    found = samples.new_zeros((*wanted.region.shape, network.widths[path]))
    for features in network.features(path, samples, wanted.region, size):
        found[features.box] = features.values
    return found


def _at(features: torch.Tensor, place: Sequence[npt.NDArray[np.int64]]) -> torch.Tensor:
    """Return the features, (voxels, channels), of voxels whose indices along z, y and x are given."""
    z, y, x = (torch.from_numpy(axis) for axis in place)
    return features[z, y, x]
