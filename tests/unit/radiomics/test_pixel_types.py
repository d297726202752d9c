"""Values are those of the image with its own pixel type, held to PyRadiomics itself, or those of float64, which the store's are."""

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch.radiomics.box import cut_box
from cvtbatch.radiomics.fast import compute_features
from cvtbatch.radiomics.feature_set import FeatureSet
from cvtbatch.radiomics.parameter_file import check_parameters
from cvtbatch.radiomics.reference import stock_features
from tests.support.archives import tiny_head
from tests.support.parity import broken_values, skip_without_pyradiomics

TYPES = {
    "int16": sitk.sitkInt16,
    "uint16": sitk.sitkUInt16,
    "float32": sitk.sitkFloat32,
    "float64": sitk.sitkFloat64,
}
# Each alone depends on the type: what comes out of the interpolator, thresholds, bins, wavelets, samples of LBP-3D.
FILES = {
    "resampled": {"setting": {"resampledPixelSpacing": [1.5, 1.5, 4], "binWidth": 3}},
    "linear": {"setting": {"resampledPixelSpacing": [0.8, 1.1, 0], "interpolator": "sitkLinear", "binWidth": 3}},
    "sigma": {"setting": {"resegmentRange": [-1.1, 1.3], "resegmentMode": "sigma"}},
    "relative": {"setting": {"resegmentRange": [0.9, 0.99], "resegmentMode": "relative", "binCount": 7}},
    "wavelet": {"imageType": {"Wavelet": {"wavelet": "coif1", "level": 2, "binWidth": 1.3}}},
    "lbp": {"imageType": {"LBP3D": {"binWidth": 0.5}}},
    "normalised": {
        "imageType": {"Original": {}, "LoG": {"sigma": [2]}, "LBP3D": {}},
        "setting": {"normalize": True, "normalizeScale": 31.7, "resampledPixelSpacing": [1.5, 1.5, 4], "binWidth": 2},
    },
    "filters": {
        "imageType": {
            name: {"binWidth": 2.7} for name in ("Square", "SquareRoot", "Logarithm", "Exponential", "Gradient")
        },
        "setting": {"preCrop": True},
    },
}


def image_of(pixel_type: str) -> tuple[sitk.Image, sitk.Image]:
    """A head whose voxels fill the type: from 0 on without a sign, with fractions where there are any."""
    ct, mask = tiny_head(3)
    hu = sitk.GetArrayFromImage(ct).astype(np.float64)
    if pixel_type == "uint16":
        hu -= hu.min()
    if pixel_type.startswith("float"):
        hu += np.random.default_rng(4).normal(0, 0.3, hu.shape)
    image = sitk.Cast(sitk.GetImageFromArray(hu), TYPES[pixel_type])
    image.CopyInformation(ct)
    return image, mask


def set_of(name: str) -> FeatureSet:
    classes = {"shape": ["MeshVolume"], "firstorder": None, "glcm": ["Contrast", "Imc1"], "glszm": ["ZoneEntropy"]}
    found = check_parameters({"featureClass": classes, **FILES[name]})
    assert found.feature_set is not None
    return found.feature_set


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("pixel_type", TYPES)
def test_values_are_those_of_the_image_as_given(pixel_type: str, name: str) -> None:
    skip_without_pyradiomics()
    ct, mask = image_of(pixel_type)
    fast = compute_features(ct, mask, set_of(name), as_given=True).values
    assert broken_values(fast, stock_features(ct, mask, set_of(name), as_given=True)) == []


@pytest.mark.parametrize(
    ("name", "pixel_type"),
    [("resampled", "int16"), ("linear", "uint16"), ("lbp", "int16"), ("lbp", "uint16"), ("wavelet", "float32")],
)
def test_the_type_is_seen(name: str, pixel_type: str) -> None:
    """Otherwise the test above would hold without it."""
    ct, mask = image_of(pixel_type)
    as_given, as_float64 = (compute_features(ct, mask, set_of(name), as_given=own).values for own in (True, False))
    assert broken_values(as_given, as_float64)
    cast = sitk.Cast(ct, sitk.sitkFloat64)
    assert as_float64 == pytest.approx(compute_features(cast, mask, set_of(name), as_given=True).values, rel=0, abs=0)


def test_a_resampled_image_keeps_its_type() -> None:
    ct, mask = image_of("int16")
    given, as_float64 = (cut_box(ct, mask, set_of("resampled").preparation, as_given=own) for own in (True, False))
    assert (given.pixel_type, as_float64.pixel_type) == (np.int16, np.float64)
    np.testing.assert_array_equal(given.values, np.trunc(as_float64.values))
