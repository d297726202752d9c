"""Connected parts of masks, against SciPy's labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from cvtbatch.imaging.parts import connected_parts

MASKS = array_shapes(min_dims=3, max_dims=3, max_side=9).flatmap(lambda shape: arrays(np.bool_, shape))


def assert_scipys(mask) -> None:
    labels, count = ndimage.label(mask)
    parts = connected_parts(mask)
    assert parts.sizes.tolist() == np.bincount(labels.ravel(), minlength=count + 1)[1:].tolist()
    assert all((parts.mask(number) == (labels == number + 1)).all() for number in range(min(count, 10)))
    kept = np.arange(count) % 2 == 0
    assert (parts.mask(kept) == (labels % 2 == 1)).all()
    assert all(parts.part_of(place) == labels.flat[place] - 1 for place in np.flatnonzero(mask)[::7])
    assert (parts.largest() == (labels == np.bincount(labels.ravel())[1:].argmax() + 1 if count else mask)).all()
    in_slice = np.zeros((3, 3, 3))
    in_slice[1] = ndimage.generate_binary_structure(2, 1)
    labels, count = ndimage.label(mask, structure=in_slice)
    of_slices = connected_parts(mask, in_slices=True)
    assert (of_slices.mask(np.arange(count) % 2 == 0) == (labels % 2 == 1)).all()
    at_rim = np.concatenate([labels[:, [0, -1]].ravel(), labels[:, :, [0, -1]].ravel()])
    assert np.flatnonzero(of_slices.reach_rim()).tolist() == (np.unique(at_rim[at_rim > 0]) - 1).tolist()


@settings(max_examples=100, deadline=None)
@given(MASKS)
def test_parts_are_scipys_in_scipys_order(mask) -> None:
    assert_scipys(mask)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.32, 0.6, 0.97])
def test_parts_that_wind_through_a_volume_are_scipys(share: float) -> None:
    assert_scipys(np.random.default_rng(1).random((12, 40, 50)) < share)


@pytest.mark.parametrize("shape", [(0, 4, 4), (3, 0, 4), (3, 4, 0)])
def test_a_mask_of_no_voxels_has_no_parts(shape) -> None:
    assert not len(connected_parts(np.zeros(shape, np.bool_)).part)
