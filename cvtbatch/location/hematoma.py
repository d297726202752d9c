"""Where a hematoma lies in a head, in millimetres and in words."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from cvtbatch.errors import InputError
from cvtbatch.geometry import Vector, voxels_of
from cvtbatch.location.compartments import Compartment, Region, compartment_of, region_of
from cvtbatch.location.head import MeasuredHead
from cvtbatch.location.rules import LocationRules
from cvtbatch.location.surface import Mask, Solid, distances_mm, find_surface, to_points
from cvtbatch.outlining.location import find_place

Side = Literal["left", "right", "both"]


@dataclass(frozen=True, slots=True)
class Distance:
    """From something, mm: of the nearest point of an outline's surface, and of its centroid, the mean of its voxels' centres."""

    nearest_mm: float
    centroid_mm: float


@dataclass(frozen=True, slots=True)
class Location:
    """Where an outline lies.

    Attributes:
        side: the side of the midsagittal plane with at least `LocationRules.side_share` of its volume, else `both`.
        left_share: share of its volume left of the plane.
        midline: from the midsagittal plane.
        skull: from the inner surface of the skull; 0 of what lies beyond it.
        ventricles: from the nearest ventricle; None: none is found.
        ventricles_ml: volume of the ventricles, what lies in the outline left out; None: none is found.
        vertex: below the vertex, along the midsagittal plane; None: the scan ends below it.
        depth_share: depth of the centroid below the inner surface, as a share of the deepest point's of the head.
        deepest_share: the same of the outline's deepest voxel.
        compartment, region: in words, see `cvtbatch.location.compartments`.
        undetermined: values that are None, and words that are `unknown`, each with why.
    """

    side: Side
    left_share: float
    midline: Distance
    skull: Distance
    ventricles: Distance | None
    ventricles_ml: float | None
    vertex: Distance | None
    depth_share: float
    deepest_share: float
    compartment: Compartment
    region: Region
    undetermined: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Outline:
    """An outline as points, (n, 3) mm: its voxels' centres, its surface, its centroid, (1, 3), and as a body."""

    voxels: Vector
    surface: Vector
    centroid: Vector
    body: Solid


def locate(outline_zyx: npt.NDArray[np.generic], head: MeasuredHead, rules: LocationRules) -> Location:
    """Tell where an outline lies.

    Args:
        outline_zyx: not 0 in the outline; of the head's shape.

    Raises:
        InputError: "empty_mask".
    """
    mask = outline_zyx != 0
    if not mask.any():
        raise InputError("empty_mask", "the outline has no voxel inside")
    voxels = to_points(np.stack(voxels_of(mask)[::-1], axis=1), head.grid)
    surface = find_surface(mask, head.grid).points_mm
    outline = _Outline(voxels, surface, voxels.mean(axis=0, keepdims=True), Solid(surface))
    left_share, midline = _from_midline(outline, head)
    skull, vertex = _from_skull(outline, mask, head), _from_vertex(outline, head)
    ventricles, ventricles_ml = _from_ventricles(outline, mask, head)
    place = find_place(outline_zyx, head.inside_zyx, head.grid)
    region = region_of(
        place,
        skull_mm=skull.centroid_mm,
        midline_mm=midline.centroid_mm,
        ventricles_mm=ventricles.centroid_mm if ventricles else None,
        vertex_mm=vertex.centroid_mm if vertex else None,
        rules=rules,
    )
    compartment = compartment_of(place)
    return Location(
        side="left" if left_share >= rules.side_share else "right" if 1 - left_share >= rules.side_share else "both",
        left_share=left_share,
        midline=midline,
        skull=skull,
        ventricles=ventricles,
        ventricles_ml=ventricles_ml,
        vertex=vertex,
        depth_share=min(1.0, skull.centroid_mm / head.deepest_mm),
        deepest_share=min(1.0, _deepest_mm(outline, head, rules) / head.deepest_mm),
        compartment=compartment,
        region=region,
        undetermined=_undetermined(ventricles, vertex, compartment, region),
    )


def _undetermined(
    ventricles: Distance | None, vertex: Distance | None, compartment: Compartment, region: Region
) -> tuple[str, ...]:
    """Return what is not known, and why."""
    why: dict[str, str] = {}
    if ventricles is None:
        why["ventricles_mm"] = "no fluid that keeps to the rule"
    if vertex is None:
        why["vertex_mm"] = why["compartment"] = why["region"] = "the scan ends below the vertex"
    elif compartment == "unknown":
        why["compartment"] = why["region"] = "too near to the tentorium, which is not seen"
    elif region == "unknown":
        why["region"] = "on neither side of the rule's limits"
    return tuple(f"{name}: {reason}" for name, reason in why.items())


def _from_midline(outline: _Outline, head: MeasuredHead) -> tuple[float, Distance]:
    """Return the share of the volume that lies left, voxels that the plane cuts by their parts, and the distance."""
    left_mm, edge_mm = head.midplane.left_mm(outline.voxels), head.midplane.left_mm(outline.surface)
    width_mm = np.abs(np.array(head.midplane.normal) @ head.grid.axes()) @ head.grid.spacing_mm
    share = float(np.clip(0.5 + left_mm / width_mm, 0, 1).mean())
    nearest = 0.0 if edge_mm.min() <= 0 <= edge_mm.max() else float(np.abs(edge_mm).min())
    return share, Distance(nearest, float(np.abs(head.midplane.left_mm(outline.centroid))[0]))


def _from_skull(outline: _Outline, mask_zyx: Mask, head: MeasuredHead) -> Distance:
    reaches_out = bool((mask_zyx & ~head.inside_zyx).any())
    lies_out = not _holds(head.inside_zyx, outline.centroid, head)
    return Distance(
        0.0 if reaches_out else outline.body.gap_mm(head.skull_mm),
        0.0 if lies_out else float(distances_mm(outline.centroid, head.skull_mm)[0]),
    )


def _from_vertex(outline: _Outline, head: MeasuredHead) -> Distance | None:
    if head.vertex_mm is None:
        return None
    highest, middle = (float((points @ head.up).max()) for points in (outline.surface, outline.centroid))
    return Distance(max(0.0, head.vertex_mm - highest), max(0.0, head.vertex_mm - middle))


def _from_ventricles(outline: _Outline, mask_zyx: Mask, head: MeasuredHead) -> tuple[Distance | None, float | None]:
    """Return the distance from the ventricles, and their volume in ml; None where there are none beside the outline."""
    fluid = np.zeros(1, dtype=np.bool_) if head.ventricles is None else head.ventricles.without(mask_zyx)
    if not fluid.any():
        return None, None
    edge = find_surface(fluid, head.grid).points_mm
    within = _holds(fluid, outline.centroid, head)
    distance = Distance(outline.body.gap_mm(edge), 0.0 if within else float(distances_mm(outline.centroid, edge)[0]))
    return distance, float(np.count_nonzero(fluid) * head.grid.voxel_ml)


def _holds(mask_zyx: Mask, point: Vector, head: MeasuredHead) -> bool:
    """Say whether the voxel around a point (1, 3) is of a mask."""
    x, y, z = np.rint((point @ head.grid.axes()) / head.grid.spacing_mm)[0].astype(int)
    return bool(mask_zyx[z, y, x])


def _deepest_mm(outline: _Outline, head: MeasuredHead, rules: LocationRules) -> float:
    """Return the depth of the deepest voxel, looked for among those that are deep by the rough field."""
    deep = outline.voxels[np.argsort(head.depths.depth_at(outline.voxels))[-rules.most_deep :]]
    return float(distances_mm(deep, head.sparse_skull_mm).max())
