"""DICOM RT Structure Sets: planar contours, filled on the slices of the image.

A contour belongs to the slice in whose slab it lies (`slab_edges_mm`); the UIDs that it names are not needed for that, and images
lose theirs when they are de-identified. Contours of one plane are filled together by the even-odd rule, whether they say
CLOSED_PLANAR or CLOSEDPLANAR_XOR: a contour within another is a hole, the writers' habit, and keyholes close by themselves. Pixels
on a contour: `fill_polygon`. Points and open contours hold no area; they and closed ones without area are ignored, and flagged.
Standard: PS3.3 C.8.8.6.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pydicom

from cvtbatch.errors import InputError
from cvtbatch.geometry import SliceStack, Vector
from cvtbatch.imaging.placement import SAME_PLANE_MM, nearest_slices, require_inside
from cvtbatch.imaging.polygons import fill_polygon
from cvtbatch.ingest.outlines import Segment, SourceMask, choose_segment
from cvtbatch.manifest import RoiSource

STRUCTURE_SET_STORAGE = "1.2.840.10008.5.1.4.1.1.481.3"
CLOSED = {"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"}
CONTOUR_DATA = (0x3006, 0x0050)
# A closed contour of less area has none, up to round-off.
NO_AREA_MM2 = 1e-6
# No patient is farther from the origin.
FARTHEST_MM = 1e5
FORMAT = "DICOM RTSTRUCT"


@dataclass(frozen=True, slots=True)
class Contour:
    """A closed contour: corners (n, 3), LPS mm, and whether it says that it is to be combined by exclusive or."""

    points_mm: Vector
    is_xor: bool


@dataclass(frozen=True, slots=True)
class Contours:
    """The closed contours of one ROI, and how many of its contours hold no area."""

    closed: tuple[Contour, ...]
    ignored: int


def parse_contours(dataset: pydicom.Dataset, roi: RoiSource) -> tuple[Contours, pydicom.Dataset]:
    """Return the contours of the ROI that the manifest names, and the item that describes the ROI.

    Raises:
        InputError: there is no such ROI, or its coordinates are not usable, or it has no closed contour.
        Exception: many kinds, where the object is damaged.
    """
    if "StructureSetROISequence" not in dataset or "ROIContourSequence" not in dataset:
        raise InputError("unreadable_file", "the structure set has no ROIs or no contours: damaged or truncated")
    described = {int(item.ROINumber): item for item in dataset.StructureSetROISequence}
    drawn = {int(item.ReferencedROINumber): item.get("ContourSequence") or () for item in dataset.ROIContourSequence}
    numbers = [number for number in described if drawn.get(number)]
    segments = [Segment(number, str(described[number].get("ROIName") or "")) for number in numbers]
    number = numbers[choose_segment(segments, roi)]
    contours = [_contour(item) for item in drawn[number]]
    closed = tuple(contour for contour in contours if contour is not None)
    if not closed:
        raise InputError(
            "empty_mask", f"none of the {len(contours)} contours of the ROI is closed and holds an area", roi.mask or ""
        )
    return Contours(closed, len(contours) - len(closed)), described[number]


def _contour(item: pydicom.Dataset) -> Contour | None:
    """Return a closed contour; None for what holds no area.

    Raises:
        InputError: `bad_contour`.
    """
    if str(item.get("ContourGeometricType", "")) not in CLOSED:
        return None
    numbers = _numbers(item)
    points = numbers.reshape(-1, 3) if len(numbers) % 3 == 0 else np.empty((0, 3))
    stated = item.get("NumberOfContourPoints")
    usable = bool((np.abs(points) <= FARTHEST_MM).all())  # False for NaN too
    if len(numbers) % 3 or not usable or (stated is not None and int(stated) != len(points)):
        raise InputError(
            "bad_contour",
            f"a contour has {len(numbers)} coordinates for {stated} points, or one that is no number up to {FARTHEST_MM:g} mm",
        )
    if len(points) < 3 or _area_mm2(points) < NO_AREA_MM2:
        return None
    return Contour(points, str(item.ContourGeometricType) == "CLOSEDPLANAR_XOR")


def _numbers(item: pydicom.Dataset) -> Vector:
    """Return ContourData, from its bytes where it is still undecoded: a million decimals as objects take long and much memory."""
    value: object = item.get_item(CONTOUR_DATA).value if CONTOUR_DATA in item else None
    if isinstance(value, bytes):
        parts = value.strip(b" \0").split(b"\\")
        return np.array([] if parts == [b""] else parts, dtype=np.float64)
    return np.array(item.get("ContourData") or [], dtype=np.float64).ravel()


def _area_mm2(points: Vector) -> float:
    """Return the area that a closed planar polygon spans in space."""
    spokes = points - points[0]
    return float(np.linalg.norm(np.cross(spokes[:-1], spokes[1:]).sum(axis=0))) / 2


def place_contours(contours: Contours, stack: SliceStack) -> SourceMask:
    """Fill the contours of an ROI on the slices of the image.

    Raises:
        InputError: `contour_off_slices`, `contour_across_slices`, `mask_outside_image`, `mask_cut`, `mask_lost`.
    """
    by_slice: dict[int, list[tuple[float, Contour]]] = {}
    for contour in contours.closed:
        depth = _depth_mm(contour, stack)
        by_slice.setdefault(_slice_at(depth, stack), []).append((depth, contour))
    _require_in_plane(contours.closed, stack)
    mask = np.zeros((len(stack.positions_mm), stack.rows, stack.columns), dtype=np.uint8)
    between = overlapping = False
    depths = stack.depths_mm()
    for k, candidates in by_slice.items():
        nearest = min((depth for depth, _ in candidates), key=lambda depth: abs(depth - depths[k]))
        plane = [contour for depth, contour in candidates if abs(depth - nearest) <= SAME_PLANE_MM]
        between |= abs(nearest - depths[k]) > SAME_PLANE_MM or len(plane) < len(candidates)
        mask[k], crossing = _fill(plane, stack, k)
        overlapping |= crossing
    if not mask.any():
        raise InputError("mask_lost", "the contours hold no pixel centre of the image: they are too small to be stored")
    flags = {
        "contours_ignored": contours.ignored > 0,
        "contours_between_slices": between,
        "overlapping_contours": overlapping,
        "skipped_slices": _skips_slices(mask),
    }
    return SourceMask(mask, stack, FORMAT, tuple(name for name, is_raised in flags.items() if is_raised))


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


def _slice_at(depth_mm: float, stack: SliceStack) -> int:
    k = int(nearest_slices(np.array([depth_mm]), stack)[0])
    if k < 0:
        raise InputError(
            "contour_off_slices",
            f"a contour lies {depth_mm:.1f} mm along the normal, where the series has no slice (it spans 0 to "
            f"{stack.depths_mm()[-1]:.1f} mm); check that it was drawn on this series, and that the series is complete",
        )
    return k


def _require_in_plane(contours: Sequence[Contour], stack: SliceStack) -> None:
    """Refuse contours of whose points too many lie beside the image's pixels."""
    points = np.concatenate([contour.points_mm for contour in contours])
    k = nearest_slices((points - np.array(stack.positions_mm[0])) @ np.array(stack.slice_axis), stack)
    x, y = _pixels(points, stack, np.maximum(k, 0)).T
    inside = (x >= -0.5) & (x <= stack.columns - 0.5) & (y >= -0.5) & (y <= stack.rows - 0.5)
    require_inside(1 - float(inside.mean()), points.min(axis=0), points.max(axis=0))


