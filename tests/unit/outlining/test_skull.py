"""The inside of the skull: of the real head by numbers, of drawn heads against what was drawn."""

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicerio
from scipy import ndimage

from cvtbatch.imaging.placement import place_mask
from cvtbatch.imaging.resampling import resample_stack, stack_of
from cvtbatch.ingest.volumes import read_volume
from cvtbatch.outlining.skull import BONE_HU, Inside, NoInside, find_inside
from cvtbatch.synthesis.fields import Pose
from tests.support.heads import (
    Defect,
    Head,
    Scan,
    blood,
    draw_head,
    hole,
    metal,
    scalp_swelling,
    table_and_holder,
    thin_skull,
)
from tests.support.outside_data import outside
from tests.support.series import case

GRIDS = {"1 mm": (1.0, 1.0, 1.0), "stored": (0.5, 0.5, 5.0)}
SMALL_HEAD = Pose(scale=(0.75, 0.75, 0.75))
BURR_HOLES = tuple(hole(direction, 7) for direction in ((1, -0.5, 0.8), (-1, -0.5, 0.8), (0.6, 1, 0.9)))
DRAWN: dict[str, tuple[Scan, tuple[Defect, ...]]] = {
    "open base": (Scan(), ()),
    "tilt": (Scan(tilt_deg=20), ()),
    "tilt the other way": (Scan(tilt_deg=-25), ()),
    "turned": (Scan(pose=Pose((6, -4, 3), 25, (1.05, 0.98, 1))), ()),
    "5 mm slices": (Scan((5, 1, 1)), ()),
    "noise": (Scan((2.5, 2, 2), noise_hu=25), ()),
    "table and holder": (Scan(), (table_and_holder,)),
    "burr holes": (Scan(), BURR_HOLES),
    "hole of 18 mm into the neck": (Scan(), (hole((0.5, 0.9, -1), 9),)),
    "burr holes with air": (Scan(), (hole((1, -0.5, 0.8), 7, -900), hole((-1, -0.5, 0.8), 7, -900))),
    "fillings": (Scan(), (metal((15, -70, -90), 6, 900),)),
    "child": (Scan((2, 1, 1), pose=SMALL_HEAD), (thin_skull(2, 350),)),
    "child in 5 mm slices": (Scan((5, 1, 1), pose=SMALL_HEAD), (thin_skull(2, 350),)),
    "infant, open fontanelle": (
        Scan((3, 1, 1), pose=Pose(scale=(0.65, 0.65, 0.65))),
        (thin_skull(1.5, 300), hole((0, -0.6, 1), 22)),
    ),
    "vertex alone": (Scan((5, 1, 1), z_mm=(45, 95)), ()),
    "four slices": (Scan((5, 1, 1), z_mm=(0, 16)), ()),
    "two slices": (Scan((5, 1, 1), z_mm=(10, 20)), ()),
    "base alone": (Scan((5, 1, 1), z_mm=(-110, -35)), ()),
    "blood at the skull, swollen scalp": (Scan((5, 1, 1)), (blood((50, 10, 20), 38, 90), scalp_swelling)),
}


@cache
def drawn(name: str) -> Head:
    scan, defects = DRAWN[name]
    return draw_head(scan, *defects)


def found(head: Head) -> Inside:
    inside = find_inside(head.hu, head.spacing_mm)
    assert isinstance(inside, Inside), inside
    assert inside.mask_zyx.dtype == np.bool_
    assert inside.mask_zyx.shape == head.hu.shape
    assert inside.volume_ml == pytest.approx(inside.mask_zyx.sum() * head.voxel_ml)
    return inside


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_head_has_the_inside_that_was_drawn(name: str) -> None:
    head = drawn(name)
    mask, judged = found(head).mask_zyx, ~head.neither
    truth = head.inside & (head.hu <= BONE_HU)
    # What is soft and inside is found, to two hundredths; what is more lies in holes of the skull.
    assert (truth & ~mask & judged).sum() < 0.02 * truth.sum()
    assert (mask & ~head.inside & judged).sum() * head.voxel_ml < 12
    both, sizes = (mask & truth & judged).sum(), (mask & judged).sum() + (truth & judged).sum()
    assert 2 * both / sizes > 0.98
    assert not (mask & head.skull).any()


@pytest.mark.parametrize("direction", [(1, -0.1, 0.5), (0, -1, 0.6)], ids=["lateral", "frontal"])
def test_craniectomy_adds_no_more_than_the_bone_that_was_taken(direction: tuple[float, float, float]) -> None:
    closed, opened = draw_head(Scan()), draw_head(Scan(), hole(direction, 50))
    taken_ml = (closed.skull & ~opened.skull).sum() * opened.voxel_ml
    inside = found(opened)
    assert (opened.inside & (opened.hu <= BONE_HU) & ~inside.mask_zyx & ~opened.neither).sum() * opened.voxel_ml < 3
    assert (inside.mask_zyx & ~opened.inside & ~opened.neither).sum() * opened.voxel_ml < 1.5 * taken_ml
    # Skin is none of it: nothing comes within 4 mm of the air outside.
    air = opened.hu < -700
    rim, _ = ndimage.label(air)
    around = rim == rim[-1, 0, 0]
    assert ndimage.distance_transform_edt(~around, sampling=opened.spacing_mm)[inside.mask_zyx].min() > 4


