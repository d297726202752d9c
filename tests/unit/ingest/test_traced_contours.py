"""Contours that a program traced along a mask, from pixel to pixel."""

from pathlib import Path

import numpy as np
from scipy import ndimage

from cvtbatch.ingest import read_mask
from tests.support.mask_files import SERIES, ball, roi, slices_of, traced, write_structure_set

CLOSED = "CLOSED_PLANAR"


def test_contours_that_were_traced_along_a_mask_give_it_back(tmp_path: Path) -> None:
    """Through the centres of its outermost pixels, as rt-utils draws; a hole's through those around it."""
    rng, drawn = np.random.default_rng(6), ball((4.0,) * 15, 12.0)
    noisy = ndimage.gaussian_filter(drawn.mask() + rng.normal(0, 0.9, drawn.mask().shape), (0, 1, 1)) > 0.5
    mask = np.array([ndimage.binary_opening(plane) for plane in noisy])
    contours: list[tuple[str, np.ndarray]] = []
    for k, plane in enumerate(mask):
        parts, count = ndimage.label(plane, np.ones((3, 3)))
        for part in (parts == number for number in range(1, count + 1)):
            holes, many = ndimage.label(ndimage.binary_fill_holes(part) & ~part)
            rims = [ndimage.binary_dilation(holes == number) for number in range(1, many + 1)]
            for pixels in map(traced, [part, *rims]):
                across, down = pixels[:, :1] * 0.9 * np.array(drawn.stack.row_axis), pixels[:, 1:] * 0.8
                points = np.array(drawn.stack.positions_mm[k]) + across + down * np.array(drawn.stack.column_axis)
                # Corners on straight lines are left out.
                bends = (np.roll(pixels, -1, axis=0) - pixels != pixels - np.roll(pixels, 1, axis=0)).any(axis=1)
                contours.append((CLOSED, points[bends]))
    path, image = write_structure_set(tmp_path / "rt.dcm", {"clot": contours}), slices_of(drawn.stack, series=SERIES)
    assert len(contours) > 50
    assert len(contours) > sum(ndimage.label(plane, np.ones((3, 3)))[1] for plane in mask)  # holes too
    assert np.array_equal(read_mask(roi(path), lambda: image).voxels_zyx, mask)
    # One contour that runs between pixels, and none was traced.
    path = write_structure_set(tmp_path / "rt.dcm", {"clot": [*contours, (CLOSED, drawn.circles()[4])]})
    assert read_mask(roi(path), lambda: image).voxels_zyx.sum() < 0.95 * mask.sum()
