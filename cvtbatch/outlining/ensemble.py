"""The ensemble of networks on a stored volume: brought to the network's grid, outlined, and brought back.

The network sees 1 mm, z to the head, y to the back, x to the patient's left. A stored volume is interpolated linearly onto such a
grid around the inside of its skull, as far as the network sees beyond it; beyond the volume its edge goes on. Probabilities are
interpolated back at the centres of the stored voxels; a voxel is blood where that of all its classes together is at least one half.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
import torch
from scipy import ndimage

from cvtbatch.geometry import Grid
from cvtbatch.imaging.resampling import to_image
from cvtbatch.outlining.blood import Mask, Tissue
from cvtbatch.outlining.head import BloodMap, Head
from cvtbatch.outlining.segmentation import LIKELY, Segmenter
from cvtbatch.outlining.weights import Weights

SPACING_MM = (1.0, 1.0, 1.0)
LPS = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
# What the coarsest path sees beyond a voxel: eight of its own voxels of 5 mm, the two that its middle one stands for, and one for
# interpolation.
SEEN_MM = 43


class Ensemble:
    """The networks, as a `Method`.

    Args:
        threads: of the CPU; None leaves them as they are.
    """

    def __init__(self, weights: Weights, device: torch.device, threads: int | None = None) -> None:
        self.device = device.type
        self._segmenter = Segmenter(weights, device, threads)

    def find(self, heads: Sequence[Head]) -> list[BloodMap]:
        """Return what is blood in each head."""
        return [self._find(head) for head in heads]

    def _find(self, head: Head) -> BloodMap:
        inside_zyx = head.inside.mask_zyx
        points = np.argwhere(inside_zyx).astype(np.float64)
        places = head.grid.to_point(points[:, ::-1])
        grid = _network_grid(places)
        # Rounded, so that a slice on a plane of the grid needs that plane alone.
        indices_zyx = grid.to_index(places)[:, ::-1].T.round(6)
        hu_zyx = _on_network_grid(head, grid)
        found = self._segmenter.segment(hu_zyx, _neighbours(indices_zyx, grid.shape_zyx))

        def at_places(values_zyx: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            return np.asarray(ndimage.map_coordinates(values_zyx, indices_zyx, order=1, mode="nearest"))

        labels_zyx = np.zeros(inside_zyx.shape, np.uint8)
        labels_zyx[inside_zyx] = np.argmax([at_places(found.probability(tissue)) for tissue in Tissue], axis=0)
        blood_zyx = _spread(at_places(found.blood_probability()) >= LIKELY, inside_zyx)
        members = found.members_blood() if len(found.blood) > 1 else ()
        spread = (_spread(at_places(own.astype(np.float32)) >= 0.5, inside_zyx) for own in members)
        return BloodMap(blood_zyx, labels_zyx, tuple(spread))


def _spread(values: Mask, inside_zyx: Mask) -> Mask:
    volume = np.zeros(inside_zyx.shape, np.bool_)
    volume[inside_zyx] = values
    return volume


def _network_grid(places_mm: npt.NDArray[np.float64]) -> Grid:
    """Return the grid of the network around some points (n, 3), as far as it sees beyond them."""
    low, high = places_mm.min(axis=0) - SEEN_MM, places_mm.max(axis=0) + SEEN_MM
    x, y, z = (int(length) + 1 for length in np.ceil(high - low))
    left, front, bottom = low.tolist()
    return Grid((x, y, z), SPACING_MM, (left, front, bottom), LPS)


def _on_network_grid(head: Head, grid: Grid) -> npt.NDArray[np.float32]:
    """Return the volume's HU on the network's grid; beyond the volume, those of its edge."""
    image = sitk.Resample(
        to_image(head.hu_zyx, head.grid), grid.size_xyz, sitk.Transform(), sitk.sitkLinear, grid.origin_mm,
        grid.spacing_mm, grid.direction, 0.0, sitk.sitkFloat32, True,
    )  # fmt: skip
    return np.asarray(sitk.GetArrayFromImage(image), dtype=np.float32)


def _neighbours(indices_zyx: npt.NDArray[np.float64], shape_zyx: tuple[int, int, int]) -> Mask:
    """Return the voxels between which some places (3, n) lie."""
    region = np.zeros(shape_zyx, np.bool_)
    below, above = np.floor(indices_zyx).astype(np.intp), np.ceil(indices_zyx).astype(np.intp)
    for z in (below[0], above[0]):
        for y in (below[1], above[1]):
            for x in (below[2], above[2]):
                region[z, y, x] = True
    return region
