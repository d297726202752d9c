"""What becomes of each key of a PyRadiomics parameter file."""

import re
import sys
from pathlib import Path

import pytest
import pywt
import yaml

from cvtbatch.errors import CvtbatchError, InputError, ProblemsError
from cvtbatch.radiomics.feature_names import DEPRECATED, FEATURES, IMAGE_TYPES, WITHOUT_VALUE
from cvtbatch.radiomics.parameter_file import check_parameters, load_feature_set
from cvtbatch.radiomics.settings import OWN_KEYS, RULES, WAVELETS
from tests.support.parity import skip_without_pyradiomics


def outcomes(content: dict[object, object]) -> dict[str, tuple[str, str]]:
    return {found.key: (found.outcome, found.reason) for found in check_parameters(content).verdicts}


def test_names_are_those_of_pyradiomics() -> None:
    skip_without_pyradiomics()
    import radiomics

    assert sorted(IMAGE_TYPES) == sorted(radiomics.getImageTypes())
    assert list(FEATURES) == list(radiomics.getFeatureClasses())
    for name, stock in radiomics.getFeatureClasses().items():
        names = stock.getFeatureNames()
        assert FEATURES[name] == tuple(feature for feature, deprecated in names.items() if not deprecated)
        deprecated = {*DEPRECATED.get(name, ()), *WITHOUT_VALUE.get(name, {})}
        assert deprecated == {feature for feature, deprecated in names.items() if deprecated}


def test_keys_are_those_of_pyradiomics_schema() -> None:
    skip_without_pyradiomics()
    import radiomics

    schema = yaml.safe_load(Path(radiomics.getParameterValidationFiles()[0]).read_text())
    assert set(RULES) - set(OWN_KEYS) == set(schema["mapping"]["setting"]["mapping"])
    assert set(OWN_KEYS) <= set(RULES)


def test_wavelets_are_those_of_pywavelets() -> None:
    assert sorted(WAVELETS) == sorted(pywt.wavelist(kind="discrete"))


def test_a_set_has_the_files_order() -> None:
    content = {
        "imageType": {"LoG": {"sigma": [2, 1.5], "binWidth": 3}, "Original": {}},
        "featureClass": {"glcm": ["MCC", "Contrast"], "shape": ["MeshVolume"], "firstorder": ["Mean"]},
        "setting": {"binWidth": 10, "label": 2},
    }
    found = check_parameters(content).feature_set
    assert found is not None
    assert found.names() == (
        "original_shape_MeshVolume",
        *("log-sigma-2-mm-3D_glcm_MCC", "log-sigma-2-mm-3D_glcm_Contrast", "log-sigma-2-mm-3D_firstorder_Mean"),
        *("log-sigma-1-5-mm-3D_glcm_MCC", "log-sigma-1-5-mm-3D_glcm_Contrast", "log-sigma-1-5-mm-3D_firstorder_Mean"),
        *("original_glcm_MCC", "original_glcm_Contrast", "original_firstorder_Mean"),
    )
    assert [one.calculation.bin_width for one in found.image_types] == [3.0, 10.0]
    assert found.preparation.label == 2


def test_a_document_says_the_whole_set_again() -> None:
    content = {
        "imageType": {"Wavelet": {"level": 2, "binCount": 8}, "LoG": {"sigma": [1, 2.5]}},
        "featureClass": {"ngtdm": None, "shape": ["Elongation"]},
        "setting": {"resampledPixelSpacing": [1, 1, 0], "force2D": True, "weightingNorm": None},
    }
    found = check_parameters(content).feature_set
    assert found is not None
    assert check_parameters(dict(found.to_document())).feature_set == found


def test_what_a_file_leaves_out_is_pyradiomics() -> None:
    found = check_parameters({}).feature_set
    assert found is not None
    assert (found.calculation.bin_width, found.preparation.pre_crop, found.preparation.pad_distance) == (25.0, False, 5)
    assert [one.name for one in found.image_types] == ["Original"]
    assert [name for name, _ in found.classes] == [name for name in FEATURES if name != "shape2D"]
    flat = check_parameters({"setting": {"force2D": True}}).feature_set
    assert flat is not None
    assert flat.features("shape2D") == FEATURES["shape2D"]


