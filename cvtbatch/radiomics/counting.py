"""Compiled loops over ROI voxels that fill the texture matrices.

The ROI lies in a grid of its own: the bounding box with one empty voxel around it, flattened, so that a neighbour is a constant
step away and an outside voxel has code 0. `positions` lists the ROI's voxels in raster order; every angle's first non-zero
offset is positive, so the neighbour at `position - step` has been visited before.

Source: PyRadiomics 3.0.1, `src/cmatrices.c` (`calculate_glcm`, `calculate_glrlm`, `calculate_glszm`, `calculate_gldm`,
`calculate_ngtdm`), written anew: one pass for four matrices, union-find for zones.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cvtbatch.radiomics.angles import angles_with_lines, list_angles
from cvtbatch.radiomics.box import RoiBox
from cvtbatch.radiomics.discretisation import GrayLevels


@dataclass(frozen=True, slots=True)
class TextureGrid:
    """What the matrices of all images of one ROI share.

    Attributes:
        positions: (n,) int64, each ROI voxel in the flattened grid.
        steps: (A,) int64, each angle as a step in the flattened grid.
        with_lines: (A,) whether some line along the angle holds two ROI voxels.
        neighbours: (n,) int64, ROI voxels among the 26 neighbours.
        size: voxels of the grid.
        longest: the longest possible run (voxels).
    """

    positions: NDArray[np.int64]
    steps: NDArray[np.int64]
    with_lines: NDArray[np.bool_]
    neighbours: NDArray[np.int64]
    size: int
    longest: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Raw matrices of one image over its N gray levels present, A angles.

    Attributes:
        pairs: (A, N, N) int32, voxels of level i whose neighbour one step before has level j.
        runs: (A, N, R) int32, runs of level i and length j + 1.
        dependences: (N, 27) int64, voxels of level i with j equal neighbours.
        contrasts: (N,) float64, sum over voxels of level i of |level - mean level of the neighbours|.
        zone_levels, zone_sizes: (Z,) int64, each zone's place among the levels (0-based) and its voxels.
    """

    pairs: NDArray[np.int32]
    runs: NDArray[np.int32]
    dependences: NDArray[np.int64]
    contrasts: NDArray[np.float64]
    zone_levels: NDArray[np.int64]
    zone_sizes: NDArray[np.int64]


def lay_grid(box: RoiBox) -> TextureGrid:
    """Lay the ROI of `box` into a grid of its own."""
    shape = tuple(size + 2 for size in box.shape)
    z, y, x = (axis - low + 1 for axis, low in zip(box.index, box.lower, strict=True))
    positions = (z * shape[1] + y) * shape[2] + x
    angles = list_angles(box.shape)
    steps = angles @ np.array([shape[1] * shape[2], shape[2], 1])
    size = shape[0] * shape[1] * shape[2]
    neighbours = _count_neighbours(positions, steps, size)
    return TextureGrid(positions, steps, angles_with_lines((z, y, x), angles), neighbours, size, max(box.shape))


def count_matrices(grid: TextureGrid, gray: GrayLevels) -> Counts:
    """Fill all matrices of one image."""
    codes = np.zeros(grid.size, np.uint16)
    codes[grid.positions] = gray.codes
    levels = np.concatenate(([0], gray.levels))
    pairs, runs, dependences, contrasts = _count_neighbourhoods(
        codes, grid.positions, grid.steps, grid.neighbours, levels, grid.longest
    )
    zone_levels, zone_sizes = _find_zones(codes, grid.positions, grid.steps)
    return Counts(pairs[:, 1:, 1:], runs[:, 1:, 1:], dependences[1:], contrasts[1:], zone_levels - 1, zone_sizes)


@njit(cache=True)
def _count_neighbours(
    positions: NDArray[np.int64], steps: NDArray[np.int64], size: int
) -> NDArray[np.int64]:  # pragma: no cover - compiled
    inside = np.zeros(size, np.uint8)
    for position in positions:
        inside[position] = 1
    neighbours = np.zeros(len(positions), np.int64)
    for n in range(len(positions)):
        for step in steps:
            neighbours[n] += inside[positions[n] - step] + inside[positions[n] + step]
    return neighbours


@njit(cache=True)
def _count_neighbourhoods(
    codes: NDArray[np.uint16],
    positions: NDArray[np.int64],
    steps: NDArray[np.int64],
    neighbours: NDArray[np.int64],
    levels: NDArray[np.int64],
    longest: int,
) -> tuple[
    NDArray[np.int32], NDArray[np.int32], NDArray[np.int64], NDArray[np.float64]
]:  # pragma: no cover - compiled
    """Count pairs, runs, dependences and contrasts; row and column 0 gather what lies outside the ROI."""
    n_levels = len(levels)
    pairs = np.zeros((len(steps), n_levels, n_levels), np.int32)
    runs = np.zeros((len(steps), n_levels, longest + 1), np.int32)
    run = np.zeros(len(codes), np.int32)
    equal = np.zeros(len(codes), np.int32)
    total = np.zeros(len(codes), np.int64)
    for a in range(len(steps)):
        step = steps[a]
        for position in positions:
            here, before = codes[position], codes[position - step]
            pairs[a, here, before] += 1
            same = np.int32(here == before)
            length = run[position - step] * same + np.int32(1)
            run[position] = length
            runs[a, here, length] += 1
            runs[a, here, length - 1] -= same
            equal[position] += same
            equal[position - step] += same
            total[position] += levels[before]
            total[position - step] += levels[here]
    dependences = np.zeros((n_levels, 27), np.int64)
    contrasts = np.zeros(n_levels, np.float64)
    for n in range(len(positions)):
        position = positions[n]
        code = codes[position]
        dependences[code, equal[position]] += 1
        if neighbours[n] > 0:
            contrasts[code] += abs(levels[code] - total[position] / neighbours[n])
    return pairs, runs, dependences, contrasts


@njit(cache=True)
def _find_zones(
    codes: NDArray[np.uint16], positions: NDArray[np.int64], steps: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # pragma: no cover - compiled
    """Return code and size of each zone of connected equal codes (union-find; the root is the first voxel in raster order)."""
    parent = np.empty(len(codes), np.int32)
    size = np.zeros(len(codes), np.int32)
    for position in positions:
        root = np.int32(position)
        parent[position] = root
        code = codes[position]
        for step in steps:
            if codes[position - step] != code:
                continue
            other = parent[position - step]
            while parent[other] != other:
                parent[other] = parent[parent[other]]
                other = parent[other]
            if other < root:
                parent[root] = other
                root = other
            elif other > root:
                parent[other] = root
    zones = 0
    for position in positions:
        root = parent[position]
        while parent[root] != root:
            root = parent[root]
        parent[position] = root
        zones += size[root] == 0
        size[root] += 1
    zone_codes = np.empty(zones, np.int64)
    zone_sizes = np.empty(zones, np.int64)
    zone = 0
    for position in positions:
        if size[position] > 0:
            zone_codes[zone] = codes[position]
            zone_sizes[zone] = size[position]
            zone += 1
    return zone_codes, zone_sizes
