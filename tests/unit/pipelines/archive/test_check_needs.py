"""What a bundle needs of a manifest is told before the work: which column, for what, in how many cases."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.dlrn import load_bundle
from cvtbatch.dlrn.combat import Harmonisation, ReferenceScale
from cvtbatch.manifest import read_manifest
from cvtbatch.pipelines.archive.check_needs import check_needs
from tests.support.archives import tiny_archive, write_rows
from tests.support.paths import ROOT

Rows = list[dict[str, object]]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of reader A's first outlines."""
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    shutil.copytree(ROOT / "tests" / "compat" / "bundle-2", folder)
    document = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    document["job"]["cohort"] = {"training_centers": ["C1"], "primary_reader": "A", "primary_reading": 1}
    (folder / "bundle.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    folder = tmp_path_factory.mktemp("archive")
    return folder, tiny_archive(folder, 2)


def _without(rows: Rows, *columns: str, of: int | None = None) -> Rows:
    return [
        {name: value for name, value in row.items() if name not in columns or of not in (None, place)}
        for place, row in enumerate(rows)
    ]


def _check(manifest: Path, *arguments: str, code: int) -> str:
    result = CliRunner().invoke(cli, ["check", str(manifest), "--workers", "0", *arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


def test_all_that_a_bundle_needs_is_there(archive: tuple[Path, Rows], bundle: Path) -> None:
    found = json.loads(_check(archive[0] / "manifest.csv", "--bundle", str(bundle), "--json", code=0))
    assert contracts.problems_of(found, "commands/check.json") == []
    assert found["lacks"] == []


def test_what_speaks_against_the_bundle_is_said_before_anything_is_read(
    archive: tuple[Path, Rows], bundle: Path, tmp_path: Path
) -> None:
    manifest = archive[0] / "manifest.csv"
    old = shutil.copytree(ROOT / "tests" / "compat" / "bundle-1", tmp_path / "old")
    document = json.loads((old / "bundle.json").read_text(encoding="utf-8"))
    document["job"]["cohort"] = {"training_centers": ["C1"], "primary_reader": "A", "primary_reading": 1}
    (old / "bundle.json").write_text(json.dumps(document), encoding="utf-8")
    found = json.loads(_check(manifest, "--bundle", str(old), "--json", code=0))
    assert contracts.problems_of(found, "commands/check.json") == []
    assert [warning["kind"] for warning in found["bundle_warnings"]] == ["untrained_weights", "no_settings"]
    first, second, *_ = _check(manifest, "--bundle", str(old), code=0).splitlines()
    assert first.startswith("warning: not for inference: the image network of this bundle has the weights random:0")
    assert second.startswith("warning: the bundle carries no settings")
    assert document["specs"]["volume_spec_id"] in second
    assert json.loads(_check(manifest, "--json", code=0))["bundle_warnings"] == []


def test_what_all_cases_lack_is_said_with_its_purpose(archive: tuple[Path, Rows], bundle: Path) -> None:
    folder, rows = archive
    manifest = write_rows(folder / "bare.csv", _without(rows, "etiology", "epilepsy"))
    assert json.loads(_check(manifest, "--json", code=0))["lacks"] == []
    found = json.loads(_check(manifest, "--bundle", str(bundle), "--json", code=3))
    assert contracts.problems_of(found, "commands/check.json") == []
    assert [(lack["need"], lack["columns"], lack["cases"], lack["first_row"]) for lack in found["lacks"]] == [
        ("epilepsy", ["epilepsy"], 2, 1),
        ("outcome", ["cvt", "etiology"], 2, 1),
    ]
    text = _check(manifest, "--bundle", str(bundle), code=3)
    assert "lacking: the bundle needs epilepsy for the DLRN: 2 of 2 cases lack it (first: row 1)" in text
    assert "lacking: the bundle needs cvt or etiology to validate: 2 of 2 cases lack it (first: row 1)" in text


def test_what_one_case_lacks_is_said_with_its_row(archive: tuple[Path, Rows], bundle: Path) -> None:
    folder, rows = archive
    own = [{**row, "cvt": 1} for row in _without(rows, "etiology")]
    own[1] |= {"reader": "B", "cvt": ""}
    manifest = read_manifest(write_rows(folder / "one.csv", own))
    found = [(lack.need, lack.cases, lack.first_row) for lack in check_needs(manifest, load_bundle(bundle))]
    assert found == [("outline", 1, 2), ("outcome", 1, 2), ("both_outcomes", 1, 1)]


def test_what_will_be_missing_is_said_where_no_case_has_it(archive: tuple[Path, Rows], bundle: Path) -> None:
    folder, rows = archive
    none = write_rows(folder / "none.csv", _without(_without(rows, "etiology"), "epilepsy"))
    epilepsy, outcome = check_needs(read_manifest(none), load_bundle(bundle))
    assert "no case will have a score of the DLRN" in epilepsy.message
    assert "the report will have no AUC" in outcome.message
    for cvt, told in ((1, "all 2 with a known outcome are with"), (0, "are without (first: row 1)")):
        alike = [{**row, "cvt": cvt} for row in _without(rows, "etiology")]
        [lack] = check_needs(read_manifest(write_rows(folder / "alike.csv", alike)), load_bundle(bundle))
        assert (lack.need, lack.cases, lack.first_row) == ("both_outcomes", 2, 1)
        assert told in lack.message
        assert "no AUC" in lack.message


def test_an_outline_of_another_reader_beside_the_primary_ones_is_no_lack(
    archive: tuple[Path, Rows], bundle: Path
) -> None:
    folder, rows = archive
    again = [{**rows[0], "reader": "B"}, {**rows[0], "reading": 2}]
    manifest = read_manifest(write_rows(folder / "more.csv", [*again, *rows]))
    assert check_needs(manifest, load_bundle(bundle)) == []


def test_a_file_that_is_awaited_is_an_outline_that_is_lacking(archive: tuple[Path, Rows], bundle: Path) -> None:
    folder, rows = archive
    manifest = read_manifest(write_rows(folder / "awaited.csv", _without(rows, "mask", of=0)))
    [lack] = check_needs(manifest, load_bundle(bundle))
    assert (lack.need, lack.cases, lack.first_row) == ("outline", 1, 1)
    assert "an outline of reader A, reading 1" in lack.message


def test_whoever_is_to_be_scored_is_who_may_lack(archive: tuple[Path, Rows], bundle: Path) -> None:
    folder, rows = archive
    again = [{**rows[0], "reader": "B", "reading": 3}, {**rows[0], "reader": "B", "reading": 2}]
    manifest = read_manifest(write_rows(folder / "readers.csv", [*rows, *again]))
    [lack] = check_needs(manifest, load_bundle(bundle), "B")
    assert (lack.need, lack.cases, lack.first_row) == ("outline", 1, 2)
    assert "an outline of reader B, reading 2" in lack.message
    [lack] = check_needs(manifest, load_bundle(bundle), "C")
    assert lack.cases == 2
    told = json.loads(_check(folder / "readers.csv", "--bundle", str(bundle), "--reader", "B", "--json", code=3))
    assert [lack["cases"] for lack in told["lacks"]] == [1]
    assert CliRunner().invoke(cli, ["check", str(folder / "readers.csv"), "--reader", "B"]).exit_code == 2


@pytest.mark.parametrize("reader", ["blast-ct", "threshold:1a2b3c4d"])
def test_what_a_method_outlines_is_needed_of_no_manifest(archive: tuple[Path, Rows], bundle: Path, reader: str) -> None:
    folder, rows = archive
    manifest = read_manifest(write_rows(folder / "bare.csv", _without(rows, "mask")))
    assert [lack.need for lack in check_needs(manifest, load_bundle(bundle))] == ["outline"]
    assert check_needs(manifest, load_bundle(bundle), reader) == []


def test_another_outcome_is_looked_for_in_its_own_column(
    archive: tuple[Path, Rows], bundle: Path, tmp_path: Path
) -> None:
    folder, rows = archive
    document = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    of_poor, of_expansion = shutil.copytree(bundle, tmp_path / "poor"), shutil.copytree(bundle, tmp_path / "expansion")
    for place, column in ((of_poor, "x_poor"), (of_expansion, "expansion")):
        document["outcome"] = {"column": column, "classes": [f"no {column}", column]}
        (place / "bundle.json").write_text(json.dumps(document), encoding="utf-8")
    manifest = write_rows(folder / "poor.csv", [{**rows[0], "x_poor": "No"}, {**rows[1], "x_poor": ""}])
    lacks = check_needs(read_manifest(manifest), load_bundle(of_poor))
    assert [(lack.need, lack.columns, lack.cases) for lack in lacks] == [
        ("outcome", ("x_poor",), 1),
        ("both_outcomes", ("x_poor",), 1),
    ]
    assert lacks[0].message == "the bundle needs x_poor to validate: 1 of 2 cases lack it (first: row 2)"
    assert lacks[1].message.startswith("the report needs cases with x_poor and cases without: all 1")
    assert check_needs(read_manifest(manifest), load_bundle(of_expansion)) == []


def test_a_new_centre_with_too_few_cases_of_its_own_is_told(archive: tuple[Path, Rows], bundle: Path) -> None:
    manifest, loaded = read_manifest(archive[0] / "manifest.csv"), load_bundle(bundle)
    base = ReferenceScale((), np.empty(0), np.empty(0))
    columns = np.zeros((1, len(loaded.model.radiomics)))

    def lacks(*known: str, base: ReferenceScale | None = base) -> list[tuple[str, int, int]]:
        alike = Harmonisation(known or ("C9",), "C9", columns, columns + 1, base)
        found = check_needs(manifest, replace(loaded, model=replace(loaded.model, harmonisation=alike)))
        return [(lack.need, lack.cases, lack.first_row) for lack in found if lack.need == "own_cases"]

    [told] = lacks()
    assert told == ("own_cases", 2, min(case.manifest_row for case in manifest))
    assert lacks(*manifest.centers) == lacks(base=None) == []
