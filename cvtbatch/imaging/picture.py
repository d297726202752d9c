"""Pictures of slices: where the head is in them, which way they are looked at, and the outline of a mask."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

# Yellow: told apart from gray by every kind of colour vision.
OUTLINE_RGB = (255, 210, 0)
WINDOW_MM = 220.0
"""Side of the square that shows a head."""
BODY_HU = -300
"""Above it is the head, and little else: padding, air and most head rests are not."""

Scalar = TypeVar("Scalar", bound=np.generic)


class Window(NamedTuple):
    """A part of a slice, in pixels; it may reach beyond the slice."""

    top: int
    left: int
    height: int
    width: int


def outline_picture(
    hu_yx: npt.NDArray[np.int16], mask_yx: npt.NDArray[np.uint8], level_hu: float = 40, width_hu: float = 80
) -> npt.NDArray[np.uint8]:
    """Return RGB (y, x, 3) of a slice under a CT window, the mask's inner border drawn over it.

    Args:
        level_hu, width_hu: centre and width of the window.
    """
    # Late: a worker's cases need no picture.
    from scipy.ndimage import binary_erosion

    picture = np.repeat(gray_picture(hu_yx, level_hu, width_hu)[:, :, None], 3, axis=2)
    inside = mask_yx > 0
    picture[inside & ~binary_erosion(inside)] = OUTLINE_RGB
    return picture


def gray_picture(hu_yx: npt.NDArray[np.int16], level_hu: float = 40, width_hu: float = 80) -> npt.NDArray[np.uint8]:
    """Return the gray levels (y, x) of a slice under a CT window; arguments as for `outline_picture`."""
    share = np.clip((hu_yx.astype(np.float32) - (level_hu - width_hu / 2)) / width_hu, 0, 1)
    gray: npt.NDArray[np.uint8] = np.rint(share * 255).astype(np.uint8)
    return gray


def as_radiologists_look(values: npt.NDArray[Scalar], direction: Sequence[float]) -> npt.NDArray[Scalar]:
    """Return slices (..., y, x), whichever way they were stored, as seen from below: the patient's right on the left.

    Args:
        direction: cosines of the stored grid, row-major 3 x 3, columns are the x y z axes in LPS.
    """
    step_y, step_x = (-1 if direction[place] < 0 else 1 for place in (4, 0))
    return np.ascontiguousarray(values[..., ::step_y, ::step_x])


def head_window(
    hu_yx: npt.NDArray[np.int16], mask_yx: npt.NDArray[np.uint8], spacing_xy_mm: tuple[float, float]
) -> Window:
    """Return a square of 220 mm around the head, moved where else it would cut the mask off; the mask may be empty."""
    height, width = (round(WINDOW_MM / step) for step in (spacing_xy_mm[1], spacing_xy_mm[0]))
    head, outline = np.nonzero(hu_yx > BODY_HU), np.nonzero(mask_yx)
    top, left = (
        _start(head[axis], outline[axis], side, extent)
        for axis, (side, extent) in enumerate(zip((height, width), mask_yx.shape, strict=True))
    )
    return Window(top, left, height, width)


def _start(head: npt.NDArray[np.intp], outline: npt.NDArray[np.intp], side: int, extent: int) -> int:
    """Return where a window begins along an axis: the head in its middle if the outline is in it then.

    Args:
        head, outline: indices of their pixels along the axis.
        side, extent: of the window and of the image.
    """
    seen = head if len(head) else outline
    if side >= extent or not len(seen):
        return (extent - side) // 2
    start = round((int(seen.min()) + int(seen.max()) + 1 - side) / 2)
    if len(outline):
        # The outline's far end first, so that of one too large for the window its beginning is shown.
        start = min(max(start, int(outline.max()) + 1 - side), int(outline.min()))
    return min(max(start, 0), extent - side)
