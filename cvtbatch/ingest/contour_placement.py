"""Planar contours filled to a mask: on the slices of the image that they were drawn on, else on slices of their own.

A contour belongs to the slice in whose slab it lies (`slab_edges_mm`). Contours that were drawn on another reconstruction are
slices of their own, which have the image's pixels and fill their own slabs. Contours of one plane are filled together by the
even-odd rule, whether they say CLOSED_PLANAR or CLOSEDPLANAR_XOR: a contour within another is a hole, the writers' habit, and
keyholes close by themselves. Pixels on a contour: `fill_polygon`; but where all contours of an ROI run from pixel to pixel, they
were traced along a mask, whose outermost pixels they hold.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cvtbatch.errors import InputError
from cvtbatch.geometry import SliceStack, Vector
from cvtbatch.imaging.placement import SAME_PLANE_MM, nearest_slices, require_inside, share_inside
from cvtbatch.imaging.polygons import fill_polygon, traced_pixels
from cvtbatch.ingest.dicom_references import names_image, require_on_named_slices
from cvtbatch.ingest.dicom_rtstruct import Contour, Contours
from cvtbatch.ingest.outlines import ImageSlices, SourceMask, require_verified_slices, skips_slices
from cvtbatch.ingest.planes import Planes, are_image_slices, with_left_out

FORMAT = "DICOM RTSTRUCT"
Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Plane:
    """Contours of one depth along the image's normal, the first slice at 0."""

    depth_mm: float
    contours: tuple[Contour, ...]


def place_contours(contours: Contours, image: ImageSlices, series: Collection[str]) -> SourceMask:
    """Fill the contours of an ROI.

    Args:
        series: SeriesInstanceUIDs of the series that the structure set names.

    Raises:
        InputError: `contour_off_slices`, `contour_across_slices`, `mask_off_named_slice`, `mask_off_slices` if the image's
            slices are unverified and contours lie on others, `mask_outside_image`, `mask_cut`,
            `mask_lost`.
    """
    planes = _planes(contours.closed, image)
    if _off_mm(planes, image.stack) > SAME_PLANE_MM:
        require_verified_slices(image, "contours")
    own = None if _drawn_on(image, planes, series) else _on_own_slices(planes, image.stack)
    stack, by_slice = own or (image.stack, _on_slices(planes, image.stack))
    points = np.concatenate([contour.points_mm for contour in contours.closed])
    require_inside(1 - share_inside(points, image.stack), points.min(axis=0), points.max(axis=0))
    mask = np.zeros((len(stack.positions_mm), stack.rows, stack.columns), dtype=np.uint8)
    overlapping = False
    for k, plane in by_slice.items():
        mask[k], crossing = _fill(plane.contours, stack, k)
        overlapping |= crossing
    _add_traced(mask, stack, by_slice)
    if not mask.any():
        raise InputError("mask_lost", "the contours hold no pixel centre of the image: they are too small to be stored")
    away = [abs(plane.depth_mm - image.stack.depths_mm()[k]) for k, plane in by_slice.items()] if own is None else []
    flags = {
        "contours_ignored": contours.ignored > 0,
        "contours_between_slices": max(away, default=0) > SAME_PLANE_MM or len(by_slice) < len(planes),
        "overlapping_contours": overlapping,
        "skipped_slices": skips_slices(mask),
        "other_slices": own is not None,
    }
    raised = (name for name, is_raised in flags.items() if is_raised)
    return SourceMask(mask, stack, FORMAT, (*raised, *image.flags))


def _planes(contours: Sequence[Contour], image: ImageSlices) -> list[_Plane]:
    """Return the planes of contours in order; each contour must lie near the slice that it names."""
    found = [_Plane(_depth_mm(contour, image.stack), (contour,)) for contour in contours]
    named = [(plane.depth_mm, contour.references) for plane, contour in zip(found, contours, strict=True)]
    require_on_named_slices(named, image, "a contour")
    planes: list[_Plane] = []
    for plane in sorted(found, key=lambda plane: plane.depth_mm):
        if planes and plane.depth_mm - planes[-1].depth_mm <= SAME_PLANE_MM:
            planes[-1] = _Plane(planes[-1].depth_mm, planes[-1].contours + plane.contours)
        else:
            planes.append(plane)
    return planes


def _depth_mm(contour: Contour, stack: SliceStack) -> float:
    """Return a contour's place along the normal; it must be parallel to the slices, within SAME_PLANE_MM to either side."""
    depths = (contour.points_mm - np.array(stack.positions_mm[0])) @ np.array(stack.slice_axis)
    low, high = float(depths.min()), float(depths.max())
    if high - low > 2 * SAME_PLANE_MM:
        raise InputError(
            "contour_across_slices",
            f"a contour runs across {high - low:.1f} mm of slices: it was not drawn in the planes of this series",
        )
    return (low + high) / 2


def _off_mm(planes: Sequence[_Plane], stack: SliceStack) -> float:
    """Return how far off its nearest slice the farthest plane lies."""
    depths = np.array([[plane.depth_mm] for plane in planes])
    return float(np.abs(depths - stack.depths_mm()).min(axis=1).max())


