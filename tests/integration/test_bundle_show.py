"""`bundle show`: what a bundle of any format says of itself."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.dlrn import load_bundle
from tests.support.paths import ROOT

COMPAT = ROOT / "tests" / "compat"


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["bundle", "show", *arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


@pytest.mark.parametrize("name", ["bundle-1", "bundle-2", "bundle-2-recalibrated", "bundle-3", "bundle-3-recalibrated"])
def test_the_document_is_what_bundle_json_says(name: str) -> None:
    found = json.loads(_run(str(COMPAT / name), "--json"))
    assert contracts.problems_of(found, "commands/bundle.json") == []
    own = json.loads((COMPAT / name / "bundle.json").read_text(encoding="utf-8"))
    for key in ("format_version", "intended_use", "protocol", "thresholds", "marks"):
        assert found[key] == own[key], key
    for key in ("specs", "weights", "cohort"):
        assert found[key] == {part: own[key][part] for part in found[key]}, key
    assert found["remarks"] == [{"message": row["message"], "cases": row["cases"]} for row in own["remarks"]]
    assert found["columns"] == [*own["columns"]["radiomics"], "embedding", "epilepsy"]
    assert found["outlines"] == own.get("outlines")
    assert found["votes"] == own.get("votes", {})
    kept = own.get("cohort_summary")
    parts = ("features", "numbers", "levels")
    assert found["kept"] == (kept and {**{part: sorted(kept[part]) for part in parts}, "embedding": True})
    assert (found["recalibrated"] is None) == (own.get("recalibration") is None)
    if found["recalibrated"]:
        assert found["recalibrated"] == {part: own["recalibration"][part] for part in found["recalibrated"]}


def test_the_text_names_what_a_user_asks_for() -> None:
    text = _run(str(COMPAT / "bundle-2-recalibrated"))
    bundle = load_bundle(COMPAT / "bundle-2-recalibrated")
    told = bundle.description
    for words in (
        bundle.digest,
        told.intended_use,
        f"{told.cohort.cases} cases",
        *told.cohort.training_centers,
        told.weights.name,
        told.specs.radiomics_spec_id,
        *bundle.needed_columns(),
        *(f"{value:.3f}" for values in told.thresholds.values() for value in values.values()),
        *(mark.mark for mark in told.marks),
        *(remark.message for remark in told.remarks),
        "Recalibrated",
    ):
        assert words in text, words


def test_the_text_says_what_format_3_adds() -> None:
    text = _run(str(COMPAT / "bundle-3"))
    for words in (
        "Outlines: of reader A, reading 1, drawn by people",
        "votes of dlr: recalibrated on 90 out-of-fold ones, 30 with CVT",
    ):
        assert words in text
    assert "counts of epilepsy, scanner, sex; distances of embeddings" in text
    assert "votes are uncalibrated" in _run(str(COMPAT / "bundle-1"))


def test_what_speaks_against_a_bundle_is_said_below_its_first_line() -> None:
    warnings = json.loads(_run(str(COMPAT / "bundle-3"), "--json"))["warnings"]
    assert [warning["kind"] for warning in warnings] == ["untrained_weights", "no_settings"]
    lines = _run(str(COMPAT / "bundle-3")).splitlines()
    assert lines[1:3] == [f"Warning: {warning['message']}." for warning in warnings]


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["bundle", "show", str(tmp_path)])
    assert result.exit_code == 1
    assert result.exception is not None
