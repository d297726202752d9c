"""The page for viewers that show pictures alone."""

import numpy as np

from cvtbatch.reporting.outlined_slice import OutlinedSlice
from cvtbatch.reporting.result_page import WIDTH_PX, draw_page

YELLOW = (255, 210, 0)


def test_it_has_the_outline_a_warning_and_every_line() -> None:
    hu, mask = np.full((440, 440), 33, np.int16), np.zeros((440, 440), np.uint8)
    hu[:, :20] = -1000
    mask[200:260, 100:160] = 1
    found = OutlinedSlice.facing_up(hu, mask, (0.5, 0.5, 5.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    few, more = draw_page(found, ["Volume: 20 mL"]), draw_page(found, ["Volume: 20 mL", "word " * 60])
    assert few.dtype == np.uint8
    assert few.shape[1:] == more.shape[1:] == (WIDTH_PX, 3)
    assert len(more) > len(few) + 3 * 20
    assert np.array_equal(few[:650], more[:650])
    # The outline lies where its square of the slice does, on the left as the mask is.
    rows, columns = np.nonzero((np.abs(few.astype(int) - YELLOW) < 40).all(axis=2))
    scale = 600 / 440
    assert abs(rows.min() - (48 + 200 * scale)) < 3
    assert abs(columns.max() - (20 + 160 * scale)) < 3
    band = few[:40].reshape(-1, 3)
    assert (band == (176, 0, 0)).all(axis=1).mean() > 0.6
    assert (few[-30:] > 200).any()
