"""Nothing that names a patient leaves the archive: values planted in every text of it are searched for in every produced byte.

Planted in all DICOM tags that hold text, dates or UIDs, in private tags, nested items, preamble and file meta; in headers of
NIfTI, NRRD and MetaImage files; in names of segments and ROIs; in folders, file names and the job; and in texts of exceptions.
The manifest's own pseudonyms are not planted: they are kept.
"""

import hashlib
import hmac
import io
import json
import logging
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest
import SimpleITK as sitk
import zarr
from click.testing import CliRunner

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.pipelines.extraction import case_worker
from cvtbatch.pipelines.shared.uid_key import VARIABLE, UidKey
from cvtbatch.store import FeatureStore
from tests.support.commands import extract_json
from tests.support.dicomweb_server import serve_dicomweb
from tests.support.dimse_server import serve_dimse
from tests.support.planted_archive import CLOCK, DATES, FOREIGN_SIDE, STEM, UID_ROOT, Archive, plant_archive
from tests.support.result_stores import adapted_bundle
from tests.support.stand_ins import BlockMeans, standing_in
from tests.support.stub_archive import Answer, stub_archive
from tests.support.watched_archive import watched

KEY = "a key that stays with its user"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return plant_archive(tmp_path_factory.mktemp("privacy"))


@pytest.fixture(scope="module")
def produced(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | bytes]:
    """Everything that the commands leave and say but for the terminal's stderr and the user's own log, by where it stands."""
    store, out = archive.folder.parent / "store", tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(archive.home))
        patch.setenv(VARIABLE, KEY)
        break_libraries(patch)
        profile = archive.folder / f"{STEM}.yaml"
        profile.write_text("setting: {binWidth: 5, preCrop: true, padDistance: 10}", encoding="utf-8")
        chosen, told = ("--set", f"radiomics.profile={profile}"), ("--metrics", out / "run.prom")
        texts = {"extract": json.dumps(extract_json(archive.manifest, store, *chosen, *told, code=3))}
        texts["metrics"] = (out / "run.prom").read_text()
        texts["retry"] = json.dumps(extract_json(archive.manifest, store, *chosen, "--retry-failed", code=3))
        texts["check"] = run("check", archive.manifest, "--json", "--workers", 0, code=3)
        texts["plan"] = run(
            "extract", archive.manifest, "--store", store, "--dry-run", "--json", "--set", "embedding.weights=none"
        )
        texts["status"] = run("status", "--store", store, "--flow", "--json")
        texts["status for people"] = run("status", "--store", store, "--flow")
        weights = ("--set", "embedding.weights=random:0", "--set", "embedding.device=cpu")
        with standing_in():
            texts["embed"] = json.dumps(extract_json(archive.manifest, store, *chosen, *weights, code=3))
        texts |= modelled(store, out)
        texts |= sent(archive, store, out / "bundle", patch)
        patch.setenv("XDG_DATA_HOME", str(archive.home))
        texts |= watched([archive.folder / f"{STEM} {name}" for name in ("good", "gap")], archive.home, out)
        texts |= fetched(archive, out / "bundle", patch)
        texts["review"] = run("review", "--store", store, "--out", out / "review", "--workers", "0", "--json")
    for name in contracts.table_names():
        run("export", name, "--store", store, "--out", out / f"{name}.csv")
        texts[f"export {name}"] = (out / f"{name}.csv").read_text(encoding="utf-8")
    return {**texts, **dict(stored_objects(store)), **dict(stored_objects(out))}


def modelled(store: Path, out: Path) -> dict[str, str]:
    """Freeze a version, and score and validate a centre with a bundle whose columns are those of the store."""
    bundle = adapted_bundle(store, out / "bundle")
    named = ("--store", store, "--snapshot", "planted")
    texts = {
        "snapshot": run("snapshot", "create", "planted", "--store", store, "--roi", "seg", "--json"),
        "score": run("score", *named, "--bundle", bundle, "--explain", "--json"),
        # Without a score no AUC can be computed.
        "validate": run(
            "validate", *named, "--bundle", bundle, "--center", "A", "--out", out / "report", "--json", code=3
        ),
    }
    assert json.loads(texts["validate"])["cases"] == 1
    assert (out / "report" / "report.html").read_text(encoding="utf-8").count("data:image/jpeg") == 1
    return {**texts, "snapshots": run("snapshot", "show", "planted", "--store", store, "--json")}


