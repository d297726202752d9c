"""The midsagittal plane of drawn heads that are turned, operated on, bled into or cut off, and of the real head."""

import numpy as np
import pytest

from cvtbatch.geometry import Grid
from cvtbatch.imaging.resampling import resample_stack
from cvtbatch.ingest.volumes import read_volume
from cvtbatch.location.field import DepthField
from cvtbatch.location.head import measure_head
from cvtbatch.location.midplane import Midplane, find_midplane
from cvtbatch.location.rules import LocationRules
from cvtbatch.location.surface import find_surface
from cvtbatch.outlining.skull import Inside, find_inside
from cvtbatch.synthesis.fields import Pose
from tests.support.heads import Defect, Scan, blood, draw_head, hole, scalp_swelling
from tests.support.outside_data import outside
from tests.support.series import case

RULES = LocationRules()
LPS = (1.0, 0, 0, 0, 1, 0, 0, 0, 1)
CENTER = (4.0, -3.0, 2.0)
SPACING_ZYX = (5.0, 3.0, 3.0)
# Where the falx of the real head ends, in front and behind, and the inner crest of the occipital bone; found by eye, x and y in mm,
# and the slice of 5 mm.
MIDLINE = (
    (110, 80, 16), (134, 226, 16), (114, 92, 20), (135, 210, 20), (122, 125, 25), (131, 192, 25), (109, 76, 12), (131, 230, 12),
    (129, 223, 7),
)  # fmt: skip
# Spacing, range and turn of a scan, and what happened to the head.
DRAWN: dict[str, tuple[float, tuple[float, float], tuple[Defect, ...]]] = {
    "turned far": (-28, (-60, 95), ()),
    "craniectomy": (8, (-50, 95), (hole((1, -0.1, 0.5), 50),)),
    "large hematoma, swollen scalp": (8, (-50, 95), (blood((40, 10, 20), 30), scalp_swelling)),
    "vertex alone": (8, (45, 95), ()),
    "base alone": (8, (-110, -35), ()),
}


@pytest.mark.parametrize("name", DRAWN)
def test_plane_of_a_drawn_head_is_that_of_its_symmetry(name: str) -> None:
    yaw_deg, z_mm, defects = DRAWN[name]
    head = draw_head(Scan(SPACING_ZYX, z_mm=z_mm, pose=Pose(CENTER, yaw_deg, (1, 1, 1))), *defects)
    inside = find_inside(head.hu, head.spacing_mm)
    assert isinstance(inside, Inside)
    grid = Grid(head.hu.shape[::-1], SPACING_ZYX[::-1], (0, 0, 0), LPS)
    surface, field = find_surface(inside.mask_zyx, grid), DepthField.of(inside.mask_zyx, grid, 3, 12)
    plane = find_midplane(surface, field, RULES)
    assert plane.yaw_deg == pytest.approx(yaw_deg, abs=0.8)
    assert plane.roll_deg == pytest.approx(0, abs=0.7)
    # The head's centre, and points 60 mm up and forward of it, mm from the first voxel.
    center = np.array(CENTER) - [-112, -125, z_mm[0]]
    turn = np.radians(yaw_deg)
    front = center + 60 * np.array([np.sin(turn), -np.cos(turn), 0])
    assert plane.left_mm(np.stack([center, front])) == pytest.approx([0, 0], abs=0.8)
    assert plane.residual_mm < 1.5
    assert plane.symmetric_share > (0.6 if name == "craniectomy" else 0.85)


def test_words_of_a_plane() -> None:
    face_left = Midplane((np.cos(0.1), np.sin(0.1), 0.0), 3.0, 0, 1, 0)
    assert face_left.yaw_deg == pytest.approx(np.degrees(0.1))
    vertex_left = Midplane((np.cos(0.1), 0.0, -np.sin(0.1)), 3.0, 0, 1, 0)
    assert vertex_left.roll_deg == pytest.approx(np.degrees(0.1))
    assert vertex_left.left_mm(np.array([[13.0, 0, 0]])) == pytest.approx([13 * np.cos(0.1) - 3])


def test_real_head_is_cut_along_its_midline() -> None:
    volume = read_volume(case(outside("head_ct_ge")))
    hu, grid = resample_stack(volume.hu_zyx, volume.stack, (2.0, 2.0, 5.0))
    head = measure_head(hu, grid, RULES)
    points = (np.array(MIDLINE) * [1, 1, 5]) @ grid.axes().T
    # The left occiput of this skull lies further back than the right one, and the plane of symmetry turns with it.
    assert head.midplane.left_mm(points) == pytest.approx(np.zeros(len(points)), abs=5)
    assert np.median(np.abs(head.midplane.left_mm(points))) < 2.5
    assert head.base_in_scan
    assert head.vertex_mm is not None
