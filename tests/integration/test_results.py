"""`results`: outlines of a store and of its manifest as DICOM objects, once, and again after something changed."""

import io
import json
import shlex
from pathlib import Path

import highdicom
import pydicom
import pytest

from cvtbatch import contracts
from cvtbatch.dicom_results import codes
from cvtbatch.dicom_results.source_headers import quiet
from cvtbatch.dlrn import load_bundle
from cvtbatch.geometry import stored_grid
from cvtbatch.imaging import place_mask
from cvtbatch.ingest import ImageSlices, read_mask, read_volume
from cvtbatch.ingest.writing import SeriesTags, write_series
from cvtbatch.manifest import read_manifest
from cvtbatch.store import FeatureStore
from cvtbatch.validation.outcome import outcome_of
from tests.support.archives import write_rows
from tests.support.commands import cvtbatch
from tests.support.mask_files import UNEVEN, Ball, ball, datasets, write_seg
from tests.support.result_stores import SCORES, adapted_bundle, add_scores, image_of, keep
from tests.support.store_rows import EMBEDDING_SPEC, RADIOMICS_SPEC, VOLUME_SPEC, add_specs

SHAPES = {"tilted": ((4.2,) * 15, 18.5), "uneven": (UNEVEN, 0.0)}
SEG, SR = "hematoma/A/1/seg.dcm", "hematoma/A/1/sr.dcm"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two series, and an image that is none, and a store that knows them without having computed features."""
    rows = []
    for shape, (gaps, tilt) in SHAPES.items():
        head = ball(gaps, tilt)
        write_series(tmp_path / shape, head.hu(), head.stack, SeriesTags(f"Doe^Jane {shape}", "Secret", tilt))
        write_seg(tmp_path / f"{shape}.dcm", datasets(tmp_path / shape), head.mask())
        row_ = {"center": "A", "case_id": shape, "image": shape, "mask": f"{shape}.dcm"}
        rows.append({**row_, "allow_gaps": 1 if shape == "uneven" else ""})
    rows.append({"center": "A", "case_id": "nifti", "image": "tilted", "mask": "tilted.dcm", "allow_gaps": ""})
    write_rows(tmp_path / "manifest.csv", rows)
    store = FeatureStore.open_for_writing(str(tmp_path / "store"))
    add_specs(store, VOLUME_SPEC, RADIOMICS_SPEC, EMBEDDING_SPEC)
    keep(store, tmp_path / "manifest.csv")
    return tmp_path


def written(archive: Path, *more: object, code: int = 0) -> dict[str, object]:
    command = [
        "results",
        "--manifest",
        archive / "manifest.csv",
        "--store",
        archive / "store",
        "--out",
        archive / "out",
    ]
    result = cvtbatch(*command, "--json", *more)
    assert result.returncode == code, result.stderr
    document = json.loads(result.stdout)
    assert contracts.problems_of(document, "commands/results.json") == []
    assert not any(word in result.stdout for word in ("Doe", "Secret", "2.25.", "1.2.", str(archive / "tilted")))
    assert not any(word in result.stderr for word in ("Doe", "Secret", "2.25."))
    return dict(document)


def test_outlines_come_back_and_values_are_the_stores(archive: Path) -> None:
    document = written(archive)
    assert document["outlines"] == {"written": 2, "replaced": 0, "there": 0}
    assert (document["not_dicom"], document["not_stored"], document["failed"]) == (["A/nifti"], [], [])
    assert document["folders"] == ["A/tilted/hematoma/A/1", "A/uneven/hematoma/A/1"]
    store = FeatureStore(str(archive / "store"))
    rois = {roi["case_id"]: roi for roi in store.rois().to_pylist()}
    rows = [
        {"center": "A", "case_id": shape, "image": shape, "mask": f"out/A/{shape}/{SEG}", "allow_gaps": 1}
        for shape in SHAPES
    ]
    for case in read_manifest(write_rows(archive / "back.csv", rows)):
        source, roi = read_volume(case), rois[case.case_id]
        back = read_mask(case.rois[0], lambda source=source: ImageSlices.of(source))
        assert back.mask_digest() == roi["mask_digest"]
        with quiet():
            report = highdicom.sr.srread(archive / "out" / "A" / case.case_id / SR)
        [group] = report.content.get_volumetric_roi_measurement_groups()
        values = {(one.name.value, one.method.value): float(one.value) for one in group.get_measurements()}
        grid = stored_grid(source.stack, (0.5, 0.5, 5.0))
        inside = place_mask(back.voxels_zyx, back.place, grid) == 1
        image = image_of(grid)
        assert values == {
            ("118565006", "source_slices"): back.volume_ml,
            ("118565006", "stored_grid"): roi["volume_ml"],
            ("42798000", "stored_grid"): roi["largest_slice_area_mm2"],
            ("112031", "stored_grid"): pytest.approx(float(image[inside].astype(float).mean()), rel=1e-12),
        }
        assert str(report.PatientName) == f"Doe^Jane {case.case_id}"


def test_scores_of_a_bundle_are_in_the_report_in_fhir_and_on_the_page(archive: Path) -> None:
    bundle = load_bundle(adapted_bundle(archive / "store", archive / "bundle"))
    asked = ("A/tilted", "--bundle", archive / "bundle", "--capture", "--fhir")
    document = written(archive, *asked)
    assert (document["bundle_digest"], document["unscored"]) == (bundle.digest, ["A/tilted/hematoma/A/1"])
    folder = archive / "out" / "A" / "tilted" / "hematoma" / "A" / "1"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(before) == ["fhir.json", "sc.dcm", "seg.dcm", "sr.dcm"]
    add_scores(FeatureStore.open_for_writing(str(archive / "store"), existing=True), bundle.digest)
    document = written(archive, *asked)
    assert (document["unscored"], document["outlines"]) == ([], {"written": 0, "replaced": 1, "there": 0})
    with quiet():
        [group] = highdicom.sr.srread(folder / "sr.dcm").content.get_volumetric_roi_measurement_groups()
    measured = {(one.name.value, one.method and one.method.value): float(one.value) for one in group.get_measurements()}
    entries = [entry["resource"] for entry in json.loads((folder / "fhir.json").read_bytes())["entry"]]
    coded = [
        (one, one["code"]["coding"][0]["code"], one.get("method", {"coding": [{"code": None}]})) for one in entries
    ]
    assert {
        (code, method["coding"][0]["code"]): one["valueQuantity"]["value"]
        for one, code, method in coded
        if "valueQuantity" in one
    } == measured
    names = ("rad", "dl", "dlr", "rad_probability", "dlr_probability", "points_dlr", "points_epilepsy", "points_total")
    scores = {(name, None): SCORES[name] for name in (*names, "outside_count")} | {
        ("dlrn_probability", None): SCORES["dlrn"]
    }
    cuts = {
        (codes.CUTS[model, at].value, None): cut
        for model, thresholds in bundle.description.thresholds.items()
        for at, cut in thresholds.items()
    }
    assert {key: value for key, value in measured.items() if key[1] is None} == scores | cuts
    classes = {one.name.value: one.value.value for one in group.get_qualitative_evaluations()}
    assert [code for code, value in classes.items() if value == codes.NEGATIVE.value] == ["dlrn_cls_sens95"]
    page = pydicom.dcmread(folder / "sc.dcm")
    assert page.pixel_array.shape[2] == 3
    assert page.Rows > pydicom.dcmread(io.BytesIO(before["sc.dcm"])).Rows
    (folder / "fhir.json").unlink()
    assert written(archive, *asked)["outlines"] == {"written": 1, "replaced": 0, "there": 0}
    # A page of another report would be taken for this one's.
    assert written(archive, "A/tilted")["outlines"]["replaced"] == 1  # type: ignore[index]
    assert sorted(path.name for path in folder.iterdir()) == ["seg.dcm", "sr.dcm"]


def test_a_bundle_of_another_event_names_it_and_nothing_says_cvt(archive: Path) -> None:
    bundle = load_bundle(adapted_bundle(archive / "store", archive / "bundle", outcome_of("expansion")))
    add_scores(FeatureStore.open_for_writing(str(archive / "store"), existing=True), bundle.digest)
    assert written(archive, "A/tilted", "--bundle", archive / "bundle", "--capture", "--fhir")["unscored"] == []
    folder = archive / "out" / "A" / "tilted" / "hematoma" / "A" / "1"
    with quiet():
        [group] = highdicom.sr.srread(folder / "sr.dcm").content.get_volumetric_roi_measurement_groups()
    measured = {one.name.value: float(one.value) for one in group.get_measurements()}
    probabilities = {
        "rad_event_prob": SCORES["rad_probability"],
        "dlr_event_prob": SCORES["dlr_probability"],
        "dlrn_event_prob": SCORES["dlrn"],
    }
    votes = {f"{name}_event": SCORES[name] for name in ("rad", "dl", "dlr")}
    assert {name: value for name, value in measured.items() if "_event" in name} == votes | probabilities
    entries = [entry["resource"] for entry in json.loads((folder / "fhir.json").read_bytes())["entry"]]
    assert [one["valueString"] for one in entries if one["code"]["coding"][0]["code"] == "event"] == ["expansion"]
    assert not [one for one in entries if "CVT" in one["code"]["coding"][0]["display"]]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("", "give --out, or --to with --send"),
        ("--to dimse://AE@h:104", "give --out, or --to with --send"),
        ("--out out --send", "name it with --to"),
        ("--out out --ae-title ME", "name it with --to"),
        ("--to dimse://AE@h:104 --send --fhir", "give --out"),
        ("--to dicomweb+http://pacs.example/x --send", "not encrypted"),
        ("--to dimse://AE@h:104 --ae-title A\\\\B --out out", "an AE title has 1 to 16"),
    ],
)
def test_where_results_go_must_be_clear(options: str, told: str) -> None:
    result = cvtbatch("results", "--store", "store", "--manifest", "manifest.csv", *shlex.split(options))
    assert result.returncode in {1, 2}
    assert told in " ".join(result.stderr.split())


def test_a_second_run_continues_and_a_new_outline_names_what_it_replaces(archive: Path) -> None:
    written(archive)
    files = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted((archive / "out").rglob("*.dcm"))}
    assert written(archive)["outlines"] == {"written": 0, "replaced": 0, "there": 2}
    lost = archive / "out" / "A" / "tilted" / SR
    lost.unlink()
    lost.with_name(".sr.dcm.part").write_bytes(b"half")
    assert written(archive)["outlines"] == {"written": 1, "replaced": 0, "there": 1}
    assert {path: path.read_bytes() for path in files} == {path: data for path, (data, _) in files.items()}
    kept = {path: time for path, (_, time) in files.items() if path != lost}
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert list((archive / "out").rglob(".*")) == []
    smaller = Ball(ball(*SHAPES["tilted"]).stack, ball(*SHAPES["tilted"]).center_mm, 14.0)
    write_seg(archive / "tilted.dcm", datasets(archive / "tilted"), smaller.mask())
    store = FeatureStore.open_for_writing(str(archive / "store"), existing=True)
    keep(store, archive / "manifest.csv")
    before = pydicom.dcmread(lost)
    assert written(archive)["outlines"] == {"written": 0, "replaced": 1, "there": 1}
    after = pydicom.dcmread(lost)
    [study] = after.PredecessorDocumentsSequence
    [named] = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert named.ReferencedSOPInstanceUID == before.SOPInstanceUID != after.SOPInstanceUID


def test_a_case_that_changed_or_has_damaged_headers_is_refused_and_the_others_are_written(archive: Path) -> None:
    path = sorted((archive / "tilted").iterdir())[5]
    dataset = pydicom.dcmread(path)
    pixels = bytearray(dataset.PixelData)
    pixels[2000] ^= 1
    dataset.PixelData = bytes(pixels)
    dataset.save_as(path)
    document = written(archive, code=3)
    [failed] = document["failed"]
    assert (failed["case_key"], failed["manifest_row"], failed["kind"]) == ("A/tilted", 1, "source_changed")
    assert document["outlines"] == {"written": 1, "replaced": 0, "there": 0}
    assert not (archive / "out" / "A" / "tilted").exists()
    for path in (archive / "uneven").iterdir():
        dataset = pydicom.dcmread(path)
        with quiet():
            dataset.PatientBirthDate = "spring 1950"
            dataset.save_as(path)
    document = written(archive, "A/uneven", code=3)
    assert [(failed["case_key"], failed["kind"]) for failed in document["failed"]] == [("A/uneven", "unusable_header")]
    assert (document["cases"], "1950" in json.dumps(document)) == (1, False)
    text = cvtbatch(
        *("results", "A/unevn", "--manifest", archive / "manifest.csv", "--store", archive / "store"),
        "--out",
        archive / "o",
    )
    assert (text.returncode, "did you mean 'A/uneven'?" in text.stderr) == (1, True)
