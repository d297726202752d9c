"""What `check` says of every source: the series that it would take and why, or what is wrong."""

import json
import unicodedata
from pathlib import Path

from click.testing import CliRunner

from cvtbatch import contracts
from cvtbatch.cli import cli
from tests.support.archives import write_rows
from tests.support.series import HEAD, write


def test_check_tells_the_choice_of_every_case(tmp_path: Path) -> None:
    write(tmp_path / "a" / "1", HEAD, "bone", ConvolutionKernel="BONE")
    write(tmp_path / "a" / "2", HEAD, "soft", ConvolutionKernel="SOFT", SliceThickness="5")
    write(tmp_path / "b" / "1", HEAD, "one")
    write(tmp_path / "b" / "2", (2.5,) * 34, "two")
    rows = [{"center": "A", "case_id": name, "image": name} for name in "ab"]
    manifest = write_rows(tmp_path / "manifest.csv", rows)
    result = CliRunner().invoke(cli, ["check", str(manifest), "--json", "--workers", "0"])
    assert result.exit_code == 3, result.exception
    document = json.loads(result.stdout)
    assert contracts.problems_of(document, "commands/check.json") == []
    choice = "18 slices 5 mm apart, 5 mm thick, kernel SOFT; chosen of 2 CT series by: soft kernel"
    assert document["images"] == [{"manifest_row": 1, "case_key": "A/a", "choice": choice, "flags": ["no_head"]}]
    (problem,) = document["problems"]
    assert (problem["case_key"], problem["kind"]) == ("A/b", "several_series")
    shown = CliRunner().invoke(cli, ["check", str(manifest), "--all", "--workers", "0"]).stdout
    assert f"row 1, A/a: {choice}; flags: no_head" in shown
    assert "2 cases: 1 can be read, 1 cannot" in shown


def test_check_names_rows_whose_ids_differ_by_spelling_alone(tmp_path: Path) -> None:
    write(tmp_path / "ct", HEAD, "head")
    ids = [("a1", "P-1"), ("A1", "p-1"), ("b", ""), ("b 1", "p-1"), ("c", "M\u00fc"), ("d", "Mu\u0308"), ("a-1", "P1")]
    rows = [
        {"center": "A", "case_id": case_id, "patient": patient, "image": f"ct{number}"}
        for number, (case_id, patient) in enumerate(ids)
    ]
    rows.append({"center": "B", "case_id": "a1", "patient": "P-1", "image": "ct"})
    result = CliRunner().invoke(
        cli, ["check", str(write_rows(tmp_path / "manifest.csv", rows)), "--json", "--workers", "0"]
    )
    document = json.loads(result.stdout)
    assert contracts.problems_of(document, "commands/check.json") == []
    cases, patients = document["warnings"]
    assert (cases["column"], cases["kind"], cases["first_row"], cases["cases"]) == ("case_id", "twin_ids", 1, 2)
    assert "those of rows 1 and 2 differ by capitals" in cases["message"]
    assert (patients["column"], patients["kind"], patients["cases"]) == ("patient", "twin_ids", 4)
    assert "those of rows 1 and 2, 5 and 6 differ" in patients["message"]


def test_check_names_rows_that_share_an_image_or_an_outline(tmp_path: Path) -> None:
    """Not those of one case: its readers have one image, and labels of a file are outlines of their own."""
    write(tmp_path / "ct", HEAD, "head")
    told = [
        ("1", "ct", "m", 1, "A"),
        ("1", "ct", "m", 2, "B"),
        ("2", "ct2", "n", None, "A"),
        ("2", "ct2", "n", None, "B"),
    ]
    told += [("3", "ct", "m", 3, "A"), ("4", "ct4", "m", 1, "A")]
    names = ("case_id", "image", "mask", "mask_label", "reader")
    rows = [{"center": "A", **dict(zip(names, row, strict=True))} for row in told]
    result = CliRunner().invoke(
        cli, ["check", str(write_rows(tmp_path / "manifest.csv", rows)), "--json", "--workers", "0"]
    )
    document = json.loads(result.stdout)
    assert contracts.problems_of(document, "commands/check.json") == []
    images, masks = document["warnings"]
    assert (images["kind"], images["first_row"], "rows 1 and 5 are one" in images["message"]) == (
        "shared_image",
        1,
        True,
    )
    assert (masks["kind"], "rows 1 and 6, 3 and 4 are one outline" in masks["message"]) == ("shared_mask", True)


def test_check_names_centres_that_are_spelled_in_several_ways(tmp_path: Path) -> None:
    write(tmp_path / "ct", HEAD, "head")
    names = ["K\u00f6ln", "Bonn", unicodedata.normalize("NFD", "K\u00f6ln"), "K\u00f6ln", "k\u00f6ln "]
    rows = [{"center": name, "case_id": str(number), "image": "ct"} for number, name in enumerate(names)]
    result = CliRunner().invoke(
        cli, ["check", str(write_rows(tmp_path / "manifest.csv", rows)), "--json", "--workers", "0"]
    )
    assert result.exit_code == 0, result.exception
    document = json.loads(result.stdout)
    assert contracts.problems_of(document, "commands/check.json") == []
    warning, shared = document["warnings"]
    assert (warning["column"], warning["kind"], shared["kind"]) == ("center", "twin_centers", "shared_image")
    assert (warning["first_row"], warning["cases"]) == (1, 4)
    for name, cases, row in (("K\\xf6ln", "2 cases", 1), ("Ko\\u0308ln", "1 case", 3), ("k\\xf6ln", "1 case", 5)):
        assert f"('{name}') ({cases}, first: row {row})" in warning["message"]
    assert "count as 3 centres" in warning["message"]
    assert f"warning: {warning['message']}" in result.stderr
    arguments = ["extract", str(tmp_path / "manifest.csv"), "--store", str(tmp_path / "store"), "--dry-run"]
    planned = CliRunner().invoke(cli, [*arguments, "--set", "embedding.weights=none"])
    assert planned.exit_code == 0, planned.exception
    assert "\nwarning: the centres 'K" in planned.stderr
