"""What no set can have, and ROIs that a set cannot be computed of: the error names the key, the value and the limit."""

from pathlib import Path

import pytest
import SimpleITK as sitk
import yaml

from cvtbatch.errors import InputError
from cvtbatch.radiomics import extract_features, fast
from cvtbatch.radiomics.feature_set import FeatureSet
from cvtbatch.radiomics.parameter_file import check_parameters
from cvtbatch.radiomics.reference import stock_features
from cvtbatch.radiomics.settings import Calculation, Filtering, Preparation
from tests.support.archives import tiny_head
from tests.support.parity import broken_values, skip_without_pyradiomics

LINE = {"force2D": True, "minimumROIDimensions": 1}


@pytest.mark.parametrize(
    ("content", "key", "reason"),
    [
        ({"imageType": {"LoG": {"sigma": []}}}, "imageType.LoG", "sigma is missing"),
        ({"imageType": {"LoG": {}}, "setting": {"sigma": [2.5, 2.5]}}, "imageType.LoG.sigma", "lists 2.5 twice"),
        ({"featureClass": {"glcm": ["Id", "Id"]}}, "featureClass.glcm.Id", "is listed twice"),
        ({"setting": {"binCount": 0}}, "setting.binCount", "0 is out of range (limit: above 0)"),
    ],
)
def test_a_set_that_there_cannot_be_is_refused_with_its_key(content: dict, key: str, reason: str) -> None:
    [found] = [one for one in check_parameters(content).verdicts if one.outcome != "accepted"]
    assert (found.key, found.outcome) == (key, "refused")
    assert reason in found.reason


def test_a_set_of_no_features_is_none() -> None:
    with pytest.raises(InputError, match="the set has no features") as raised:
        FeatureSet(Preparation(), Filtering(), Calculation(), (), ())
    assert raised.value.kind == "bad_feature_set"


def roi(place: str) -> tuple[sitk.Image, sitk.Image]:
    ct, mask = tiny_head(3)
    if place == "ball":
        return ct, mask
    line = mask * 0
    line[(slice(30, 36), 32, 6) if place == "line in a plane" else (30, 32, slice(3, 9))] = 1
    return ct, line


@pytest.mark.parametrize(
    ("setting", "place", "kind", "told"),
    [
        ({"label": 3}, "ball", "label_absent", "label 3 is absent from the mask; it holds 1"),
        ({"minimumROISize": 9999}, "ball", "roi_too_small", "(limit: more than 9999, minimumROISize)"),
        ({"resegmentRange": [500]}, "ball", "roi_too_small", "resegmentRange (500) leaves 0 of 605 voxels"),
        ({"force2D": True}, "line in a plane", "roi_too_thin", "along 1 axis (limit 2, minimumROIDimensions)"),
        (LINE, "line across", "roi_too_thin", "none of them neighbours at distances [1] in planes across axis 0 (force2D)"),
        ({**LINE, "distances": [7]}, "line in a plane", "roi_too_thin", "none of them neighbours at distances [7]"),
    ],
)  # fmt: skip
def test_an_roi_that_a_set_does_not_fit_is_refused_with_key_and_limit(
    tmp_path: Path, setting: dict, place: str, kind: str, told: str
) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump({"setting": setting, "featureClass": {"glcm": []}}))
    with pytest.raises(InputError) as raised:
        extract_features(*roi(place), params=file)
    assert raised.value.kind == kind
    assert told in raised.value.message


@pytest.mark.parametrize("levels", [2, 3])
def test_a_sigma_larger_than_the_box_is_refused_before_any_work(
    tmp_path: Path, levels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By either engine: PyRadiomics, which computes three levels of LBP-3D, would leave the image out."""
    file = tmp_path / "params.yaml"
    image_types = {"LBP3D": {"lbp3DLevels": levels}, "LoG": {"sigma": [1, 80]}}
    content = {"imageType": image_types, "featureClass": {"shape": [], "firstorder": []}, "setting": {"preCrop": True}}
    file.write_text(yaml.safe_dump(content))
    monkeypatch.setattr(fast, "shape_features", lambda _: pytest.fail("it worked before it looked"))
    with pytest.raises(InputError, match="LoG of sigma 80 mm needs 81 x 81 x 17") as raised:
        extract_features(*roi("ball"), params=file)
    assert raised.value.kind == "box_too_thin"


@pytest.mark.parametrize("pixel_type", [sitk.sitkInt16, sitk.sitkFloat32])
def test_a_flat_roi_has_pyradiomics_values_by_bin_count(pixel_type: int) -> None:
    skip_without_pyradiomics()
    ct, mask = roi("ball")
    flat = sitk.Cast(ct * 0 + 40, pixel_type)
    feature_set = check_parameters({"setting": {"binCount": 16}}).feature_set
    assert feature_set is not None
    values = fast.compute_features(flat, mask, feature_set, as_given=True).values
    assert broken_values(values, stock_features(flat, mask, feature_set, as_given=True)) == []
