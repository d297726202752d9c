"""The sphere of LBP-3D."""

import numpy as np
from trimesh.creation import icosphere

from cvtbatch.radiomics.sphere import lay_sphere, sphere_points


def test_points_are_those_of_trimesh_bit_for_bit():
    expected = np.array(icosphere(1, 1).vertices)
    np.testing.assert_array_equal(sphere_points(), expected)
    np.testing.assert_array_equal(np.signbit(sphere_points()), np.signbit(expected))


def test_magnitude_of_degree_0_counts_set_points():
    np.testing.assert_allclose(lay_sphere().degree0, np.arange(43) * np.sqrt(42) / (4 * np.pi), rtol=1e-14)
