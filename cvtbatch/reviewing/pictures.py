"""Pictures of slices, and of the outlines in them, which lie over the slices and can be taken away."""

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion

from cvtbatch.imaging import gray_picture
from cvtbatch.imaging.picture import Window

PICTURE_PX = 440
"""Side of a picture: a pixel is one of the study's 0.5 mm."""
LINE_PX = 2
COLORS = ("#ffd200", "#56b4e9", "#ff6a1a", "#00c48c", "#e38ec0")
"""Of a case's outlines, in order; near to Okabe and Ito's, told apart by every kind of colour vision on dark gray."""


def slice_jpeg(hu_yx: npt.NDArray[np.int16], window: Window) -> bytes:
    """Return a JPEG of a part of a slice under the window 40/80."""
    from PIL import Image

    part = Image.fromarray(gray_picture(hu_yx)).crop(_corners(window))
    if part.size != (PICTURE_PX, PICTURE_PX):
        part = part.resize((PICTURE_PX, PICTURE_PX), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    part.save(file, format="JPEG", quality=82)
    return file.getvalue()


def outlines_png(masks_yx: Sequence[npt.NDArray[np.uint8]], window: Window) -> bytes | None:
    """Return a PNG, clear but for the inner borders of masks in their colours, for the same part; None where all are empty."""
    from PIL import Image

    if not any(mask.any() for mask in masks_yx):
        return None
    lines = np.zeros((PICTURE_PX, PICTURE_PX), np.uint8)
    for number, mask in enumerate(masks_yx):
        part = Image.fromarray((mask > 0).astype(np.uint8)).crop(_corners(window))
        inside = np.asarray(part.resize((PICTURE_PX, PICTURE_PX), Image.Resampling.NEAREST)) > 0
        lines[inside & ~binary_erosion(inside, iterations=LINE_PX)] = 1 + number % len(COLORS)
    picture = Image.fromarray(lines, mode="P")
    picture.putpalette([0, 0, 0, *(part for color in COLORS for part in bytes.fromhex(color[1:]))])
    file = io.BytesIO()
    picture.save(file, format="PNG", transparency=0, bits=4)
    return file.getvalue()


def _corners(window: Window) -> tuple[int, int, int, int]:
    return window.left, window.top, window.left + window.width, window.top + window.height
