"""Voxels of regions, against brute force: every voxel's distance to every other one, and hulls by linear programming."""

from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linprog
from scipy.spatial.distance import cdist

from cvtbatch.regions.hull import convex_hull
from cvtbatch.regions.masks import Cut, NoRegion, Region, derive_region
from cvtbatch.regions.rules import rule_of

Mask = npt.NDArray[np.bool_]
STORED_MM = (5.0, 0.5, 0.5)
SPACINGS = st.sampled_from([STORED_MM, (1.0, 1.0, 1.0), (2.5, 0.7, 0.9), (0.625, 0.488, 0.488)])
MASKS = arrays(np.bool_, (4, 5, 6)).filter(np.any)
HU = arrays(np.int16, (4, 5, 6), elements=st.integers(-20, 100))
MM = st.sampled_from(["0.5", "0.7", "1", "2", "2.5", "5", "9"])


def derive(name: str, mask: Mask, spacing=STORED_MM, hu=None, inside=None) -> Region | NoRegion:
    hu = np.full(mask.shape, 30, np.int16) if hu is None else hu
    return derive_region(rule_of(name), mask.astype(np.uint8), hu, spacing, lambda: inside)


def voxels(found: Region | NoRegion) -> Mask | None:
    return found.mask_zyx if isinstance(found, Region) else None


def small(places: npt.NDArray[np.intp]) -> bool:
    """Say whether places are one, or lie in a line along an axis."""
    return sum(len(set(along)) > 1 for along in places.T.tolist()) < 2


def near(places: npt.NDArray[np.intp], mask: Mask, spacing: tuple[float, ...], mm: float) -> Mask:
    """Say which places lie within some mm of a mask: every distance to every voxel of it."""
    distances = cdist(places * spacing, np.argwhere(mask) * spacing)
    return np.asarray(distances.min(axis=1) <= mm + 1e-6)


@settings(max_examples=60, deadline=None)
@given(MASKS, MASKS, HU, SPACINGS, MM)
def test_a_rim_is_what_lies_near_within_the_skull_and_the_window(mask, inside, hu, spacing, mm) -> None:
    steps = [int(float(mm) / step) + 1 for step in spacing]
    padded = np.pad(mask, [(n, n) for n in steps])
    places = np.array(list(product(*(range(-n, size + n) for n, size in zip(steps, mask.shape, strict=True)))))
    ring = places[near(places, mask, spacing, float(mm)) & ~padded.ravel()]
    in_volume = ring[np.all((ring >= 0) & (ring < mask.shape), axis=1)]
    in_skull = [tuple(place) for place in in_volume if inside[tuple(place)]]
    left = [place for place in in_skull if 0 <= hu[place] <= 80]
    found = derive(f"rim{mm}", mask, spacing, hu, inside)
    if not len(ring):
        assert found == NoRegion("too_thin")
        return
    cut = Cut(len(ring), len(ring) - len(in_volume), len(in_volume) - len(in_skull), len(in_skull) - len(left))
    assert found.cut == cut
    assert cut.share_left == pytest.approx(len(left) / len(ring))
    if not left:
        assert found.reason == "nothing_left"
    elif small(np.array(left)):
        assert found.reason == "too_small"
    else:
        assert sorted(left) == [tuple(place) for place in np.argwhere(voxels(found))]


@settings(max_examples=60, deadline=None)
@given(MASKS, SPACINGS, MM)
def test_a_core_is_what_lies_deeper_than_so_many_mm(mask, spacing, mm) -> None:
    places = np.argwhere(mask)
    outside = ~mask
    deep = ~near(places, outside, spacing, float(mm)) if outside.any() else np.ones(len(places), bool)
    found = derive(f"core{mm}", mask, spacing)
    if not deep.any():
        assert found == NoRegion("too_thin")
    elif small(places[deep]):
        assert found == NoRegion("too_small")
    else:
        assert np.argwhere(voxels(found)).tolist() == places[deep].tolist()


def test_where_the_volume_ends_an_outline_has_no_edge() -> None:
    mask = np.zeros((3, 41, 41), bool)
    mask[:, 10:31, 10:31] = True
    # All slices are the outline's: only its sides are eroded.
    assert voxels(derive("core2", mask)).sum() == 3 * 13 * 13
    assert voxels(derive("core9", np.ones((2, 3, 3), bool))).all()


