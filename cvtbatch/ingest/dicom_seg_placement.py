"""Frames of a DICOM Segmentation, put on the image's slices where they were drawn on them, else on slices of their own."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvtbatch.errors import InputError
from cvtbatch.geometry import ORTHONORMAL_TOLERANCE, SliceStack, Triple, Vector
from cvtbatch.imaging.placement import SAME_PLANE_MM, require_inside, share_inside
from cvtbatch.ingest.dicom_references import names_image, require_on_named_slices
from cvtbatch.ingest.dicom_seg import Frame, Frames
from cvtbatch.ingest.outlines import ImageSlices, SourceMask, require_verified_slices, skips_slices
from cvtbatch.ingest.planes import Planes, are_image_slices, with_left_out

# A frame's pixels are the slice's pixels within this share of one.
SAME_PIXEL = 0.1
FORMAT = "DICOM SEG"
Mask = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Placed:
    """Frames on slices of the image: the mask there, and the slice of every frame."""

    mask_zyx: Mask
    slices: tuple[int, ...]


def place_frames(segment: Frames, image: ImageSlices) -> SourceMask:
    """Return a segment on the slices of the image where it was drawn on them, else on slices of its own.

    Raises:
        InputError: `mask_off_named_slice`; `mask_off_slices` if frames lie on no slices of the image, and beside one another in a
            plane, or the image's slices are unverified; `mask_outside_image`, `mask_cut`.
    """
    _require_on_named_slices(segment, image)
    planes, plane_of = _planes(segment)
    placed = _on_slices(segment, image.stack)
    if placed is not None and _drawn_on(image, segment, planes, dict(zip(plane_of, placed.slices, strict=True))):
        return _source_mask(placed.mask_zyx, image.stack, *image.flags)
    if placed is None and _is_parallel(segment, image.stack):
        require_verified_slices(image, "frames of the segmentation")
    require_inside(1 - share_inside(_points_mm(segment), image.stack), *_box_mm(segment))
    return _on_own_slices(segment, planes, plane_of, image)


def _source_mask(mask_zyx: Mask, stack: SliceStack, *flags: str) -> SourceMask:
    skipped = ("skipped_slices",) if skips_slices(mask_zyx) else ()
    return SourceMask(mask_zyx, stack, FORMAT, (*skipped, *flags))


def _require_on_named_slices(segment: Frames, image: ImageSlices) -> None:
    if not _is_parallel(segment, image.stack):
        return
    positions = np.array([frame.position_mm for frame in segment.frames])
    depths = (positions - np.array(image.stack.positions_mm[0])) @ np.array(image.stack.slice_axis)
    named = [frame.references for frame in segment.frames]
    require_on_named_slices(list(zip(depths.tolist(), named, strict=True)), image, "a frame of the segmentation")


def _is_parallel(segment: Frames, stack: SliceStack) -> bool:
    normal = np.cross(segment.row_axis, segment.column_axis)
    return abs(float(normal @ np.array(stack.slice_axis))) > 1 - ORTHONORMAL_TOLERANCE


def _drawn_on(image: ImageSlices, segment: Frames, planes: Planes, slice_of: dict[int, int]) -> bool:
    """Say whether the slices of the image that frames lie on are what they were drawn on.

    Args:
        slice_of: the slice that a plane with a frame lies on.
    """
    references = {reference for frame in segment.frames for reference in frame.references}
    is_named = names_image(references, segment.series, image)
    return are_image_slices(planes, [slice_of[plane] for plane in sorted(slice_of)], image, is_named=is_named)


def _planes(segment: Frames) -> tuple[Planes, tuple[int, ...]]:
    """Return the planes of an object along its own normal, and the plane of every frame."""
    normal = np.cross(segment.row_axis, segment.column_axis)
    depths = np.sort(segment.planes_mm[np.isfinite(segment.planes_mm).all(axis=1)] @ normal)
    depths = depths[np.diff(depths, prepend=-np.inf) > SAME_PLANE_MM]
    plane_of = tuple(int(np.abs(depths - frame.position_mm @ normal).argmin()) for frame in segment.frames)
    axes = np.array([segment.row_axis, segment.column_axis])
    boxes = np.full((len(depths), 4), np.nan)
    for plane, frame in zip(plane_of, segment.frames, strict=True):
        y, x = np.nonzero(frame.pixels_yx)
        ends = np.array([[x.min(), y.min()], [x.max(), y.max()]]) * segment.pixel_mm + axes @ np.array(
            frame.position_mm
        )
        boxes[plane] = *np.fmin(boxes[plane, :2], ends[0]), *np.fmax(boxes[plane, 2:], ends[1])
    return Planes(depths, boxes, segment.spacing_mm, segment.thickness_mm), plane_of


def _on_slices(segment: Frames, stack: SliceStack) -> _Placed | None:
    """Return the segment on the image's slices, or None if a frame is not on one of them, pixel on pixel."""
    mask = np.zeros((len(stack.positions_mm), stack.rows, stack.columns), dtype=np.uint8)
    drawn, lost, slices = 0, 0, []
    for frame in segment.frames:
        indices = _indices(frame, segment, stack)
        if indices is None:
            return None
        k, y, x = indices
        inside = (x >= 0) & (x < stack.columns) & (y >= 0) & (y < stack.rows)
        mask[k, y[inside], x[inside]] = 1
        drawn, lost = drawn + len(x), lost + int((~inside).sum())
        slices.append(k)
    require_inside(lost / drawn, *_box_mm(segment))
    return _Placed(mask, tuple(slices))


