"""Perturbed outlines: volume, parts, room, and that every machine draws the same; shifts against other resamplers."""

import hashlib

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cvtbatch.outlining.perturbation import (
    ROUGHNESS_MM,
    SHIFT_MM,
    VOLUME_SHARE,
    Perturbation,
    draw_perturbations,
    perturb,
    signed_distance_mm,
)
from cvtbatch.validation.readers import dice

STORED = (5.0, 0.5, 0.5)
CORNERS = np.ones((3, 3, 3), np.bool_)


def ellipsoid(radii_mm: tuple[float, float, float], shape=(12, 90, 90), spacing=STORED) -> np.ndarray:
    index = np.indices(shape).reshape(3, *shape)
    center = [(size - 1) / 2 for size in shape]
    return sum(((index[k] - center[k]) * spacing[k] / radii_mm[k]) ** 2 for k in range(3)) <= 1


def blood(shape) -> np.ndarray:
    return np.full(shape, 60, dtype=np.int16)


def plain(volume_change: float = 0.0, shift_mm=(0.0, 0.0)) -> Perturbation:
    return Perturbation(volume_change, shift_mm, 0.0, 0)


def blobs(seed: int, shape=(8, 60, 60)) -> np.ndarray:
    """A random outline with whatever holes and parts chance gives it."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), (0.8, 6, 6))
    field -= 0.02 * np.hypot(*np.meshgrid(np.arange(60) - 30, np.arange(60) - 30)) / 30
    mask = field > np.quantile(field, 0.9)
    mask[[0, -1]] = mask[:, [0, -1]] = mask[:, :, [0, -1]] = False
    return mask


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), number=st.integers(0, 30))
def test_whatever_the_outline_the_volume_is_as_drawn_and_no_part_is_added(seed: int, number: int) -> None:
    outline = blobs(seed)
    how = draw_perturbations(f"case/{seed}", number + 1)[number]
    changed = perturb(outline, blood(outline.shape), STORED, how)
    assert changed.any()
    assert ndimage.label(changed, structure=CORNERS)[1] <= ndimage.label(outline, structure=CORNERS)[1]
    asked = (1 + how.volume_change) * outline.sum()
    assert changed.sum() == pytest.approx(asked, rel=0.03, abs=2)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), by=st.tuples(st.integers(0, 3), st.integers(0, 20), st.integers(0, 20)))
def test_the_place_of_an_outline_in_its_grid_does_not_matter(seed: int, by: tuple[int, int, int]) -> None:
    outline = np.zeros((18, 120, 120), np.bool_)
    outline[5:13, 25:85, 25:85] = blobs(seed)
    moved = np.roll(outline, by, axis=(0, 1, 2))
    how = draw_perturbations("key", 1)[0]
    changed, elsewhere = (perturb(mask, blood(mask.shape), STORED, how) for mask in (outline, moved))
    assert np.array_equal(np.roll(changed, by, axis=(0, 1, 2)), elsewhere)


def test_draws_are_of_the_key_alone_and_within_the_rule() -> None:
    drawn = draw_perturbations("A/1/hematoma/A/1", 200)
    assert drawn[:7] == draw_perturbations("A/1/hematoma/A/1", 7)
    assert drawn != draw_perturbations("A/2/hematoma/A/1", 200)
    changes = np.array([how.volume_change for how in drawn])
    shifts = np.array([how.shift_mm for how in drawn])
    assert np.abs(changes).max() <= VOLUME_SHARE
    assert np.abs(shifts).max() <= SHIFT_MM
    # Evenly over the range: half of the range's width from end to end of the middle half.
    assert np.quantile(changes, [0.25, 0.75]) == pytest.approx([-VOLUME_SHARE / 2, VOLUME_SHARE / 2], abs=0.02)
    assert {how.roughness_mm for how in drawn} == {ROUGHNESS_MM}
    assert len({how.seed for how in drawn}) == 200


def test_every_machine_draws_the_same() -> None:
    outline = ellipsoid((18, 15, 17))
    found = [perturb(outline, blood(outline.shape), STORED, how) for how in draw_perturbations("A/1/hematoma/A/1", 3)]
    told = [hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()[:12] for mask in found]
    assert told == ["c52bc000833d", "b52f7b504dbe", "e14ce3b0fc1e"]


def test_growth_follows_the_distance_in_mm() -> None:
    """Slices lie ten pixels apart: a border of less than a slice moves within the slices, as one of layers of voxels would not."""
    outline = ellipsoid((18, 15, 17))
    grown = perturb(outline, blood(outline.shape), STORED, plain(0.1))
    shrunk = perturb(outline, blood(outline.shape), STORED, plain(-0.1))
    assert grown.sum() == round(1.1 * outline.sum())
    assert shrunk.sum() == round(0.9 * outline.sum())
    assert (outline <= grown).all()
    assert (shrunk <= outline).all()
    assert np.array_equal(grown.any(axis=(1, 2)), outline.any(axis=(1, 2)))
    away = ndimage.distance_transform_edt(~outline, sampling=STORED)
    added = away[grown & ~outline].max()
    # By brute force: no voxel nearer than the farthest that was taken was left out.
    assert (grown | (away >= added)).all()
    points = np.argwhere(outline) * STORED
    one = np.argwhere(grown & ~outline)[::97] * STORED
    nearest = np.sqrt(((one[:, None] - points[None]) ** 2).sum(axis=-1)).min(axis=1)
    assert nearest == pytest.approx(away[grown & ~outline][::97])


@pytest.mark.parametrize("shift_mm", [(0.5, 0.0), (0.0, -0.5), (1.0, 1.5)])
def test_a_shift_by_whole_pixels_moves_the_outline(shift_mm: tuple[float, float]) -> None:
    outline = ellipsoid((18, 15, 17))
    changed = perturb(outline, blood(outline.shape), STORED, plain(shift_mm=shift_mm))
    steps = (0, round(shift_mm[0] / 0.5), round(shift_mm[1] / 0.5))
    assert np.array_equal(changed, np.roll(outline, steps, axis=(0, 1, 2)))


@pytest.mark.parametrize("shift_mm", [(0.2, 0.0), (-0.15, 0.3), (0.25, 0.25)])
def test_a_shift_by_parts_of_a_pixel_is_that_of_simpleitk(shift_mm: tuple[float, float]) -> None:
    outline = ellipsoid((18, 15, 17))
    changed = perturb(outline, blood(outline.shape), STORED, plain(shift_mm=shift_mm))
    image = sitk.GetImageFromArray(signed_distance_mm(outline, STORED))
    image.SetSpacing(STORED[::-1])
    moved = sitk.Resample(image, sitk.TranslationTransform(3, (-shift_mm[1], -shift_mm[0], 0.0)), sitk.sitkLinear, 1e3)
    level = sitk.GetArrayFromImage(moved)
    border = np.sort(level, axis=None)[outline.sum() - 1]
    # Voxels at the border's own level are as good as one another.
    assert (level[changed] <= border + 1e-9).all()
    assert (level[~changed] >= border - 1e-9).all()
    centers = [np.array(ndimage.center_of_mass(mask)) * STORED for mask in (outline, changed)]
    assert centers[1] - centers[0] == pytest.approx([0, *shift_mm], abs=0.26)


def test_bone_air_and_what_lies_beyond_the_grid_are_not_taken() -> None:
    outline = ellipsoid((18, 15, 17))
    hu = blood(outline.shape)
    beside = np.zeros(outline.shape, np.bool_)
    beside[:, :45] = True
    hu[beside & ~outline] = 700
    hu[~beside & ~outline] = -100
    grown = perturb(outline, hu, STORED, plain(0.1))
    assert np.array_equal(grown, outline)
    hu[~beside & ~outline] = 30
    grown = perturb(outline, hu, STORED, plain(0.1))
    assert grown.sum() == round(1.1 * outline.sum())
    assert not (grown & ~outline & beside).any()


def test_an_outline_of_one_voxel_is_kept() -> None:
    outline = np.zeros((3, 9, 9), np.bool_)
    outline[1, 4, 4] = True
    for how in draw_perturbations("one", 10):
        assert perturb(outline, blood(outline.shape), STORED, how).sum() == 1


def test_perturbed_outlines_of_a_hematoma_are_about_as_alike_as_readers() -> None:
    """Dice of two people's outlines of hemorrhages is 0.9 and more; a rule far off that would perturb too little or too much."""
    outline = ellipsoid((18, 15, 17))
    shares = [
        dice(outline.astype(np.uint8), perturb(outline, blood(outline.shape), STORED, how).astype(np.uint8))
        for how in draw_perturbations("A/1/hematoma/A/1", 20)
    ]
    assert min(shares) > 0.9
    assert np.median(shares) < 0.98
