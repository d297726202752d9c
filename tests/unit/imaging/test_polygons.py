"""Filled contours, against Matplotlib's point-in-polygon test, and the rule for pixels on a contour."""

import numpy as np
import pytest
from matplotlib.path import Path

from cvtbatch.imaging.polygons import fill_polygon, traced_pixels

SHAPE = (37, 43)


def by_matplotlib(points: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return Path(points).contains_points(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(SHAPE)


@pytest.mark.parametrize("corners", [3, 4, 7, 60])
@pytest.mark.parametrize("seed", range(5))
def test_any_polygon_is_matplotlibs(seed: int, corners: int) -> None:
    """Corners at random: concave, crossing themselves, partly outside."""
    points = np.random.default_rng(seed).uniform(-8, 50, (corners, 2))
    assert np.array_equal(fill_polygon(points, SHAPE), by_matplotlib(points))


def test_a_star_of_an_outline_and_either_direction() -> None:
    angle = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    radius = 12 + 5 * np.sin(7 * angle)
    points = np.stack([21.3 + radius * np.cos(angle), 17.7 + radius * np.sin(angle)], axis=1)
    filled = fill_polygon(points, SHAPE)
    assert np.array_equal(filled, by_matplotlib(points))
    assert np.array_equal(fill_polygon(points[::-1], SHAPE), filled)
    assert np.array_equal(fill_polygon(np.concatenate([points, points[:1]]), SHAPE), filled)  # closed explicitly


def test_left_and_upper_edges_are_inside_right_and_lower_are_not() -> None:
    rectangle = np.array([[3.0, 4], [9, 4], [9, 11], [3, 11]])
    expected = np.zeros(SHAPE, bool)
    expected[4:11, 3:9] = True
    assert np.array_equal(fill_polygon(rectangle, SHAPE), expected)
    assert np.array_equal(fill_polygon(rectangle + 1e-9, SHAPE), expected)  # round-off does not move it
    assert np.array_equal(fill_polygon(rectangle - 1e-9, SHAPE), expected)


def test_neighbours_share_no_pixel_and_leave_none_out() -> None:
    middle = np.array([20.0, 18.0])
    corners = np.array([[2.0, 2], [40, 2], [40, 34], [2, 34]])
    parts = [fill_polygon(np.array([middle, corners[k], corners[(k + 1) % 4]]), SHAPE) for k in range(4)]
    assert np.array_equal(np.sum(parts, axis=0), fill_polygon(corners, SHAPE).astype(int))


def test_a_keyhole_is_a_hole() -> None:
    outer = [[5.0, 5], [30, 5], [30, 30], [5, 30], [5, 15]]
    inner = [[12.0, 15], [12, 22], [20, 22], [20, 12], [12, 12], [12, 15]]
    expected = fill_polygon(np.array(outer[:4]), SHAPE) ^ fill_polygon(np.array(inner[1:5]), SHAPE)
    assert np.array_equal(fill_polygon(np.array([*outer, *inner, [5.0, 15]]), SHAPE), expected)


def test_what_lies_outside_or_has_no_area_fills_nothing() -> None:
    square = np.array([[0.0, 0], [4, 0], [4, 4], [0, 4]])
    assert not fill_polygon(square + 60, SHAPE).any()
    assert not fill_polygon(square - 60, SHAPE).any()
    assert fill_polygon(square * 1000 - 2000, SHAPE).all()
    assert not fill_polygon(np.array([[1.0, 1], [9, 9], [1, 1], [9, 9]]), SHAPE).any()


def test_a_million_corners() -> None:
    angle = np.linspace(0, 2 * np.pi, 1_000_000, endpoint=False)
    circle = np.stack([21 + 15.3 * np.cos(angle), 18 + 15.3 * np.sin(angle)], axis=1)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    assert np.array_equal(fill_polygon(circle, SHAPE), np.hypot(x - 21, y - 18) < 15.3)


def test_pixels_of_a_contour_from_center_to_center() -> None:
    corners = np.array([[2.0, 1.0], [5.0, 1.0], [5.0, 3.0], [4.0, 4.0], [2.0, 2.0]])
    pixels = traced_pixels(corners, (8, 9))
    assert pixels is not None
    expected = [(2, 1), (3, 1), (4, 1), (5, 1), (5, 2), (5, 3), (4, 4), (3, 3), (2, 2)]
    assert list(map(tuple, pixels.tolist())) == expected
    assert traced_pixels(corners + np.array([0.02, 0.0]), (8, 9)) is None
    assert traced_pixels(np.array([[0.0, 0.0], [3.0, 1.0], [3.0, 4.0]]), (8, 9)) is None
    assert traced_pixels(np.array([[0.0, 0.0], [1e5, 0.0], [1e5, 1e5]] * 1000), (8, 9)) is None
