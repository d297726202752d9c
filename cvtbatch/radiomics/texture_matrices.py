"""The texture matrices of an ROI, GLCM, GLRLM, GLSZM, GLDM and NGTDM, filled by compiled loops over its voxels.

The ROI lies in a grid of its own: the bounding box with one empty voxel around it, flattened, so that a neighbour is a constant
step away and an outside voxel has code 0. The ROI's voxels are visited in raster order as stretches along x; every angle's first
non-zero offset is positive, so the neighbour at `position - step` has been visited before.

Source: PyRadiomics 3.0.1, `src/cmatrices.c` (`calculate_glcm`, `calculate_glrlm`, `calculate_glszm`, `calculate_gldm`,
`calculate_ngtdm`), written anew: one pass for GLCM and GLRLM, one for GLDM and NGTDM, union-find
for the zones of GLSZM.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvtbatch.compiled_code import compiled
from cvtbatch.errors import InputError
from cvtbatch.radiomics.angles import lines_along, list_angles
from cvtbatch.radiomics.box import RoiBox
from cvtbatch.radiomics.discretisation import GrayLevels
from cvtbatch.radiomics.feature_names import TEXTURE_CLASSES
from cvtbatch.radiomics.settings import Calculation

# Counted over the distances asked for; runs and zones are of distance 1.
_OF_NEIGHBOURS = {"glcm", "gldm", "ngtdm"}


@dataclass(frozen=True, slots=True)
class TextureGrid:
    """What the matrices of all images of one ROI share.

    Attributes:
        positions: (n,) each ROI voxel in the flattened grid, raster order.
        stretches: (S + 1,) where in `positions` each stretch of voxels along x begins, and n.
        angles: (A, 3) offsets (z, y, x) of neighbours, by the distances asked for.
        steps: (A,) each of them as a step in the flattened grid.
        neighbours: (n,) ROI voxels among the 2 A neighbours.
        line_angles, line_steps: (B, 3) and (B,) the same for distance 1, along which runs and zones lie.
        with_lines: (B,) whether some line along the angle holds two ROI voxels.
        zone_steps: (B,) `line_steps` again, those first whose neighbour touches most of the others.
        covers: (B,) for each of `zone_steps`, as bits, those whose neighbour touches its neighbour.
        size: voxels of the grid.
    """

    positions: NDArray[np.uint64]
    stretches: NDArray[np.int64]
    angles: NDArray[np.int64]
    steps: NDArray[np.int64]
    neighbours: NDArray[np.int32]
    line_angles: NDArray[np.int64]
    line_steps: NDArray[np.int64]
    with_lines: NDArray[np.bool_]
    zone_steps: NDArray[np.int64]
    covers: NDArray[np.int64]
    size: int


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


def lay_grid(box: RoiBox, calculation: Calculation, classes: Collection[str] = TEXTURE_CLASSES) -> TextureGrid:
    """Lay the ROI of `box` into a grid of its own, with an empty border as wide as the largest distance.

    Raises:
        InputError: roi_too_thin where a class needs neighbours, and no two voxels of the bounding box are.
    """
    across = calculation.force_2d_dimension if calculation.force_2d else None
    angles, line_angles = list_angles(box.shape, calculation.distances, across), list_angles(box.shape, (1,), across)
    if not len(line_angles) or (not len(angles) and _OF_NEIGHBOURS & set(classes)):
        raise InputError("roi_too_thin", _too_thin(box, calculation))
    border = max(calculation.distances)
    shape = tuple(size + 2 * border for size in box.shape)
    z, y, x = (axis - low + border for axis, low in zip(box.index, box.lower, strict=True))
    positions = (z * shape[1] + y) * shape[2] + x
    stretches = np.concatenate(([0], np.flatnonzero(np.diff(positions) != 1) + 1, [len(positions)]))
    along = np.array([shape[1] * shape[2], shape[2], 1])
    steps, line_steps = angles @ along, line_angles @ along
    touching = np.abs(line_angles[:, None] - line_angles[None]).max(axis=2) <= 1
    order = np.argsort(-touching.sum(axis=1))
    covers = touching[order][:, order] @ (1 << np.arange(len(line_angles)))
    size = shape[0] * shape[1] * shape[2]
    places = positions.astype(np.uint64)
    neighbours, adjacent = _count_neighbours(places, steps, size)
    if calculation.distances != (1,):
        _, adjacent = _count_neighbours(places, line_steps, size)
    with_lines = [
        bool(found) or lines_along((z, y, x), angle) for found, angle in zip(adjacent, line_angles, strict=True)
    ]
    return TextureGrid(
        positions=places,
        stretches=stretches,
        angles=angles,
        steps=steps,
        neighbours=neighbours,
        line_angles=line_angles,
        line_steps=line_steps,
        with_lines=np.array(with_lines, bool),
        zone_steps=line_steps[order],
        covers=covers,
        size=size,
    )


def _too_thin(box: RoiBox, calculation: Calculation) -> str:
    size = " x ".join(str(n) for n in box.shape[::-1])
    planes = f" in planes across axis {calculation.force_2d_dimension} (force2D)" if calculation.force_2d else ""
    return (
        f"the ROI's box has {size} voxels, none of them neighbours at distances {list(calculation.distances)}{planes}"
    )


def fill_matrices(
    grid: TextureGrid, gray: GrayLevels, gldm_a: int, classes: Collection[str] = TEXTURE_CLASSES
) -> TextureMatrices:
    """Fill the matrices of one image that the classes take.

    Args:
        gldm_a: gray levels apart that still depend on each other.
    """
    codes = np.zeros(grid.size, np.uint16)
    codes[grid.positions] = gray.codes
    levels = np.concatenate(([0], gray.levels)).astype(np.int32)
    pairs, runs = _pairs_and_runs(grid, codes, len(levels), classes)
    dependences, contrasts = np.empty((0, 0), np.int64), np.empty(0)
    if "gldm" in classes or "ngtdm" in classes:
        dependences, contrasts = _fill_gldm_and_ngtdm(
            codes, grid.positions, grid.stretches, grid.steps, grid.neighbours, levels, gldm_a
        )
    zone_levels, zone_sizes = np.empty(0, np.int64), np.empty(0, np.int64)
    if "glszm" in classes:
        zone_levels, zone_sizes = _find_glszm_zones(codes, grid.positions, grid.zone_steps, grid.covers)
    return TextureMatrices(pairs, runs, dependences[1:], contrasts[1:], zone_levels - 1, zone_sizes)


def _pairs_and_runs(
    grid: TextureGrid, codes: NDArray[np.uint16], n_codes: int, classes: Collection[str]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return GLCM and GLRLM; where neighbours are next to each other, one pass counts both."""
    empty = np.empty((0, 0, 0), np.int32)
    where = codes, grid.positions, grid.stretches
    pairs, reaching = empty, empty
    if "glrlm" in classes:
        pairs, reaching = _fill_glcm_and_glrlm(*where, grid.line_steps, n_codes)
    if "glcm" in classes and not ("glrlm" in classes and np.array_equal(grid.steps, grid.line_steps)):
        pairs, _ = _fill_glcm_and_glrlm(*where, grid.steps, n_codes)
    return pairs[:, 1:, 1:], reaching[:, 1:, 1:-1] - reaching[:, 1:, 2:]


