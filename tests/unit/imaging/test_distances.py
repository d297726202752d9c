"""What lies near a mask, against SciPy's distance transform."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from cvtbatch.imaging.distances import box_of, within

MASKS = array_shapes(min_dims=3, max_dims=3, max_side=12).flatmap(
    lambda shape: arrays(np.bool_, shape, elements=st.sampled_from([False, False, False, True]))
)
STEPS_MM = st.sampled_from([0.488, 0.5, 1.0, 2.0, 2.5, 5.0])


@settings(max_examples=100, deadline=None)
@given(MASKS, st.tuples(STEPS_MM, STEPS_MM, STEPS_MM), st.sampled_from([0.3, 2.0, 4.9, 5.0, 5.000001, 11.0, 99.0]))
def test_within_is_what_a_distance_transform_has_below(mask, spacing_mm, mm) -> None:
    found = within(mask, mm, spacing_mm)
    if mask.any():
        assert (found == (ndimage.distance_transform_edt(~mask, sampling=spacing_mm) < mm)).all()
        assert (mask & ~found).sum() == 0
    else:
        assert not found.any()


@settings(deadline=None)
@given(MASKS.filter(np.any), st.tuples(*[st.integers(0, 3)] * 3))
def test_a_box_is_the_one_that_scipy_finds_and_ends_where_the_array_does(mask, wider) -> None:
    [box] = ndimage.find_objects(mask.astype(np.uint8))
    assert box_of(mask) == box
    around = ndimage.binary_dilation(mask, np.ones([2 * steps + 1 for steps in wider]))
    assert [box_of(mask, wider)] == ndimage.find_objects(around.astype(np.uint8))
