"""Audits: values that differ from stock PyRadiomics' are standing failures beside the values."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import SimpleITK as sitk

from cvtbatch.store import FeatureStore
from tests.support.archives import tiny_archive, tiny_head
from tests.support.commands import appended, extract_json


def test_an_audit_holds_the_values_to_stock_pyradiomics(tmp_path: Path) -> None:
    pytest.importorskip("radiomics", reason="PyRadiomics builds on Python 3.11 and no later one")
    tiny_archive(tmp_path / "archive", 2)
    document = extract_json(tmp_path / "archive" / "manifest.csv", tmp_path / "store", "--audit", "1")
    assert document["audit"]["rois"] == 2  # type: ignore[index]
    largest = document["audit"]["largest_deviation"]  # type: ignore[index]
    assert set(largest) == {"shape", "firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm"}
    assert max(largest.values()) <= 1
    [run] = FeatureStore(str(tmp_path / "store")).table("runs").current().to_pylist()
    assert json.loads(run["audit"]) == document["audit"]


def test_a_deviation_is_a_standing_failure_beside_the_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cvtbatch.radiomics import audit

    tiny_archive(tmp_path / "archive", 2)
    manifest, store = tmp_path / "archive" / "manifest.csv", tmp_path / "store"
    stock = audit.stock_features

    def deviating(*arguments: object, **named: object) -> dict[str, float]:
        values = stock(*arguments, **named)  # type: ignore[arg-type]
        return {**values, "original_glcm_Contrast": values["original_glcm_Contrast"] * (1 + 1e-6)}

    with monkeypatch.context() as patched:
        patched.setattr(audit, "stock_features", deviating)
        document = extract_json(manifest, store, "--audit", "1", code=3)
        assert (document["failed"], appended(document)["radiomics"]) == (2, 2)
    rows = FeatureStore(str(store)).failures().to_pylist()
    assert {(row["stage"], row["kind"], row["scope"]) for row in rows} == {("audit", "parity_broken", "audit")}
    assert all(
        "the worst, original_glcm_Contrast, is " in row["message"] and "differs: none" in row["message"] for row in rows
    )
    assert extract_json(manifest, store, code=3)["failed"] == 2
    document = extract_json(manifest, store, "--retry-failed")
    assert (document["failed"], document["audit"]["rois"]) == (0, 2)  # type: ignore[index]
    assert FeatureStore(str(store)).failures().num_rows == 0
    assert FeatureStore(str(store)).radiomics(columns=["roi_key"]).num_rows == 2


def test_a_wrong_stored_value_stays_a_failure_whatever_the_engines_say_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cvtbatch.pipelines.extraction import feature_step

    tiny_archive(tmp_path / "archive", 1)
    manifest, store = tmp_path / "archive" / "manifest.csv", tmp_path / "store"
    right = feature_step.roi_features

    def wrong(*arguments: object, **named: object) -> object:
        features = right(*arguments, **named)  # type: ignore[arg-type]
        return replace(features, values={**features.values, "original_glcm_Contrast": 3.0})

    with monkeypatch.context() as patched:
        patched.setattr(feature_step, "roi_features", wrong)
        extract_json(manifest, store, "--audit", "1", code=3)
    extract_json(manifest, store, "--retry-failed", code=3)
    extract_json(manifest, store, "--retry-failed", "--set", "radiomics.engine=pyradiomics", code=3)
    mask = (tmp_path / "archive" / "mask0.nii.gz").read_bytes()
    sitk.WriteImage(tiny_head(0, radius_mm=7.0)[1], str(tmp_path / "archive" / "mask0.nii.gz"))
    assert extract_json(manifest, store, "--audit", "1")["failed"] == 0
    (tmp_path / "archive" / "mask0.nii.gz").write_bytes(mask)
    extract_json(manifest, store)
    assert extract_json(manifest, store, code=3)["failed"] == 1
