"""The walk of cases through the command line: what is computed, what is not, and what the store holds afterwards."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch import contracts
from cvtbatch.engine import LocalWorkers
from cvtbatch.manifest import read_manifest
from cvtbatch.pipelines.extraction.first_steps import first_steps
from cvtbatch.pipelines.extraction.settings import Options, resolve
from cvtbatch.pipelines.shared.job import read_job
from cvtbatch.store import FeatureStore, StoredArray
from tests.support.archives import tiny_archive, tiny_head, write_rows
from tests.support.commands import appended, cvtbatch, extract_again, extract_json, reasons
from tests.support.outside_data import outside
from tests.support.paths import DATA
from tests.support.store_contents import contents

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


def test_workers_that_would_find_nothing_to_do_are_not_started(archive: Path) -> None:
    assert extract_again(archive, "--workers", 2)["computed"] == 0
    assert FeatureStore(str(archive.parent / "store")).runs()["workers"][0].as_py() == "inline"
    manifest = read_manifest(archive / "manifest.csv")
    job = read_job("extract", None, ["embedding.weights=none"])
    settings = resolve(job, str(archive.parent / "store"))
    for verify_inputs, workers in ((False, 0), (True, 2)):
        config, steps = first_steps(LocalWorkers(2), manifest, settings, Options(False, verify_inputs))
        assert config == LocalWorkers(workers)
        assert ("starting 2 workers" in steps) == bool(workers)


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
    document = extract_again(archive)
    assert (document["already_done"], document["awaiting_mask"], document["decoded"]) == (2, 1, 0)
    assert appended(document) == {}
    assert reasons(document) == {"done": 2, "awaiting mask": 1}


def test_a_changed_mask_recomputes_that_outline_alone(archive: Path) -> None:
    _, mask = tiny_head(0, radius_mm=7.0)
    sitk.WriteImage(mask, str(archive / "mask0.nii.gz"))
    before = contents(archive.parent / "store")
    document = extract_again(archive)
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
    extract_again(archive)
    (archive / "mask0.nii.gz").write_bytes(original)
    document = extract_again(archive)
    assert appended(document) == {"rois": 1}
    store = FeatureStore(str(archive.parent / "store"))
    volumes = {row["roi_key"]: row["original_shape_VoxelVolume"] for row in store.radiomics().to_pylist()}
    assert volumes["A/000/hematoma/A/1"] == pytest.approx(1000 * _roi(store, "A/000/hematoma/A/1")["volume_ml"])


def test_a_touched_file_is_decoded_and_only_its_fingerprint_recorded(archive: Path) -> None:
    (archive / "ct0.nii.gz").touch()
    (archive / "mask1.nii.gz").touch()
    document = extract_again(archive)
    assert (document["computed"], document["already_done"], document["decoded"]) == (0, 2, 2)
    assert appended(document) == {"volumes": 1, "rois": 1}
    assert appended(extract_again(archive)) == {}


def test_what_an_earlier_version_may_have_read_otherwise_is_read_once_more(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values that come out equal keep their rows; an outline that it placed elsewhere is computed anew."""
    from cvtbatch.ingest import outlines

    monkeypatch.setattr("cvtbatch.ingest.fingerprint.READING_REVISION", 99)
    document = extract_again(archive)
    assert (document["computed"], document["already_done"], document["decoded"]) == (0, 2, 3)
    assert appended(document) == {"volumes": 3, "rois": 2}
    assert appended(extract_again(archive)) == {}
    read = outlines.SourceMask.mask_digest
    monkeypatch.setattr("cvtbatch.ingest.fingerprint.READING_REVISION", 100)
    monkeypatch.setattr(outlines.SourceMask, "mask_digest", lambda mask: f"{read(mask)[:-1]}x")
    assert appended(extract_again(archive)) == {"volumes": 3, "rois": 2, "radiomics": 2}


def test_a_changed_image_recomputes_its_case(archive: Path) -> None:
    ct, _ = tiny_head(0)
    ct[20, 20, 5] = 77
    sitk.WriteImage(ct, str(archive / "ct0.nii.gz"))
    document = extract_again(archive)
    assert reasons(document)["image changed"] == 1
    assert appended(document) == {"volumes": 1, "rois": 1, "radiomics": 1}
    assert len(FeatureStore(str(archive.parent / "store")).radiomics(columns=["roi_key"])) == 2


