"""The texture matrices of an ROI, GLCM, GLRLM, GLSZM, GLDM and NGTDM, filled by compiled loops over its voxels.

The ROI lies in a grid of its own: the bounding box with one empty voxel around it, flattened, so that a neighbour is a constant
step away and an outside voxel has code 0. What is compared with its neighbours is compared span by span, many voxels side by side:
a span goes on over what lies outside the ROI until that is longer than `_GAP`, and only ROI voxels are counted. They are visited in
raster order; every angle's first non-zero offset is positive, so the neighbour at `position - step` has been visited before.

Source: PyRadiomics 3.0.1, `src/cmatrices.c` (`calculate_glcm`, `calculate_glrlm`, `calculate_glszm`, `calculate_gldm`,
`calculate_ngtdm`), written anew: one pass for GLCM and GLRLM, one for GLDM and NGTDM, union-find for the zones of GLSZM.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvtbatch.compiled_arrays import empty, zeros
from cvtbatch.compiled_code import compiled
from cvtbatch.errors import InputError
from cvtbatch.radiomics.angles import lines_along, list_angles
from cvtbatch.radiomics.box import RoiBox
from cvtbatch.radiomics.discretisation import MAXIMUM_LEVELS, GrayLevels
from cvtbatch.radiomics.feature_names import TEXTURE_CLASSES
from cvtbatch.radiomics.settings import Calculation

# Voxels outside the ROI that are compared for nothing rather than that a loop ends and begins anew.
_GAP = 64
# A column of counted pairs is one of a gray level or, behind these, of a run's length, in 16 bits.
_LONGEST = np.iinfo(np.uint16).max - MAXIMUM_LEVELS
# Counted over the distances asked for; runs and zones are of distance 1.
_OF_NEIGHBOURS = {"glcm", "gldm", "ngtdm"}


@dataclass(frozen=True, slots=True)
class TextureGrid:
    """What the matrices of all images of one ROI share.

    Attributes:
        positions: (n,) each ROI voxel in the flattened grid, raster order.
        spans: (S, 4) of each span its first place in `positions`, the one past its last, and the same in the grid.
        angles: (A, 3) offsets (z, y, x) of neighbours, by the distances asked for.
        steps: (A,) each of them as a step in the flattened grid.
        neighbours: (n,) ROI voxels among the 2 A neighbours.
        line_angles, line_steps: (B, 3) and (B,) the same for distance 1, along which runs and zones lie.
        with_lines: (B,) whether some line along the angle holds two ROI voxels.
        zone_steps: (B + 1,) `line_steps` again, those first whose neighbour touches most of the others, and 0.
        covers: (B + 1,) for each of `zone_steps`, as bits, those whose neighbour touches its neighbour.
        lowest: (2 ** B,) the lowest bit of a number that is set; B where none is.
        longest: voxels of a run at most.
        size: voxels of the grid.
    """

    positions: NDArray[np.uint64]
    spans: NDArray[np.uint64]
    angles: NDArray[np.int64]
    steps: NDArray[np.int64]
    neighbours: NDArray[np.int32]
    line_angles: NDArray[np.int64]
    line_steps: NDArray[np.int64]
    with_lines: NDArray[np.bool_]
    zone_steps: NDArray[np.int64]
    covers: NDArray[np.int64]
    lowest: NDArray[np.uint8]
    longest: int
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
    if max(box.shape) > _LONGEST:
        shown = " x ".join(str(n) for n in box.shape[::-1])
        raise InputError("roi_too_long", f"the ROI's box has {shown} voxels (limit {_LONGEST} along an axis)")
    border = max(calculation.distances)
    shape = tuple(size + 2 * border for size in box.shape)
    z, y, x = (axis - low + border for axis, low in zip(box.index, box.lower, strict=True))
    positions = (z * shape[1] + y) * shape[2] + x
    along = np.array([shape[1] * shape[2], shape[2], 1])
    steps, line_steps = angles @ along, line_angles @ along
    touching = np.abs(line_angles[:, None] - line_angles[None]).max(axis=2) <= 1
    order = np.argsort(-touching.sum(axis=1))
    covers = touching[order][:, order] @ (1 << np.arange(len(line_angles)))
    lowest = np.full(1 << len(line_angles), len(line_angles), np.uint8)
    for a in range(len(line_angles)):
        lowest[1 << a :: 2 << a] = a
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
        spans=_lay_spans(positions),
        angles=angles,
        steps=steps,
        neighbours=neighbours,
        line_angles=line_angles,
        line_steps=line_steps,
        with_lines=np.array(with_lines, bool),
        zone_steps=np.append(line_steps[order], 0),
        covers=np.append(covers, 0),
        lowest=lowest,
        longest=max(box.shape),
        size=size,
    )


def _lay_spans(positions: NDArray[np.int64]) -> NDArray[np.uint64]:
    cuts = np.flatnonzero(np.diff(positions) > _GAP) + 1
    begin, end = np.concatenate(([0], cuts)), np.concatenate((cuts, [len(positions)]))
    return np.stack([begin, end, positions[begin], positions[end - 1] + 1], axis=1).astype(np.uint64)


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
    codes[grid.positions.view(np.int64)] = gray.codes  # NumPy would copy them as such
    levels = np.concatenate(([0], gray.levels)).astype(np.int32)
    pairs, runs = _pairs_and_runs(grid, codes, len(levels), classes)
    dependences, contrasts = np.empty((0, 0), np.int64), np.empty(0)
    if "gldm" in classes or "ngtdm" in classes:
        dependences, contrasts = _fill_gldm_and_ngtdm(
            codes, grid.positions, grid.spans, grid.steps, grid.neighbours, levels, gldm_a
        )
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
    where = codes, grid.positions, grid.spans
    if "glrlm" in classes:
        pairs, runs = _fill_glcm_and_glrlm(*where, grid.line_steps, n_codes, grid.longest)
    if "glcm" in classes and not ("glrlm" in classes and np.array_equal(grid.steps, grid.line_steps)):
        pairs, _ = _fill_glcm_and_glrlm(*where, grid.steps, n_codes, grid.longest)
    return pairs[:, 1:, 1:], runs


@compiled
def _count_neighbours(
    positions: NDArray[np.uint64], steps: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:  # pragma: no cover - compiled
    """Return each voxel's neighbours in the ROI, and the adjacent pairs along each angle."""
    inside = zeros(size, np.uint8)
    for position in positions:
        inside[position] = 1
    neighbours = zeros(len(positions), np.int32)
    adjacent = zeros(len(steps), np.int64)
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
    spans: NDArray[np.uint64],
    steps: NDArray[np.int64],
    n_codes: int,
    longest: int,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:  # pragma: no cover - compiled
    """Return pairs (A, n_codes, n_codes) and runs (A, n_codes - 1, R); row and column 0 of pairs gather what lies outside the ROI.

    A voxel is counted once for each angle: in the column of the code before it, or behind all of these by how many equal ones
    stand in a row before it.
    """
    counts = zeros((len(steps), n_codes, n_codes + longest), np.int32)
    equal = np.uint16(n_codes - 1)
    ahead = zeros(len(codes), np.uint16)
    widest = np.int64(0)
    for s in range(len(spans)):
        widest = max(widest, np.int64(spans[s, 3] - spans[s, 2]))
    columns, rows = empty(widest, np.uint16), empty(len(positions), np.uint64)
    for n in range(len(positions)):
        rows[n] = np.uint64(codes[positions[n]]) * np.uint64(n_codes + longest)
    for a in range(len(steps)):
        flat = counts[a].reshape(-1)
        for s in range(len(spans)):
            start, count = np.int64(spans[s, 2]), np.int64(spans[s, 3] - spans[s, 2])
            here, before = codes[start : start + count], codes[start - steps[a] : start - steps[a] + count]
            ahead_here, ahead_before = ahead[start : start + count], ahead[start - steps[a] : start - steps[a] + count]
            if steps[a] == 1:  # one after the other
                row = ahead_before[0]
                for t in range(count):
                    row = np.uint16(row + np.uint16(1)) if here[t] == before[t] else np.uint16(0)
                    ahead_here[t] = row
            else:
                for t in range(count):
                    ahead_here[t] = (ahead_before[t] + np.uint16(1)) * np.uint16(here[t] == before[t])
            for t in range(count):
                columns[t] = np.uint16(equal + ahead_here[t]) if here[t] == before[t] else before[t]
            for n in range(spans[s, 0], spans[s, 1]):
                flat[rows[n] + np.uint64(columns[positions[n] - spans[s, 2]])] += 1
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
    codes: NDArray[np.uint16],
    positions: NDArray[np.uint64],
    spans: NDArray[np.uint64],
    steps: NDArray[np.int64],
    neighbours: NDArray[np.int32],
    levels: NDArray[np.int32],
    gldm_a: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:  # pragma: no cover - compiled
    """Return, by code, voxels by number of dependent neighbours, and summed contrasts."""
    grays = zeros(len(codes), np.int32)
    for position in positions:
        grays[position] = levels[codes[position]]
    dependences = zeros((len(levels), 2 * len(steps) + 1), np.int64)
    contrasts = zeros(len(levels), np.float64)
    widest = np.int64(0)
    for s in range(len(spans)):
        widest = max(widest, np.int64(spans[s, 3] - spans[s, 2]))
    equal_of, total_of = empty(widest, np.int32), empty(widest, np.int32)
    for s in range(len(spans)):
        start, count = np.int64(spans[s, 2]), np.int64(spans[s, 3] - spans[s, 2])
        here, equal, total = grays[start : start + count], equal_of[:count], total_of[:count]
        equal[:] = 0
        total[:] = 0
        for a in range(len(steps)):
            ahead = grays[start + steps[a] : start + steps[a] + count]
            behind = grays[start - steps[a] : start - steps[a] + count]
            for t in range(count):
                total[t] += ahead[t] + behind[t]
            if gldm_a == 0:
                for t in range(count):
                    equal[t] += np.int32(ahead[t] == here[t]) + np.int32(behind[t] == here[t])
            else:
                for t in range(count):
                    equal[t] += np.int32(ahead[t] != 0 and abs(ahead[t] - here[t]) <= gldm_a)
                    equal[t] += np.int32(behind[t] != 0 and abs(behind[t] - here[t]) <= gldm_a)
        for n in range(spans[s, 0], spans[s, 1]):
            t, code = positions[n] - spans[s, 2], codes[positions[n]]
            dependences[code, equal[t]] += 1
            if neighbours[n] > 0:
                contrasts[code] += abs(levels[code] - total[t] / neighbours[n])
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
    size = zeros(len(codes), np.uint32)
    zones = 0
    for position in positions:
        root = parent[parent[position]]  # what is before it hangs on its root by now
        parent[position] = root
        zones += root == position
        size[root] += 1
    zone_codes = empty(zones, np.int64)
    zone_sizes = empty(zones, np.int64)
    zone = 0
    for position in positions:
        if size[position] > 0:
            zone_codes[zone] = codes[position]
            zone_sizes[zone] = size[position]
            zone += 1
    return zone_codes, zone_sizes
