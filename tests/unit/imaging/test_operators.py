"""Interpolation along one axis."""

import numpy as np
import pytest
from scipy.linalg import solve_banded

from cvtbatch.imaging.operators import bspline_prefilter


@pytest.mark.parametrize("samples", [2, 3, 5, 36, 37, 512])
def test_the_prefilter_is_that_of_lapack_bit_for_bit(samples: int) -> None:
    bands = np.repeat([[1 / 6], [4 / 6], [1 / 6]], samples, axis=1)
    bands[0, 1] = bands[2, -2] = 2 / 6
    expected = solve_banded((1, 1), bands, np.eye(samples))
    np.testing.assert_array_equal(bspline_prefilter(samples), expected)
    np.testing.assert_array_equal(np.signbit(bspline_prefilter(samples)), np.signbit(expected))
