"""What locations in a head are measured against: the inside of its skull, the midsagittal plane, ventricles and vertex.

All of it follows from the volume alone, and serves every outline of it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid, Vector
from cvtbatch.location.field import DepthField
from cvtbatch.location.midplane import Midplane, find_midplane
from cvtbatch.location.rules import LocationRules
from cvtbatch.location.surface import Mask, distances_mm, find_surface
from cvtbatch.location.ventricles import Ventricles, find_ventricles
from cvtbatch.outlining.skull import NoInside, find_inside


@dataclass(frozen=True, slots=True)
class MeasuredHead:
    """A head by its landmarks; points are in patient axes, mm from the first voxel.

    Attributes:
        inside_zyx: the inside of the skull.
        skull_mm: points of its surface, the inner table where there is bone.
        sparse_skull_mm: some of them, as many as points deep inside need.
        depths: roughly, below that surface.
        deepest_mm: depth of the deepest point inside.
        up: unit vector in the midsagittal plane towards the vertex.
        vertex_mm: place of the vertex along `up`; None: the scan ends below it.
        base_in_scan: the scan reaches the base of the skull.
        ventricles: None: there are none by the rule.
    """

    grid: Grid
    inside_zyx: Mask
    skull_mm: Vector
    sparse_skull_mm: Vector
    depths: DepthField
    deepest_mm: float
    midplane: Midplane
    up: Vector
    vertex_mm: float | None
    base_in_scan: bool
    ventricles: Ventricles | None


def measure_head(hu_zyx: npt.NDArray[np.int16], grid: Grid, rules: LocationRules) -> MeasuredHead:
    """Find the landmarks of a head.

    Args:
        hu_zyx: HU on `grid`, whose axes are at right angles.

    Raises:
        InputError: "not_across_body": slices are not axial; "no_inside": the inside of the skull cannot be found, and why;
            "no_midplane": as `find_midplane`.
    """
    axes = grid.axes()
    if (np.abs(axes).argmax(axis=0) != np.arange(3)).any():
        raise InputError(
            "not_across_body",
            "the slices do not lie across the body, so that nothing can be located in them; it takes an axial series",
        )
    found = find_inside(hu_zyx, grid.spacing_mm[::-1])
    if isinstance(found, NoInside):
        raise InputError(
            "no_inside", f"the inside of the skull cannot be found, so that nothing is located in it: {found.text}"
        )
    inside = found.mask_zyx
    surface = find_surface(inside, grid)
    sparse = surface.thinned(rules.skull_area_mm2)
    depths = DepthField.of(inside, grid, rules.field_mm, rules.field_margin_mm)
    midplane = find_midplane(surface, depths, rules)
    normal = np.array(midplane.normal)
    up = np.array([0.0, 0.0, 1.0]) - normal[2] * normal
    up /= np.linalg.norm(up)
    feet_end, vertex_end = _ends_reached(inside, axes[2, 2] > 0, rules)
    return MeasuredHead(
        grid=grid,
        inside_zyx=inside,
        skull_mm=surface.points_mm,
        sparse_skull_mm=sparse,
        depths=depths,
        deepest_mm=float(distances_mm(depths.deep_points(rules.most_deep), sparse).max()),
        midplane=midplane,
        up=up,
        vertex_mm=float((surface.points_mm @ up).max()) if vertex_end else None,
        base_in_scan=feet_end,
        ventricles=find_ventricles(hu_zyx, depths, midplane, grid, rules),
    )


def _ends_reached(inside_zyx: Mask, is_upward: bool, rules: LocationRules) -> tuple[bool, bool]:
    """Say whether the scan reaches the base, and the vertex: its last slice there shows little of the largest slice's inside."""
    areas = np.count_nonzero(inside_zyx, axis=(1, 2))
    first, last = (bool(areas[end] <= rules.end_share * areas.max()) for end in (0, -1))
    return (first, last) if is_upward else (last, first)
