import json
from pathlib import Path

import pytest
import yaml

from cvtbatch import contracts
from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.radiomics import PROFILES, Profile, load_profile
from cvtbatch.radiomics.profiles import FEATURE_CLASSES, GLCM, profile_of
from cvtbatch.spec import canonical_json


def parameters(path: Path, **sections: object) -> str:
    path.write_text(yaml.safe_dump(sections))
    return str(path)


def test_the_two_profiles_differ_where_the_design_says() -> None:
    cvt, onekey = (PROFILES[name].to_pyradiomics() for name in ("cvt-1834", "onekey-1834"))
    assert {name for name in cvt if cvt[name] != onekey[name]} == {"normalize", "normalizeScale", "voxelArrayShift"}
    assert (cvt["binWidth"], cvt["preCrop"], cvt["padDistance"]) == (5.0, True, 10)
    assert (onekey["normalizeScale"], onekey["voxelArrayShift"]) == (1000.0, 1000)


@pytest.mark.parametrize("profile", [*PROFILES.values(), Profile(bin_width=2.5, pre_crop=False, minimum_roi_size=9)])
def test_a_specification_tells_its_profile(profile: Profile) -> None:
    assert profile_of(json.loads(canonical_json(profile.to_pyradiomics()))) == profile
    with pytest.raises(ProblemsError, match="binWidth"):
        profile_of({**profile.to_pyradiomics(), "binWidth": "wide"})


def test_a_parameter_file_may_change_settings(tmp_path: Path) -> None:
    name = parameters(tmp_path / "p.yaml", setting={"binWidth": 25, "preCrop": True, "padDistance": 10, "label": 1})
    assert load_profile(name) == Profile(bin_width=25.0)


def test_what_a_parameter_file_leaves_out_is_pyradiomics_default(tmp_path: Path) -> None:
    profile = load_profile(parameters(tmp_path / "p.yaml", setting={}))
    assert (profile.bin_width, profile.pre_crop, profile.pad_distance) == (25.0, False, 5)


def test_a_full_parameter_file_of_the_study_is_accepted(tmp_path: Path) -> None:
    image_types = {
        name: {}
        for name in ("Original", "Wavelet", "Square", "SquareRoot", "Logarithm", "Exponential", "Gradient", "LBP3D")
    }
    image_types["LoG"] = {"sigma": [1.0, 2.0, 3.0]}
    classes = dict.fromkeys(FEATURE_CLASSES) | {"glcm": list(GLCM)}
    name = parameters(tmp_path / "p.yaml", setting={"binWidth": 5}, imageType=image_types, featureClass=classes)
    assert load_profile(name).bin_width == 5.0


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        (
            {"setting": {"resampledPixelSpacing": [1, 1, 1]}},
            "setting resampledPixelSpacing = [1, 1, 1] is not supported",
        ),
        ({"setting": {"binCount": 32}}, "setting binCount is not supported"),
        ({"setting": {"force2D": True}}, "setting force2D = True is not supported; it is False here"),
        ({"setting": {"nonsense": 1}}, "setting nonsense is not supported"),
        ({"setting": {"binWidth": -5}}, "radiomics setting binWidth = -5.0 is out of range"),
        ({"setting": {"binWidth": "wide"}}, "setting binWidth = 'wide' is of the wrong type"),
        ({"setting": {"padDistance": 2.5}}, "setting padDistance = 2.5 is no whole number"),
        ({"imageType": {"Original": {}}}, "image type LoG is missing"),
        ({"featureClass": {"glcm": None}}, "feature class glcm: all features would include MCC and SumAverage"),
        (
            {"featureClass": {"shape2D": None}},
            f"feature class shape2D is not among the {len(contracts.feature_names()):,}",
        ),
        ({"setting": {"binWidth": float("inf")}}, "binWidth = inf is out of range"),
        ({"setting": {"padDistance": float("inf")}}, "setting padDistance = inf is no whole number"),
        ({"setting": {"weightingNorm": "no_weighting"}}, "setting weightingNorm = 'no_weighting' is not supported"),
        ({"setting": []}, "section 'setting' is no mapping"),
        ({"imageType": {"Original": 5}}, "image type Original: 5 is no mapping"),
        ({"featureClass": {"glcm": 5}}, "feature class glcm: 5 is no list"),
        ({"voxelSetting": {}}, "section 'voxelSetting' is not supported"),
    ],
)
def test_unsupported_settings_are_named(tmp_path: Path, sections: dict[str, object], said: str) -> None:
    with pytest.raises(ProblemsError) as raised:
        load_profile(parameters(tmp_path / "p.yaml", **sections))
    assert said in str(raised.value)


def test_no_such_profile(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file; it is cvt-1834 or onekey-1834, or the path of"):
        load_profile(str(tmp_path / "absent.yaml"))
    (tmp_path / "p.yaml").write_text("a: [")
    with pytest.raises(InputError, match="not YAML"):
        load_profile(str(tmp_path / "p.yaml"))
