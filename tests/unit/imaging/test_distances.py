"""What lies near a mask, against SciPy's distance transform."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from cvtbatch.imaging.distances import within

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
