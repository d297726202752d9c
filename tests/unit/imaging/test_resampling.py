"""Resampling against SimpleITK's sitkBSpline in float, and against SciPy's make_interp_spline for uneven slices."""

import tracemalloc

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.interpolate import make_interp_spline

from cvtbatch.errors import InputError
from cvtbatch.geometry import SliceStack
from cvtbatch.imaging import resample_stack, resample_volume, resampling
from cvtbatch.imaging.resampling import stack_of

SPACING = (0.5, 0.5, 5.0)


def head(size=(48, 40, 12), spacing=(0.9, 0.8, 2.5), direction=None, seed=0) -> sitk.Image:
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(size[::-1])
    hu = 40 + 30 * np.sin(x / 5) * np.cos(y / 7) + 10 * np.sin(z / 2) + rng.normal(0, 20, size[::-1])
    image = sitk.GetImageFromArray(np.rint(hu).astype(np.int16))
    image.SetSpacing(spacing)
    image.SetOrigin((-20.0, 13.0, 7.5))
    if direction is not None:
        image.SetDirection(direction)
    return image


def itk_float(image: sitk.Image, spacing=SPACING, method=sitk.sitkBSpline, outside=-1024.0) -> np.ndarray:
    size = [int(np.ceil(n * s / t)) for n, s, t in zip(image.GetSize(), image.GetSpacing(), spacing, strict=True)]
    cast = sitk.Cast(image, sitk.sitkFloat64)
    out = sitk.Resample(cast, size, sitk.Transform(), method, image.GetOrigin(), spacing, image.GetDirection(), outside)
    return sitk.GetArrayFromImage(out)


OBLIQUE = tuple(np.linalg.qr(np.array([[1, 0.1, 0.2], [-0.1, 1, 0.1], [-0.2, -0.1, 1]]))[0].ravel())
LEFT_HANDED = (1.0, 0, 0, 0, 1.0, 0, 0, 0, -1.0)


@pytest.mark.parametrize("direction", [None, OBLIQUE, LEFT_HANDED], ids=["axial", "oblique", "left-handed"])
@pytest.mark.parametrize("spacing", [(0.9, 0.8, 2.5), (0.45, 0.5, 5.0), (0.5, 0.5, 2.0), (0.7, 0.7, 7.0)])
def test_equals_itk_in_float(spacing, direction) -> None:
    image = head(spacing=spacing, direction=direction)
    ours = resample_volume(sitk.Cast(image, sitk.sitkFloat32))
    expected = itk_float(image)
    assert ours.GetSize() == expected.shape[::-1]
    assert (ours.GetOrigin(), ours.GetSpacing()) == (image.GetOrigin(), SPACING)
    assert np.allclose(ours.GetDirection(), image.GetDirection(), atol=1e-12)
    assert np.abs(sitk.GetArrayFromImage(ours) - expected).max() <= 0.01


@pytest.mark.parametrize("slices", [3, 4, 30])  # of two, ITK reads coefficients that are not there
@pytest.mark.parametrize("gap", [2.2, 3.0, 7.3])
def test_few_slices_and_every_gap_equal_itk(slices: int, gap: float) -> None:
    image = head(size=(40, 33, slices), spacing=(0.46, 0.52, gap), seed=slices)
    ours = sitk.GetArrayFromImage(resample_volume(sitk.Cast(image, sitk.sitkFloat32)))
    assert np.abs(ours - itk_float(image)).max() <= 0.01


def test_bone_beside_air_equals_itk() -> None:
    """The largest steps that a head has, in noise; float32 sums lose the most here."""
    rng = np.random.default_rng(3)
    hu = np.where(rng.random((16, 96, 80)) < 0.5, -1024, 3071).astype(np.int16)
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((0.43, 0.45, 3.0))
    expected = itk_float(image)
    assert np.abs(sitk.GetArrayFromImage(resample_volume(sitk.Cast(image, sitk.sitkFloat32))) - expected).max() <= 0.01
    rounded = np.clip(np.rint(expected), -32768, 32767)
    assert (sitk.GetArrayFromImage(resample_volume(image)) == rounded).mean() >= 0.999


def test_integers_are_rounded_half_to_even_not_truncated() -> None:
    image = head()
    ours = sitk.GetArrayFromImage(resample_volume(image))
    assert ours.dtype == np.int16
    assert (ours == np.rint(itk_float(image))).mean() >= 0.999


def test_stored_volume_of_a_regular_stack_equals_itk() -> None:
    image = head()
    hu, grid = resample_stack(sitk.GetArrayFromImage(image), stack_of(image), SPACING)
    assert grid.size_xyz == itk_float(image).shape[::-1]
    assert (hu == np.clip(np.rint(itk_float(image)), -1024, 32767)).mean() >= 0.999


def test_last_slices_past_the_source_are_air() -> None:
    image = head(spacing=(0.5, 0.5, 2.0), size=(16, 16, 3))
    hu, grid = resample_stack(sitk.GetArrayFromImage(image), stack_of(image), SPACING)
    assert grid.size_xyz[2] == 2
    assert (hu[1] == -1024).all()  # 5 mm is half a voxel past the last centre, at 4 mm: outside, as in ITK
    assert (itk_float(image)[1] == -1024).all()