def test_streaks_of_metal_in_the_brain_cost_what_they_hide_alone() -> None:
    head = draw_head(Scan((2.5, 2, 2)), metal((5, -15, -20), 5, 600))
    mask = found(head).mask_zyx
    rows = np.arange(head.hu.shape[0]) * 2.5 - 110
    clear = (np.abs(rows + 20) > 10)[:, None, None] & head.inside & (head.hu <= BONE_HU) & ~head.neither
    assert (clear & ~mask).sum() * head.voxel_ml < 3
    assert not (mask & head.skull).any()


def test_all_at_once() -> None:
    scan = Scan((3, 2, 2), tilt_deg=15, noise_hu=12)
    defects = (hole((1, -0.1, 0.5), 45), table_and_holder, metal((5, -70, -90), 5, 600), blood((-30, 10, 20), 25))
    head = draw_head(scan, *defects)
    mask = found(head).mask_zyx
    assert (head.inside & (head.hu <= BONE_HU) & ~mask & ~head.neither).sum() * head.voxel_ml < 5
    assert not (mask & head.skull).any()


def test_order_of_slices_does_not_matter() -> None:
    head = drawn("open base")
    upside_down = find_inside(head.hu[::-1], head.spacing_mm)
    assert isinstance(upside_down, Inside)
    assert (upside_down.mask_zyx[::-1] ^ found(head).mask_zyx).mean() < 1e-3


def test_calcifications_and_air_in_the_brain_belong_to_it() -> None:
    head = drawn("open base")
    hu = head.hu.copy()
    z, y, x = (size // 2 for size in hu.shape)
    hu[z : z + 3, y - 10 : y - 7, x - 12 : x - 9] = 800
    hu[z : z + 3, y + 7 : y + 10, x - 12 : x - 9] = -900
    changed = find_inside(hu, head.spacing_mm)
    assert isinstance(changed, Inside)
    assert changed.mask_zyx[hu != head.hu].all()


def _filled(hu: float) -> np.ndarray:
    return np.full((20, 60, 60), hu, dtype=np.int16)


def _neck() -> np.ndarray:
    return draw_head(Scan((5, 1, 1), z_mm=(-130, -90))).hu


def _empty_skull() -> np.ndarray:
    """A skull with air inside: a phantom without its brain."""
    head = draw_head(Scan((4, 2, 2)))
    return np.where(head.inside & (head.hu < BONE_HU), -1000, head.hu)


@pytest.mark.parametrize(
    ("hu", "spacing_mm", "reason"),
    [
        (lambda: _filled(-1000), (5, 1, 1), "no_bone"),
        (lambda: _filled(30), (5, 1, 1), "no_bone"),
        (lambda: _filled(1000), (5, 1, 1), "no_brain"),
        (_neck, (5, 1, 1), "not_enclosed"),
        (_empty_skull, (4, 2, 2), "not_enclosed"),
        (lambda: draw_head(Scan((4, 2, 2))).hu, (8, 4, 4), "implausible_volume"),
    ],
    ids=["air", "water", "bone", "neck", "empty skull", "twice the size"],
)
def test_what_is_no_head_is_refused_with_a_reason(hu, spacing_mm, reason) -> None:
    refused = find_inside(hu(), spacing_mm)
    assert isinstance(refused, NoInside)
    assert refused.reason == reason
    assert any(character.isdigit() for character in refused.text)


def test_a_chest_is_no_head() -> None:
    image = sitk.ReadImage(str(Path(slicerio.__file__).parent / "data" / "CTChest4.nrrd"))
    refused = find_inside(sitk.GetArrayFromImage(image), image.GetSpacing()[::-1])
    assert isinstance(refused, NoInside)


@pytest.fixture(scope="module")
def real_head():
    volume = read_volume(case(outside("head_ct_ge")))
    return {name: resample_stack(volume.hu_zyx, volume.stack, spacing) for name, spacing in GRIDS.items()}


@pytest.mark.parametrize("name", GRIDS)
def test_real_head_by_numbers(real_head, name: str) -> None:
    hu, grid = real_head[name]
    inside = find_inside(hu, grid.spacing_mm[::-1])
    assert isinstance(inside, Inside)
    # Intracranial volumes of adults by MRI: mean 1.5 l, standard deviation 0.15 l (Buckner et al., NeuroImage 2004;23:724-738).
    assert 1300 < inside.volume_ml < 1700
    assert inside.cover > 0.95
    skull, _ = ndimage.label(hu > 300)
    largest = skull == np.bincount(skull.ravel())[1:].argmax() + 1
    assert not (largest & inside.mask_zyx).any()
    air, _ = ndimage.label(hu < -300)
    assert not ((air == air[-1, 0, 0]) & inside.mask_zyx).any()


def test_real_head_holds_the_outline_that_was_drawn_in_it(real_head) -> None:
    hu, grid = real_head["stored"]
    roi = sitk.ReadImage(str(outside("head_ct_ge_roi.nii.gz")))
    mask = place_mask(sitk.GetArrayFromImage(roi).astype(np.uint8), stack_of(roi), grid) != 0
    inside = find_inside(hu, grid.spacing_mm[::-1])
    assert mask.sum() * grid.voxel_ml == pytest.approx(20.4, abs=0.5)
    assert inside.mask_zyx[mask].all()


def test_grids_of_one_head_agree(real_head) -> None:
    volumes = [find_inside(hu, grid.spacing_mm[::-1]).volume_ml for hu, grid in real_head.values()]
    assert all(abs(one - other) < 0.02 * one for one, other in pairwise(volumes))
