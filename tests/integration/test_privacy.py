"""Nothing that names a patient leaves the archive: values planted in every text of it are searched for in every produced byte.

Planted in all DICOM tags that hold text, dates or UIDs, in private tags, nested items, preamble and file meta; in headers of
NIfTI, NRRD and MetaImage files; in names of segments and ROIs; in folders, file names and the job; and in texts of exceptions.
The manifest's own pseudonyms are not planted: they are kept.
"""

import datetime
import hashlib
import hmac
import io
import json
import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest
import SimpleITK as sitk
import zarr
from click.testing import CliRunner
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.ingest.writing import SeriesTags, write_series
from cvtbatch.pipelines.extraction import case_worker
from cvtbatch.pipelines.shared.uid_key import VARIABLE, UidKey
from cvtbatch.store import FeatureStore
from tests.support.archives import write_rows
from tests.support.commands import extract_json
from tests.support.mask_files import Ball, ball, datasets, write_seg, write_structure_set
from tests.support.result_stores import adapted_bundle
from tests.support.stand_ins import standing_in
from tests.support.stub_archive import Answer, stub_archive
from tests.support.watched_archive import watched

KEY = "a key that stays with its user"
# Rows of the image over which a step of the pipeline raises.
FOREIGN_SIDE = 44
# Every planted word holds this.
STEM = "QZXPLANT"
BIRTH = datetime.date(1847, 2, 13)
CLOCK = "031415.926535"
UID_ROOT = "1.2.826.0.1.3680043.10.54321."
DATES = [BIRTH.strftime(form) for form in ("%Y%m%d", "%Y-%m-%d", "%Y.%m.%d")]
TEXTS = {
    **dict.fromkeys(("SH", "LO", "ST", "LT", "UT", "UC", "PN", "UR", "AE", "CS"), STEM),
    **{"DA": DATES[0], "TM": CLOCK, "DT": DATES[0] + CLOCK, "AS": "097Y", "UI": UID_ROOT},
}
LONGEST = {"SH": 16, "AE": 16, "CS": 16, "LO": 64, "PN": 64}
# Without these there is no image; what stands in them is a word of the standard, or a number.
NEEDED = {
    *(
        "SpecificCharacterSet",
        "SOPClassUID",
        "Modality",
        "PhotometricInterpretation",
        "PixelRepresentation",
        "RescaleType",
    ),
    *("ImageType", "PixelPaddingValue", "PixelData", "NumberOfFrames", "FrameOfReferenceUID", "SeriesInstanceUID"),
    *("StudyInstanceUID", "SOPInstanceUID"),
}


@dataclass
class Planted:
    """Values that were planted, and where they are."""

    values: dict[str, str]

    def add(self, where: str, value: str) -> str:
        self.values[value] = where
        return value


def plant(dataset: Dataset, planted: Planted) -> None:
    """Put a value of its own into every tag of the dictionary that holds text, and into what the dictionary does not know."""
    for tag, (vr, _, _, retired, keyword) in DicomDictionary.items():
        if vr not in TEXTS or keyword in NEEDED or not keyword or retired or tag >> 16 in {0x0000, 0x0002, 0x0004}:
            continue
        text = TEXTS[vr]
        if text == STEM:
            text = f"{STEM}^{tag:08X}"[: LONGEST[vr]] if vr == "PN" else f"{STEM}_{tag:X}"[: LONGEST.get(vr, 99)]
        elif vr == "UI":
            text += str(tag)
        dataset.add_new(tag, vr, planted.add(keyword, text))
    dataset.ImageType = [*list(dataset.ImageType)[:3], planted.add("ImageType", STEM)]
    for keyword in ("FrameOfReferenceUID", "SeriesInstanceUID", "StudyInstanceUID", "SOPInstanceUID"):
        planted.add(keyword, str(dataset[keyword].value))
    private = dataset.private_block(0x0009, f"{STEM} CREATOR", create=True)
    private.add_new(0x01, "LO", f"{STEM} PRIVATE")
    private.add_new(0x02, "UN", f"{STEM} UNKNOWN ".encode())
    private.add_new(0x03, "OB", f"{STEM} BYTES ".encode())
    item = Dataset()
    item.PatientID, item.PatientName, item.IssuerOfPatientID = f"{STEM} NESTED", f"{STEM}^NESTED", f"{STEM} ISSUER"
    dataset.OtherPatientIDsSequence = [item]
    dataset.file_meta.SourceApplicationEntityTitle = STEM
    dataset.preamble = f"{STEM} PREAMBLE".encode().ljust(128, b"\0")


