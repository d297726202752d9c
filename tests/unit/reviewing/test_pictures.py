"""Pictures of slices and of the outlines over them."""

import io

import numpy as np
from PIL import Image

from cvtbatch.imaging import gray_picture, head_window, outline_picture
from cvtbatch.imaging.picture import OUTLINE_RGB, Window
from cvtbatch.reviewing.pictures import COLORS, outlines_png, slice_jpeg

WHOLE = Window(0, 0, 440, 440)


def _slice() -> tuple[np.ndarray, np.ndarray]:
    hu_yx = np.full((440, 440), -1000, np.int16)
    y, x = np.mgrid[:440, :440]
    hu_yx[(y - 220) ** 2 + (x - 220) ** 2 < 180**2] = 30
    mask_yx = ((y - 150) ** 2 + (x - 260) ** 2 < 40**2).astype(np.uint8)
    hu_yx[mask_yx > 0] = 65
    return hu_yx, mask_yx


def test_a_slice_has_the_gray_levels_of_its_window() -> None:
    hu_yx, _ = _slice()
    picture = np.asarray(Image.open(io.BytesIO(slice_jpeg(hu_yx, WHOLE))))
    assert picture.shape == (440, 440)
    assert np.abs(picture.astype(int) - gray_picture(hu_yx)).mean() < 2
    # 30 HU under the window 40/80 is three eighths of white.
    assert abs(int(picture[220, 220]) - 96) < 4


def test_lines_are_the_inner_borders_in_the_colours_of_their_order() -> None:
    hu_yx, mask_yx = _slice()
    other = np.roll(mask_yx, -150, axis=1)
    png = Image.open(io.BytesIO(outlines_png([mask_yx, other], WHOLE) or b""))
    rgba = np.asarray(png.convert("RGBA"))
    drawn = rgba[..., 3] > 0
    yellow = drawn & np.all(rgba[..., :3] == OUTLINE_RGB, axis=2)
    blue = drawn & np.all(rgba[..., :3] == tuple(bytes.fromhex(COLORS[1][1:])), axis=2)
    assert np.array_equal(drawn, yellow | blue)
    assert not (yellow & (mask_yx == 0)).any()
    assert np.array_equal(blue, np.roll(yellow, -150, axis=1))
    # All of the border that `cvtbatch picture` draws, and one pixel more inwards.
    border = np.all(outline_picture(hu_yx, mask_yx) == OUTLINE_RGB, axis=2)
    assert yellow[border].all()
    assert 1.8 < yellow.sum() / border.sum() < 2.2


def test_where_no_outline_is_there_are_no_lines() -> None:
    assert outlines_png([np.zeros((440, 440), np.uint8)], WHOLE) is None
    assert outlines_png([], WHOLE) is None


def test_a_small_slice_lies_in_the_middle_of_its_window() -> None:
    hu_yx = np.full((100, 60), 200, np.int16)
    window = head_window(hu_yx, np.zeros((100, 60), np.uint8), (1.0, 1.0))
    assert window == Window(-60, -80, 220, 220)
    picture = np.asarray(Image.open(io.BytesIO(slice_jpeg(hu_yx, window))))
    rows, columns = (np.nonzero((picture > 128).any(axis=axis))[0] for axis in (1, 0))
    assert abs(rows[0] - 120) <= 1
    assert abs(rows[-1] - 319) <= 1
    assert abs(columns[0] - 160) <= 1
    assert abs(columns[-1] - 279) <= 1