def _pixels(points_mm: Vector, stack: SliceStack, k: int | npt.NDArray[np.int64]) -> Vector:
    """Return continuous pixels (n, 2), x y, of points seen along the normal on slice k."""
    axes = np.array([stack.row_axis, stack.column_axis])
    return np.asarray((points_mm - np.array(stack.positions_mm)[k]) @ axes.T / np.array(stack.pixel_mm))


def _fill(plane: Sequence[Contour], stack: SliceStack, k: int) -> tuple[npt.NDArray[np.uint8], bool]:
    """Return the slice's mask, and whether contours that do not say XOR overlap without one lying within the other.

    From the largest to the smallest, a contour that is nested or apart finds equally many others around all of its pixels. A
    contour that is there twice counts once.
    """
    around = np.zeros((stack.rows, stack.columns), dtype=np.int32)
    overlapping, seen = False, set()
    for contour in sorted(plane, key=lambda contour: -_area_mm2(contour.points_mm)):
        inside = fill_polygon(_pixels(contour.points_mm, stack, k), (stack.rows, stack.columns))
        if not contour.is_xor and inside.any():
            if (filled := inside.tobytes()) in seen:
                continue
            seen.add(filled)
            overlapping |= bool(around[inside].min() != around[inside].max())
        around += inside
    return (around % 2).astype(np.uint8), overlapping


def _skips_slices(mask_zyx: npt.NDArray[np.uint8]) -> bool:
    """Say whether slices between two outlines that cover one another have none: forgotten, or drawn on every other slice."""
    drawn = np.flatnonzero(mask_zyx.any(axis=(1, 2)))
    return any(
        after - before > 1 and bool((mask_zyx[before] & mask_zyx[after]).any())
        for before, after in itertools.pairwise(drawn)
    )
