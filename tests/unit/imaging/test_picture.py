"""Where the head is in a slice, and which way it is looked at."""

import numpy as np
import pytest

from cvtbatch.imaging import as_radiologists_look, head_window


@pytest.mark.parametrize(
    ("direction", "corner"),
    [
        ((1, 0, 0, 0, 1, 0, 0, 0, 1), (0, 0)),
        ((-1, 0, 0, 0, 1, 0, 0, 0, 1), (0, 3)),
        ((1, 0, 0, 0, -1, 0, 0, 0, 1), (2, 0)),
        ((-1, 0, 0, 0, -1, 0, 0, 0, 1), (2, 3)),
    ],
)
def test_right_is_on_the_left_and_front_is_above(direction: tuple[int, ...], corner: tuple[int, int]) -> None:
    """LPS: the smallest x is the patient's right, the smallest y the front."""
    stored = np.zeros((2, 3, 4), np.int16)
    stored[(slice(None), *corner)] = 7
    seen = as_radiologists_look(stored, direction)
    assert seen[:, 0, 0].tolist() == [7, 7]
    assert seen.sum() == 14


def test_the_head_is_in_the_middle_unless_that_cuts_the_outline_off() -> None:
    hu_yx, mask_yx = np.full((600, 600), -1000, np.int16), np.zeros((600, 600), np.uint8)
    hu_yx[100:400, 200:500] = 30
    assert head_window(hu_yx, mask_yx, (0.5, 0.5)) == (30, 130, 440, 440)
    mask_yx[590, 300] = 1
    assert head_window(hu_yx, mask_yx, (0.5, 0.5)) == (151, 130, 440, 440)
    # Pixels that are no squares.
    assert head_window(hu_yx, mask_yx, (1.0, 0.5)) == (151, 240, 440, 220)


def test_a_slice_of_air_is_shown_from_its_middle() -> None:
    air = np.full((600, 600), -1000, np.int16)
    assert head_window(air, np.zeros((600, 600), np.uint8), (0.5, 0.5)) == (80, 80, 440, 440)
