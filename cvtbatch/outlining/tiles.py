"""Which boxes of each layer to compute for the wanted voxels of a volume, so that little is computed twice or for nothing.

A layer's voxel is needed if a wanted voxel lies within its reach, which shrinks layer by layer. Tiles of a layer are some planes
and rows of what is needed, as long as it is there; what lies beside them comes from the layer before, computed once, so that
tiles have no margins of their own.

Samples of a scale lie at multiples of it from the volume's corner, wherever the wanted voxels begin. So the result is that of one
dense pass over the volume, and that of blast-ct's own patches, which begin at multiples of 30.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Region = npt.NDArray[np.bool_]  # (z, y, x)
Volume = npt.NDArray[np.float32]  # (z, y, x)
Box = tuple[slice, slice, slice]  # (z, y, x)


@dataclass(frozen=True, slots=True)
class TileSize:
    """How many planes a layer advances at a time, and how many of their rows are computed together."""

    planes: int
    rows: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """The wanted voxels of a scale.

    Attributes:
        corner: (z, y, x) of the box around them, in voxels of the scale.
        region: that box.
    """

    corner: tuple[int, int, int]
    region: Region


def find_wanted(region: Region, scale: int) -> Wanted:
    """Return the voxels of a scale of which each stands for `scale` voxels along each axis, one of them wanted at least.

    Args:
        region: of the volume; not empty.
    """
    padded = np.pad(region, [(0, -length % scale) for length in region.shape])
    z, y, x = (length // scale for length in padded.shape)
    coarse = np.any(padded.reshape(z, scale, y, scale, x, scale), axis=(1, 3, 5))
    found = [np.flatnonzero(np.any(coarse, axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    corner = (int(found[0][0]), int(found[1][0]), int(found[2][0]))
    return Wanted(corner, coarse[tuple(slice(int(index[0]), int(index[-1]) + 1) for index in found)])


def sample(volume: Volume, scale: int, wanted: Wanted, margin: int) -> Volume:
    """Return the middle voxels of what the voxels of a scale stand for, with a margin; edges of the volume go on beyond it."""
    z, y, x = (
        np.clip(np.arange(start - margin, start + size + margin) * scale + scale // 2, 0, length - 1)
        for start, size, length in zip(wanted.corner, wanted.region.shape, volume.shape, strict=True)
    )
    return volume[np.ix_(z, y, x)]


def needed_tiles(region: Region, first: int, reach: int, size: TileSize) -> Iterator[Box]:
    """Yield the tiles of a layer's next planes.

    Args:
        region: wanted voxels of the last layer, whose voxel f needs voxels f to f + `reach` of this layer along each axis.
        first: the first of the planes; may lie before the layer's beginning.
    """
    start = max(first - reach, 0)
    near = region[start : max(first + size.planes, 0)]
    planes = np.flatnonzero(np.any(near, axis=(1, 2)))
    if not len(planes):
        return
    z = slice(max(first, start + int(planes[0])), min(first + size.planes, start + int(planes[-1]) + 1 + reach))
    plane: npt.NDArray[np.bool_] = np.any(near, axis=0)
    rows = np.flatnonzero(np.any(plane, axis=1))
    for row in range(int(rows[0]), int(rows[-1]) + 1 + reach, size.rows):
        end = min(row + size.rows, int(rows[-1]) + 1 + reach)
        columns = np.flatnonzero(np.any(plane[max(row - reach, 0) : end], axis=0))
        if len(columns):
            yield z, slice(row, end), slice(int(columns[0]), int(columns[-1]) + 1 + reach)
