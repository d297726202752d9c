"""Filters written anew have the bits of the slow, obvious ones."""

import warnings

import numpy as np
import pytest
import pywt
import SimpleITK as sitk
from scipy.ndimage import map_coordinates
from scipy.special import sph_harm_y
from scipy.stats import kurtosis
from trimesh.creation import icosphere

from cvtbatch.radiomics.box import cut_box
from cvtbatch.radiomics.feature_set import ImageType
from cvtbatch.radiomics.filters import filter_images
from cvtbatch.radiomics.gaussian import laplacian_of_gaussian
from cvtbatch.radiomics.lbp import pattern_images
from cvtbatch.radiomics.settings import Calculation, Filtering, Preparation
from cvtbatch.radiomics.wavelets import split_bands
from tests.support.parity import preparation


def pair(seed, shape, spacing_mm, blur=False):
    """A volume of integers and a random mask in it."""
    rng = np.random.default_rng(seed)
    hu = rng.integers(-80, 80, shape)
    if blur:
        hu = (hu + np.roll(hu, 1, 0) + np.roll(hu, 1, 1) + np.roll(hu, 1, 2)) // 8
    mask = rng.random(shape) < 0.4
    mask[:2], mask[:, :2] = False, False
    images = sitk.GetImageFromArray(hu.astype(np.int16)), sitk.GetImageFromArray(mask.astype(np.uint8))
    for image in images:
        image.SetSpacing(spacing_mm)
    return images


# Lines that fill no lanes, some, and several, in an odd number of planes; the whole box, and a part of it.
@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((13, 37, 75), (slice(2, 9), slice(3, 30), slice(5, 72))),
        ((13, 37, 75), (slice(2, 9), slice(3, 30), slice(5, 12))),
        ((4, 5, 6), (slice(0, 4), slice(0, 5), slice(0, 6))),
        ((5, 4, 67), (slice(4, 5), slice(0, 1), slice(1, 66))),
    ],
)
@pytest.mark.parametrize("sigma_mm", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("spacing_mm", [(0.5, 0.5, 5.0), (1.0, 0.7, 2.5)])
def test_log_has_the_bits_of_itk(sigma_mm, spacing_mm, shape, wanted):
    values = np.random.default_rng(1).normal(40, 300, shape)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing_mm)
    reference = sitk.LaplacianRecursiveGaussianImageFilter()
    reference.SetNormalizeAcrossScale(True)
    reference.SetSigma(sigma_mm)
    expected = sitk.GetArrayFromImage(reference.Execute(image))
    places = np.flatnonzero(np.random.default_rng(2).random(expected[wanted].size) < 0.9)
    found = laplacian_of_gaussian(values, spacing_mm[::-1], sigma_mm, wanted, places)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected[wanted].take(places))


def test_of_slices_of_5_mm_filters_give_what_the_page_of_values_says():
    planes, mask = np.zeros((21, 61, 61)), np.zeros((21, 61, 61), np.uint8)
    planes[10] = 100
    mask[2:19, 10:51, 10:51] = 1
    ct, roi = sitk.GetImageFromArray(planes), sitk.GetImageFromArray(mask)
    for image in (ct, roi):
        image.SetSpacing((0.5, 0.5, 5.0))
    box = cut_box(ct, roi, Preparation())
    middle = int(np.flatnonzero((np.stack(box.index).T == (10, 30, 30)).all(axis=1))[0])

    def filtered(name, **settings):
        return dict(filter_images(box, ImageType(name, Filtering(**settings), Calculation())))

    log = [values[middle] for values in filtered("LoG", sigma_mm=(1, 2, 3)).values()]
    assert np.round(log).tolist() == [-8, -32, -58]
    assert filtered("Gradient")["gradient"].max() == pytest.approx(10)
    assert pywt.Wavelet(Filtering().wavelet).dec_len == 6
    bands = {name: np.abs(values).max() for name, values in filtered("Wavelet").items()}
    assert [name for name, size in bands.items() if size > 1e-9] == ["wavelet-LLH", "wavelet-LLL"]


def test_gradient_has_the_bits_of_itk_on_the_whole_box():
    ct, mask = pair(2, (9, 14, 15), (0.5, 0.7, 5.0))
    box = cut_box(ct, mask, preparation(pad_distance=2))
    image = sitk.GetImageFromArray(box.values)
    image.SetSpacing(box.spacing_mm[::-1])
    expected = sitk.GetArrayFromImage(sitk.GradientMagnitude(image, True))[box.index]
    gradient = ImageType("Gradient", Filtering(), Calculation())
    np.testing.assert_array_equal(dict(filter_images(box, gradient))["gradient"], expected)