@pytest.mark.parametrize(
    ("content", "key", "said"),
    [
        (
            {"setting": {"binwidth": 5}},
            "setting.binwidth",
            "did you mean 'binWidth'? PyRadiomics 3.0.1 does not know it",
        ),
        ({"setting": {"binWidth": -5}}, "setting.binWidth", "-5 is out of range (limit: above 0)"),
        ({"setting": {"binWidth": "wide"}}, "setting.binWidth", "'wide' is no number"),
        ({"setting": {"binWidth": True}}, "setting.binWidth", "True is no number"),
        ({"setting": {"binWidth": None}}, "setting.binWidth", "None is null (it takes a number)"),
        ({"setting": {"binWidth": float("inf")}}, "setting.binWidth", "inf is out of range (limit: finite)"),
        ({"setting": {"padDistance": 2.5}}, "setting.padDistance", "2.5 is no whole number"),
        ({"setting": {"force2Ddimension": 3}}, "setting.force2Ddimension", "3 is out of range (limit: at most 2)"),
        ({"setting": {"normalize": 1}}, "setting.normalize", "1 is neither true nor false"),
        ({"setting": {"distances": 1}}, "setting.distances", "1 is no list of whole numbers"),
        (
            {"setting": {"distances": [1, 1], "processing": "ibsi", "binCount": 8}},
            "setting.distances",
            "lists a number twice, which PyRadiomics alone computes",
        ),
        ({"setting": {"interpolator": 3}}, "setting.interpolator", "3 is no interpolator of today's SimpleITK"),
        ({"setting": {"interpolator": 11}}, "setting.interpolator", "11 is not one of sitkNearestNeighbor"),
        ({"setting": {"resegmentRange": []}}, "setting.resegmentRange", "[] has 0 entries (limit 1 to 2)"),
        ({"setting": {"resampledPixelSpacing": [1, 1]}}, "setting.resampledPixelSpacing", "2 entries (limit 3)"),
        ({"setting": {"weightingNorm": "euclid"}}, "setting.weightingNorm", "is not one of euclidean, manhattan"),
        ({"setting": {"wavelet": "mexh"}}, "setting.wavelet", "'mexh' is not one of bior1.1"),
        ({"setting": []}, "setting", "[] is no mapping"),
        ({"voxelSetting": {}}, "voxelSetting", "maps of features by voxel are not computed"),
        ({"settings": {}}, "settings", "did you mean 'setting'?"),
        ({"imageType": {"original": {}}}, "imageType.original", "did you mean 'Original'?"),
        ({"imageType": {"Original": 5}}, "imageType.Original", "5 is no mapping"),
        ({"imageType": {"LoG": {}}}, "imageType.LoG", "sigma is missing"),
        ({"imageType": {"LoG": {"sigma": [1, 0]}}}, "imageType.LoG.sigma", "out of range (limit: above 0)"),
        ({"imageType": {"Original": {"normalize": True}}}, "imageType.Original.normalize", "move it to the section"),
        ({"featureClass": {"glcm": 5}}, "featureClass.glcm", "5 is no list of features"),
        ({"featureClass": {"glcm": ["contrast"]}}, "featureClass.glcm.contrast", "did you mean 'Contrast'?"),
        ({"featureClass": {"glcm": ["Homogeneity1"]}}, "featureClass.glcm.Homogeneity1", "it equals Id: leave it out"),
        ({"featureClass": {"glcm": ["Id", "Id"]}}, "featureClass.glcm.Id", "is listed twice"),
        ({"featureClass": {"GLCM": None}}, "featureClass.GLCM", "did you mean 'glcm'?"),
        ({"featureClass": {"shape2D": None}}, "featureClass.shape2D", "unless setting force2D is true"),
        (
            {"setting": {"force2D": True, "force2Ddimension": 1}, "featureClass": {"shape2D": None}},
            "featureClass.shape2D",
            "where force2Ddimension is 1",
        ),
        (
            {"imageType": {"LoG": {"sigma": [1.5, 1.5]}}},
            "imageType.LoG.sigma",
            "lists 1.5 twice: two images would have one name",
        ),
        (
            {"imageType": {"LoG": {"sigma": [round(0.5 + n / 8, 3) for n in range(200)]}}},
            "imageType and featureClass",
            "the set has 18,614 features (limit 10,000)",
        ),
    ],
)
def test_what_is_refused_is_named_with_its_reason(content: dict[object, object], key: str, said: str) -> None:
    assert check_parameters(content).feature_set is None
    outcome, reason = outcomes(content)[key]
    assert outcome == "refused"
    assert said in reason


