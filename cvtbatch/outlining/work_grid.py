"""A volume on a grid of about so many mm, and what was found there on the volume's own grid again.

A voxel of the work grid is a block of the volume's; between slices that lie further apart come others, on straight lines. What is
left of the volume behind the last whole blocks is in none.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvtbatch.geometry import Triple, box_of

Mask = npt.NDArray[np.bool_]
Counts = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class WorkGrid:
    """A coarse grid of a volume.

    Attributes:
        shape: of the volume, (z, y, x).
        blocks: how many of its voxels make one, along z, y and x.
        parts: into how many the way from a slice to the next is cut; 1 where blocks have more than one.
        spacing_mm: distance of neighbours along z, y and x.
    """

    shape: Counts
    blocks: Counts
    parts: int
    spacing_mm: Triple

    def means(self, values_zyx: npt.NDArray[np.integer] | Mask) -> npt.NDArray[np.float32]:
        """Return the means of blocks of whole values of the volume's shape."""
        sums: npt.NDArray[np.integer] | Mask = values_zyx
        # Rows first: they lie side by side.
        for axis in (1, 0, 2):
            sums = _block_sums(sums, axis, self.blocks[axis])
        means = sums / np.prod(self.blocks)
        found = np.empty(((len(means) - 1) * self.parts + 1, *means.shape[1:]), dtype=np.float32)
        found[:: self.parts] = means
        for part in range(1, self.parts):
            found[part :: self.parts] = means[:-1] + (means[1:] - means[:-1]) * (part / self.parts)
        return found

    def on_volume(self, region_zyx: Mask) -> Mask:
        """Return which voxels of the volume lie in a region of the work grid for the most part.

        Between centres of the work grid the share goes in straight lines; behind the last whole block is what is nearest.
        """
        region = region_zyx[:: self.parts]
        found = np.zeros(self.shape, dtype=np.bool_)
        if not region.any():
            return found
        near = box_of(region, (1, 1, 1))
        share = region[near].astype(np.int32)
        for axis, block in enumerate(self.blocks):
            share = _between(share, axis, block)
        place = (slice(part.start * block, part.stop * block) for part, block in zip(near, self.blocks, strict=True))
        found[tuple(place)] = 2 * share >= np.prod([2 * block for block in self.blocks])
        sides = zip(self.shape, self.blocks, region.shape, strict=True)
        nearest = [np.minimum(np.arange(size) // block, most - 1) for size, block, most in sides]
        for axis, (block, most) in enumerate(zip(self.blocks, region.shape, strict=True)):
            behind = [slice(None)] * 3
            behind[axis] = slice(block * most, None)
            found[tuple(behind)] = region[np.ix_(*(at[part] for at, part in zip(nearest, behind, strict=True)))]
        return found


def work_grid(shape: Counts, spacing_mm: Triple, mm: float) -> WorkGrid:
    """Return the grid of about so many mm of a volume of a shape and spacing, both along z, y and x."""
    z, y, x = (min(max(1, round(mm / step)), size) for step, size in zip(spacing_mm, shape, strict=True))
    parts = max(1, round(spacing_mm[0] / mm))
    z_mm, y_mm, x_mm = spacing_mm
    return WorkGrid(shape, (z, y, x), parts, (z_mm * z / parts, y_mm * y, x_mm * x))


def _block_sums(values: npt.NDArray[np.integer] | Mask, axis: int, block: int) -> npt.NDArray[np.int32]:
    """Return the sums of so many neighbours along an axis, those behind the last whole block left out."""
    values = np.moveaxis(values, axis, 0)
    values = values[: len(values) // block * block]
    sums = values[::block].astype(np.int32)
    for place in range(1, block):
        sums += values[place::block]
    return np.moveaxis(sums, 0, axis)


def _between(values: npt.NDArray[np.int32], axis: int, block: int) -> npt.NDArray[np.int32]:
    """Return values at the voxels of blocks along an axis, on straight lines between the blocks' middles, times `2 * block`."""
    values = np.moveaxis(values, axis, 0)
    padded = np.concatenate([values[:1], values, values[-1:]])
    found = np.empty((len(values) * block, *values.shape[1:]), dtype=np.int32)
    for place in range(block):
        # Twice as many voxels from the block's middle, backwards where it is below 0.
        ahead = 2 * place - block + 1
        other = padded[2:] if ahead > 0 else padded[:-2]
        found[place::block] = (2 * block - abs(ahead)) * values + abs(ahead) * other
    return np.moveaxis(found, 0, axis)
