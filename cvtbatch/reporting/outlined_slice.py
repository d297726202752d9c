"""A slice with its outline, as it is seen and as a picture in a page."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from cvtbatch.imaging import as_radiologists_look, head_window, outline_picture

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURE_PX = 240


@dataclass(frozen=True, slots=True, eq=False)
class OutlinedSlice:
    """The slice with the largest area of an outline, rows towards the patient's back and columns towards the left side.

    Attributes:
        hu_yx: int16.
        mask_yx: uint8, not empty.
        spacing_xy_mm: of its pixels.
    """

    hu_yx: npt.NDArray[np.int16]
    mask_yx: npt.NDArray[np.uint8]
    spacing_xy_mm: tuple[float, float]

    @classmethod
    def facing_up(
        cls,
        hu_yx: npt.NDArray[np.generic],
        mask_yx: npt.NDArray[np.generic],
        spacing_mm: Sequence[float],
        direction: Sequence[float],
    ) -> Self:
        """Return a stored slice as radiologists look at it, however it was stored: from below, the patient's right on the left.

        Args:
            spacing_mm, direction: of the stored grid.
        """
        hu_yx, mask_yx = (as_radiologists_look(part, direction) for part in (hu_yx, mask_yx))
        return cls(hu_yx.astype(np.int16), mask_yx.astype(np.uint8), (spacing_mm[0], spacing_mm[1]))


def to_data_url(found: OutlinedSlice) -> str:
    """Return a picture of a slice with its outline as a JPEG data URL: a square of 220 mm around the head."""
    file = io.BytesIO()
    square_picture(found, PICTURE_PX).save(file, format="JPEG", quality=82, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def square_picture(found: OutlinedSlice, side_px: int) -> "Image":
    """Return a picture of a slice with its outline: a square of 220 mm around the head."""
    from PIL import Image as ImageModule

    rgb = outline_picture(found.hu_yx, found.mask_yx)
    top, left, height, width = head_window(found.hu_yx, found.mask_yx, found.spacing_xy_mm)
    square = ImageModule.fromarray(rgb).crop((left, top, left + width, top + height))
    return square.resize((side_px, side_px), ImageModule.Resampling.LANCZOS)