def test_uneven_slices_follow_the_spline_through_their_true_positions() -> None:
    gaps = [4.0] * 6 + [1.08] + [7.0] * 6
    depths = np.concatenate([[0.0], np.cumsum(gaps)])
    positions = tuple((0.0, 0.0, float(depth)) for depth in depths)
    stack = SliceStack(12, 10, (0.5, 0.5), (1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), positions)
    hu = np.random.default_rng(1).integers(-100, 100, (14, 10, 12)).astype(np.int16)
    stored, grid = resample_stack(hu, stack, SPACING)
    expected = make_interp_spline(depths, hu.astype(np.float64), k=3)
    inside = np.arange(grid.size_xyz[2]) * 5.0 <= depths[-1]
    assert inside.sum() >= 13
    assert np.abs(stored[inside] - expected(np.arange(grid.size_xyz[2])[inside] * 5.0)).max() <= 0.51


@pytest.mark.parametrize("slope", [np.tan(np.radians(18.5)), -0.2])
def test_tilted_slices_land_at_their_true_places(slope: float) -> None:
    """A linear ramp in space is the same ramp after resampling, wherever four slices cover it."""
    depths = np.arange(20) * 2.5
    positions = tuple((0.0, float(depth * slope), float(depth)) for depth in depths)
    stack = SliceStack(30, 60, (0.8, 0.8), (1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), positions)
    rows = np.arange(60) * 0.8
    y = rows[None, :, None] + (depths * slope)[:, None, None]
    hu = np.broadcast_to(3 * y + depths[:, None, None], (20, 60, 30)).astype(np.float32)
    stored, grid = resample_stack(hu, stack, SPACING)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.size_xyz), indexing="ij"), axis=-1).reshape(-1, 3)
    point = grid.to_point(index.astype(float)).reshape(*grid.size_xyz, 3).transpose(2, 1, 0, 3)
    expected = 3 * point[..., 1] + point[..., 2]
    middle = (point[..., 1] > 20) & (point[..., 1] < 35) & (point[..., 2] > 6) & (point[..., 2] < 42)
    middle &= (point[..., 0] > 4) & (point[..., 0] < 20)
    assert middle.sum() > 1000
    assert np.abs(stored - expected)[middle].max() <= 0.75


def test_tilted_slices_equal_itk_slice_by_slice() -> None:
    """Stored slices that lie on source slices hold ITK's in-plane spline of each, moved to its true place."""
    image = head(size=(50, 60, 9), spacing=(0.8, 0.7, 2.5))
    hu = sitk.GetArrayFromImage(image)
    shifts = np.arange(9) * 0.83
    positions = tuple((0.0, float(shift), k * 2.5) for k, shift in enumerate(shifts))
    stack = SliceStack(50, 60, (0.8, 0.7), (1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), positions)
    stored, grid = resample_stack(hu, stack, SPACING)
    for k in range(4):
        plane = sitk.GetImageFromArray(hu[2 * k].astype(np.float64))
        plane.SetSpacing((0.8, 0.7))
        plane.SetOrigin((0.0, float(shifts[2 * k])))
        frame = (grid.size_xyz[:2], sitk.Transform(2, sitk.sitkIdentity), sitk.sitkBSpline, (0.0, 0.0), (0.5, 0.5))
        expected = sitk.GetArrayFromImage(sitk.Resample(plane, *frame, (1.0, 0.0, 0.0, 1.0), -1024.0))
        assert (stored[k] == np.clip(np.rint(expected), -1024, 32767)).mean() >= 0.999


@pytest.mark.parametrize("gap", [2.5, 9.0])
@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_memory_stays_below_three_float_volumes(gap: float, slope: float) -> None:
    hu = np.random.default_rng(0).integers(-100, 100, (24, 128, 128)).astype(np.int16)
    positions = tuple((0.0, k * gap * slope, k * gap) for k in range(24))
    stack = SliceStack(128, 128, (0.5, 0.5), (1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), positions)
    # What is loaded and compiled once is there before anything is measured.
    resample_stack(hu, stack, SPACING)
    tracemalloc.start()
    try:
        stored, _ = resample_stack(hu, stack, SPACING)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= 3 * 4 * max(hu.size, stored.size)


@pytest.mark.parametrize(
    ("method", "itk", "outside"), [("linear", sitk.sitkLinear, -1024), ("nearest", sitk.sitkNearestNeighbor, 0)]
)
def test_other_interpolators_are_itks(method, itk, outside) -> None:
    image = head()
    ours = sitk.GetArrayFromImage(resample_volume(image, interpolator=method))
    assert np.array_equal(ours, np.rint(itk_float(image, method=itk, outside=outside)).astype(np.int16))


def test_what_is_no_volume_of_scalars_is_refused() -> None:
    with pytest.raises(InputError) as raised:
        resample_volume(sitk.Image(4, 4, sitk.sitkInt16))
    assert raised.value.kind == "not_a_volume"


@pytest.mark.parametrize("slope", [0.0, 0.3])
@pytest.mark.parametrize("uneven", [1.0, 1.7])
def test_thin_slices_from_windows_equal_those_from_the_whole(
    slope: float, uneven: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    gaps = np.where(np.arange(159) < 60, 0.625 * uneven, 0.625)
    places = np.concatenate([[0.0], np.cumsum(gaps)])
    positions = tuple((0.0, float(slope * place), float(place)) for place in places)
    stack = SliceStack(18, 16, (0.6, 0.5), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), positions)
    hu = np.random.default_rng(0).integers(-1000, 2000, (160, 16, 18)).astype(np.int16)
    for spacing in (SPACING, (0.5, 0.5, 0.5)):
        windows, _ = resample_stack(hu, stack, spacing)
        with monkeypatch.context() as patched:
            patched.setattr(resampling, "_PLANES_AT_ONCE", 10_000)
            assert np.array_equal(resample_stack(hu, stack, spacing)[0], windows)
