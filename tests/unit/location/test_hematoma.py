"""Locations of balls of blood in heads of which every distance is known."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from cvtbatch.errors import InputError
from cvtbatch.location.head import MeasuredHead, measure_head
from cvtbatch.location.hematoma import Location, locate
from cvtbatch.location.rules import LocationRules
from tests.support.round_heads import SKULL_MM, VENTRICLES, RoundHead, from_ellipsoid_mm

RULES = LocationRules()
PLAIN = RoundHead()
HEADS = {
    "plain": PLAIN,
    "fine spacing": RoundHead(spacing_mm=(1, 1, 5)),
    "face to the left": RoundHead(yaw_deg=14, center_mm=(6, -3, 2)),
    "turned and leaning": RoundHead((-30, -30, 25), yaw_deg=-15, roll_deg=-12),
    "across the midline": RoundHead((3, 40, -10)),
    "near the vertex": RoundHead((20, 10, 46), 12),
}


@cache
def measured(head: RoundHead) -> tuple[MeasuredHead, Location]:
    hu, ball = head.draw()
    found = measure_head(hu, head.grid(), RULES)
    return found, locate(ball, found, RULES)


@pytest.mark.parametrize("name", HEADS)
def test_distances_are_right_to_half_a_voxel(name: str) -> None:
    head = HEADS[name]
    _, location = measured(head)
    skull = from_ellipsoid_mm(head.ball)
    ventricle = min(from_ellipsoid_mm(head.ball, center, axes) for center, axes in VENTRICLES)
    vertex, midline = SKULL_MM[2] - head.ball[2], abs(head.ball[0])
    half = head.spacing_mm[2] / 2
    for found, true in ((location.skull, skull), (location.ventricles, ventricle), (location.vertex, vertex)):
        assert found is not None
        # Half a voxel of each of the two surfaces; along the slices' normal that is all of one.
        assert found.nearest_mm == pytest.approx(
            true - head.radius_mm, abs=2 * half if name == "near the vertex" else half
        )
        assert found.centroid_mm == pytest.approx(true, abs=half)
    assert location.midline.centroid_mm == pytest.approx(midline, abs=0.5)
    assert location.midline.nearest_mm == pytest.approx(max(0, midline - head.radius_mm), abs=1.2)
    assert location.depth_share == pytest.approx(skull / SKULL_MM.min(), abs=half / SKULL_MM.min())
    assert location.deepest_share > location.depth_share


def test_side_is_the_patients() -> None:
    assert measured(PLAIN)[1].side == "left"
    assert measured(HEADS["turned and leaning"])[1].side == "right"
    across = measured(HEADS["across the midline"])[1]
    assert across.side == "both"
    # Of a ball of 15 mm whose middle lies 3 mm left.
    assert across.left_share == pytest.approx(0.5 + (3 * 15**2 * 3 - 3**3) / (4 * 15**3), abs=0.02)


def test_axes_of_the_scanner_and_its_origin_move_nothing() -> None:
    head, location = measured(PLAIN)
    hu, ball = PLAIN.draw()
    moved = replace(PLAIN.grid(), origin_mm=(401.5, -77.25, 1000.0))
    elsewhere = measure_head(hu, moved, RULES)
    assert locate(ball, elsewhere, RULES) == location
    assert elsewhere.midplane == head.midplane
    for signs in ((-1.0, 1.0), (1.0, -1.0)):
        direction = (signs[0], 0, 0, 0, 1, 0, 0, 0, signs[1])
        assert_alike(measured(replace(PLAIN, direction=direction))[1], location)


def test_mirrored_head_has_left_and_right_exchanged_and_nothing_else() -> None:
    head = HEADS["face to the left"]
    hu, ball = head.draw()
    other = measure_head(hu[:, :, ::-1].copy(), head.grid(), RULES)
    mirrored = locate(ball[:, :, ::-1], other, RULES)
    location = measured(head)[1]
    assert (location.side, mirrored.side) == ("left", "right")
    assert_alike(replace(mirrored, side="left", left_share=1 - mirrored.left_share), location)
    assert other.midplane.yaw_deg == pytest.approx(-measured(head)[0].midplane.yaw_deg, abs=0.2)


def assert_alike(one: Location, other: Location) -> None:
    """Hold two locations to the same words, and to values within what another sampling of the surface moves."""
    for name in ("side", "compartment", "region", "undetermined"):
        assert getattr(one, name) == getattr(other, name)
    for name in ("midline", "skull", "ventricles", "vertex"):
        for value in ("nearest_mm", "centroid_mm"):
            assert getattr(getattr(one, name), value) == pytest.approx(getattr(getattr(other, name), value), abs=0.3)
    assert one.depth_share == pytest.approx(other.depth_share, abs=0.01)


def test_scan_that_ends_in_the_head_says_so() -> None:
    head, location = measured(replace(PLAIN, z_mm=(-92, 40)))
    assert (head.vertex_mm, head.base_in_scan) == (None, True)
    assert location.vertex is None
    assert (location.compartment, location.region) == ("unknown", "unknown")
    why = "the scan ends below the vertex"
    assert location.undetermined == (f"vertex_mm: {why}", f"compartment: {why}", f"region: {why}")
    whole = measured(PLAIN)[1]
    assert location.skull.nearest_mm == pytest.approx(whole.skull.nearest_mm)
    upper, _ = measured(replace(PLAIN, z_mm=(-30, 92)))
    assert upper.vertex_mm is not None
    assert not upper.base_in_scan


def test_without_fluid_there_are_no_ventricles() -> None:
    _, location = measured(replace(PLAIN, ventricle_hu=30))
    assert (location.ventricles, location.ventricles_ml) == (None, None)
    assert "ventricles_mm: no fluid that keeps to the rule" in location.undetermined


def test_fluid_in_the_outline_is_no_ventricle_and_the_rest_keeps_its_volume() -> None:
    head, location = measured(PLAIN)
    drawn_ml = sum(4 / 3 * np.pi * np.prod(axes) for _, axes in VENTRICLES) / 1000
    assert location.ventricles_ml == pytest.approx(drawn_ml, rel=0.05)
    hu, _ = PLAIN.draw()
    # An outline around the left ventricle, as of a hematoma whose serum has settled.
    x = np.arange(hu.shape[2]) * 2 - 92
    outline = ((hu == PLAIN.ventricle_hu) & (x > 0)).astype(np.uint8)
    beside = locate(outline, head, RULES)
    assert beside.ventricles_ml == pytest.approx(drawn_ml / 2, rel=0.05)
    assert beside.ventricles is not None
    assert beside.ventricles.nearest_mm == pytest.approx(8, abs=2)


def test_outline_that_reaches_into_bone_is_no_way_from_the_skull() -> None:
    head, _ = measured(PLAIN)
    outline = np.zeros(PLAIN.grid().shape_zyx, dtype=np.uint8)
    outline[18, 50:55, 74:83] = 1
    location = locate(outline, head, RULES)
    assert location.skull.nearest_mm == 0


def test_single_voxel_has_a_place() -> None:
    head, _ = measured(PLAIN)
    outline = np.zeros(PLAIN.grid().shape_zyx, dtype=np.uint8)
    outline[18, 54, 64] = 1
    location = locate(outline, head, RULES)
    assert location.midline.centroid_mm == pytest.approx(64 * 2 - 92, abs=0.3)
    assert location.midline.nearest_mm == pytest.approx(63.5 * 2 - 92, abs=0.3)


def test_what_cannot_be_located_is_refused() -> None:
    head, _ = measured(PLAIN)
    with pytest.raises(InputError, match="no voxel inside"):
        locate(np.zeros(PLAIN.grid().shape_zyx, dtype=np.uint8), head, RULES)
    hu, _ = PLAIN.draw()
    with pytest.raises(InputError, match="inside of the skull cannot be found"):
        measure_head(np.minimum(hu, 60), PLAIN.grid(), RULES)
    with pytest.raises(InputError, match="do not lie across the body"):
        measure_head(hu, replace(PLAIN.grid(), direction=(0, 0, 1, 1, 0, 0, 0, 1, 0)), RULES)