def _indices(frame: Frame, segment: Frames, stack: SliceStack) -> tuple[int, Indices, Indices] | None:
    """Return the slice that a frame lies on, and row and column there of each of its pixels in the ROI; None if it lies on none.

    A frame may run over the slice in any of the eight ways, and be cropped.
    """
    rows, columns = frame.pixels_yx.shape
    axes = np.array([stack.row_axis, stack.column_axis, stack.slice_axis])
    corner = np.array(frame.position_mm)
    steps = np.array([segment.column_axis * segment.pixel_mm[1], segment.row_axis * segment.pixel_mm[0]])
    k = int(np.abs(stack.depths_mm() - (corner - np.array(stack.positions_mm[0])) @ axes[2]).argmin())
    # First, last of the first column, last of the first row: in mm along the slice's axes, then in its pixels.
    ends = np.array([corner, corner + steps[0] * (rows - 1), corner + steps[1] * (columns - 1)])
    along = (ends - np.array(stack.positions_mm[k])) @ axes.T
    pixels = along[:, :2] / np.array(stack.pixel_mm)
    first, down, across = np.rint(pixels).astype(np.int64)
    if np.abs(along[:, 2]).max() > SAME_PLANE_MM or np.abs(pixels - np.rint(pixels)).max() > SAME_PIXEL:
        return None
    turn = np.rint(steps @ axes[:2].T / np.array(stack.pixel_mm)).astype(np.int64)
    is_turn = (np.abs(turn).sum(axis=0) == 1).all() and (np.abs(turn).sum(axis=1) == 1).all()
    if not is_turn or (down - first != turn[0] * (rows - 1)).any() or (across - first != turn[1] * (columns - 1)).any():
        return None
    place = np.argwhere(frame.pixels_yx) @ turn + first
    return k, place[:, 1], place[:, 0]


def _points_mm(segment: Frames) -> Vector:
    """Return the centres (n, 3) of the segment's pixels."""
    return np.concatenate(
        [
            np.array(frame.position_mm)
            + np.outer(index[1], segment.row_axis * segment.pixel_mm[0])
            + np.outer(index[0], segment.column_axis * segment.pixel_mm[1])
            for frame in segment.frames
            for index in [np.nonzero(frame.pixels_yx)]
        ]
    )


def _box_mm(segment: Frames) -> tuple[Vector, Vector]:
    points = _points_mm(segment)
    return points.min(axis=0), points.max(axis=0)


def _on_own_slices(segment: Frames, planes: Planes, plane_of: tuple[int, ...], image: ImageSlices) -> SourceMask:
    """Return the segment on slices of its own, which are as far apart as the image's where nothing tells it."""
    normal = np.cross(segment.row_axis, segment.column_axis)
    corners, plane_index = np.array([frame.position_mm for frame in segment.frames]), list(plane_of)
    # An empty plane bounds slabs; where in its plane it lies does not matter.
    positions = corners[0] + np.outer(planes.depths_mm - corners[0] @ normal, normal)
    positions[plane_index] = corners
    if np.abs(corners - positions[plane_index]).max() > SAME_PLANE_MM:
        raise InputError(
            "mask_off_slices",
            "the frames of the segmentation lie on no slices of the image, and several beside one another in one plane; "
            "check that it was drawn on this study",
        )
    slices, index = with_left_out(planes, positions, normal, float(np.median(image.stack.gaps_mm())))
    mask = np.zeros((len(slices), *segment.frames[0].pixels_yx.shape), dtype=np.uint8)
    for frame, plane in zip(segment.frames, plane_of, strict=True):
        mask[index[plane]] |= frame.pixels_yx
    row_axis, column_axis, slice_axis = (_triple(axis) for axis in (segment.row_axis, segment.column_axis, normal))
    _, rows, columns = mask.shape
    stack = SliceStack(columns, rows, segment.pixel_mm, row_axis, column_axis, slice_axis, tuple(map(_triple, slices)))
    return _source_mask(mask, stack, "other_slices", *image.flags)


def _triple(vector: Vector) -> Triple:
    x, y, z = vector.tolist()
    return x, y, z
