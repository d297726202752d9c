"""Where an outline lies in the brain, told from the inside of the skull alone, and not told where that does not suffice.

The inside's length, width and vertex lay it under a template, the brain of MNI's atlases, in its millimetres (x to the right,
y forward, z upward, 0 at the anterior commissure). Two surfaces there stand for the tentorium, its roof and the petrous ridges in
front. They were fitted to the AAL2 atlas (Rolls et al., NeuroImage 2015;122:1-5) and the brainstem of the Harvard-Oxford atlas: of
the voxels of the cerebellum 97 %, of pons and medulla 99 %, of the cerebrum 98 % lie on their side. How far the head is nodded
against the template is not measured: slices follow the orbitomeatal line, the table or a habit. So everything is asked at every nod
of up to LARGEST_NOD_DEG, and an answer counts if it is always the same.

Tried on 400 balls of 6 to 16 mm radius in structures of these atlases, heads nodded by up to 15 degrees, each axis longer or
shorter by 5 % (standard deviation): infratentorial are 47 % of those in the cerebellum, 74 % in pons and medulla, 0.2 % in the
cerebrum (1 % in its cortex); supratentorial are 0.2 %, none and 93 %. The rest is unknown. The midbrain passes through the
tentorium, and is either. These are heads without a hematoma's mass effect, and of one atlas.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from cvtbatch.geometry import Grid, Vector, voxels_of

# The brain of the ICBM 152 template: its box at no nod, and by how much a degree lowers its top.
LENGTH_MM, WIDTH_MM = 179.0, 142.0
MIDDLE_Y_MM, TOP_MM = -16.5, 82.0
TOP_FALL_MM = 0.48
LARGEST_NOD_DEG, NOD_STEP_DEG = 15, 5
# The tentorium falls from the midline to the sides, and behind BACK_MM to the back.
TENT_MM, TENT_SIDE_SLOPE, TENT_BACK_MM, TENT_BACK_SLOPE = -2.0, 0.48, -80.0, 0.84
# The petrous ridges run from the midline sideways and back.
RIDGE_MM, RIDGE_SLOPE = -8.5, 0.58
# Nearer to these surfaces an outline's middle may lie on either side.
UNSURE_MM = 3.0
# Between brainstem and cerebellum lies the fourth ventricle; the peduncles at its sides belong to both.
STEM_FRONT_MM, STEM_HALF_WIDTH_MM = -36.0, 16.0
CEREBELLUM_FRONT_MM, CEREBELLUM_SIDE_MM = -44.0, 22.0
# An ellipsoid around the basal ganglia and the thalamus of each side; beyond twice its size all is lobar.
DEEP_CENTER_MM, DEEP_SEMI_AXES_MM = (18.0, -6.0, 6.0), (14.0, 26.0, 16.0)
LOBAR_FROM = 2.0
# A scan whose last slice still shows more than this share of the largest slice's inside ends below the vertex.
VERTEX_SHARE = 0.1

Mask = npt.NDArray[np.bool_]
Location = Literal["lobar", "deep", "cerebellum", "brainstem"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the middle of an outline lies.

    Attributes:
        infratentorial: below the tentorium; None: it cannot be told.
        location: in the words of the manifest's column, None: it cannot be told.
    """

    infratentorial: bool | None
    location: Location | None


NOWHERE = Place(None, None)


def find_place(outline_zyx: npt.NDArray[np.generic], inside_zyx: Mask, grid: Grid) -> Place:
    """Tell where an outline lies.

    Args:
        outline_zyx: not 0 in the outline, never empty.
        inside_zyx: the inside of the skull (`cvtbatch.outlining.skull.find_inside`), of the same shape.
        grid: of both; what its axes are called comes from their directions, an oblique one counts as the nearest.

    Returns:
        Unknown throughout if the slices do not lie across the body, or the scan ends below the vertex.
    """
    axes = grid.axes()
    if (np.abs(axes).argmax(axis=0) != np.arange(3)).any():
        return NOWHERE
    # LPS to the template's right, front and top.
    steps = np.sign(np.diag(axes)) * np.array([-1, -1, 1]) * np.array(grid.spacing_mm)
    areas = np.count_nonzero(inside_zyx, axis=(1, 2))
    if areas[-1 if steps[2] > 0 else 0] > VERTEX_SHARE * areas.max():
        return NOWHERE
    box = _box(inside_zyx, steps)
    points = np.stack(voxels_of(outline_zyx)[::-1], axis=1) * steps
    places = [_on_template(points, box, nod) for nod in range(-LARGEST_NOD_DEG, LARGEST_NOD_DEG + 1, NOD_STEP_DEG)]
    below = [float(np.median(_above_tentorium_mm(place))) for place in places]
    middles = np.array([np.median(place, axis=0) for place in places])
    if max(below) < -UNSURE_MM:
        return Place(True, _infratentorial_location(middles))
    if min(below) > UNSURE_MM:
        return Place(False, _supratentorial_location(middles))
    return NOWHERE


def _box(inside_zyx: Mask, steps: Vector) -> Vector:
    """Return the low and the high corner of the inside, (2, 3), mm to the right, front and top."""
    ends = []
    for axis, step in zip((2, 1, 0), steps, strict=True):
        others = tuple(other for other in range(3) if other != axis)
        seen = np.flatnonzero(inside_zyx.any(axis=others))
        ends.append(sorted(((seen[0] - 0.5) * step, (seen[-1] + 0.5) * step)))
    return np.array(ends).T


def _on_template(points_mm: Vector, box: Vector, nod_deg: int) -> Vector:
    """Return points (n, 3) as template mm from the midline, forward and up, if the face is raised by so much."""
    width, length, _ = box[1] - box[0]
    scale = np.sqrt(length / LENGTH_MM * width / WIDTH_MM)
    middle_x, middle_y, _ = box.mean(axis=0)
    from_vertex = points_mm - [middle_x, middle_y, box[1, 2]]
    turned = from_vertex / scale + [0, MIDDLE_Y_MM, TOP_MM - TOP_FALL_MM * nod_deg]
    cosine, sine = np.cos(np.radians(nod_deg)), np.sin(np.radians(nod_deg))
    back = turned @ np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    return np.stack([np.abs(back[:, 0]), back[:, 1], back[:, 2]], axis=1)


def _above_tentorium_mm(places: Vector) -> Vector:
    """Return how far points (n, 3) lie above the tentorium, or in front of the petrous ridges; negative below and behind."""
    side, front, up = places.T
    tentorium = TENT_MM - TENT_SIDE_SLOPE * side - TENT_BACK_SLOPE * np.maximum(0, TENT_BACK_MM - front)
    return np.asarray(np.maximum(up - tentorium, front - (RIDGE_MM - RIDGE_SLOPE * side)))


def _infratentorial_location(middles: Vector) -> Location | None:
    side, front, _ = middles.T
    if (side < STEM_HALF_WIDTH_MM).all() and (front > STEM_FRONT_MM).all():
        return "brainstem"
    if (side > CEREBELLUM_SIDE_MM).all() or (front < CEREBELLUM_FRONT_MM).all():
        return "cerebellum"
    return None


def _supratentorial_location(middles: Vector) -> Location | None:
    away = np.sqrt((((middles - DEEP_CENTER_MM) / DEEP_SEMI_AXES_MM) ** 2).sum(axis=1))
    if (away < 1).all():
        return "deep"
    return "lobar" if (away > LOBAR_FROM).all() else None
