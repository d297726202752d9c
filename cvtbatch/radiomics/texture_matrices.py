"""The texture matrices of an ROI, GLCM, GLRLM, GLSZM, GLDM and NGTDM, filled by compiled loops over its voxels.

What is compared with its neighbours is compared span by span of the ROI's grid (`texture_grid`), many voxels side by side; only ROI
voxels are counted. They are visited in raster order; every angle's first non-zero offset is positive, so the neighbour at
`position - step` has been visited before.

Source: PyRadiomics 3.0.1, `src/cmatrices.c` (`calculate_glcm`, `calculate_glrlm`, `calculate_glszm`, `calculate_gldm`,
`calculate_ngtdm`), written anew: one pass for GLCM and GLRLM, one for GLDM and NGTDM, union-find for the zones of GLSZM.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cvtbatch.compiled_arrays import empty, zeros
from cvtbatch.compiled_code import compiled
from cvtbatch.radiomics.discretisation import GrayLevels
from cvtbatch.radiomics.feature_names import TEXTURE_CLASSES
from cvtbatch.radiomics.texture_grid import SIDE, TextureGrid

Whole = TypeVar("Whole", bound=np.integer)


@dataclass(frozen=True, slots=True)
class TextureMatrices:
    """The matrices of one image as counts, over its N gray levels present, A angles, and B of distance 1.

    Those of classes that are not asked for are empty.

    Attributes:
        glcm: (A, N, N) int32, voxels of level i whose neighbour one step before has level j.
        glrlm: (B, N, R) int32, runs of level i and length j + 1; R is the longest.
        gldm: (N, 2 A + 1) int64, voxels of level i with j dependent neighbours.
        ngtdm: (N,) float64, sum over voxels of level i of |level - mean level of the neighbours|.
        glszm_levels, glszm_sizes: (Z,) int64, each zone's place among the levels (0-based) and its voxels.
    """

    glcm: NDArray[np.int32]
    glrlm: NDArray[np.int32]
    gldm: NDArray[np.int64]
    ngtdm: NDArray[np.float64]
    glszm_levels: NDArray[np.int64]
    glszm_sizes: NDArray[np.int64]


def fill_matrices(
    grid: TextureGrid, gray: GrayLevels, gldm_a: int, classes: Collection[str] = TEXTURE_CLASSES
) -> TextureMatrices:
    """Fill the matrices of one image that the classes take.

    Args:
        gldm_a: gray levels apart that still depend on each other.
    """
    codes = _lay_out(grid.positions, gray.codes, grid.size)
    levels = np.concatenate(([0], gray.levels))
    pairs, runs = _pairs_and_runs(grid, codes, len(levels), classes)
    dependences, contrasts = np.empty((0, 0), np.int64), np.empty(0)
    if "gldm" in classes or "ngtdm" in classes:
        few = 2 * len(grid.steps) * int(levels[-1]) <= np.iinfo(np.uint16).max
        kept: NDArray[np.integer] = levels.astype(np.uint16) if few else levels
        grays: NDArray[np.integer] = codes
        if not few or levels[-1] != len(gray.levels):  # else the codes are the levels
            grays = _lay_out(grid.positions, kept.take(gray.codes), grid.size)
        where = gray.codes, grid.places, grid.spans, grid.steps, grid.neighbours
        dependences, contrasts = _fill_gldm_and_ngtdm(grays, *where, kept, gldm_a)
    zone_levels, zone_sizes = np.empty(0, np.int64), np.empty(0, np.int64)
    if "glszm" in classes:
        zone_levels, zone_sizes = _find_glszm_zones(
            codes, grid.positions, grid.spans, grid.zone_steps, grid.covers, grid.lowest
        )
    return TextureMatrices(pairs, runs, dependences[1:], contrasts[1:], zone_levels - 1, zone_sizes)


def _pairs_and_runs(
    grid: TextureGrid, codes: NDArray[np.uint16], n_codes: int, classes: Collection[str]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return GLCM and GLRLM; where neighbours are next to each other, one pass counts both."""
    pairs, runs = np.empty((0, 0, 0), np.int32), np.empty((0, 0, 0), np.int32)
    few = n_codes * (n_codes + grid.longest) <= np.iinfo(np.uint16).max
    cells = np.empty(np.diff(grid.spans[:, 2:]).max(), np.uint16 if few else np.uint32)
    where = codes, grid.positions, grid.places, grid.spans
    if "glrlm" in classes:
        pairs, runs = _fill_glcm_and_glrlm(*where, grid.line_steps, n_codes, grid.longest, cells)
    if "glcm" in classes and not ("glrlm" in classes and np.array_equal(grid.steps, grid.line_steps)):
        pairs, _ = _fill_glcm_and_glrlm(*where, grid.steps, n_codes, grid.longest, cells)
    return pairs[:, 1:, 1:], runs


