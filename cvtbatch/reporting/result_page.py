"""A page for viewers that show pictures alone: the largest slice with its outline, lines of text below it, and a warning above.

The patient's right is on the left, and marked.

Letters are those of Pillow's own font, which has Latin ones: whoever calls gives no others.
"""

import textwrap
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cvtbatch.reporting.outlined_slice import OutlinedSlice, square_picture

WARNING = "RESEARCH USE - NOT FOR DIAGNOSIS"
WIDTH_PX = 640
_PICTURE_PX, _MARGIN_PX, _BAND_PX, _LINE_PX, _LETTER_PX = 600, 20, 48, 22, 16
# Of the font at this size a line of the page holds about so many.
_LETTERS = 76
_PAPER, _INK, _ALARM = (0, 0, 0), (235, 235, 235), (176, 0, 0)


def draw_page(found: OutlinedSlice, lines: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Return RGB (rows, columns, 3), `WIDTH_PX` wide and as high as its lines need; long ones are broken."""
    from PIL import Image, ImageDraw, ImageFont

    broken = [part for line in lines for part in textwrap.wrap(line, _LETTERS, subsequent_indent="   ")]
    below = _BAND_PX + _PICTURE_PX + _MARGIN_PX
    page = Image.new("RGB", (WIDTH_PX, below + _LINE_PX * len(broken) + _MARGIN_PX), _PAPER)
    page.paste(square_picture(found, _PICTURE_PX), (_MARGIN_PX, _BAND_PX))
    pen = ImageDraw.Draw(page)
    pen.rectangle((0, 0, WIDTH_PX, _BAND_PX - 8), fill=_ALARM)
    pen.text((WIDTH_PX // 2, (_BAND_PX - 8) // 2), WARNING, _INK, ImageFont.load_default(24), anchor="mm")
    for side, x in (("R", _MARGIN_PX), ("L", WIDTH_PX - 2 * _MARGIN_PX)):
        pen.text((x, _BAND_PX + _PICTURE_PX // 2), side, _INK, ImageFont.load_default(24), anchor="lm")
    for number, line in enumerate(broken):
        pen.text((_MARGIN_PX, below + number * _LINE_PX), line, _INK, ImageFont.load_default(_LETTER_PX), anchor="la")
    return np.asarray(page)
