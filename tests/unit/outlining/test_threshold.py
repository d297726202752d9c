"""Blood by its attenuation: a drawn ball of it, heads without any, and none that lies outside the skull."""

import numpy as np
import pytest

from cvtbatch.imaging.resampling import resample_stack
from cvtbatch.ingest.volumes import read_volume
from cvtbatch.outlining.blood import blood_parts
from cvtbatch.outlining.skull import Inside, find_inside
from cvtbatch.outlining.threshold import blood_by_threshold
from tests.support.heads import Head, Scan, blood, draw_head, scalp_swelling
from tests.support.outside_data import outside
from tests.support.series import case

THICK = Scan((5, 1, 1), z_mm=(-60, 95))


def outlined(head: Head) -> tuple[np.ndarray, ...]:
    inside = find_inside(head.hu, head.spacing_mm)
    assert isinstance(inside, Inside)
    found = blood_by_threshold(head.hu, inside.mask_zyx, head.spacing_mm)
    assert not (found & ~inside.mask_zyx).any()
    return tuple(part.mask_zyx for part in blood_parts(found, head.voxel_ml))


def test_a_ball_of_blood_is_found_as_drawn_and_the_swollen_scalp_is_not() -> None:
    ball = blood((35, 10, 30), 20)
    head, without = draw_head(THICK, ball, scalp_swelling), draw_head(THICK, scalp_swelling)
    # More than half of the way from brain to blood.
    truth = head.inside & (head.hu.astype(float) - without.hu > 18)
    parts = outlined(head)
    both = (parts[0] & truth).sum()
    assert 2 * both / (parts[0].sum() + truth.sum()) > 0.93


def test_a_drawn_head_without_blood_has_no_outline() -> None:
    assert outlined(draw_head(THICK)) == ()


def test_calcium_and_what_is_thin_is_no_blood() -> None:
    hu = np.full((8, 60, 60), 30, dtype=np.int16)
    inside = np.ones(hu.shape, dtype=np.bool_)
    hu[2:6, 10:20, 10:20] = 160
    hu[2:6, 30:33, 5:55] = 70
    assert not blood_by_threshold(hu, inside, (5.0, 1.0, 1.0)).any()
    hu[2:6, 40:52, 10:50] = 70
    found = blood_by_threshold(hu, inside, (5.0, 1.0, 1.0))
    assert found[3, 42:50, 14:46].all()
    assert not found[:, :38].any()


@pytest.mark.parametrize("inside", [False, True])
def test_nothing_is_found_in_nothing(inside: bool) -> None:
    hu = np.full((4, 20, 20), 70 if not inside else 30, dtype=np.int16)
    assert not blood_by_threshold(hu, np.full(hu.shape, inside), (5.0, 1.0, 1.0)).any()


def test_it_invents_blood_in_the_real_head_which_has_none_and_so_is_no_default() -> None:
    volume = read_volume(case(outside("head_ct_ge")))
    hu, grid = resample_stack(volume.hu_zyx, volume.stack, (0.5, 0.5, 5.0))
    inside = find_inside(hu, grid.spacing_mm[::-1])
    assert isinstance(inside, Inside)
    parts = blood_parts(blood_by_threshold(hu, inside.mask_zyx, grid.spacing_mm[::-1]), grid.voxel_ml)
    assert 3 < parts[0].volume_ml < 15
