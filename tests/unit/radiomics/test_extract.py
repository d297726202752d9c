"""The public function: both engines, and an installation without PyRadiomics."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import yaml

from cvtbatch import contracts
from cvtbatch.errors import InputError
from cvtbatch.radiomics import PROFILES, audit_features, extract_features, roi_features
from cvtbatch.radiomics.audit import deviation
from cvtbatch.radiomics.parameter_file import load_feature_set
from tests.support.archives import tiny_head
from tests.support.parameter_files import Document, stock_values
from tests.support.parity import skip_without_pyradiomics


def test_engines_agree_and_keep_the_order_of_the_names() -> None:
    skip_without_pyradiomics()
    ct, mask = tiny_head(3)
    fast, stock = (extract_features(ct, mask, engine=engine) for engine in ("fast", "pyradiomics"))
    assert tuple(fast) == tuple(stock) == contracts.feature_names()
    assert max(deviation(fast[name], stock[name]) for name in fast) <= 1


def test_deviations_are_in_units_of_the_contract() -> None:
    assert deviation(1.0, 1.0) == deviation(float("nan"), float("nan")) == deviation(float("inf"), float("inf")) == 0
    assert deviation(1.0 + 2e-9, 1.0) == pytest.approx(2, rel=0.01)
    assert deviation(0.0, 3e-12) == pytest.approx(3, rel=0.01)
    assert deviation(float("nan"), 1.0) == deviation(1.0, float("nan")) == float("inf")


def test_audit_counts_voxels_of_another_gray_level() -> None:
    skip_without_pyradiomics()
    ct, mask = tiny_head(3)
    profile = PROFILES["cvt-1834"]
    values = roi_features(ct, mask, profile, "fast").values
    assert not audit_features(ct, mask, profile, values).broken
    moved = sitk.Cast(ct, sitk.sitkInt16)
    index = tuple(int(part) for part in np.argwhere(sitk.GetArrayFromImage(mask))[10][::-1])
    moved[index] += 10
    audit = audit_features(ct, mask, profile, roi_features(moved, mask, profile, "fast").values)
    assert audit.broken
    assert audit.beyond > 100
    assert audit.value != audit.stock == roi_features(ct, mask, profile, "pyradiomics").values[audit.worst_feature]


@pytest.mark.parametrize("spacing_mm", [(0.5, 0.5, 5.0), (1.0, 1.0, 5.0)])
def test_two_voxels_at_a_diagonal(spacing_mm: tuple[float, float, float]) -> None:
    """Their covariance has one eigenvalue; the other two are round-off, and can come out complex."""
    skip_without_pyradiomics()
    hu = np.random.default_rng(0).integers(0, 80, (9, 24, 24)).astype(np.int16)
    mask = np.zeros(hu.shape, np.uint8)
    mask[3, 3, 3] = mask[4, 4, 4] = 1
    images = [sitk.GetImageFromArray(array) for array in (hu, mask)]
    for image in images:
        image.SetSpacing(spacing_mm)
    fast, stock = (extract_features(*images, engine=engine) for engine in ("fast", "pyradiomics"))
    assert max(deviation(fast[name], stock[name]) for name in fast) <= 1


def test_a_gray_range_that_would_crash_stock_is_refused_by_it_alone() -> None:
    skip_without_pyradiomics()
    ct, mask = tiny_head(3)
    index = tuple(int(part) for part in np.argwhere(sitk.GetArrayFromImage(mask))[10][::-1])
    ct[index] = 30000
    assert len(extract_features(ct, mask, "onekey-1834")) == len(contracts.feature_names())
    with pytest.raises(InputError) as raised:
        extract_features(ct, mask, "onekey-1834", "pyradiomics")
    assert raised.value.kind == "too_many_gray_levels"


def test_degenerate_classes_are_named() -> None:
    ct, mask = tiny_head(3)
    features = roi_features(ct, mask, PROFILES["cvt-1834"], "fast")
    assert any(reason.startswith("exponential/") and "one gray level" in reason for reason in features.degenerate)
    assert features.undefined() == []


@pytest.mark.parametrize("engine", ["fast", "pyradiomics"])
def test_both_engines_refuse_alike(engine: str) -> None:
    ct, mask = tiny_head(3)
    with pytest.raises(InputError) as raised:
        extract_features(ct, mask * 0, engine=engine)
    assert raised.value.kind == "empty_mask"


def test_without_pyradiomics_only_its_engine_is_missing() -> None:
    code = (
        "import sys; sys.modules['radiomics'] = None; sys.modules['trimesh'] = None\n"
        "import scipy.special as s; s.__dict__.pop('sph_harm', None)\n"
        "from tests.support.archives import tiny_head\n"
        "from cvtbatch.radiomics import extract_features\n"
        "print(len(extract_features(*tiny_head(1))))\n"
        "try:\n    extract_features(*tiny_head(1), engine='pyradiomics')\n"
        "except Exception as error:\n    print(type(error).__name__, error.kind, error.message)\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert output[0] == str(len(contracts.feature_names()))
    needs = "radiomics.engine pyradiomics, audits and some keys of parameter files need PyRadiomics and trimesh"
    assert output[1] == f"ResourceError missing_extra {needs}: pip install 'cvtbatch[stock]'"


def test_voxels_of_another_bin_or_code_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_without_pyradiomics()
    from cvtbatch.radiomics import audit

    ct, mask = tiny_head(3)
    profile = PROFILES["cvt-1834"]
    values = roi_features(ct, mask, profile, "fast").values
    images = audit.stock_images(ct, mask, profile)
    assert set(images) == {name.split("_")[0] for name in contracts.feature_names()}
    images["original"][5] += 50
    images["lbp-3D-m1"][:3] += 40
    monkeypatch.setattr(audit, "stock_images", lambda *_, **__: images)
    monkeypatch.setattr(audit, "stock_features", lambda *_, **__: {name: value + 1 for name, value in values.items()})
    assert audit.audit_features(ct, mask, profile, values).differing_voxels == {"original": 1, "lbp-3D-m1": 3}


def test_a_parameter_file_is_computed_as_pyradiomics_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("featureClass: {shape: [MeshVolume], firstorder: [Mean]}\nsetting: {label: 2}\n")
    ct, mask = tiny_head(3)
    values = extract_features(ct, mask * 2, params=path)
    assert list(values) == ["original_shape_MeshVolume", "original_firstorder_Mean"]
    study = extract_features(ct, mask)
    assert values == {name: study[name] for name in values}


def test_what_the_fast_engine_lacks_stock_computes(tmp_path: Path) -> None:
    skip_without_pyradiomics()
    path = tmp_path / "p.yaml"
    path.write_text("imageType: {Original: {}, LBP3D: {lbp3DLevels: 3}}\nfeatureClass: {firstorder: [Mean]}\n")
    feature_set = load_feature_set(path)
    found = roi_features(*tiny_head(3), feature_set, "fast")
    assert found.engine == "pyradiomics"
    assert list(found.values) == [
        f"{image}_firstorder_Mean" for image in ("original", "lbp-3D-m1", "lbp-3D-m2", "lbp-3D-m3", "lbp-3D-k")
    ]
    assert roi_features(*tiny_head(3), PROFILES["cvt-1834"], "fast").engine == "fast"


def test_a_sets_tolerance_ends_with_it(tmp_path: Path) -> None:
    """PyRadiomics sets it for the whole process."""
    skip_without_pyradiomics()
    path = tmp_path / "p.yaml"
    path.write_text("featureClass: {firstorder: [Mean]}\nsetting: {geometryTolerance: 0.1}\n")
    ct, mask = tiny_head(3)
    mask.SetOrigin([place + 0.01 for place in mask.GetOrigin()])
    before = sitk.ProcessObject.GetGlobalDefaultCoordinateTolerance()
    fast, stock = (extract_features(ct, mask, engine=engine, params=path) for engine in ("fast", "pyradiomics"))
    assert fast == pytest.approx(stock, rel=1e-9)
    assert sitk.ProcessObject.GetGlobalDefaultCoordinateTolerance() == before
    with pytest.raises(InputError, match=r"differ in origin .* geometryTolerance: 0.011 takes them as one"):
        extract_features(ct, mask)
    path.write_text("featureClass: {firstorder: [Mean]}\nsetting: {geometryTolerance: 0.011}\n")
    assert extract_features(ct, mask, params=path) == fast
    mask.SetOrigin([place + 0.5 for place in ct.GetOrigin()])
    with pytest.raises(InputError, match=r"limit 1e-06\)$"):
        extract_features(ct, mask)


def test_a_distance_that_is_listed_twice_is_pyradiomics_own(tmp_path: Path) -> None:
    """It then takes more angles than there are directions, which the fast engine does not."""
    skip_without_pyradiomics()
    path = tmp_path / "p.yaml"
    document: Document = {"featureClass": {"glcm": ["Contrast"], "gldm": None}, "setting": {"distances": [1, 2, 1]}}
    path.write_text(yaml.safe_dump(document))
    ct, mask = tiny_head(3)
    assert extract_features(ct, mask, params=path) == stock_values(document, ct, mask)
