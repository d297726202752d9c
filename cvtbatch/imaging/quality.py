"""Triage of a series: how much of the head it holds, its noise, metal, and jumps from slice to slice.

Measured on the source's own slices, before resampling smooths them. One pass over the voxels reduces each slice to blocks of
about 2 mm; what follows works on these. The measures say where a reader should look; nothing is refused because of them.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvtbatch.compiled_arrays import empty, zeros
from cvtbatch.compiled_code import compiled
from cvtbatch.geometry import SliceStack
from cvtbatch.imaging.parts import connected_parts
from cvtbatch.imaging.triage import TISSUE_HU

Vector = npt.NDArray[np.float64]

# Side of a block.
BLOCK_MM = 2.0
# A block with a voxel above this holds bone; one whose mean is above TISSUE_HU is of the body, one in BRAIN_HU brain or blood.
BONE_HU = 300
BRAIN_HU = (0, 100)
# Cortical bone stays below this, and so does most enamel; clips, coils and fillings lie above, often at the end of the scale.
METAL_HU = 2500
METAL_ML = 0.05
# Slices are axial when their normal lies within 45 degrees of the body's axis.
AXIAL_COSINE = 0.7
# Brain in the end slices of a volume that holds all of it lies below these: at the vertex the skull closes over it, and at the
# foramen magnum bone encloses little more than the spinal canal.
VERTEX_CM2 = 15
BASE_CM2 = 40
# A head CT with less brain than this shows no head, or a small part of one.
LEAST_BRAIN_ML = 200
# Slices with less brain than this do not say where the head is. Of heads that lay still, no slice is this far off its neighbours.
PLACED_CM2 = 60
DISPLACED_MM = 2.0
# Two to three times what a head CT of clinical dose and slice thickness has.
NOISY_HU = 10
# Blocks that the mode of their standard deviations needs.
LEAST_BLOCKS = 100


@dataclass(frozen=True, slots=True)
class SeriesQuality:
    """What triage measured.

    Attributes:
        head_coverage_mm: length of the head in the series along the slices' normal.
        brain_ml: brain and blood that bone encloses within a slice.
        noise_hu: global noise level; None where there is too little brain.
        metal_ml: volume above METAL_HU.
        slice_jump_mm: largest distance of a slice's brain centre from the line through its neighbours' centres; None where no
            three neighbouring slices hold enough brain.
        flags: what a reader should look at: not_axial, no_head, vertex_cut, base_cut, noisy, metal, and
            displaced_slices (the patient moved between slices, or positions are not the slices' own).
    """

    head_coverage_mm: float
    brain_ml: float
    noise_hu: float | None
    metal_ml: float
    slice_jump_mm: float | None
    flags: tuple[str, ...]


def measure_series(hu_zyx: npt.NDArray[np.int16] | npt.NDArray[np.float32], stack: SliceStack) -> SeriesQuality:
    """Measure a series of slices.

    Args:
        hu_zyx: HU (slices, rows, columns), C-ordered, in the stack's order.
    """
    along, down = (max(1, round(BLOCK_MM / pixel)) for pixel in stack.pixel_mm)
    total, squares, highest, metal = _reduce_to_blocks(hu_zyx, down, along)
    bone = highest > BONE_HU
    del highest  # of thin slices, blocks take as much as the volume
    enclosed = _enclosed(bone)
    mean = total / (along * down)
    brain = enclosed & (mean > BRAIN_HU[0]) & (mean < BRAIN_HU[1])
    noise = _noise_hu(total, squares, brain, along * down)
    body = mean > TISSUE_HU
    del total, squares, mean
    block_mm = along * stack.pixel_mm[0], down * stack.pixel_mm[1]
    reach_mm = np.gradient(stack.depths_mm())
    brain_cm2 = brain.sum(axis=(1, 2)) * block_mm[0] * block_mm[1] / 100
    jump = _slice_jump_mm(brain, brain_cm2, block_mm, stack)
    metal_ml = float(metal @ reach_mm) * stack.pixel_mm[0] * stack.pixel_mm[1] / 1000
    brain_ml = float(brain_cm2 @ reach_mm) / 10
    flags = {
        **_extent_flags(brain_cm2, brain_ml, stack.slice_axis[2]),
        "noisy": noise is not None and noise > NOISY_HU,
        "metal": metal_ml >= METAL_ML,
        "displaced_slices": jump is not None and jump >= DISPLACED_MM,
    }
    return SeriesQuality(
        head_coverage_mm=float(reach_mm[connected_parts(body).largest().any(axis=(1, 2))].sum()),
        brain_ml=brain_ml,
        noise_hu=noise,
        metal_ml=metal_ml,
        slice_jump_mm=jump,
        flags=tuple(name for name, raised in flags.items() if raised),
    )


def _extent_flags(brain_cm2: Vector, brain_ml: float, normal_up: float) -> dict[str, bool]:
    """Say what the series lacks of the head; `normal_up` is the cosine of the slices' normal and the way to the vertex."""
    axial, head = abs(normal_up) >= AXIAL_COSINE, brain_ml >= LEAST_BRAIN_ML
    base, vertex = (0, -1) if normal_up > 0 else (-1, 0)
    return {
        "not_axial": not axial,
        "no_head": not head,
        "vertex_cut": axial and head and bool(brain_cm2[vertex] >= VERTEX_CM2),
        "base_cut": axial and head and bool(brain_cm2[base] >= BASE_CM2),
    }


def _enclosed(bone: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the blocks that bone separates, within their slice, from the border of the image."""
    parts = connected_parts(~bone, in_slices=True)
    return parts.mask(~parts.reach_rim())


def _noise_hu(total: Vector, squares: Vector, brain: npt.NDArray[np.bool_], voxels: int) -> float | None:
    """Return the mode of the standard deviations of squares of two by two blocks that lie inside the brain.

    The mode is the middle of the shortest interval that holds half of them: where tissue changes, the deviation is not noise.

    Source: O. Christianson et al., "Automated technique to measure noise in clinical CT examinations", AJR 205(1), 2015: the
    global noise level. There the square slides over all soft tissue.
    """
    rows, columns = brain.shape[1] // 2 * 2, brain.shape[2] // 2 * 2
    corners = [(slice(None), slice(y, rows, 2), slice(x, columns, 2)) for y in (0, 1) for x in (0, 1)]
    inner = _inner(brain)
    inside = np.logical_and.reduce([inner[corner] for corner in corners])
    sums = sum(total[corner][inside] for corner in corners)
    square_sums = sum(squares[corner][inside] for corner in corners)
    count = 4 * voxels
    deviations = np.sort(np.sqrt(np.maximum(square_sums - sums**2 / count, 0) / (count - 1)))
    if len(deviations) < LEAST_BLOCKS:
        return None
    half = len(deviations) // 2
    start = int((deviations[half:] - deviations[: len(deviations) - half]).argmin())
    return float(deviations[start] + deviations[start + half]) / 2


def _inner(blocks: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the blocks whose eight neighbours in the slice belong to them too."""
    inner = np.zeros_like(blocks)
    down = blocks[:, :-2] & blocks[:, 1:-1] & blocks[:, 2:]
    inner[:, 1:-1, 1:-1] = down[:, :, :-2] & down[:, :, 1:-1] & down[:, :, 2:]
    return inner


def _slice_jump_mm(
    brain: npt.NDArray[np.bool_], brain_cm2: Vector, block_mm: tuple[float, float], stack: SliceStack
) -> float | None:
    """Return the largest distance of a slice's brain centre from the line through its neighbours' centres."""
    depths, count = stack.depths_mm(), np.maximum(brain.sum(axis=(1, 2)), 1)
    x = brain.sum(axis=1) @ np.arange(brain.shape[2]) / count * block_mm[0]
    y = brain.sum(axis=2) @ np.arange(brain.shape[1]) / count * block_mm[1]
    centres = np.stack([x, y], axis=1) + stack.shifts_mm()
    placed = brain_cm2 >= PLACED_CM2
    judged = placed[:-2] & placed[1:-1] & placed[2:]
    if not judged.any():
        return None
    share = ((depths[1:-1] - depths[:-2]) / (depths[2:] - depths[:-2]))[:, None]
    off_line = centres[1:-1] - (1 - share) * centres[:-2] - share * centres[2:]
    return float(np.hypot(*off_line[judged].T).max())


@compiled
def _reduce_to_blocks(
    hu_zyx: npt.NDArray[np.int16] | npt.NDArray[np.float32], down: int, along: int
) -> tuple[Vector, Vector, npt.NDArray[np.float32], npt.NDArray[np.int64]]:  # pragma: no cover - compiled
    """Return sum, sum of squares and highest HU of every block (slices, rows, columns), and each slice's voxels of metal.

    Columns of a block are summed in float32, which holds squares of soft tissue exactly; those of bone need not be.
    """
    shape = (len(hu_zyx), hu_zyx.shape[1] // down, hu_zyx.shape[2] // along)
    total, squares = zeros(shape, np.float64), zeros(shape, np.float64)
    highest = empty(shape, np.float32)
    metal = zeros(len(hu_zyx), np.int64)
    width = shape[2] * along
    sums, square_sums, tops = (empty(width, np.float32), empty(width, np.float32), empty(width, np.float32))
    for k in range(shape[0]):
        for r in range(shape[1]):
            for x in range(width):
                sums[x], square_sums[x], tops[x] = 0, 0, -np.inf
            rows = hu_zyx[k, r * down : (r + 1) * down]
            for y in range(down):
                row = rows[y]
                for x in range(width):
                    value = np.float32(row[x])
                    sums[x] += value
                    square_sums[x] += value * value
                    tops[x] = value if value > tops[x] else tops[x]
            block, block_squares, top = total[k, r], squares[k, r], highest[k, r]
            for c in range(shape[2]):
                top[c] = -np.inf
            for x in range(along):
                for c in range(shape[2]):
                    column = c * along + x
                    block[c] += sums[column]
                    block_squares[c] += square_sums[column]
                    top[c] = tops[column] if tops[column] > top[c] else top[c]
            for c in range(shape[2]):
                if top[c] > METAL_HU:
                    for y in range(down):
                        for x in range(c * along, (c + 1) * along):
                            metal[k] += rows[y, x] > METAL_HU
    return total, squares, highest, metal