@compiled
def _count_neighbours(
    positions: NDArray[np.uint64], steps: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:  # pragma: no cover - compiled
    """Return each voxel's neighbours in the ROI, and the adjacent pairs along each angle."""
    inside = np.zeros(size, np.uint8)
    for position in positions:
        inside[position] = 1
    neighbours = np.zeros(len(positions), np.int32)
    adjacent = np.zeros(len(steps), np.int64)
    for n in range(len(positions)):
        position = np.int64(positions[n])
        for a in range(len(steps)):
            before = inside[position - steps[a]]
            adjacent[a] += before
            neighbours[n] += before + inside[position + steps[a]]
    return neighbours, adjacent


@compiled
def _fill_glcm_and_glrlm(
    codes: NDArray[np.uint16],
    positions: NDArray[np.uint64],
    stretches: NDArray[np.int64],
    steps: NDArray[np.int64],
    n_codes: int,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:  # pragma: no cover - compiled
    """Return pairs, and for each angle, code and length the runs that reach the length (one length more than occurs).

    Row and column 0 gather what lies outside the ROI.
    """
    pairs = np.zeros((len(steps), n_codes, n_codes), np.int32)
    run = np.zeros(len(codes), np.uint16)
    lengths = np.zeros((len(steps), len(positions)), np.uint16)
    longest = np.uint16(1)
    for a in range(len(steps)):
        matrix = pairs[a]
        for s in range(len(stretches) - 1):
            begin, count = stretches[s], stretches[s + 1] - stretches[s]
            start = np.int64(positions[begin])
            here, before = codes[start : start + count], codes[start - steps[a] : start - steps[a] + count]
            run_here, run_before = run[start : start + count], run[start - steps[a] : start - steps[a] + count]
            length = lengths[a, begin : begin + count]
            for t in range(count):
                length[t] = run_before[t] * np.uint16(here[t] == before[t]) + np.uint16(1)
                run_here[t] = length[t]
            for t in range(count):
                longest = max(longest, length[t])
                matrix[here[t], before[t]] += 1
    reaching = np.zeros((len(steps), n_codes, np.int64(longest) + 2), np.int32)
    for a in range(len(steps)):
        matrix = reaching[a]
        for n in range(len(positions)):
            matrix[codes[positions[n]], lengths[a, n]] += 1
    return pairs, reaching


@compiled
def _fill_gldm_and_ngtdm(
    codes: NDArray[np.uint16],
    positions: NDArray[np.uint64],
    stretches: NDArray[np.int64],
    steps: NDArray[np.int64],
    neighbours: NDArray[np.int32],
    levels: NDArray[np.int32],
    gldm_a: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:  # pragma: no cover - compiled
    """Return, by code, voxels by number of dependent neighbours, and summed contrasts."""
    grays = np.empty(len(codes), np.int32)
    for n in range(len(codes)):
        grays[n] = levels[codes[n]]
    dependences = np.zeros((len(levels), 2 * len(steps) + 1), np.int64)
    contrasts = np.zeros(len(levels), np.float64)
    longest = 0
    for s in range(len(stretches) - 1):
        longest = max(longest, stretches[s + 1] - stretches[s])
    equal_of, total_of = np.empty(longest, np.uint16), np.empty(longest, np.int32)
    for s in range(len(stretches) - 1):
        begin, count = stretches[s], stretches[s + 1] - stretches[s]
        start = np.int64(positions[begin])
        here = codes[start : start + count]
        equal, total = equal_of[:count], total_of[:count]
        equal[:] = 0
        total[:] = 0
        for a in range(2 * len(steps)):
            first = start + (steps[a] if a < len(steps) else -steps[a - len(steps)])
            other, gray = codes[first : first + count], grays[first : first + count]
            if gldm_a == 0:
                for t in range(count):
                    equal[t] += np.uint16(other[t] == here[t])
            else:
                for t in range(count):
                    equal[t] += np.uint16(other[t] != 0 and abs(gray[t] - levels[here[t]]) <= gldm_a)
            for t in range(count):
                total[t] += gray[t]
        for t in range(count):
            code = here[t]
            dependences[code, equal[t]] += 1
            if neighbours[begin + t] > 0:
                contrasts[code] += abs(levels[code] - total[t] / neighbours[begin + t])
    return dependences, contrasts


@compiled
def _find_glszm_zones(
    codes: NDArray[np.uint16], positions: NDArray[np.uint64], steps: NDArray[np.int64], covers: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # pragma: no cover - compiled
    """Return code and size of each zone of connected equal codes (union-find; the root is the first voxel in raster order).

    Where two earlier neighbours touch each other and have the same code, they are in one zone already: one of them is enough.
    """
    parent = np.empty(len(codes), np.uint32)
    size = np.zeros(len(codes), np.uint32)
    for position in positions:
        root = np.uint32(position)
        parent[position] = root
        code = codes[position]
        open_angles = np.int64(-1)
        for a in range(len(steps)):
            before = np.uint64(np.int64(position) - steps[a])
            if codes[before] != code or not (open_angles >> a) & 1:
                continue
            open_angles &= ~covers[a]
            other = parent[before]
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
