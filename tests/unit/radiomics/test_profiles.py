import json
from pathlib import Path

import pytest
import yaml

from cvtbatch import contracts
from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.radiomics import PROFILES, FeatureSet, load_profile, profile_of, study_settings
from cvtbatch.spec import canonical_json
from tests.support.parity import study_set

STUDY_CLASSES = ("firstorder", "gldm", "glrlm", "glszm", "ngtdm", "shape")
WHOSE = f"the {len(contracts.feature_names()):,}"
GLCM = PROFILES["cvt-1834"].features("glcm")


def parameters(path: Path, **sections: object) -> str:
    path.write_text(yaml.safe_dump(sections))
    return str(path)


def test_the_two_profiles_differ_where_the_design_says() -> None:
    cvt, onekey = (study_settings(PROFILES[name]) for name in ("cvt-1834", "onekey-1834"))
    assert {name for name in cvt if cvt[name] != onekey[name]} == {"normalize", "normalizeScale", "voxelArrayShift"}
    assert (cvt["binWidth"], cvt["preCrop"], cvt["padDistance"]) == (5.0, True, 10)
    assert (onekey["normalizeScale"], onekey["voxelArrayShift"]) == (1000.0, 1000)


@pytest.mark.parametrize("profile", PROFILES.values())
def test_a_profile_is_the_set_of_the_contracts_names(profile: FeatureSet) -> None:
    assert profile.names() == contracts.feature_names()
    assert profile.stock_reasons() == ()


@pytest.mark.parametrize("profile", [*PROFILES.values(), study_set(bin_width=2.5, pre_crop=False, minimum_roi_size=9)])
def test_a_specification_tells_its_profile(profile: FeatureSet) -> None:
    settings = study_settings(profile)
    assert profile_of(json.loads(canonical_json(settings))) == profile
    for wrong in ({**settings, "binWidth": "wide"}, {**settings, "binCount": 8}):
        with pytest.raises(ProblemsError, match=r"binWidth|binCount"):
            profile_of(wrong)
    with pytest.raises(ProblemsError, match="setting padDistance is missing"):
        profile_of({key: value for key, value in settings.items() if key != "padDistance"})


def test_a_parameter_file_may_change_settings(tmp_path: Path) -> None:
    name = parameters(tmp_path / "p.yaml", setting={"binWidth": 25, "preCrop": True, "padDistance": 10, "label": 1})
    assert load_profile(name) == study_set(bin_width=25.0)


def test_what_a_parameter_file_leaves_out_is_pyradiomics_default(tmp_path: Path) -> None:
    profile = load_profile(parameters(tmp_path / "p.yaml", setting={}))
    assert profile == study_set(bin_width=25.0, pre_crop=False, pad_distance=5)


def test_a_full_parameter_file_of_the_study_is_accepted(tmp_path: Path) -> None:
    image_types = {
        name: {}
        for name in ("Original", "Wavelet", "Square", "SquareRoot", "Logarithm", "Exponential", "Gradient", "LBP3D")
    }
    image_types["LoG"] = {"sigma": [1.0, 2.0, 3.0]}
    classes = dict.fromkeys(STUDY_CLASSES) | {"glcm": list(GLCM)}
    name = parameters(tmp_path / "p.yaml", setting={"binWidth": 5}, imageType=image_types, featureClass=classes)
    assert load_profile(name) == study_set(bin_width=5.0, pre_crop=False, pad_distance=5)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"setting": {"binCount": 32}}, f"setting binCount = 32 is not supported: it is null for {WHOSE}"),
        ({"setting": {"force2D": True}}, f"setting force2D = true is not supported: it is false for {WHOSE}"),
        (
            {"setting": {"resampledPixelSpacing": [1, 1, 1]}},
            "setting resampledPixelSpacing = [1, 1, 1] is not supported",
        ),
        ({"setting": {"weightingNorm": "no_weighting"}}, 'setting weightingNorm = "no_weighting" is not supported'),
        ({"imageType": {"Original": {}}}, "image type LoG is missing"),
        ({"imageType": {"LoG": {"sigma": [1.0]}}}, "image type LoG: setting sigma must be [1.0, 2.0, 3.0], not [1.0]"),
        ({"imageType": {"Original": {"binWidth": 3}}}, "image type Original: setting binWidth must be 25.0, not 3.0"),
        ({"featureClass": {"glcm": None}}, f"feature class glcm: MCC, SumAverage: not among {WHOSE}"),
        ({"featureClass": {"firstorder": ["Mean"]}}, "feature class firstorder: 10Percentile, 90Percentile, Energy"),
        (
            {"setting": {"force2D": True}, "featureClass": {"shape2D": None}},
            f"feature class shape2D is not among {WHOSE}",
        ),
        ({"setting": {"nonsense": 1}}, "setting.nonsense: PyRadiomics 3.0.1 does not know it"),
    ],
)
def test_what_is_not_the_studys_is_named(tmp_path: Path, sections: dict[str, object], said: str) -> None:
    with pytest.raises(ProblemsError) as raised:
        load_profile(parameters(tmp_path / "p.yaml", **sections))
    assert said in str(raised.value)


def test_no_such_profile(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file; it is cvt-1834 or onekey-1834, or the path of"):
        load_profile(str(tmp_path / "absent.yaml"))
    (tmp_path / "p.yaml").write_text("a: [")
    with pytest.raises(InputError, match="not YAML"):
        load_profile(str(tmp_path / "p.yaml"))


def test_a_profile_may_be_named_by_a_path(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("setting: {binWidth: 25}\n", encoding="utf-8")
    assert load_profile(path) == load_profile(str(path))
    with pytest.raises(InputError, match="not a int"):
        load_profile(5)  # type: ignore[arg-type]