def planted_series(folder: Path, drawn: Ball, planted: Planted) -> list[Dataset]:
    """Write a series with planted tags and file names; return its slices as they were before."""
    write_series(folder, drawn.hu(), drawn.stack, SeriesTags(f"{STEM} {folder.name}", f"{STEM} series", 0.0))
    slices = datasets(folder)
    for number, path in enumerate(sorted(folder.iterdir())):
        dataset = pydicom.dcmread(path)
        plant(dataset, planted)
        dataset.save_as(folder / f"{STEM}_{DATES[0]}_{number:03d}.dcm", enforce_file_format=True)
        path.unlink()
    return slices


def write_text_headers(folder: Path) -> None:
    """Image files with planted texts: NIfTI's db_name, descrip, aux_file and intent_name, keys of NRRD and MetaImage."""
    for name, side in (("nii", 40), ("nrrd", 40), ("mha", 40), ("foreign.nii", FOREIGN_SIDE)):
        hu = np.full((8, side, side), 33, np.int16)
        hu[:, :, :8] = -1000
        image = sitk.GetImageFromArray(hu)
        image.SetSpacing((1.0, 1.0, 5.0))
        image.SetMetaData("PatientName", f"{STEM}^{name}")
        path = folder / f"{STEM}.{name}"
        sitk.WriteImage(image, str(path))
        if name.endswith("nii"):
            data = bytearray(path.read_bytes())
            for start, size in ((14, 18), (148, 80), (228, 24), (328, 16)):
                data[start : start + size] = f"{STEM} {start}".encode().ljust(size, b"\0")
            path.write_bytes(data)


def write_masks(folder: Path, slices: list[Dataset], drawn: Ball) -> None:
    """Outlines whose segments and ROIs bear planted names, in objects with planted tags."""
    frame, uid = str(slices[0].FrameOfReferenceUID), str(slices[0].SeriesInstanceUID)
    for dataset in slices:
        dataset.PatientName, dataset.PatientID, dataset.AccessionNumber = f"{STEM}^SEG", f"{STEM} SEG", f"{STEM} ACC"
        dataset.PatientBirthDate = DATES[0]
    write_seg(folder / f"{STEM}_seg.dcm", slices, drawn.mask(), [f"{STEM} clot"])
    contours = [("CLOSED_PLANAR", points) for points in drawn.circles()]
    write_structure_set(folder / f"{STEM}_rt.dcm", {f"{STEM} clot": contours}, frame, uid)
    write_structure_set(folder / f"{STEM}_two.dcm", {f"{STEM} a": contours, f"{STEM} b": contours}, frame, uid)
    for name in ("seg", "rt", "two"):
        dataset = pydicom.dcmread(folder / f"{STEM}_{name}.dcm")
        dataset.PatientName, dataset.OperatorsName, dataset.PatientBirthDate = f"{STEM}^A", f"{STEM}^B", DATES[0]
        dataset.ContentCreatorName, dataset.StructureSetLabel, dataset.SeriesDescription = f"{STEM}^C", STEM, STEM
        for item in (*dataset.get("StructureSetROISequence", []), *dataset.get("SegmentSequence", [])):
            item.ROIDescription, item.SegmentDescription = f"{STEM} roi", f"{STEM} segment"
        dataset.save_as(folder / f"{STEM}_{name}.dcm")
    placed = sitk.GetImageFromArray(np.ones((4, 9, 9), np.uint8))
    placed.SetSpacing((1.0, 1.0, 4.0))
    placed.SetOrigin(tuple((drawn.center_mm - 6).tolist()))
    texts = {"Segment0_Name": f"{STEM} Clot", "Segment0_LabelValue": "1", "Segment0_Layer": "0", "Reader": f"{STEM} Dr"}
    for key, text in texts.items():
        placed.SetMetaData(key, text)
    sitk.WriteImage(placed, str(folder / f"{STEM}.seg.nrrd"))