def _drawn_on(image: ImageSlices, planes: Sequence[_Plane], series: Collection[str]) -> bool:
    """Say whether contours were drawn on the image's own slices; if in doubt they were."""
    references = {reference for plane in planes for contour in plane.contours for reference in contour.references}
    if names_image(references, series, image):
        return True
    depths = np.array([plane.depth_mm for plane in planes])
    slices = nearest_slices(depths, image.stack)
    if (slices < 0).all():
        return True
    inside = _to_planes([plane for plane, k in zip(planes, slices, strict=True) if k >= 0], image.stack)
    slices = slices[slices >= 0]
    if np.abs(inside.depths_mm - image.stack.depths_mm()[slices]).max() <= SAME_PLANE_MM:
        return are_image_slices(inside, slices.tolist(), image, is_named=False)
    return not inside.joined().any()


def _to_planes(planes: Sequence[_Plane], stack: SliceStack) -> Planes:
    axes = np.array([stack.row_axis, stack.column_axis])
    boxes = []
    for plane in planes:
        along = np.concatenate([contour.points_mm for contour in plane.contours]) @ axes.T
        boxes.append([*along.min(axis=0), *along.max(axis=0)])
    return Planes(np.array([plane.depth_mm for plane in planes]), np.array(boxes))


def _on_slices(planes: Sequence[_Plane], stack: SliceStack) -> dict[int, _Plane]:
    """Return for every slice of the image in whose slab contours lie their nearest plane."""
    by_slice: dict[int, _Plane] = {}
    for plane in planes:
        k, depth = int(nearest_slices(np.array([plane.depth_mm]), stack)[0]), stack.depths_mm()
        if k < 0:
            raise InputError(
                "contour_off_slices",
                f"a contour lies {plane.depth_mm:.1f} mm along the normal, where the series has no slice (it spans 0 to "
                f"{depth[-1]:.1f} mm); check that it was drawn on this series, and that the series is complete",
            )
        nearer = by_slice.get(k)
        if nearer is None or abs(plane.depth_mm - depth[k]) < abs(nearer.depth_mm - depth[k]):
            by_slice[k] = plane
    return by_slice


def _on_own_slices(planes: Sequence[_Plane], stack: SliceStack) -> tuple[SliceStack, dict[int, _Plane]]:
    """Return slices of the contours' own, which have the image's pixels, and what lies on each."""
    depths, normal = stack.depths_mm(), np.array(stack.slice_axis)
    nearest = [int(np.abs(depths - plane.depth_mm).argmin()) for plane in planes]
    away = np.array([plane.depth_mm for plane in planes]) - depths[nearest]
    positions = np.array(stack.positions_mm)[nearest] + np.outer(away, normal)
    slices, index = with_left_out(_to_planes(planes, stack), positions, normal, float(np.median(stack.gaps_mm())))
    own = replace(stack, positions_mm=tuple((x, y, z) for x, y, z in slices.tolist()))
    return own, dict(zip(index.tolist(), planes, strict=True))


def _pixels(contour: Contour, stack: SliceStack, k: int) -> Vector:
    """Return continuous pixels (n, 2), x y, of a contour on slice k."""
    axes = np.array([stack.row_axis, stack.column_axis])
    return np.asarray((contour.points_mm - np.array(stack.positions_mm[k])) @ axes.T / np.array(stack.pixel_mm))


def _add_traced(mask_zyx: Mask, stack: SliceStack, by_slice: dict[int, _Plane]) -> None:
    """Set the pixels that contours run along, where all of them run from pixel to pixel."""
    traced = []
    for k, plane in by_slice.items():
        for contour in plane.contours:
            pixels = traced_pixels(_pixels(contour, stack, k), (stack.rows, stack.columns))
            if pixels is None:
                return
            traced.append((k, pixels))
    for k, pixels in traced:
        x, y = pixels[((pixels >= 0) & (pixels < [stack.columns, stack.rows])).all(axis=1)].T
        mask_zyx[k, y, x] = 1


def _fill(contours: Sequence[Contour], stack: SliceStack, k: int) -> tuple[Mask, bool]:
    """Return the slice's mask, and whether contours that do not say XOR overlap without one lying within the other.

    From the largest to the smallest, a contour that is nested or apart finds equally many others around all of its pixels. A
    contour that is there twice counts once.
    """
    around = np.zeros((stack.rows, stack.columns), dtype=np.int32)
    overlapping, seen = False, set()
    for contour in sorted(contours, key=lambda contour: -contour.area_mm2()):
        inside = fill_polygon(_pixels(contour, stack, k), (stack.rows, stack.columns))
        if not contour.is_xor and inside.any():
            if (filled := inside.tobytes()) in seen:
                continue
            seen.add(filled)
            overlapping |= bool(around[inside].min() != around[inside].max())
        around += inside
    return (around % 2).astype(np.uint8), overlapping
