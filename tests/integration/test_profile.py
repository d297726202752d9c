"""`profile show` and `profile check`, from a template to what a file of one's own would do."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml

from cvtbatch import contracts
from cvtbatch.radiomics import PROFILES
from cvtbatch.radiomics.parameter_file import load_feature_set
from tests.support.commands import cvtbatch
from tests.support.parity import skip_without_pyradiomics


@pytest.mark.parametrize("name", PROFILES)
def test_a_template_is_the_profile_here_and_in_pyradiomics(name: str, tmp_path: Path) -> None:
    skip_without_pyradiomics()
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    path = tmp_path / "params.yaml"
    path.write_text(cvtbatch("profile", "show", name, check=True).stdout)
    assert load_feature_set(path) == PROFILES[name]
    document = json.loads(cvtbatch("profile", "show", name, "--json", check=True).stdout)
    assert contracts.problems_of(document, "commands/profile.json") == []
    assert document["parameters"] == yaml.safe_load(path.read_text())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extractor = RadiomicsFeatureExtractor(str(path))
    assert list(extractor.enabledImagetypes) == [one.name for one in PROFILES[name].image_types]
    assert extractor.enabledFeatures == {kind: list(features) for kind, features in PROFILES[name].classes}
    checked = cvtbatch("profile", "check", path, check=True).stdout
    assert f"Accepted: {len(contracts.feature_names()):,} features, computed by the fast engine." in checked
    assert "As radiomics.profile, in the place of the study's features, it is taken." in checked


def test_a_file_is_told_key_by_key(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(
        "imageType: {LoG: {sigma: [1.5]}, LBP3D: {lbp3DLevels: 1}}\nsetting: {label: 1, additionalInfo: true}\n"
    )
    document = json.loads(cvtbatch("profile", "check", path, "--json", check=True).stdout)
    assert contracts.problems_of(document, "commands/profile.json") == []
    assert (document["accepted"], document["engine"], document["features"]) == (True, "pyradiomics", 3 * 93 + 14)
    outcomes = {one["key"]: (one["value"], one["outcome"]) for one in document["keys"]}
    assert outcomes["imageType.LoG.sigma"] == ("[1.5]", "stock")
    assert outcomes["setting.additionalInfo"] == ("true", "no effect")
    assert any("image type Wavelet is missing" in problem for problem in document["job_problems"])
    assert "computed by PyRadiomics 3.0.1, which is" in cvtbatch("profile", "check", path, check=True).stdout


def test_what_a_file_does_not_name_is_said_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    for text, line, defaults in (
        (
            "setting: {label: 1}\n",
            "Not named, so PyRadiomics' default: binWidth 25 (cvt-1834: 5), preCrop false (cvt-1834: true), padDistance 5 "
            "(cvt-1834: 10).",
            {"binWidth": 25.0, "preCrop": False, "padDistance": 5},
        ),
        ("imageType: {Original: {binWidth: 5}}\nsetting: {preCrop: true, padDistance: 10}\n", "", {}),
        ("setting: {binCount: 32, preCrop: true}\n", "default: padDistance 5 (cvt-1834: 10).", {"padDistance": 5}),
    ):
        path.write_text(text)
        told = " ".join(cvtbatch("profile", "check", path, check=True).stdout.split())
        assert line in told
        assert ("Not named" in told) == bool(line)
        document = json.loads(cvtbatch("profile", "check", path, "--json", check=True).stdout)
        assert contracts.problems_of(document, "commands/profile.json") == []
        assert document["defaults"] == defaults


def test_the_defaults_are_pyradiomics_own() -> None:
    skip_without_pyradiomics()
    from radiomics.featureextractor import RadiomicsFeatureExtractor
    from radiomics.imageoperations import getBinEdges

    own = RadiomicsFeatureExtractor._getDefaultSettings()
    assert (own["preCrop"], own["padDistance"]) == (False, 5)
    assert set(np.diff(getBinEdges(np.array([0.0, 90.0])))) == {25.0}


def test_a_refused_file_cannot_be_run(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("setting: {binwidth: 25}\nfeatureClass: {glcm: [Homogeneity1]}\n")
    told = cvtbatch("profile", "check", path)
    assert told.returncode == 1
    assert "did you mean 'binWidth'?" in told.stdout
    assert "Refused: 2 keys" in told.stdout
    document = json.loads(cvtbatch("profile", "check", path, "--json").stdout)
    assert contracts.problems_of(document, "commands/profile.json") == []
    assert (document["accepted"], document["features"], len(document["job_problems"])) == (False, None, 2)
    absent = cvtbatch("profile", "check", tmp_path / "absent.yaml")
    assert (absent.returncode, absent.stdout) == (1, "")
    assert "there is no parameter file" in absent.stderr


def test_what_a_store_does_not_take_is_told_beforehand(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    for feature_class, setting, told in (
        ("firstorder: [Mean]", "label: 1", "Into a store, a table of its own: cvtbatch extract"),
        ("firstorder: [Mean]", "label: 2", "Not into a store: setting.label is 2"),
        (
            "shape2D: ",
            "force2D: true",
            "But shape2D is of outlines in a single slice: of every other one the whole set fails",
        ),
    ):
        path.write_text(f"featureClass: {{{feature_class}}}\nsetting: {{{setting}}}\n")
        stdout = cvtbatch("profile", "check", path, check=True).stdout
        assert told in stdout
        assert ("But shape2D" in stdout) == ("shape2D" in feature_class)