@dataclass(frozen=True)
class Archive:
    """A planted archive, and what came of it."""

    folder: Path
    manifest: Path
    planted: Planted
    home: Path


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    planted, root = Planted({}), tmp_path_factory.mktemp("privacy")
    folder = root / f"{STEM}_DOE_JOHN_{DATES[0]}"
    folder.mkdir()
    drawn = ball((4.0,) * 11)
    slices = planted_series(folder / f"{STEM} good", drawn, planted)
    planted_series(folder / f"{STEM} gap", ball((4.0, 8.0, 4.0, 4.0, 4.0)), planted)
    planted_series(folder / f"{STEM} unit", ball((4.0,) * 2), planted)
    for path in (folder / f"{STEM} unit").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.RescaleType = f"{STEM} UNIT"
        dataset.save_as(path, enforce_file_format=True)
    planted_series(folder / f"{STEM} cut", ball((4.0,) * 2), planted)
    cut = sorted((folder / f"{STEM} cut").iterdir())[1]
    cut.write_bytes(cut.read_bytes()[:-5000])
    write_text_headers(folder)
    write_masks(folder, slices, drawn)
    good = {"center": "A", "case_id": "good", "image": f"{STEM} good"}
    rows = [
        {**good, "mask": f"{STEM}_seg.dcm", "roi": "seg"},
        {**good, "mask": f"{STEM}_rt.dcm", "roi": "rt"},
        {**good, "mask": f"{STEM}.seg.nrrd", "roi": "slicer"},
        {**good, "mask": f"{STEM}_two.dcm", "roi": "two"},
        {**good, "mask": f"{STEM}_rt.dcm", "roi": "unnamed", "segment": "another"},
        {**good, "mask": f"{STEM}.nii", "roi": "elsewhere", "mask_label": 33},
        *({"center": "A", "case_id": name, "image": f"{STEM} {name}"} for name in ("gap", "unit", "cut")),
        *({"center": "B", "case_id": name, "image": f"{STEM}.{name}"} for name in ("nii", "nrrd", "mha")),
        {"center": "B", "case_id": "foreign", "image": f"{STEM}.foreign.nii"},
    ]
    return Archive(folder, write_rows(folder / f"{STEM}.csv", rows), planted, root / "home")


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
    logged = io.StringIO()
    handler = logging.StreamHandler(logged)
    named = ("--manifest", archive.manifest, "--store", store, "--bundle", bundle, "--capture", "--fhir")
    patch.setenv("CVTBATCH_PACS_TOKEN", f"{STEM} TOKEN")
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.DEBUG)
    try:
        with stub_archive() as stub:
            stub.answers = [Answer(503, headers={"Retry-After": "0"}), Answer(204), Answer(409)]
            kept = archive.folder.parent / "results"
            told = run("results", "A/good", *named, "--out", kept, "--to", stub.address, "--send", "--json", code=3)
    finally:
        logging.getLogger().setLevel(logging.WARNING)
        logging.getLogger().removeHandler(handler)
    assert sum(path.endswith("/studies") for _, path, _ in stub.asked) == 9
    assert all(STEM.encode() in path.read_bytes() for path in kept.rglob("*.*"))
    assert Counter(one["state"] for one in json.loads(told)["objects"]) == {"sent": 8, "failed": 1}
    return {"results": told, "what libraries log of sending": logged.getvalue()}


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
    found = []
    for where, content in produced.items():
        data = (content.encode() if isinstance(content, str) else content).lower()
        found += [(where, value) for value in sorted(sought) if len(value) >= 8 and value.lower().encode() in data]
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