def test_a_rim_of_slices_of_5_mm_reaches_the_neighbouring_slice_at_5_mm_alone() -> None:
    mask = np.zeros((5, 31, 31), bool)
    mask[2, 15, 15] = True
    everywhere = np.ones(mask.shape, bool)
    reached = [voxels(derive(name, mask, inside=everywhere)).sum(axis=(1, 2)).tolist() for name in ("rim4.9", "rim5")]
    # Grid points in circles of 9.8 and 10 steps (OEIS A057655: 293 and 317), but for the middle.
    assert reached == [[0, 0, 292, 0, 0], [0, 1, 316, 1, 0]]


def in_hull(points: npt.NDArray[np.intp], place: npt.NDArray[np.intp]) -> bool:
    """Say whether a place is a mean of points with weights of at least 0: by linear programming."""
    equal = np.vstack([points.T, np.ones(len(points))])
    return bool(linprog(np.zeros(len(points)), A_eq=equal, b_eq=[*place, 1], method="highs").status == 0)


@settings(max_examples=15, deadline=None)
@given(
    arrays(np.bool_, (3, 4, 5), elements=st.sampled_from([False, False, False, True])).filter(np.any),
    st.sampled_from([None, 0, 1, 2]),
)
def test_a_hull_holds_what_lies_between_voxels(mask, flat) -> None:
    if flat is not None:  # of one slice, row or column
        mask = mask & (np.indices(mask.shape)[flat] == np.argwhere(mask)[0][flat])
    points = np.argwhere(mask)
    expected = np.array([in_hull(points, place) for place in np.argwhere(np.ones(mask.shape))]).reshape(mask.shape)
    assert (convex_hull(mask) == expected).all()


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(1, 1, 1)], 1),
        ([(0, 0, 0), (3, 3, 3)], 4),  # a line through corners
        ([(0, 0, 0), (3, 6, 0)], 4),
        ([(0, 0, 0), (2, 0, 6), (2, 6, 0), (0, 6, 6)], None),
        ([(0, 0, 0), (0, 4, 4), (2, 0, 0), (2, 4, 4)], 15),  # a plane that stands askew
    ],
)
def test_flat_hulls(points, expected) -> None:
    mask = np.zeros((4, 7, 7), bool)
    mask[tuple(np.array(points).T)] = True
    found = convex_hull(mask)
    if expected is not None:
        assert found.sum() == expected
    assert all(found[tuple(place)] == in_hull(np.argwhere(mask), place) for place in np.argwhere(np.ones(mask.shape)))


def test_a_hull_of_a_ball_is_the_ball_hollow_or_not() -> None:
    z, y, x = np.ogrid[-4:5, -40:41, -40:41]
    ball = (z / 4) ** 2 + (y / 40) ** 2 + (x / 40) ** 2 <= 1
    assert (convex_hull(ball) == ball).all()
    hollow = ball & ((z / 3.5) ** 2 + (y / 30) ** 2 + (x / 30) ** 2 > 1)
    assert (convex_hull(hollow) == ball).all()


def test_parts_go_by_size_and_are_connected_by_corners() -> None:
    mask = np.zeros((4, 9, 9), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    mask[0, 5, :3] = True
    mask[3, 7, 4:6] = True
    mask[0, 4, 2] = True
    mask[3, 8, 5] = True
    mask[2, 2, 8] = True
    sizes = [voxels(derive(f"part{number}", mask)).sum() for number in (1, 2, 3)]
    assert sizes == [4, 3, 2]
    assert derive("part4", mask) == NoRegion("too_small")
    assert (voxels(derive("largest", mask)) == voxels(derive("part1", mask))).all()
    assert derive("part5", mask) == NoRegion("no_such_part")


def test_of_equal_parts_the_first_comes_first() -> None:
    mask = np.zeros((1, 9, 9), bool)
    mask[0, 6:8, 6:8] = mask[0, :2, :2] = True
    assert [np.argwhere(voxels(derive(name, mask)))[0].tolist() for name in ("part1", "part2")] == [
        [0, 0, 0],
        [0, 6, 6],
    ]


def test_without_an_inside_there_is_no_rim() -> None:
    assert derive("rim5", np.ones((1, 2, 2), bool)) == NoRegion("no_inside")
