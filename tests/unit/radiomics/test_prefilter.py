"""The spline's coefficients beside SciPy's, bit by bit."""

import numpy as np
import pytest
from scipy.ndimage import spline_filter

from cvtbatch.radiomics.prefilter import spline_coefficients


@pytest.mark.parametrize("shape", [(1, 5, 9), (2, 3, 4), (7, 1, 33), (4, 70, 131), (3, 90, 2), (1, 1, 1)])
def test_coefficients_are_scipys_at_the_voxels_that_are_kept(shape: tuple[int, int, int]) -> None:
    values = np.random.default_rng(sum(shape)).normal(0, 500, shape)
    given, near = values.copy(), tuple(slice(min(1, size - 1), size) for size in shape)
    found = spline_coefficients(values, near)
    scipys = spline_filter(values, 3, np.float64, "constant")[near]
    assert np.array_equal(found.swapaxes(1, 2).copy().view(np.int64), scipys.copy().view(np.int64))
    assert np.array_equal(values, given)