@pytest.mark.parametrize("blur", [False, True])
def test_patterns_equal_scipy(blur):
    box = cut_box(*pair(3, (8, 14, 15), (1.0, 1.0, 1.0), blur), preparation())
    points = np.array(icosphere(1, 1).vertices)
    coordinates = np.array(box.index).T[None] + points[:, None]
    samples = map_coordinates(box.values, coordinates.T, order=3)
    codes = samples >= box.values[box.index][:, None]
    theta, phi = np.arccos(points[:, 2]), np.arctan2(points[:, 1], points[:, 0])
    harmonics = [sph_harm_y(1, m, phi, theta) for m in (-1, 0, 1)]
    spread = sum((codes @ y)[:, None] * y[None] for y in harmonics)
    found = pattern_images(box)
    np.testing.assert_array_equal(found.kurtosis, kurtosis(samples, axis=1))
    np.testing.assert_allclose(found.m1, codes.sum(axis=1) * np.sqrt(42) / (4 * np.pi), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.m2, np.sqrt((spread**2).sum(axis=1)).real, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 9, 75), (3, 31, 3), (1, 17, 30), (12, 2, 8), (5, 40, 1)])
@pytest.mark.parametrize("share", [0.05, 0.9])
def test_patterns_of_thin_images_of_holes_and_at_borders_equal_scipy(shape: tuple[int, int, int], share: float) -> None:
    generator = np.random.default_rng(sum(shape))
    mask = (generator.random(shape) < share).astype(np.uint8)
    mask.reshape(-1)[[0, 1]] = 1
    mask.reshape(-1)[-1] = 0
    values = np.round(generator.normal(40, 9, shape))
    box = cut_box(sitk.GetImageFromArray(values), sitk.GetImageFromArray(mask), preparation())
    coordinates = np.array(box.index).T[None] + np.array(icosphere(1, 1).vertices)[:, None]
    samples = map_coordinates(box.values, coordinates.T, order=3)
    counts = (samples >= box.values[box.index][:, None]).sum(axis=1)
    found = pattern_images(box)
    np.testing.assert_array_equal(found.kurtosis, kurtosis(samples, axis=1))
    np.testing.assert_allclose(found.m1, counts * np.sqrt(42) / (4 * np.pi), rtol=1e-12, atol=1e-12)


def test_kurtosis_of_a_flat_region_is_undefined_where_scipy_says_so():
    ct, mask = pair(4, (8, 12, 12), (1.0, 1.0, 1.0))
    box = cut_box(ct * 0 + 64, mask, preparation())
    coordinates = np.array(box.index).T[None] + np.array(icosphere(1, 1).vertices)[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # precision loss is the point
        expected = kurtosis(map_coordinates(box.values, coordinates.T, order=3), axis=1)
    assert np.isnan(expected).any()
    np.testing.assert_array_equal(pattern_images(box).kurtosis, expected)


@pytest.mark.parametrize(
    ("shape", "own"),
    [
        ((16, 41, 40), Filtering()),
        ((16, 41, 40), Filtering(wavelet="db3", level=2, start_level=0)),
        ((9, 12, 61), Filtering(wavelet="haar", level=1, start_level=2)),
    ],
)
def test_wavelets_have_the_bits_of_the_whole_box(shape: tuple[int, int, int], own: Filtering) -> None:
    """Of an axis that is long enough, only what the ROI sees is transformed."""
    ct, _ = pair(5, shape, (1.0, 1.0, 1.0))
    mask = np.zeros(shape, np.uint8)
    mask[shape[0] // 2 - 1 :, shape[1] // 2 - 2 :, shape[2] // 2 - 3 :][:2, :4, :5] = 1
    box = cut_box(ct, sitk.GetImageFromArray(mask), Preparation())
    image_type = ImageType("Wavelet", own, Calculation())
    values = np.pad(box.values, [(0, size % 2) for size in shape], "wrap")
    expected = {}
    for level in range(own.start_level + own.level):
        bands = pywt.swtn(values, own.wavelet, level=1, axes=(2, 1, 0))[0]
        values = bands["aaa"]
        number = level - own.start_level + 1
        prefix = "wavelet" if number < 2 else f"wavelet{number}"
        kept = {name: band for name, band in bands.items() if level >= own.start_level}
        expected |= {f"{prefix}-{name.replace('a', 'L').replace('d', 'H')}": band for name, band in kept.items()}
    found = dict(filter_images(box, image_type))
    approximations = {name for name in expected if name.endswith("LLL")}
    assert len(found) == len(expected) - len(approximations) + 1
    for name, image in found.items():
        np.testing.assert_array_equal(image, expected[name][box.index])


@pytest.mark.parametrize("pixel_type", [np.float32, np.float64])
@pytest.mark.parametrize("wavelet", ["coif1", "db4", "db20", "bior2.2"])
def test_bands_have_the_bits_of_pywavelets(wavelet: str, pixel_type: type[np.floating]) -> None:
    """In every part of an image, where a line goes on at its other end too, once or several times."""
    for axes, shape in (((2, 1, 0), (4, 10, 8)), ((2, 1), (5, 14, 12)), ((1, 0), (2, 22, 3)), ((2,), (2, 3, 78))):
        values = (np.random.default_rng(6).normal(size=shape) * 100).astype(pixel_type)
        expected = pywt.swtn(values, wavelet, level=1, axes=axes)[0]
        for first, last in ((0, 0), (1, 0), (0, 1)):
            wanted = tuple(slice(first, size - last) for size in shape)
            bands = dict(split_bands(values, pywt.Wavelet(wavelet), axes, wanted))
            assert set(bands) == set(expected)
            for name, band in bands.items():
                assert band.dtype == pixel_type
                np.testing.assert_array_equal(band, expected[name][wanted])