def test_everything_that_is_refused_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump({"setting": {"binwidth": 5, "label": 0}, "featureClass": {"glcm": ["Foo"]}}))
    with pytest.raises(ProblemsError, match="3 problems") as raised:
        load_feature_set(path)
    assert "featureClass.glcm.Foo" in str(raised.value)
    with pytest.raises(InputError, match="there is no parameter file"):
        load_feature_set(tmp_path / "absent.yaml")


def test_what_is_not_refused_is_told_too() -> None:
    content = {
        "imageType": {"LoG": {"sigma": [3], "binwidth": 5}, "Original": {}},
        "featureClass": {"glcm": ["Foo", "Id"], "shape": None},
        "setting": {"binWidth": 5},
    }
    assert {key: outcome for key, (outcome, _) in outcomes(content).items()} == {
        "imageType.LoG.binwidth": "refused",
        "featureClass.glcm.Foo": "refused",
        "imageType.LoG.sigma": "accepted",
        "imageType.Original": "accepted",
        "featureClass.shape": "accepted",
        "setting.binWidth": "accepted",
    }


def test_what_changes_nothing_is_said() -> None:
    found = outcomes(
        {
            "imageType": {"Original": {"level": 2}},
            "featureClass": {"firstorder": None},
            "setting": {
                "additionalInfo": True,
                "normalizeScale": 100,
                "preCrop": True,
                "padDistance": 3,
                "resampledPixelSpacing": [1, 1, 1],
                "interpolator": "sitkLinear",
                "gldm_a": 1,
                "binCount": 8,
                "binWidth": 5,
            },
        }
    )
    idle = {key for key, (outcome, _) in found.items() if outcome == "no effect"}
    assert idle == {
        *("imageType.Original.level", "setting.additionalInfo", "setting.normalizeScale"),
        *("setting.preCrop", "setting.gldm_a", "setting.binWidth"),
    }
    assert {outcome for outcome, _ in found.values()} == {"fast", "no effect"}


def test_what_the_fast_engine_lacks_goes_to_stock() -> None:
    content = {"imageType": {"Original": {}, "LBP3D": {"lbp3DLevels": 3}}, "setting": {"lbp3DIcosphereRadius": 2}}
    found = outcomes(content)
    assert found["imageType.LBP3D.lbp3DLevels"] == (
        "stock",
        "lbp3DLevels = 3 (the fast engine has 2): PyRadiomics computes the whole set",
    )
    assert found["imageType.Original"][0] == found["setting.lbp3DIcosphereRadius"][0] == "stock"
    assert outcomes({"imageType": {"LBP3D": {"lbp3DLevels": 2}}})["imageType.LBP3D.lbp3DLevels"] == ("fast", "")
    twice = {"setting": {"distances": [1, 2, 1]}}
    assert outcomes(twice)["setting.distances"] == (
        "stock",
        "distances = [1, 2, 1] lists a number twice: PyRadiomics computes the whole set",
    )
    assert outcomes({**twice, "featureClass": {"glrlm": None}})["setting.distances"][0] == "no effect"
    assert outcomes({"imageType": {"LBP2D": {}}})["imageType.LBP2D"] == (
        "stock",
        "LBP2D is a filter of scikit-image: PyRadiomics computes the whole set",
    )


def test_a_filter_whose_library_is_not_here_is_refused_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    outcome, reason = outcomes({"imageType": {"LBP2D": {}}})["imageType.LBP2D"]
    assert outcome == "refused"
    assert "pip install 'cvtbatch[stock]'" in reason


def test_a_file_is_read_as_the_yaml_that_pyradiomics_reads(tmp_path: Path) -> None:
    """1.2, in which 010 is 10 and 1e1 a number; PyYAML's 1.1 has 8 and a text."""
    file = tmp_path / "params.yaml"
    file.write_text("featureClass: {firstorder: [Mean]}\nsetting: {binWidth: 010, geometryTolerance: 1e-4}\n", "utf-8")
    found = load_feature_set(file).settings()
    assert (found["binWidth"], found["geometryTolerance"]) == (10, 1e-4)
    for text, told in (
        ("setting: {normalize: yes}", "setting.normalize"),
        ("setting: {binWidth: '1:30'}", "setting.binWidth"),
        ("setting: {binWidth: 5, binWidth: 10}", 'duplicate key "binWidth"'),
    ):
        file.write_text(f"featureClass: {{firstorder: [Mean]}}\n{text}\n", "utf-8")
        with pytest.raises(CvtbatchError, match=re.escape(told)) as raised:
            load_feature_set(file)
        assert "suppress" not in str(raised.value)
