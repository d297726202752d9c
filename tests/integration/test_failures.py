"""Cases that fail: each is a row with its reason, stands until it is mended, and stops no other."""

import json
import shutil
import stat
import struct
from pathlib import Path

import pytest
import SimpleITK as sitk
from click.testing import CliRunner

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.store import FeatureStore
from tests.support.archives import tiny_archive, tiny_head, write_rows
from tests.support.commands import appended, cvtbatch, extract_again, extract_json, reasons

FAULTS = {
    "truncated image": ("read", "unreadable_file"),
    "empty mask": ("mask", "empty_mask"),
    "mask elsewhere": ("mask", "mask_outside_image"),
    "line of voxels": ("radiomics", "roi_too_thin"),
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good case among cases that fail in every stage, extracted."""
    folder = tmp_path_factory.mktemp("faulty")
    rows = tiny_archive(folder / "archive", 5)
    archive = folder / "archive"
    data = (archive / "ct1.nii.gz").read_bytes()
    (archive / "ct1.nii.gz").write_bytes(data[: len(data) // 2])
    _, mask = tiny_head(2)
    sitk.WriteImage(mask * 0, str(archive / "mask2.nii.gz"))
    _, mask = tiny_head(3)
    mask.SetOrigin((900.0, 0.0, 0.0))
    sitk.WriteImage(mask, str(archive / "mask3.nii.gz"))
    line = sitk.GetArrayFromImage(tiny_head(4)[1]) * 0
    line[6, 30, 20:30] = 1
    thin = sitk.GetImageFromArray(line)
    thin.CopyInformation(tiny_head(4)[1])
    thin.SetSpacing((0.5, 0.5, 5.0))
    thin.SetOrigin((-16.0, -16.0, -30.0))
    sitk.WriteImage(thin, str(archive / "mask4.nii.gz"))
    write_rows(archive / "manifest.csv", rows)
    document = extract_json(archive / "manifest.csv", folder / "store", code=3)
    assert (document["computed"], document["failed"]) == (1, 4)
    return folder


def test_failures_are_rows_and_the_rest_is_finished(faulty: Path) -> None:
    rows = FeatureStore(str(faulty / "store")).failures().sort_by("case_key").to_pylist()
    assert [(row["stage"], row["kind"]) for row in rows] == list(FAULTS.values())
    assert [row["manifest_row"] for row in rows] == [2, 3, 4, 5]
    assert all(str(faulty) not in json.dumps(row, default=str) for row in rows)
    assert [bool(row["roi_key"]) for row in rows] == [False, True, True, True]


def test_failures_of_unchanged_sources_stand_and_are_retried_when_asked(faulty: Path, tmp_path: Path) -> None:
    shutil.copytree(faulty, tmp_path / "copy")
    archive = tmp_path / "copy" / "archive"
    document = extract_again(archive, code=3)
    assert (document["failed"], document["already_done"], document["decoded"], appended(document)) == (4, 1, 0, {})
    retried = extract_again(archive, "--retry-failed", code=3)
    assert (retried["failed"], reasons(retried)["failed before, tried again"], appended(retried)) == (
        4,
        4,
        {"failures": 4},
    )
    assert FeatureStore(str(archive.parent / "store")).failures().num_rows == 4


def test_a_mended_source_is_tried_by_itself_and_its_failure_ends(faulty: Path, tmp_path: Path) -> None:
    shutil.copytree(faulty, tmp_path / "copy")
    archive = tmp_path / "copy" / "archive"
    for number in range(1, 5):
        ct, mask = tiny_head(number)
        sitk.WriteImage(ct, str(archive / f"ct{number}.nii.gz"))
        sitk.WriteImage(mask, str(archive / f"mask{number}.nii.gz"))
    document = extract_again(archive)
    assert (document["computed"], document["failed"]) == (4, 0)
    assert FeatureStore(str(archive.parent / "store")).failures().num_rows == 0
    status = json.loads(cvtbatch("status", "--store", archive.parent / "store", "--json", check=True).stdout)
    assert status["cases"] == {
        "total": 5,
        "done": 5,
        "failed": 0,
        "no_hemorrhage": 0,
        "awaiting_mask": 0,
        "incomplete": 0,
    }


def test_status_agrees_and_keeps_its_contract(faulty: Path) -> None:
    document = json.loads(cvtbatch("status", "--store", faulty / "store", "--json", check=True).stdout)
    assert contracts.problems_of(document, "commands/status.json") == []
    assert document["cases"] == {
        "total": 5,
        "done": 1,
        "failed": 4,
        "no_hemorrhage": 0,
        "awaiting_mask": 0,
        "incomplete": 0,
    }
    assert {(row["stage"], row["kind"]) for row in document["failures"]} == set(FAULTS.values())
    assert document["runs"][0]["state"] == "completed"


def test_check_finds_what_extract_would_and_writes_nothing(faulty: Path) -> None:
    result = cvtbatch("check", faulty / "archive" / "manifest.csv", "--json")
    document = json.loads(result.stdout)
    assert contracts.problems_of(document, "commands/check.json") == []
    found = [(row["stage"], row["kind"]) for row in document["problems"]]
    assert (result.returncode, found) == (3, [what for what in FAULTS.values() if what[0] != "radiomics"])


def test_a_mask_that_is_cut_by_the_edge_of_the_image_is_refused(tmp_path: Path) -> None:
    rows = tiny_archive(tmp_path / "archive", 1)
    _, mask = tiny_head(0)
    mask.SetOrigin((-32.0, 0.0, -30.0))
    sitk.WriteImage(mask, str(tmp_path / "archive" / "mask0.nii.gz"))
    document = extract_json(write_rows(tmp_path / "archive" / "manifest.csv", rows), tmp_path / "store", code=3)
    assert document["failures"] == [{"stage": "mask", "kind": "mask_cut", "cases": 1}]


def test_exports_hold_current_rows(faulty: Path, tmp_path: Path) -> None:
    import pyarrow.csv
    import pyarrow.parquet

    for name, count in (("radiomics", 1), ("cases", 5), ("failures", 4), ("volumes", 4)):
        for suffix in (".parquet", ".csv"):
            out = tmp_path / f"{name}{suffix}"
            arguments = ["export", name, "--store", str(faulty / "store"), "--out", str(out)]
            assert CliRunner().invoke(cli, arguments).exit_code == 0
            rows = pyarrow.parquet.read_table(out) if suffix == ".parquet" else pyarrow.csv.read_csv(out)
            assert (rows.num_rows, rows.column_names) == (count, contracts.table(name).arrow().names)
    assert cvtbatch("export", "cases", "--store", faulty / "store", "--out", tmp_path / "x.xlsx").returncode == 1


def test_private_texts_go_to_a_log_of_the_users_own(tmp_path: Path) -> None:
    rows = tiny_archive(tmp_path / "archive-of-Jane-Doe", 1)
    (tmp_path / "archive-of-Jane-Doe" / "ct0.nii.gz").write_bytes(b"broken")
    manifest = write_rows(tmp_path / "archive-of-Jane-Doe" / "manifest.csv", rows)
    environment = {"XDG_STATE_HOME": str(tmp_path / "state")}
    result = cvtbatch("extract", manifest, "--store", tmp_path / "store", "--workers", 0, environment=environment)
    assert (result.returncode, "Jane-Doe" in result.stderr) == (3, True)
    [log] = (tmp_path / "state" / "cvtbatch").glob("*.jsonl")
    assert "Jane-Doe" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    for path in (tmp_path / "store").rglob("*"):
        assert not path.is_file() or b"Jane-Doe" not in path.read_bytes()
        assert not path.is_file() or str(tmp_path).encode() not in path.read_bytes(), "the store names its own place"


def test_a_user_without_a_home_has_no_log_and_a_finished_run(faulty: Path, tmp_path: Path) -> None:
    environment = {"XDG_STATE_HOME": "/proc/no-such-place"}
    arguments = ("extract", faulty / "archive" / "manifest.csv", "--store", tmp_path / "store", "--workers", 0)
    result = cvtbatch(*arguments, environment=environment)
    assert (result.returncode, "Traceback" in result.stderr) == (3, False)
    assert result.stderr.count("no log of this run is kept") == 1
    assert result.stderr.count("failed: row") == 4


def test_many_failures_are_told_by_their_number(tmp_path: Path) -> None:
    (tmp_path / "broken.nii.gz").write_bytes(b"broken")
    rows = [{"center": "A", "case_id": f"{number:03}", "image": "broken.nii.gz"} for number in range(22)]
    manifest = write_rows(tmp_path / "manifest.csv", rows)
    result = cvtbatch("extract", manifest, "--store", tmp_path / "store", "--workers", 0)
    assert (result.returncode, result.stderr.count("failed: row")) == (3, 1)
    assert "+ 21 more of unreadable_file" in result.stderr


def test_a_header_that_claims_more_than_the_machine_has_is_a_failure_with_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cvtbatch.engine.memory.memory_left_bytes", lambda: 16_000_000_000)
    tiny_archive(tmp_path, 2)
    # 2^30 voxels of eight bytes, in a file of holes.
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, 32767, 32767, 1, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 64, 64)
    struct.pack_into("<8f", header, 76, 1, 1, 1, 1, 1, 1, 1, 1)
    struct.pack_into("<f", header, 108, 352)
    struct.pack_into("<B", header, 123, 2)
    header[344:348] = b"n+1\0"
    image = tmp_path / "ct1.nii"
    image.write_bytes(header)
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("ct1.nii.gz", "ct1.nii"))
    document = extract_json(manifest, tmp_path / "store", code=3)
    assert (document["computed"], document["failed"]) == (1, 1)
    assert document["failures"] == [{"stage": "worker", "kind": "too_large", "cases": 1}]