def test_another_bin_width_recomputes_features_from_the_stored_volume(archive: Path) -> None:
    parameters = archive / "p.yaml"
    parameters.write_text("setting: {binWidth: 25, preCrop: true, padDistance: 10}\n")
    document = extract_again(archive, "--set", f"radiomics.profile={parameters}")
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
    document = extract_again(archive)
    assert reasons(document) == {"new outline": 1, "done": 2}
    assert appended(document) == {"rois": 1, "radiomics": 1}


def test_corrected_clinical_values_update_cases_alone(archive: Path) -> None:
    rows = rows_of(archive)
    rows[0]["age"], rows[1]["x_note"] = "71", "second look"
    write_rows(archive / "manifest.csv", rows)
    document = extract_again(archive)
    assert (document["clinical_updated"], document["decoded"]) == (2, 0)
    assert appended(document) == {"cases": 2}
    cases = FeatureStore(str(archive.parent / "store")).table("cases").current().sort_by("case_key").to_pylist()
    assert (cases[0]["age"], cases[1]["extra"]) == (71.0, '{"x_note":"second look"}')


def test_verify_inputs_decodes_everything_and_changes_nothing(archive: Path) -> None:
    document = extract_again(archive, "--verify-inputs")
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
    document = extract_again(archive, "--set", "radiomics.profile=onekey-1834")
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
    document = extract_again(archive, "--set", "radiomics.profile=onekey-1834")
    assert appended(document) == {"volumes": 1, "radiomics": 2}
    [volume] = [row for row in store.table("volumes").current().to_pylist() if row["case_key"] == "A/000"]
    assert volume["generation"] == 1
    store.read_array(StoredArray(volume["path"], volume["checksum"]))
    groups = sorted((archive.parent / "store" / "volumes").glob("*/*.ome.zarr"))
    assert appended(extract_again(archive, "--set", "radiomics.profile=onekey-1834")) == {}
    assert sorted((archive.parent / "store" / "volumes").glob("*/*.ome.zarr")) == groups


def test_features_of_an_older_image_are_not_current(archive: Path) -> None:
    """The image changed and the mask no longer lies on it: what the store has of the old image is no longer its value."""
    ct, _ = tiny_head(0)
    ct.SetOrigin((900.0, 0.0, 0.0))
    sitk.WriteImage(ct, str(archive / "ct0.nii.gz"))
    assert extract_again(archive, code=3)["failed"] == 1
    store = FeatureStore(str(archive.parent / "store"))
    assert store.radiomics(columns=["case_id"])["case_id"].to_pylist() == ["001"]
    assert store.rois()["case_id"].to_pylist() == ["001"]
    result = cvtbatch("picture", "A/000", "--store", archive.parent / "store", "--out", archive / "x.png")
    assert (result.returncode, "the store has no ROI and no case" in result.stderr) == (1, True)


def test_another_grid_says_why_and_pictures_follow_the_newest(archive: Path) -> None:
    document = extract_again(archive, "--set", "volume.spacing_mm=[1, 1, 5]")
    assert reasons(document) == {"no volume under this specification": 3}
    out = archive / "x.png"
    cvtbatch("picture", "A/000", "--store", archive.parent / "store", "--out", out, check=True)
    assert sitk.ReadImage(str(out)).GetSize() == (64, 64)


def test_verify_inputs_finds_and_mends_what_is_damaged_in_the_store(archive: Path) -> None:
    store = FeatureStore(str(archive.parent / "store"))
    (row,) = (row for row in store.table("volumes").current().to_pylist() if row["case_key"] == "A/000")
    (archive.parent / "store" / row["path"] / "0/c/0/0/0").unlink()
    (archive.parent / "store" / str(_roi(store, "A/001/hematoma/A/1")["path"]) / "0/zarr.json").write_bytes(b"")
    assert appended(extract_again(archive)) == {}
    assert appended(extract_again(archive, "--verify-inputs")) == {"volumes": 1, "rois": 1}
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


def test_status_tells_cases_that_await_a_mask(finished: Path) -> None:
    document = json.loads(cvtbatch("status", "--store", finished / "store", "--json", check=True).stdout)
    assert document["cases"] == {
        "total": 3,
        "done": 2,
        "failed": 0,
        "no_hemorrhage": 0,
        "awaiting_mask": 1,
        "incomplete": 0,
    }


def test_real_head_with_its_outline(tmp_path: Path) -> None:
    for name in ("real_head.csv", "head_ct_ge_roi.nii.gz"):
        shutil.copy(DATA / name, tmp_path)
    (tmp_path / "head_ct_ge").symlink_to(outside("head_ct_ge"))
    document = extract_json(tmp_path / "real_head.csv", tmp_path / "store")
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
