"""Geometry and image quality of scanners."""

import dataclasses

import numpy as np
import pytest

from cvtbatch.synthesis.scanner import Scanner

TILTED = Scanner(
    columns=64,
    rows=48,
    slices=10,
    pixel_mm=2.0,
    gap_mm=6.0,
    tilt_deg=15.0,
    center_mm=(1.0, 2.0, 3.0),
    noise_hu=4.0,
    kernel_mm=1.5,
    offset_hu=0.0,
)


@pytest.mark.parametrize("tilt", [0.0, 15.0, -15.0])
def test_slices_are_a_gap_apart_and_sheared_by_its_tangent(tilt):
    scanner = dataclasses.replace(TILTED, tilt_deg=tilt)
    down = np.array(scanner.column_direction)
    normal = np.cross((1, 0, 0), down)
    assert np.linalg.norm(down) == pytest.approx(1)
    assert normal @ scanner.slice_step_mm == pytest.approx(6.0)
    assert down @ scanner.slice_step_mm == pytest.approx(-6.0 * np.tan(np.radians(tilt)))


def test_rows_follow_origin_and_directions_and_are_centred():
    first, last = TILTED.slice_rows(0), TILTED.slice_rows(9)
    np.testing.assert_allclose([first.x_mm[0], first.y_mm[0], first.z_mm[0]], TILTED.origin_mm, rtol=1e-5)
    middle = [
        (a + b) / 2
        for a, b in ((first.x_mm[0], last.x_mm[-1]), (first.y_mm[0], last.y_mm[-1]), (first.z_mm[0], last.z_mm[-1]))
    ]
    np.testing.assert_allclose(middle, TILTED.center_mm, atol=1e-4)
    step = np.array([0, first.y_mm[1] - first.y_mm[0], first.z_mm[1] - first.z_mm[0]])
    np.testing.assert_allclose(step, 2.0 * np.array(TILTED.column_direction), atol=1e-4)


def test_profile_samples_a_whole_slice_along_its_normal():
    offsets = TILTED.profile_offsets_mm()
    assert sum(offsets) == pytest.approx(0)
    assert len(offsets) == 2
    moved, still = TILTED.slice_rows(4, offsets[1]), TILTED.slice_rows(4)
    shift = np.array([0, moved.y_mm[0] - still.y_mm[0], moved.z_mm[0] - still.z_mm[0]])
    np.testing.assert_allclose(shift, offsets[1] * np.cross((1, 0, 0), TILTED.column_direction), atol=1e-4)


@pytest.mark.parametrize("kernel", [0.0, 1.5, 4.0])
def test_noise_has_the_stated_deviation_whatever_the_kernel(kernel):
    scanner = dataclasses.replace(TILTED, columns=300, rows=300, kernel_mm=kernel)
    noise = scanner.noise(np.random.default_rng(1))
    assert noise.std() == pytest.approx(4.0, rel=0.03)
    assert abs(noise.mean()) < 0.2


@pytest.mark.parametrize("bad", [{"rows": 1}, {"gap_mm": 0.0}, {"tilt_deg": 50.0}, {"noise_hu": -1.0}])
def test_impossible_scanners_are_refused(bad):
    with pytest.raises(ValueError, match=r"scanner|tilt"):
        dataclasses.replace(TILTED, **bad)
