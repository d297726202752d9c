"""Ellipsoids and random fields on rows of voxels."""

import numpy as np
import pytest

from cvtbatch.synthesis.fields import Ellipsoid, Lattice, Pose, Rows, smooth_noise, span

POSE = Pose((3.0, -4.0, 5.0), 8.0, (0.95, 1.02, 1.05))


def rows_through(point, half=120.0, count=241):
    """Rows parallel to x at a point's y and z, and 10 mm beside it."""
    line = np.linspace(-half, half, count, dtype=np.float32)
    beside = np.array([0, 10], dtype=np.float32)
    return Rows(line, beside + np.float32(point[1]), beside + np.float32(point[2]))


def test_head_coordinates_and_physical_points_are_inverse():
    head = np.array([10.0, -20.0, 30.0])
    physical = POSE.to_physical((10.0, -20.0, 30.0))
    np.testing.assert_allclose(POSE.to_head() @ (physical - POSE.center_mm), head, atol=1e-12)


def test_quadric_equals_the_textbook_formula():
    solid = Ellipsoid((12.0, 5.0, -3.0), (7.0, 19.0, 12.0), 15.0)
    rows = rows_through((0, 5, 0))
    turn = np.radians(-15)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    for row in range(2):
        points = np.stack([rows.x_mm, np.full(241, rows.y_mm[row]), np.full(241, rows.z_mm[row])], axis=1)
        head = (points - POSE.center_mm) @ POSE.to_head().T - solid.center_mm
        expected = (((head @ rotation.T) / solid.semi_axes_mm) ** 2).sum(axis=1)
        np.testing.assert_allclose(solid.place(POSE).quadric(rows)[row], expected, rtol=2e-4, atol=2e-4)


def test_block_holds_the_whole_solid():
    solid = Ellipsoid((12.0, 5.0, -3.0), (7.0, 19.0, 12.0), 15.0).place(POSE)
    y, z = np.meshgrid(np.arange(-40, 40, 2.0), np.arange(-40, 40, 2.0))
    rows = Rows(np.arange(-60, 60, dtype=np.float32), y.ravel().astype(np.float32), z.ravel().astype(np.float32))
    inside = solid.quadric(rows) < 1
    block = solid.block(rows, margin_mm=0.0)
    assert inside.any()
    assert inside.sum() == inside[block].sum()
    assert inside[block].size < inside.size


@pytest.mark.parametrize(
    ("hits", "expected"), [([0, 0, 0], slice(0, 0)), ([0, 1, 0], slice(1, 2)), ([1, 0, 1], slice(0, 3))]
)
def test_span_is_the_smallest_slice_around_all_hits(hits, expected):
    assert span(np.array(hits, dtype=bool)) == expected


def test_lattice_reproduces_a_linear_field_and_holds_its_border():
    z, y, x = np.meshgrid(np.arange(6.0), np.arange(7.0), np.arange(8.0), indexing="ij")
    lattice = Lattice((x + 10 * y + 100 * z).astype(np.float32), (-1.0, 2.0, 3.0), 2.0)
    rows = Rows(
        np.array([-9, 0, 4.5], dtype=np.float32), np.array([5, 3], dtype=np.float32), np.array([4, 8], dtype=np.float32)
    )
    expected = [[65, 65.5, 67.75], [255, 255.5, 257.75]]
    np.testing.assert_allclose(lattice.sample(rows), expected, rtol=1e-5)


def test_smooth_noise_is_standardised_and_smooth():
    field = smooth_noise((30, 30, 30), 2.0, np.random.default_rng(0))
    assert field.std() == pytest.approx(1, abs=1e-3)
    assert np.corrcoef(field[1:].ravel(), field[:-1].ravel())[0, 1] > 0.9
