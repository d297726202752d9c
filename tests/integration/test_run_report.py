"""The user's own report at the end of a run: page and table, outside the store, whatever has become of the run."""

import csv
import json
import stat
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from click.testing import CliRunner

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.errors import StorageError
from cvtbatch.pipelines.extraction.row_batch import RowBatch
from cvtbatch.pipelines.extraction.run_record import RunRecord
from cvtbatch.pipelines.extraction.run_report import RunReporter
from cvtbatch.pipelines.shared.run_log import log_folder
from tests.support.archives import tiny_archive, write_rows
from tests.support.commands import cvtbatch, extract_json, without_embeddings

UNREADABLE = "Compressed file ended before the end-of-stream marker was reached"


def faulty_archive(folder: Path, cases: int = 4) -> Path:
    """Write heads of which one is cut off, one has no mask yet and one names a mask that is not there."""
    rows = tiny_archive(folder, cases)
    (folder / "ct1.nii.gz").write_bytes((folder / "ct1.nii.gz").read_bytes()[:500])
    (folder / "mask2.nii.gz").unlink()
    rows[3]["mask"] = ""
    return write_rows(folder / "manifest.csv", [{**row, "x_ward": f"ward {row['case_id']}"} for row in rows])


def read_table(folder: Path) -> list[dict[str, str]]:
    with (folder / "failures.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_page_and_table_tell_of_a_run_and_lie_outside_the_store(tmp_path: Path) -> None:
    manifest, report = faulty_archive(tmp_path / "archive"), tmp_path / "report"
    arguments = ("extract", manifest, "--store", tmp_path / "store", "--workers", 0, "--report", report)
    result = cvtbatch(*arguments)
    assert result.returncode == 3
    assert f"Report: {report / 'run-report.html'}" in result.stdout
    assert {stat.S_IMODE(path.stat().st_mode) for path in report.iterdir()} == {0o600}
    assert stat.S_IMODE(report.stat().st_mode) == 0o700
    page = (report / "run-report.html").read_text(encoding="utf-8")
    assert "<h1>4 cases: 1 computed by this run, 1 waiting for an outline, 2 failed</h1>" in page
    assert f"cvtbatch extract {manifest} --store" in page
    assert "data:image/jpeg" in page
    assert "row 4 A/003" in page
    rows = read_table(report)
    assert [(row["row"], row["case"], row["kind"], row["who"], row["x_ward"]) for row in rows] == [
        ("2", "001", "unreadable_file", "you", "ward 001"),
        ("3", "002", "missing_file", "you", "ward 002"),
    ]
    assert [row["path"] for row in rows] == [
        str(tmp_path / "archive" / name) for name in ("ct1.nii.gz", "mask2.nii.gz")
    ]
    assert rows[1]["outline"] == "hematoma (A, reading 1)"
    shared = (report / "failures-without-paths.csv").read_text(encoding="utf-8-sig")
    assert shared.count("\n") == 3
    assert not [word for word in (str(tmp_path), "ct1", "mask2", "ward", "end-of-stream") if word in shared]
    for path in (tmp_path / "store").rglob("*"):
        assert not path.is_file() or b"ct1.nii" not in path.read_bytes()


def test_failures_that_stand_are_reported_again_with_the_manifests_row_of_now(tmp_path: Path) -> None:
    manifest, report = faulty_archive(tmp_path / "archive"), tmp_path / "report"
    extract_json(manifest, tmp_path / "store", code=3)
    header, *lines = manifest.read_text(encoding="utf-8").splitlines()
    manifest.write_text("\n".join([header, *reversed(lines)]), encoding="utf-8")
    document = extract_json(manifest, tmp_path / "store", "--report", report, code=3)
    assert document["report"] == str(report / "run-report.html")
    assert [(row["row"], row["case"]) for row in read_table(report)] == [("2", "002"), ("3", "001")]
    (tmp_path / "archive" / "mask2.nii.gz").write_bytes((tmp_path / "archive" / "mask0.nii.gz").read_bytes())
    extract_json(manifest, tmp_path / "store", "--report", report, code=3)
    assert [row["case"] for row in read_table(report)] == ["001"]


@pytest.mark.parametrize(
    ("error", "words"),
    [(KeyboardInterrupt(), "Interrupted. "), (StorageError("store_full", "full"), "Stopped by an error")],
)
def test_a_run_that_does_not_come_to_its_end_has_a_report_too(tmp_path: Path, error: BaseException, words: str) -> None:
    manifest, report = faulty_archive(tmp_path / "archive"), tmp_path / "report"
    with mock.patch.object(RowBatch, "count_item", side_effect=[None, None, error]):
        # As a command, an interrupted one ends its process.
        arguments = ["extract", manifest, "--store", tmp_path / "store", "--workers", 0, "--report", report]
        result = CliRunner().invoke(cli, without_embeddings([str(argument) for argument in arguments]))
    assert result.exit_code == 1
    page = (report / "run-report.html").read_text(encoding="utf-8")
    assert f">{words}" in page
    assert "Flags and pictures are not shown" in page
    assert [row["case"] for row in read_table(report)] == ["001"]


def test_a_killed_run_is_told_by_the_next_one_and_by_status(tmp_path: Path) -> None:
    manifest, store, report = faulty_archive(tmp_path / "archive"), tmp_path / "store", tmp_path / "report"
    with mock.patch.object(RunRecord, "append_end"), mock.patch.object(RunReporter, "write", return_value=None):
        killed = extract_json(manifest, store, code=3)["run_id"]
    [run] = status_of(store)["runs"]
    assert (run["run_id"], run["committed"]["computed"], run["committed"]["failed"]) == (killed, 1, 2)
    assert not run["presumed_killed"]
    assert "at work, or killed" in cvtbatch("status", "--store", store, check=True).stdout
    arguments = ("extract", manifest, "--store", store, "--workers", 0, "--report", report)
    told = cvtbatch(*arguments)
    assert f"run {killed} has not ended: it was killed" in told.stderr
    assert "0 computed by this run, 1 by earlier runs, of 4" in told.stdout
    # What the killed run's log alone knows.
    assert [row["detail"] for row in read_table(report)] == [UNREADABLE, ""]
    assert UNREADABLE in (report / "run-report.html").read_text(encoding="utf-8")
    newest, first = status_of(store)["runs"]
    assert (newest["committed"], newest["presumed_killed"]) == (None, False)
    assert (first["state"], first["committed"], first["presumed_killed"]) == ("started", run["committed"], True)
    assert "ended without a word (killed?)" in cvtbatch("status", "--store", store, check=True).stdout
    (log_folder() / f"{killed}.jsonl").unlink()
    assert "has not ended" not in cvtbatch(*arguments).stderr
    assert {row["detail"] for row in read_table(report)} == {f"see the log of run {killed}, which is not here"}


def status_of(store: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(cvtbatch("status", "--store", store, "--json", check=True).stdout)
    assert contracts.problems_of(document, "commands/status.json") == []
    return document


def test_a_folder_that_cannot_be_is_refused_before_any_work(tmp_path: Path) -> None:
    tiny_archive(tmp_path / "archive", 1)
    (tmp_path / "taken").touch()
    arguments = ("extract", tmp_path / "archive" / "manifest.csv", "--store", tmp_path / "store", "--workers", 0)
    result = cvtbatch(*arguments, "--report", tmp_path / "taken" / "report")
    assert (result.returncode, (tmp_path / "store").exists()) == (1, False)
    assert "cannot be made" in result.stderr


def test_what_is_begun_is_told_from_the_first_second_and_not_beside_json(tmp_path: Path) -> None:
    tiny_archive(tmp_path / "archive", 1)
    arguments = ("extract", tmp_path / "archive" / "manifest.csv", "--store", tmp_path / "store", "--workers", 0)
    told = cvtbatch(*arguments, check=True).stderr.splitlines()
    assert told[0] == "reading the manifest"
    assert "planning" in told
    assert cvtbatch(*arguments, "--json", check=True).stderr == ""
