"""Where the voxels of an ROI lie for its texture matrices: what the matrices of all its images share.

The ROI lies in a grid of its own: the bounding box with one empty voxel around it, flattened, so that a neighbour is a constant
step away and an outside voxel has code 0. What is compared with its neighbours is compared span by span, `SIDE` voxels side by
side: a span goes on over what lies outside the ROI until that is longer than `_GAP`, and at its end to whole turns of so many.
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
from cvtbatch.radiomics.discretisation import MAXIMUM_LEVELS
from cvtbatch.radiomics.feature_names import TEXTURE_CLASSES
from cvtbatch.radiomics.settings import Calculation

# Voxels outside the ROI that are compared for nothing rather than that a loop ends and begins anew.
_GAP = 64
# Voxels of 16 bits that a compiled loop takes at each turn: it takes any that are left one by one.
SIDE = 64
# A column of counted pairs is one of a gray level or, behind these, of a run's length, in 16 bits.
_LONGEST = np.iinfo(np.uint16).max - MAXIMUM_LEVELS
# Counted over the distances asked for; runs and zones are of distance 1.
_OF_NEIGHBOURS = {"glcm", "gldm", "ngtdm"}


@dataclass(frozen=True, slots=True)
class TextureGrid:
    """What the matrices of all images of one ROI share.

    Attributes:
        positions: (n,) each ROI voxel in the flattened grid, raster order.
        places: (n,) the same from the first voxel of its span.
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
        size: voxels of the grid, and as many behind them as the last span is filled up by.
    """

    positions: NDArray[np.uint64]
    places: NDArray[np.uint32]
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
    n_planes, n_rows, n_columns = (size + 2 * border for size in box.shape)
    # A neighbour in another row is no nearer than as many as are compared side by side; boxes narrow in x pay for it.
    n_columns = max(n_columns, SIDE + border)
    z, y, x = (axis - low + border for axis, low in zip(box.index, box.lower, strict=True))
    positions = (z * n_rows + y) * n_columns + x
    along = np.array([n_rows * n_columns, n_columns, 1])
    steps, line_steps = angles @ along, line_angles @ along
    touching = np.abs(line_angles[:, None] - line_angles[None]).max(axis=2) <= 1
    order = np.argsort(-touching.sum(axis=1))
    covers = touching[order][:, order] @ (1 << np.arange(len(line_angles)))
    lowest = np.full(1 << len(line_angles), len(line_angles), np.uint8)
    for a in range(len(line_angles)):
        lowest[1 << a :: 2 << a] = a
    size = n_planes * n_rows * n_columns + SIDE
    voxels, spans = positions.astype(np.uint64), _lay_spans(positions)
    places = (voxels - np.repeat(spans[:, 2], np.diff(spans[:, :2])[:, 0].astype(np.int64))).astype(np.uint32)
    few = 2 * len(steps) <= np.iinfo(np.uint16).max
    inside = np.zeros(size, np.uint16) if few else np.zeros(size, np.uint32)
    inside[positions] = 1
    neighbours, adjacent = _count_neighbours(places, spans, steps, inside)
    if calculation.distances != (1,):
        _, adjacent = _count_neighbours(places, spans, line_steps, inside)
    with_lines = [
        bool(found) or lines_along((z, y, x), angle) for found, angle in zip(adjacent, line_angles, strict=True)
    ]
    return TextureGrid(
        positions=voxels,
        places=places,
        spans=spans,
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
    sizes = positions[end - 1] - positions[begin] + SIDE
    return np.stack([begin, end, positions[begin], positions[begin] + sizes // SIDE * SIDE], axis=1).astype(np.uint64)


def _too_thin(box: RoiBox, calculation: Calculation) -> str:
    size = " x ".join(str(n) for n in box.shape[::-1])
    planes = f" in planes across axis {calculation.force_2d_dimension} (force2D)" if calculation.force_2d else ""
    return (
        f"the ROI's box has {size} voxels, none of them neighbours at distances {list(calculation.distances)}{planes}"
    )


@compiled
def _count_neighbours(
    places: NDArray[np.uint32],
    spans: NDArray[np.uint64],
    steps: NDArray[np.int64],
    inside: NDArray[np.unsignedinteger],
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:  # pragma: no cover - compiled
    """Return each voxel's neighbours in the ROI, and the adjacent pairs along each angle.

    Args:
        inside: 1 in the ROI, else 0, in a type that holds the number of all neighbours.
    """
    neighbours, adjacent = empty(len(places), np.int32), zeros(len(steps), np.int64)
    widest = np.int64(0)
    for s in range(len(spans)):
        widest = max(widest, np.int64(spans[s, 3] - spans[s, 2]))
    total_of = empty(widest, inside.dtype)
    for s in range(len(spans)):
        start, count = np.int64(spans[s, 2]), np.int64(spans[s, 3] - spans[s, 2])
        here, total = inside[start : start + count], total_of[:count]
        total[:] = 0
        for a in range(len(steps)):
            ahead = inside[start + steps[a] : start + steps[a] + count]
            behind = inside[start - steps[a] : start - steps[a] + count]
            pairs = np.int64(0)
            for t in range(count):
                total[t] += ahead[t] + behind[t]
                pairs += here[t] & behind[t]
            adjacent[a] += pairs
        for n in range(spans[s, 0], spans[s, 1]):
            neighbours[n] = total[places[n]]
    return neighbours, adjacent
