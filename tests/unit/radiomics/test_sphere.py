"""The sphere of LBP-3D."""

import numpy as np
from scipy.special import sph_harm_y
from trimesh.creation import icosphere

from cvtbatch.radiomics.sphere import lay_sphere, sphere_points


def test_points_are_those_of_trimesh_bit_for_bit():
    expected = np.array(icosphere(1, 1).vertices)
    np.testing.assert_array_equal(sphere_points(), expected)
    np.testing.assert_array_equal(np.signbit(sphere_points()), np.signbit(expected))


def test_magnitude_of_degree_0_counts_set_points():
    np.testing.assert_allclose(lay_sphere().degree0, np.arange(43) * np.sqrt(42) / (4 * np.pi), rtol=1e-14)


def test_harmonics_of_degree_1_are_those_of_scipy_bit_for_bit():
    points = sphere_points()
    polar, azimuth = np.arctan2(points[:, 1], points[:, 0]), np.arccos(points[:, 2])
    expected = [part for m in (-1, 0, 1) for y in (sph_harm_y(1, m, polar, azimuth),) for part in (y.real, y.imag)]
    np.testing.assert_array_equal(lay_sphere().degree1, expected)
    np.testing.assert_array_equal(np.signbit(lay_sphere().degree1), np.signbit(expected))
