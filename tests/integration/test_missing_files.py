"""Files that are not there: a failure of their row, ended by the file itself; a share that is away starts nothing."""

import json
import shutil
from pathlib import Path

import pytest

from cvtbatch import contracts
from cvtbatch.embedding.weights import Weights
from cvtbatch.store import FeatureStore
from tests.support.archives import tiny_archive, write_rows
from tests.support.commands import appended, cvtbatch, extract_again, extract_json, reasons


@pytest.fixture(scope="module")
def gappy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four cases, extracted, while the image of the second and the mask of the third lay aside."""
    archive = tmp_path_factory.mktemp("gappy") / "archive"
    tiny_archive(archive, 4)
    (archive.parent / "aside").mkdir()
    for name in ("ct1.nii.gz", "mask2.nii.gz"):
        (archive / name).rename(archive.parent / "aside" / name)
    document = extract_again(archive, code=3)
    assert (document["computed"], document["failed"]) == (2, 2)
    assert document["failures"] == [
        {"stage": "mask", "kind": "missing_file", "cases": 1},
        {"stage": "read", "kind": "missing_file", "cases": 1},
    ]
    return archive


@pytest.fixture
def copy(gappy: Path, tmp_path: Path) -> Path:
    shutil.copytree(gappy.parent, tmp_path / "copy")
    return tmp_path / "copy" / "archive"


def test_a_missing_file_is_the_failure_of_its_row(gappy: Path) -> None:
    store = FeatureStore(str(gappy.parent / "store"))
    rows = store.failures().sort_by("manifest_row").to_pylist()
    assert [(row["manifest_row"], row["case_key"], row["roi_key"], row["stage"], row["kind"]) for row in rows] == [
        (2, "A/001", "", "read", "missing_file"),
        (3, "A/002", "A/002/hematoma/A/1", "mask", "missing_file"),
    ]
    assert [row["message"].partition(",")[0] for row in rows] == [
        f"there is no file or folder at the path in column {column}" for column in ("image", "mask")
    ]
    assert "nii.gz" not in json.dumps(rows, default=str)
    assert sorted(store.current("radiomics")["case_key"].to_pylist()) == ["A/000", "A/003"]
    # The image of the case whose mask is missing is there, and stored.
    assert store.current("volumes").num_rows == 3


def test_a_dry_run_and_a_check_say_the_same(gappy: Path, tmp_path: Path) -> None:
    plan = extract_json(gappy / "manifest.csv", tmp_path / "new", "--dry-run")
    assert reasons(plan) == {"new case": 4, "file missing": 2}
    again = extract_again(gappy, "--dry-run")
    assert reasons(again) == {"failed before, source unchanged": 2, "file missing": 2, "done": 2}
    result = cvtbatch("check", gappy / "manifest.csv", "--json")
    document = json.loads(result.stdout)
    assert contracts.problems_of(document, "commands/check.json") == []
    assert (result.returncode, document["readable"]) == (3, 2)
    assert [(row["manifest_row"], row["roi_key"], row["stage"], row["kind"]) for row in document["problems"]] == [
        (2, "", "read", "missing_file"),
        (3, "A/002/hematoma/A/1", "mask", "missing_file"),
    ]
    lines = [line for line in result.stderr.splitlines() if "missing_file" in line]
    assert [line.rpartition("[")[2] for line in lines] == [f"{gappy}/ct1.nii.gz]", f"{gappy}/mask2.nii.gz]"]


def test_failures_stand_while_files_are_missing_and_end_when_they_come(copy: Path) -> None:
    again = extract_again(copy, code=3)
    assert (again["failed"], again["already_done"], appended(again)) == (2, 2, {})
    for name in ("ct1.nii.gz", "mask2.nii.gz"):
        (copy.parent / "aside" / name).rename(copy / name)
    document = extract_again(copy)
    assert (document["computed"], document["failed"], document["already_done"]) == (2, 0, 2)
    assert FeatureStore(str(copy.parent / "store")).failures().num_rows == 0


def test_a_file_that_goes_and_comes_back_costs_nothing(copy: Path) -> None:
    image = copy / "ct0.nii.gz"
    image.rename(copy.parent / "aside" / image.name)
    assert extract_again(copy, code=3)["failed"] == 3
    status = json.loads(cvtbatch("status", "--store", copy.parent / "store", "--json", check=True).stdout)
    assert status["cases"]["failed"] == 3
    # What was stored of it stays what it was.
    assert FeatureStore(str(copy.parent / "store")).current("radiomics").num_rows == 2
    (copy.parent / "aside" / image.name).rename(image)
    back = extract_again(copy, code=3)
    assert (back["failed"], back["already_done"], back["decoded"]) == (2, 2, 0)


def test_a_share_that_is_away_is_one_line_and_starts_nothing(tmp_path: Path) -> None:
    rows = [
        {
            "center": "A",
            "case_id": f"{number:05}",
            "image": f"/no/such/share/{number}/ct",
            "mask": f"/no/such/share/{number}/seg",
        }
        for number in range(5000)
    ]
    manifest = write_rows(tmp_path / "manifest.csv", rows)
    commands = (
        ("check", manifest),
        ("extract", manifest, "--store", tmp_path / "store", "--workers", 0),
        ("extract", manifest, "--store", tmp_path / "store", "--workers", 0, "--dry-run"),
    )
    for command in commands:
        result = cvtbatch(*command)
        assert (result.returncode, result.stdout) == (1, "")
        [*begun, line] = result.stderr.splitlines()
        assert begun == (["reading the manifest"] if command[0] == "extract" else [])
        assert line.startswith("Error: nothing is there of what the manifest names below a folder: mount the share")
        assert line.endswith("[/no: 5,000 cases, first row 1 with '/no/such/share/0/ct']")
    assert not (tmp_path / "store").exists()


def test_what_is_stored_stays_done_while_its_share_is_away(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ct1.nii.gz", "mask2.nii.gz"):
        (copy.parent / "aside" / name).rename(copy / name)
    extract_again(copy)
    for path in copy.glob("*.nii.gz"):
        path.unlink()
    command = ("extract", copy / "manifest.csv", "--store", copy.parent / "store", "--workers", 0)
    assert cvtbatch(*command).returncode == 1
    assert FeatureStore(str(copy.parent / "store")).failures().num_rows == 0
    # Embeddings are made of what is stored, and read no source.
    weights = Weights("random:0", {}, "0" * 64, not_for_inference=True)
    monkeypatch.setattr("cvtbatch.pipelines.extraction.settings.load_weights", lambda *_: weights)
    embedded = cvtbatch(*command, "--only", "embeddings", "--set", "embedding.weights=random:0", "--dry-run")
    assert (embedded.returncode, embedded.stdout.count("no embeddings under this specification")) == (0, 5)


def test_a_thousand_missing_files_are_told_by_their_number(tmp_path: Path) -> None:
    (tmp_path / "ct.nii.gz").touch()
    rows = [{"center": "A", "case_id": f"{number:04}", "image": f"{number}.nii.gz"} for number in range(300)]
    manifest = write_rows(tmp_path / "manifest.csv", [*rows, {"center": "A", "case_id": "x", "image": "ct.nii.gz"}])
    result = cvtbatch("check", manifest)
    lines = result.stdout.splitlines()
    assert (result.returncode, sum("missing_file: there is" in line for line in lines)) == (3, 20)
    assert "... 280 more of missing_file: --out problems.csv has them all" in lines


def test_a_thousand_problems_of_form_are_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    rows = [
        {"center": "A", "case_id": f"{number:04}", "image": "ct.nii.gz", "patient": "nan"} for number in range(1200)
    ]
    result = cvtbatch("extract", write_rows(tmp_path / "manifest.csv", rows), "--store", tmp_path / "store")
    begun, *lines = result.stderr.splitlines()
    assert (begun, result.returncode, len(lines)) == ("reading the manifest", 1, 22)
    assert lines[0].endswith("manifest.csv has 1200 problems:")
    assert lines[1].startswith("  row 1, column patient: 'nan' is what software writes")
    assert lines[20].startswith("  row 20, ")
    path = Path(lines[21].removeprefix("  ... more in "))
    told = [json.loads(line)["private"] for line in path.read_text().splitlines()]
    assert (len(told), told[999].partition(",")[0], told[1000]) == (1001, "row 1000", "... and 200 more")
    assert path.stat().st_mode & 0o777 == 0o600
