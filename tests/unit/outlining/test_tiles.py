"""Tiles hold what is needed, once, and little else."""

import numpy as np
import pytest

from cvtbatch.outlining.tiles import TileSize, find_wanted, needed_tiles, sample


def ball(radius: int) -> np.ndarray:
    axes = np.indices((2 * radius + 1,) * 3) - radius
    return (axes**2).sum(axis=0) <= radius**2


def times_computed(region: np.ndarray, reach: int, size: TileSize) -> np.ndarray:
    """Return how often each voxel of a layer is computed, if its planes are gone through from before its beginning."""
    counts = np.zeros([length + reach for length in region.shape], int)
    for first in range(-3 * size.planes, counts.shape[0], size.planes):
        for tile in needed_tiles(region, first, reach, size):
            assert all(0 <= side.start < side.stop <= length for side, length in zip(tile, counts.shape, strict=True))
            assert first <= tile[0].start
            assert tile[0].stop <= first + size.planes
            counts[tile] += 1
    return counts


def needed(region: np.ndarray, reach: int) -> np.ndarray:
    """By brute force: voxel v is needed by wanted voxels v - reach to v along each axis."""
    found = np.zeros([length + reach for length in region.shape], bool)
    z, y, x = region.shape
    for dz, dy, dx in np.ndindex(*(reach + 1,) * 3):
        found[dz : dz + z, dy : dy + y, dx : dx + x] |= region
    return found


@pytest.mark.parametrize("reach", [0, 2, 14])
@pytest.mark.parametrize("size", [TileSize(2, 3), TileSize(8, 24), TileSize(64, 512)])
def test_what_is_needed_is_computed_once(reach: int, size: TileSize) -> None:
    region = np.random.default_rng(0).random((21, 33, 29)) > 0.9997
    region[3:9, 10:14, 5:25] = True
    counts = times_computed(region, reach, size)
    assert counts.max() == 1
    assert counts[needed(region, reach)].min() == 1


def test_little_is_computed_for_nothing() -> None:
    """The box around a ball is 1.9 times as large as the ball; its tiles hold less than that, and smaller ones still less."""
    region = ball(40)
    computed = [times_computed(region, 0, size).sum() / region.sum() for size in (TileSize(8, 24), TileSize(2, 8))]
    assert 1 < computed[1] < 1.15 < computed[0] < 1.4


@pytest.mark.parametrize("scale", [1, 3, 5])
def test_samples_lie_at_multiples_of_the_scale_from_the_corner_of_the_volume(scale: int) -> None:
    volume = np.arange(20 * 23 * 19, dtype=np.float32).reshape(20, 23, 19)
    region = np.zeros(volume.shape, bool)
    region[7, 11, 18] = True
    region[13, 4, 2] = True
    wanted = find_wanted(region, scale)
    assert wanted.corner == (7 // scale, 4 // scale, 2 // scale)
    assert wanted.region.sum() == 2
    assert wanted.region[0, 11 // scale - 4 // scale, 18 // scale - 2 // scale]
    padded = np.pad(volume, 60, mode="edge")
    stock = padded[scale // 2 :: scale, scale // 2 :: scale, scale // 2 :: scale]  # 60 is a multiple of each
    start = [60 // scale + corner - 8 for corner in wanted.corner]
    box = tuple(slice(first, first + length + 16) for first, length in zip(start, wanted.region.shape, strict=True))
    np.testing.assert_array_equal(sample(volume, scale, wanted, 8), stock[box])