def sent(archive: Archive, store: Path, bundle: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    """Send results to an archive that is busy, and refuses one; return what is said and logged of it, by every library."""
    named = ("--manifest", archive.manifest, "--store", store, "--bundle", bundle, "--capture", "--fhir")
    patch.setenv("CVTBATCH_PACS_TOKEN", f"{STEM} TOKEN")
    with everything_logged() as logged, stub_archive() as stub:
        stub.answers = [Answer(503, headers={"Retry-After": "0"}), Answer(204), Answer(409)]
        kept = archive.folder.parent / "results"
        told = run("results", "A/good", *named, "--out", kept, "--to", stub.address, "--send", "--json", code=3)
    assert sum(path.endswith("/studies") for _, path, _ in stub.asked) == 9
    assert all(STEM.encode() in path.read_bytes() for path in kept.rglob("*.*"))
    assert Counter(one["state"] for one in json.loads(told)["objects"]) == {"sent": 8, "failed": 1}
    return {"results": told, "what libraries log of sending": logged.getvalue()}


def fetched(archive: Archive, bundle: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    """Pull a series from archives that break off, and score it where it lies; return what is said and logged of it."""
    paths = sorted((archive.folder / f"{STEM} good").iterdir())
    files = {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID): path.read_bytes() for path in paths}
    header, mask = pydicom.dcmread(paths[0]), archive.folder / f"{STEM}_seg.dcm"
    texts, kept = {}, archive.folder.parent / "pulled"
    with everything_logged() as logged, serve_dicomweb(files) as web, serve_dimse(files, {}) as dimse:
        web.cut, dimse.cut = [30_000], [2]
        for name, address in (("dicomweb", web.url), ("dimse", dimse.url)):
            texts[f"pull by {name}"] = run("pull", address, "--out", kept / name, "--json")
            assert len([*(kept / name).rglob("*.dcm")]) == len(files)
        image = f"{web.url}/studies/{header.StudyInstanceUID}/series/{header.SeriesInstanceUID}"
        patch.setattr("cvtbatch.embedding.backbone.Backbone", BlockMeans)
        with standing_in():
            texts["predict"] = run("predict", image, mask, "--bundle", bundle, "--json")
    return {**texts, "what libraries log of fetching": logged.getvalue()}


@contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    """Gather what any library logs."""
    logged, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(logged)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield logged
    finally:
        root.setLevel(logging.WARNING)
        root.removeHandler(handler)


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


def break_libraries(patch: pytest.MonkeyPatch) -> None:
    """Let a decoder and a step of the pipeline raise, with texts that name a patient."""
    read, resample = sitk.ReadImage, case_worker.resample_stack

    def read_image(name: str, *more: object) -> sitk.Image:
        if name.endswith(".mha"):
            raise RuntimeError(f"{STEM}: cannot decode {name}")
        return read(name, *more)

    def resample_stack(hu: np.ndarray, *more: object) -> object:
        if hu.shape[1] == FOREIGN_SIDE:
            raise ValueError(f"{STEM}: no such patient")
        return resample(hu, *more)

    patch.setattr(sitk, "ReadImage", read_image)
    patch.setattr(case_worker, "resample_stack", resample_stack)


def stored_objects(store: Path) -> Iterator[tuple[str, str | bytes]]:
    """Yield every object of a store as it is, tables and arrays decompressed too; its name is searched as well."""
    for path in sorted(store.rglob("*")):
        name = path.relative_to(store).as_posix()
        if path.is_dir():
            if path.suffix == ".zarr":
                array = zarr.open_array(path / "0", mode="r")
                yield f"{name} decompressed", np.asarray(array[:]).tobytes()
            continue
        yield name, name.encode() + b"\n" + path.read_bytes()
        if path.suffix == ".parquet":
            yield f"{name} decompressed", repr(pq.read_table(path).to_pylist())


def test_nothing_that_was_planted_is_found(archive: Archive, produced: dict[str, str | bytes]) -> None:
    sought = {STEM, CLOCK, UID_ROOT, *DATES, "Doe_John", KEY, *archive.planted.values}
    sought = {value.lower() for value in sought if len(value) >= 8}
    # What holds another one is found by that.
    shortest = sorted(value for value in sought if not any(other in value for other in sought - {value}))
    assert {STEM.lower(), CLOCK, UID_ROOT} < set(shortest)
    found = []
    for where, content in produced.items():
        data = (content.encode() if isinstance(content, str) else content).lower()
        found += [(where, value) for value in shortest if value.encode() in data]
        found += [(where, "age")] if isinstance(content, str) and re.search(r"\b097Y\b", content) else []
    assert found == []
    assert len(archive.planted.values) > 1200


def test_the_plants_were_met_and_went_to_the_users_own_log(archive: Archive) -> None:
    """Or nothing would be found for want of anything to find."""
    logs = list((archive.home / "cvtbatch").glob("*.jsonl"))
    assert {log.stat().st_mode & 0o777 for log in logs} == {0o600}
    text = "".join(log.read_text(encoding="utf-8") for log in logs)
    assert all(word in text for word in (f"{STEM} cut", f"{STEM}: cannot decode", f"{STEM}: no such patient"))


@pytest.mark.usefixtures("produced")
def test_the_table_without_paths_holds_nothing_that_was_planted(archive: Archive) -> None:
    sought = {STEM, CLOCK, UID_ROOT, *DATES, "Doe_John", *archive.planted.values}
    found = {name: Counter[str]() for name in ("failures.csv", "failures-without-paths.csv")}
    for name, counts in found.items():
        for table in (archive.home / "cvtbatch").glob(f"*/{name}"):
            text = table.read_text(encoding="utf-8-sig").lower()
            counts.update(value for value in sought if len(value) >= 8 and value.lower() in text)
    assert found["failures.csv"]
    assert not found["failures-without-paths.csv"]


@pytest.mark.usefixtures("produced")
def test_rows_of_success_and_failure_are_there_and_uids_are_keyed_hashes(archive: Archive) -> None:
    store = FeatureStore(str(archive.folder.parent / "store"))
    volumes = {row["case_key"]: row for row in store.table("volumes").current().to_pylist()}
    assert set(volumes) == {"A/good", "B/nii", "B/nrrd"}
    assert {row["roi"] for row in store.rois().to_pylist()} == {"seg", "rt", "slicer"}
    assert {row["roi_key"] or row["case_key"]: row["kind"] for row in store.failures().to_pylist()} == {
        "A/cut": "unreadable_pixels",
        "A/gap": "missing_slices",
        "A/good/elsewhere/A/1": "mask_outside_image",
        "A/good/two/A/1": "ambiguous_mask",
        "A/good/unnamed/A/1": "no_such_segment",
        "A/unit": "not_hounsfield",
        "B/foreign": "internal_error",
        "B/mha": "unreadable_file",
    }
    slices = sorted((archive.folder / f"{STEM} good").iterdir())
    first = pydicom.dcmread(slices[0])
    for column, keyword in {
        "series_uid_hash": "SeriesInstanceUID",
        "study_uid_hash": "StudyInstanceUID",
        "frame_of_reference_hash": "FrameOfReferenceUID",
    }.items():
        uid = str(first[keyword].value)
        assert volumes["A/good"][column] == hmac.new(KEY.encode(), uid.encode(), hashlib.sha256).hexdigest()
    assert volumes["A/good"]["uid_key_id"] == UidKey(KEY.encode()).key_id
