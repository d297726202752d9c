"""The walk of cases through the command line: what is computed, what is not, and what the store holds afterwards."""

import json
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from click.testing import CliRunner

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.store import FeatureStore, StoredArray
from tests.support import DATA, contents, cvtbatch, extract_json, tiny_archive, tiny_head, write_rows

Rows = list[dict[str, object]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of three cases, one of them without its mask, and a store of it."""
    folder = tmp_path_factory.mktemp("finished")
    rows = tiny_archive(folder / "archive", 3)
    rows[2]["mask"] = ""
    write_rows(folder / "archive" / "manifest.csv", rows)
    document = extract_json(folder / "archive" / "manifest.csv", folder / "store")
    assert {name: document[name] for name in ("computed", "already_done", "failed", "awaiting_mask")} == {
        "computed": 2,
        "already_done": 0,
        "failed": 0,
        "awaiting_mask": 1,
    }
    return folder


@pytest.fixture
def archive(finished: Path, tmp_path: Path) -> Path:
    """A copy of archive and store, to be changed; times of files stay."""
    for name in ("archive", "store"):
        shutil.copytree(finished / name, tmp_path / name)
    return tmp_path / "archive"


def rows_of(archive: Path) -> Rows:
    import csv

    with (archive / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def again(archive: Path, *arguments: object, code: int = 0) -> dict[str, object]:
    return extract_json(archive / "manifest.csv", archive.parent / "store", *arguments, code=code)


def appended(document: dict[str, object]) -> dict[str, int]:
    rows = document["rows"]
    assert isinstance(rows, dict)
    return {name: count for name, count in rows.items() if count}


def reasons(document: dict[str, object]) -> dict[str, int]:
    return {row["reason"]: row["cases"] for row in document["plan"]}  # type: ignore[attr-defined]


def test_tables_hold_what_the_contracts_say(finished: Path) -> None:
    store = FeatureStore(str(finished / "store"))
    rows = store.radiomics().to_pylist()
    assert len(rows) == 2
    for row in rows:
        assert (row["engine"], row["undefined_features"]) == ("fast", [])
        # Of the first append, or, where the machine is slow, of a later one.
        assert row["sequence"] >= 1
        assert np.isfinite([row[name] for name in contracts.feature_names()]).all()
        assert row["original_shape_VoxelVolume"] == pytest.approx(1000 * _roi(store, row["roi_key"])["volume_ml"])
    assert [row["patient"] for row in store.table("cases").current().sort_by("case_key").to_pylist()] == [
        "000",
        "001",
        "002",
    ]
    for row in store.table("rois").current().to_pylist():
        assert row["volume_ml"] == pytest.approx(row["source_volume_ml"], rel=0.05)
        mask = store.read_array(StoredArray(row["path"], row["checksum"]))
        (z, y, x), (dz, dy, dx) = row["box_start_zyx"], row["box_size_zyx"]
        assert mask[z : z + dz, y : y + dy, x : x + dx].sum() == mask.sum() == row["voxels"]
        assert (
            mask[row["largest_slice"]].sum() * 0.25
            == row["largest_slice_area_mm2"]
            == mask.sum(axis=(1, 2)).max() * 0.25
        )


def _roi(store: FeatureStore, key: str) -> dict[str, object]:
    return next(row for row in store.table("rois").current().to_pylist() if row["roi_key"] == key)


def test_a_second_run_computes_and_decodes_nothing_and_says_so(archive: Path) -> None:
    for path in archive.iterdir():
        if path.suffix == ".gz":
            times = path.stat()
            path.write_bytes(b"x" * times.st_size)  # whoever reads this notices
            import os

            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    document = again(archive)
    assert (document["already_done"], document["awaiting_mask"], document["decoded"]) == (2, 1, 0)
    assert appended(document) == {}
    assert reasons(document) == {"done": 2, "awaiting mask": 1}


def test_a_changed_mask_recomputes_that_outline_alone(archive: Path) -> None:
    _, mask = tiny_head(0, radius_mm=7.0)
    sitk.WriteImage(mask, str(archive / "mask0.nii.gz"))
    before = contents(archive.parent / "store")
    document = again(archive)
    assert reasons(document) == {"mask changed": 1, "done": 1, "awaiting mask": 1}
    assert appended(document) == {"rois": 1, "radiomics": 1}
    store = FeatureStore(str(archive.parent / "store"))
    current = store.radiomics(columns=["roi_key", "input_digest"]).to_pylist()
    assert len(current) == 2
    assert len(contents(archive.parent / "store")["radiomics"]) == 3
    old = {row["input_digest"] for row in before["radiomics"]}
    assert [row["input_digest"] in old for row in sorted(current, key=lambda row: row["roi_key"])] == [False, True]


def test_a_mask_that_goes_back_is_current_again_without_computing(archive: Path) -> None:
    original = (archive / "mask0.nii.gz").read_bytes()
    sitk.WriteImage(tiny_head(0, radius_mm=7.0)[1], str(archive / "mask0.nii.gz"))
    again(archive)
    (archive / "mask0.nii.gz").write_bytes(original)
    document = again(archive)
    assert appended(document) == {"rois": 1}
    store = FeatureStore(str(archive.parent / "store"))
    volumes = {row["roi_key"]: row["original_shape_VoxelVolume"] for row in store.radiomics().to_pylist()}
    assert volumes["A/000/hematoma/A/1"] == pytest.approx(1000 * _roi(store, "A/000/hematoma/A/1")["volume_ml"])


def test_a_touched_file_is_decoded_and_only_its_fingerprint_recorded(archive: Path) -> None:
    (archive / "ct0.nii.gz").touch()
    (archive / "mask1.nii.gz").touch()
    document = again(archive)
    assert (document["computed"], document["already_done"], document["decoded"]) == (0, 2, 2)
    assert appended(document) == {"volumes": 1, "rois": 1}
    assert appended(again(archive)) == {}


def test_a_changed_image_recomputes_its_case(archive: Path) -> None:
    ct, _ = tiny_head(0)
    ct[20, 20, 5] = 77
    sitk.WriteImage(ct, str(archive / "ct0.nii.gz"))
    document = again(archive)
    assert reasons(document)["image changed"] == 1
    assert appended(document) == {"volumes": 1, "rois": 1, "radiomics": 1}
    assert len(FeatureStore(str(archive.parent / "store")).radiomics(columns=["roi_key"])) == 2


def test_another_bin_width_recomputes_features_from_the_stored_volume(archive: Path) -> None:
    parameters = archive / "p.yaml"
    parameters.write_text("setting: {binWidth: 25, preCrop: true, padDistance: 10}\n")
    document = again(archive, "--set", f"radiomics.profile={parameters}")
    assert (document["computed"], document["decoded"]) == (2, 0)
    assert appended(document) == {"radiomics": 2}
    run = (
        FeatureStore(str(archive.parent / "store"))
        .table("runs")
        .current()
        .sort_by([("sequence", "descending")])
        .to_pylist()[0]
    )
    assert str(parameters) not in json.dumps(run, default=str)


def test_a_mask_that_comes_later_uses_the_volume_that_is_there(archive: Path) -> None:
    rows = rows_of(archive)
    rows[2]["mask"] = "mask2.nii.gz"
    write_rows(archive / "manifest.csv", rows)
    document = again(archive)
    assert reasons(document) == {"new outline": 1, "done": 2}
    assert appended(document) == {"rois": 1, "radiomics": 1}


def test_corrected_clinical_values_update_cases_alone(archive: Path) -> None:
    rows = rows_of(archive)
    rows[0]["age"], rows[1]["x_note"] = "71", "second look"
    write_rows(archive / "manifest.csv", rows)
    document = again(archive)
    assert (document["clinical_updated"], document["decoded"]) == (2, 0)
    assert appended(document) == {"cases": 2}
    cases = FeatureStore(str(archive.parent / "store")).table("cases").current().sort_by("case_key").to_pylist()
    assert (cases[0]["age"], cases[1]["extra"]) == (71.0, '{"x_note":"second look"}')


def test_verify_inputs_decodes_everything_and_changes_nothing(archive: Path) -> None:
    document = again(archive, "--verify-inputs")
    assert (document["decoded"], document["computed"], appended(document)) == (3, 0, {})


def test_a_dry_run_prints_the_plan_and_writes_nothing(archive: Path) -> None:
    (archive / "ct0.nii.gz").touch()
    store = archive.parent / "store"
    before = sorted((path, path.stat().st_mtime_ns) for path in store.rglob("*"))
    result = cvtbatch("extract", archive / "manifest.csv", "--store", store, "--dry-run", check=True)
    assert "compute  A/000: image changed" in result.stdout
    assert "leave    A/001: done" in result.stdout
    assert sorted((path, path.stat().st_mtime_ns) for path in store.rglob("*")) == before
    fresh = cvtbatch(
        "extract", archive / "manifest.csv", "--store", archive.parent / "absent", "--dry-run", "--json", check=True
    )
    assert reasons(json.loads(fresh.stdout)) == {"new case": 3}
    assert not (archive.parent / "absent").exists()


def test_a_damaged_volume_is_made_anew_where_it_is_needed(archive: Path) -> None:
    store = FeatureStore(str(archive.parent / "store"))
    [volume] = [row for row in store.table("volumes").current().to_pylist() if row["case_key"] == "A/000"]
    (archive.parent / "store" / volume["path"] / "0/c/0/0/0").write_bytes(b"rot")
    shutil.rmtree(archive.parent / "store" / _roi(store, "A/001/hematoma/A/1")["path"])  # type: ignore[arg-type, operator]
    document = again(archive, "--set", "radiomics.profile=onekey-1834")
    assert appended(document) == {"volumes": 1, "rois": 1, "radiomics": 2}
    store = FeatureStore(str(archive.parent / "store"))
    for name in ("volumes", "rois"):
        for row in store.table(name).current().to_pylist():
            store.read_array(StoredArray(row["path"], row["checksum"]))


def test_a_volume_that_is_touched_and_damaged_is_made_anew_once(archive: Path) -> None:
    (archive / "ct0.nii.gz").touch()
    store = FeatureStore(str(archive.parent / "store"))
    [volume] = [row for row in store.table("volumes").current().to_pylist() if row["case_key"] == "A/000"]
    (archive.parent / "store" / volume["path"] / "0/c/0/0/0").write_bytes(b"rot")
    document = again(archive, "--set", "radiomics.profile=onekey-1834")
    assert appended(document) == {"volumes": 1, "radiomics": 2}
    [volume] = [row for row in store.table("volumes").current().to_pylist() if row["case_key"] == "A/000"]
    assert volume["generation"] == 1
    store.read_array(StoredArray(volume["path"], volume["checksum"]))
    groups = sorted((archive.parent / "store" / "volumes").glob("*/*.ome.zarr"))
    assert appended(again(archive, "--set", "radiomics.profile=onekey-1834")) == {}
    assert sorted((archive.parent / "store" / "volumes").glob("*/*.ome.zarr")) == groups


def test_features_of_an_older_image_are_not_current(archive: Path) -> None:
    """The image changed and the mask no longer lies on it: what the store has of the old image is no longer its value."""
    ct, _ = tiny_head(0)
    ct.SetOrigin((900.0, 0.0, 0.0))
    sitk.WriteImage(ct, str(archive / "ct0.nii.gz"))
    assert again(archive, code=3)["failed"] == 1
    store = FeatureStore(str(archive.parent / "store"))
    assert store.radiomics(columns=["case_id"])["case_id"].to_pylist() == ["001"]
    assert store.rois()["case_id"].to_pylist() == ["001"]
    result = cvtbatch("picture", "A/000", "--store", archive.parent / "store", "--out", archive / "x.png")
    assert (result.returncode, "names 0 stored ROIs" in result.stderr) == (1, True)


def test_another_grid_says_why_and_pictures_follow_the_newest(archive: Path) -> None:
    document = again(archive, "--set", "volume.spacing_mm=[1, 1, 5]")
    assert reasons(document) == {"no volume under this specification": 3}
    out = archive / "x.png"
    cvtbatch("picture", "A/000", "--store", archive.parent / "store", "--out", out, check=True)
    assert sitk.ReadImage(str(out)).GetSize() == (64, 64)


def test_a_mask_that_is_cut_by_the_edge_of_the_image_is_refused(tmp_path: Path) -> None:
    rows = tiny_archive(tmp_path / "archive", 1)
    _, mask = tiny_head(0)
    mask.SetOrigin((-32.0, 0.0, -30.0))
    sitk.WriteImage(mask, str(tmp_path / "archive" / "mask0.nii.gz"))
    document = extract_json(write_rows(tmp_path / "archive" / "manifest.csv", rows), tmp_path / "store", code=3)
    assert document["failures"] == [{"stage": "mask", "kind": "mask_cut", "cases": 1}]


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
    document = again(archive, code=3)
    assert (document["failed"], document["already_done"], document["decoded"], appended(document)) == (4, 1, 0, {})
    retried = again(archive, "--retry-failed", code=3)
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
    document = again(archive)
    assert (document["computed"], document["failed"]) == (4, 0)
    assert FeatureStore(str(archive.parent / "store")).failures().num_rows == 0
    status = json.loads(cvtbatch("status", "--store", archive.parent / "store", "--json", check=True).stdout)
    assert status["cases"] == {"total": 5, "done": 5, "failed": 0, "awaiting_mask": 0, "incomplete": 0}


def test_status_agrees_and_keeps_its_contract(faulty: Path, finished: Path) -> None:
    document = json.loads(cvtbatch("status", "--store", faulty / "store", "--json", check=True).stdout)
    assert contracts.problems_of(document, "commands/status.json") == []
    assert document["cases"] == {"total": 5, "done": 1, "failed": 4, "awaiting_mask": 0, "incomplete": 0}
    assert {(row["stage"], row["kind"]) for row in document["failures"]} == set(FAULTS.values())
    assert document["runs"][0]["state"] == "completed"
    document = json.loads(cvtbatch("status", "--store", finished / "store", "--json", check=True).stdout)
    assert document["cases"] == {"total": 3, "done": 2, "failed": 0, "awaiting_mask": 1, "incomplete": 0}


def test_check_finds_what_extract_would_and_writes_nothing(faulty: Path) -> None:
    result = cvtbatch("check", faulty / "archive" / "manifest.csv", "--json")
    document = json.loads(result.stdout)
    assert contracts.problems_of(document, "commands/check.json") == []
    found = [(row["stage"], row["kind"]) for row in document["problems"]]
    assert (result.returncode, found) == (3, [what for what in FAULTS.values() if what[0] != "radiomics"])


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

    def deviating(*arguments: object) -> dict[str, float]:
        values = stock(*arguments)  # type: ignore[arg-type]
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
    from cvtbatch.pipelines import case

    tiny_archive(tmp_path / "archive", 1)
    manifest, store = tmp_path / "archive" / "manifest.csv", tmp_path / "store"
    right = case.roi_features

    def wrong(*arguments: object) -> object:
        features = right(*arguments)  # type: ignore[arg-type]
        return replace(features, values={**features.values, "original_glcm_Contrast": 3.0})

    with monkeypatch.context() as patched:
        patched.setattr(case, "roi_features", wrong)
        extract_json(manifest, store, "--audit", "1", code=3)
    extract_json(manifest, store, "--retry-failed", code=3)
    extract_json(manifest, store, "--retry-failed", "--set", "radiomics.engine=pyradiomics", code=3)
    mask = (tmp_path / "archive" / "mask0.nii.gz").read_bytes()
    sitk.WriteImage(tiny_head(0, radius_mm=7.0)[1], str(tmp_path / "archive" / "mask0.nii.gz"))
    assert extract_json(manifest, store, "--audit", "1")["failed"] == 0
    (tmp_path / "archive" / "mask0.nii.gz").write_bytes(mask)
    extract_json(manifest, store)
    assert extract_json(manifest, store, code=3)["failed"] == 1


def test_verify_inputs_finds_and_mends_what_is_damaged_in_the_store(archive: Path) -> None:
    store = FeatureStore(str(archive.parent / "store"))
    (row,) = (row for row in store.table("volumes").current().to_pylist() if row["case_key"] == "A/000")
    (archive.parent / "store" / row["path"] / "0/c/0/0/0").unlink()
    (archive.parent / "store" / str(_roi(store, "A/001/hematoma/A/1")["path"]) / "0/zarr.json").write_bytes(b"")
    assert appended(again(archive)) == {}
    assert appended(again(archive, "--verify-inputs")) == {"volumes": 1, "rois": 1}
    for name in ("volumes", "rois"):
        for row in store.table(name).current().to_pylist():
            store.read_array(StoredArray(row["path"], row["checksum"]))


def test_two_readers_share_the_volume(tmp_path: Path) -> None:
    rows = tiny_archive(tmp_path / "archive", 1)
    sitk.WriteImage(tiny_head(0, radius_mm=7.5)[1], str(tmp_path / "archive" / "maskB.nii.gz"))
    rows.append({**rows[0], "mask": "maskB.nii.gz", "reader": "B"})
    write_rows(tmp_path / "archive" / "manifest.csv", rows)
    document = extract_json(tmp_path / "archive" / "manifest.csv", tmp_path / "store")
    assert appended(document) == {"volumes": 1, "cases": 1, "rois": 2, "radiomics": 2}
    store = FeatureStore(str(tmp_path / "store"))
    assert {row["reader"] for row in store.radiomics(columns=["reader"]).to_pylist()} == {"A", "B"}


def test_workers_give_what_inline_gives(finished: Path, tmp_path: Path) -> None:
    cvtbatch(
        "extract", finished / "archive" / "manifest.csv", "--store", tmp_path / "store", "--workers", 2, check=True
    )
    assert contents(tmp_path / "store") == contents(finished / "store")


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
    [log] = (tmp_path / "state" / "cvtbatch").iterdir()
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


def test_real_head_with_its_outline(tmp_path: Path) -> None:
    document = extract_json(DATA / "real_head.csv", tmp_path / "store")
    assert document["computed"] == 1
    store = FeatureStore(str(tmp_path / "store"))
    [roi] = store.table("rois").current().to_pylist()
    [volume] = store.table("volumes").current().to_pylist()
    assert roi["volume_ml"] == pytest.approx(20.4, rel=0.03)
    assert volume["source_tilt_deg"] == pytest.approx(18.5, abs=0.01)
    mask = store.read_array(StoredArray(roi["path"], roi["checksum"])) > 0
    hu = store.read_array(StoredArray(volume["path"], volume["checksum"]))
    assert hu[mask].mean() == pytest.approx(28, abs=1.5)  # brain, as the outline's description says
    assert ((hu[mask] > -10) & (hu[mask] < 80)).mean() > 0.99  # no bone, no air
    # Posterior left: in LPS, left of and behind the head's centre.
    z, y, x = (index.mean() for index in np.nonzero(mask))
    head_y, head_x = (index.mean() for index in np.nonzero(hu[round(z)] > -200))
    axes = np.array(volume["direction"]).reshape(3, 3)
    offset = axes @ np.array([(x - head_x) * 0.5, (y - head_y) * 0.5, 0.0])
    assert offset[0] > 25
    assert offset[1] > 10
    out = tmp_path / "head.png"
    cvtbatch("picture", "ge/head", "--store", tmp_path / "store", "--out", out, check=True)
    picture = sitk.GetArrayFromImage(sitk.ReadImage(str(out)))
    assert picture.shape == (*hu.shape[1:], 3)
    assert (picture == (255, 210, 0)).all(axis=2).sum() > 100
