"""Voxels resampled near the ROI have the bits of PyRadiomics', which resamples with the whole volume behind them."""

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.radiomics.box import cut_box
from cvtbatch.radiomics.bspline import decompose, interpolate
from cvtbatch.radiomics.normalisation import normalise
from cvtbatch.radiomics.resampling import MARGIN
from cvtbatch.radiomics.settings import INTERPOLATORS, Preparation
from tests.support.parity import skip_without_pyradiomics

SPACING_MM = (0.48828125, 0.51, 2.5)


def head(shape: tuple[int, int, int] = (9, 260, 270)) -> tuple[sitk.Image, sitk.Image]:
    """A volume wider than the margin on both sides of its ROI, in the plane."""
    hu = np.random.default_rng(0).integers(-1000, 1000, shape).astype(np.int16)
    mask = np.zeros(shape, np.uint8)
    mask[shape[0] // 2 - 1 : shape[0] // 2 + 1, 110:120, 130:141] = 1
    images = sitk.GetImageFromArray(hu), sitk.GetImageFromArray(mask)
    for image in images:
        image.SetSpacing(SPACING_MM)
        image.SetOrigin((-123.4, 61.7, 1004.25))
        image.SetDirection((1, 0, 0, 0, 0.96, -0.28, 0, 0.28, 0.96))
    return images


@pytest.mark.parametrize(
    ("interpolator", "spacing_mm", "slices"),
    [
        *((name, (1.0, 0.8, 2.0), 9) for name in INTERPOLATORS),
        ("sitkBSpline", (0.97656250, 1.02, 0.0), 9),
        ("sitkBSpline", (0.0, 0.4, 5.0), 9),
        ("sitkBSpline", (1.0, 1.0, 1.0), 3),
    ],
)
def test_bits_are_pyradiomics(interpolator: str, spacing_mm: tuple[float, float, float], slices: int) -> None:
    skip_without_pyradiomics()
    from radiomics import imageoperations

    ct, mask = head((slices, 260, 270))
    settings = {"resampledPixelSpacing": list(spacing_mm), "interpolator": interpolator, "padDistance": 4}
    image, roi = imageoperations.resampleImage(
        sitk.Cast(ct, sitk.sitkFloat64), sitk.Cast(mask, sitk.sitkUInt32), **settings
    )
    preparation = Preparation(resampled_spacing_mm=spacing_mm, interpolator=interpolator, pad_distance=4)
    box = cut_box(ct, mask, preparation)
    np.testing.assert_array_equal(box.values, sitk.GetArrayFromImage(image))
    np.testing.assert_array_equal(np.stack(box.index), np.stack(np.where(sitk.GetArrayFromImage(roi) == 1)))
    assert box.spacing_mm == image.GetSpacing()[::-1]
    assert 130 - MARGIN > 0, "nothing is cut off: the volume is too small for this test"


def test_a_grid_of_the_same_spacing_is_cropped_alone() -> None:
    ct, mask = head()
    same = cut_box(ct, mask, Preparation(resampled_spacing_mm=SPACING_MM, pad_distance=4))
    cropped = cut_box(ct, mask, Preparation(pre_crop=True, pad_distance=4))
    np.testing.assert_array_equal(same.values, cropped.values)
    assert same.lower == cropped.lower == (3, 4, 4)


def test_what_itk_cannot_resample_is_refused() -> None:
    ct, mask = head((2, 260, 270))
    with pytest.raises(InputError, match="270 x 260 x 2 voxels; sitkBSpline needs 1, or 3 or more") as raised:
        cut_box(ct, mask, Preparation(resampled_spacing_mm=(1.0, 1.0, 1.0)))
    assert raised.value.kind == "box_too_thin"
    holes = sitk.GetImageFromArray(np.where(sitk.GetArrayViewFromImage(head()[0]) > 998, np.nan, 0.0))
    holes.CopyInformation(head()[0])
    with pytest.raises(InputError, match="not finite"):
        cut_box(holes, head()[1], Preparation(resampled_spacing_mm=(1.0, 1.0, 1.0)))


@pytest.mark.parametrize("pixel_type", [np.int16, np.uint8, np.uint16, np.int32, np.float64])
def test_a_normalised_volume_has_itks_bits(pixel_type: type) -> None:
    """Sums of small whole numbers are exact in any order; those of others are ITK's own."""
    rng = np.random.default_rng(4)
    values = np.clip(np.round(rng.normal(60, 40, (9, 21, 30)) * 1.1), 0, 255).astype(pixel_type)
    ct = sitk.GetImageFromArray(values)
    found = normalise(ct, values[2:5, 3:9].astype(np.float64), Preparation(normalize=True, normalize_scale=100.0))
    stock = sitk.GetArrayFromImage(sitk.Normalize(ct))[2:5, 3:9] * 100.0
    np.testing.assert_array_equal(found, stock)


def test_a_flat_volume_cannot_be_normalised() -> None:
    ct = sitk.GetImageFromArray(np.full((9, 21, 30), 77, np.int16))
    with pytest.raises(InputError, match="one value"):
        normalise(ct, np.zeros((1, 1, 1)), Preparation(normalize=True))


@pytest.mark.parametrize("seed", range(6))
def test_splines_have_itks_bits_anywhere(seed: int) -> None:
    """Turned volumes, single slices, short axes, new voxels on old ones, and outside."""
    rng = np.random.default_rng(seed)
    shape = [(9, 40, 50), (1, 19, 17), (3, 18, 60), (20, 3, 19), (12, 13, 14), (30, 31, 1)][seed]
    old = sitk.GetImageFromArray(np.round(rng.normal(0, 1000, shape)))
    old.SetSpacing((0.48828125, 0.7, 5.0) if seed % 2 else (0.5, 0.5, 2.5))
    old.SetOrigin(rng.uniform(-500, 500, 3).tolist())
    old.SetDirection(sitk.VersorTransform(rng.normal(size=3).tolist(), 0.7 * (seed % 3)).GetMatrix())
    new_mm, size = np.array([[1.0, 0.5, 2.5], [0.7, 3.0, 1.0]][seed % 2]), [17, 23, 9]
    origin_mm = old.TransformContinuousIndexToPhysicalPoint((-0.5 * (seed % 2), 0.0, 0.0))
    resample = sitk.ResampleImageFilter()
    resample.SetOutputSpacing(new_mm.tolist())
    resample.SetOutputOrigin(origin_mm)
    resample.SetOutputDirection(old.GetDirection())
    resample.SetSize(size)
    resample.SetInterpolator(sitk.sitkBSplineResampler)
    coefficients = sitk.BSplineDecomposition(old)
    np.testing.assert_array_equal(decompose(sitk.GetArrayFromImage(old)), sitk.GetArrayFromImage(coefficients))
    found = interpolate(sitk.GetArrayFromImage(coefficients), np.zeros(3, np.int64), old, origin_mm, new_mm, size)
    np.testing.assert_array_equal(found, sitk.GetArrayFromImage(resample.Execute(coefficients)))