@compiled
def _lay_out(
    positions: NDArray[np.uint64], numbers: NDArray[Whole], size: int
) -> NDArray[Whole]:  # pragma: no cover - compiled
    """Return a grid of so many voxels, (n,) numbers at their positions in it and 0 elsewhere."""
    grid = zeros(size, numbers.dtype)
    for n in range(len(positions)):
        grid[positions[n]] = numbers[n]
    return grid


@compiled
def _fill_glcm_and_glrlm(
    codes: NDArray[np.uint16],
    positions: NDArray[np.uint64],
    places: NDArray[np.uint32],
    spans: NDArray[np.uint64],
    steps: NDArray[np.int64],
    n_codes: int,
    longest: int,
    cells: NDArray[np.unsignedinteger],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:  # pragma: no cover - compiled
    """Return pairs (A, n_codes, n_codes) and runs (A, n_codes - 1, R); row and column 0 of pairs gather what lies outside the ROI.

    A voxel is counted once for each angle: in the column of the code before it, or behind all of these by how many equal ones
    stand in a row before it.

    Args:
        cells: as long as the widest span, for where its voxels are counted, in a type that holds n_codes * (n_codes + longest).
    """
    wide = n_codes + longest
    counts, others = zeros((len(steps), n_codes, wide), np.int32), zeros(n_codes * wide, np.int32)
    equal = np.uint16(n_codes - 1)
    ahead = zeros(len(codes), np.uint16)
    for a in range(len(steps)):
        flat, step = counts[a].reshape(-1), steps[a]
        if step == 1:
            row = 0
            for position in positions:
                code, left = np.uint64(codes[position]), np.uint64(codes[position - np.uint64(1)])
                row = row + 1 if code == left else 0
                flat[code * np.uint64(wide) + (np.uint64(equal + row) if code == left else left)] += 1
            continue
        # As many at once as do not depend on each other; where that is one, one after the other.
        at_once = max(step // SIDE * SIDE, min(step, SIDE))
        for s in range(len(spans)):
            start, stop = np.int64(spans[s, 2]), np.int64(spans[s, 3])
            for first in range(start, stop, at_once):
                count = min(at_once, stop - first)
                here, before = codes[first : first + count], codes[first - step : first - step + count]
                ahead_here, ahead_before = ahead[first : first + count], ahead[first - step : first - step + count]
                cell = cells[first - start : first - start + count]
                for t in range(count):
                    reached = np.uint16(ahead_before[t] + np.uint16(1))
                    ahead_here[t] = reached if here[t] == before[t] else np.uint16(0)
                for t in range(count):
                    column = np.uint16(equal + ahead_here[t])
                    cell[t] = here[t] * wide + (column if here[t] == before[t] else before[t])
            # Two halves, since one count waits for the one before in the same cell.
            begin, half = spans[s, 0], (spans[s, 1] - spans[s, 0]) // np.uint64(2)
            for n in range(begin, begin + half):
                flat[cells[places[n]]] += 1
                others[cells[places[n + half]]] += 1
            for n in range(begin + 2 * half, spans[s, 1]):
                flat[cells[places[n]]] += 1
        for t in range(len(others)):
            flat[t] += others[t]
            others[t] = 0
    pairs, reaching = counts[:, :, :n_codes], counts[:, :, n_codes:]
    runs = zeros((len(steps), n_codes - 1, longest), np.int32)
    most = 0
    for a in range(len(steps)):
        for i in range(1, n_codes):
            for j in range(n_codes):
                runs[a, i - 1, 0] += pairs[a, i, j]
            length = 1
            while reaching[a, i, length - 1] > 0:
                count = reaching[a, i, length - 1]
                pairs[a, i, i] += count
                runs[a, i - 1, length - 1] -= count
                runs[a, i - 1, length] += count
                length += 1
            most = max(most, length)
    return pairs, runs[:, :, :most]


@compiled
def _fill_gldm_and_ngtdm(
    grays: NDArray[np.integer],
    codes: NDArray[np.uint16],
    places: NDArray[np.uint32],
    spans: NDArray[np.uint64],
    steps: NDArray[np.int64],
    neighbours: NDArray[np.int32],
    levels: NDArray[np.integer],
    gldm_a: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:  # pragma: no cover - compiled
    """Return, by code, voxels by number of dependent neighbours, and summed contrasts.

    Args:
        grays: gray levels in the grid, 0 outside the ROI.
        codes: (n,) of the ROI's voxels.
        levels: by code, in a type that holds the sum over all neighbours.
    """
    dependences = zeros((len(levels), 2 * len(steps) + 1), np.int64)
    contrasts = zeros(len(levels), np.float64)
    widest = np.int64(0)
    for s in range(len(spans)):
        widest = max(widest, np.int64(spans[s, 3] - spans[s, 2]))
    equal_of, total_of = empty(widest, levels.dtype), empty(widest, levels.dtype)
    for s in range(len(spans)):
        start, count = np.int64(spans[s, 2]), np.int64(spans[s, 3] - spans[s, 2])
        here, equal, total = grays[start : start + count], equal_of[:count], total_of[:count]
        equal[:] = 0
        total[:] = 0
        for a in range(len(steps)):
            ahead = grays[start + steps[a] : start + steps[a] + count]
            behind = grays[start - steps[a] : start - steps[a] + count]
            if gldm_a == 0:
                for t in range(count):
                    total[t] += ahead[t] + behind[t]
                    equal[t] += np.uint16(ahead[t] == here[t]) + np.uint16(behind[t] == here[t])
            else:
                for t in range(count):
                    total[t] += ahead[t] + behind[t]
                    for other in (np.int64(ahead[t]), np.int64(behind[t])):
                        equal[t] += np.uint16(other != 0 and abs(other - np.int64(here[t])) <= gldm_a)
        for n in range(spans[s, 0], spans[s, 1]):
            t, code = places[n], codes[n]
            dependences[code, equal[t]] += 1
            if neighbours[n] > 0:
                contrasts[code] += abs(np.int64(levels[code]) - total[t] / neighbours[n])
    return dependences, contrasts


@compiled
def _find_glszm_zones(
    codes: NDArray[np.uint16],
    positions: NDArray[np.uint64],
    spans: NDArray[np.uint64],
    steps: NDArray[np.int64],
    covers: NDArray[np.int64],
    lowest: NDArray[np.uint8],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # pragma: no cover - compiled
    """Return code and size of each zone of connected equal codes (union-find; the root is the first voxel in raster order).

    Where two earlier neighbours touch each other and have the same code, they are in one zone already: one of them is enough. A
    voxel takes the root of the first, its own without any; few have others left, whose zones are joined after that.
    """
    equal = zeros(len(codes), np.uint16)
    for s in range(len(spans)):
        start, count = np.int64(spans[s, 2]), np.int64(spans[s, 3] - spans[s, 2])
        here, bits = codes[start : start + count], equal[start : start + count]
        for a in range(len(steps) - 1):
            before = codes[start - steps[a] : start - steps[a] + count]
            bit = np.uint16(1 << a)
            for t in range(count):
                bits[t] |= bit * np.uint16(here[t] == before[t])
    parent, joints = empty(len(codes), np.uint32), empty(len(positions), np.uint32)
    joined = 0
    for position in positions:
        found = np.int64(equal[position])
        a = lowest[found]
        left = found & ~covers[a]
        parent[position] = position
        parent[position] = parent[np.uint64(np.int64(position) - steps[a])]
        equal[position] = left
        joints[joined] = position
        joined += left != 0
    for position in joints[:joined]:
        left = np.int64(equal[position])
        root = parent[position]
        while parent[root] != root:
            parent[root] = parent[parent[root]]
            root = parent[root]
        while left:
            a = lowest[left]
            left &= ~covers[a]
            other = parent[np.uint64(np.int64(position) - steps[a])]
            while parent[other] != other:
                parent[other] = parent[parent[other]]
                other = parent[other]
            if other < root:
                parent[root] = other
                root = other
            elif other > root:
                parent[other] = root
    found_codes, found_sizes = empty(len(positions), np.uint16), zeros(len(positions), np.uint32)
    zones = np.uint32(0)
    # From here on the number of its zone takes the place of a voxel's parent, which is its root.
    for position in positions:
        root = parent[position]
        zone = zones if root == position else parent[root]
        parent[position] = zone
        found_codes[zone] = codes[position]
        found_sizes[zone] += np.uint32(1)
        zones += np.uint32(root == position)
    zone_codes, zone_sizes = empty(zones, np.int64), empty(zones, np.int64)
    for zone in range(zones):
        zone_codes[zone], zone_sizes[zone] = found_codes[zone], found_sizes[zone]
    return zone_codes, zone_sizes
