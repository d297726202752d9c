"""Outlines that nobody drew, through the command line: what is found, what is kept, and what the store says of it."""

import json
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch import contracts
from cvtbatch.store import FeatureStore, StoredArray
from tests.support.archives import skulled_archive, skulled_head, tiny_head, write_rows
from tests.support.commands import appended, cvtbatch, extract_json, reasons
from tests.support.outside_data import outside
from tests.support.paths import ROOT
from tests.support.store_contents import contents

COARSE = ("--set", "volume.spacing_mm=[2,2,5]")
THRESHOLD = ("--set", "outline.method=threshold")
TRIAL = ("--set", "embedding.weights=random:0")
SEGMENTER = ROOT / "tests" / "support" / "segmenter.py"
# The heads of the archive: the third has no blood, the last is no head.
HEADS, BLOODLESS, NO_HEAD = 3, 2, 3


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("registry")
    rows = skulled_archive(folder, HEADS, bloodless=[BLOODLESS])
    ball, _ = tiny_head(0)
    sitk.WriteImage(ball, str(folder / f"ct{NO_HEAD}.nii.gz"))
    rows.append({"center": "R", "case_id": f"{NO_HEAD:03d}", "image": f"ct{NO_HEAD}.nii.gz", "mask": ""})
    write_rows(folder / "manifest.csv", rows)
    return folder


@pytest.fixture(scope="module")
def outlined(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive's store after one run, features and outlines by threshold."""
    store = tmp_path_factory.mktemp("outlined") / "store"
    extract(archive, store, *THRESHOLD, code=3)
    return store


@pytest.fixture
def store(outlined: Path, tmp_path: Path) -> Path:
    shutil.copytree(outlined, tmp_path / "store")
    return tmp_path / "store"


def extract(archive: Path, store: Path, *arguments: object, code: int = 0) -> dict[str, object]:
    return extract_json(archive / "manifest.csv", store, *COARSE, *arguments, code=code)


def counts(document: dict[str, object]) -> dict[str, object]:
    names = ("computed", "already_done", "failed", "no_hemorrhage", "awaiting_mask")
    return {name: document[name] for name in names if document[name]}


def rows(store: Path, table: str) -> dict[str, dict[str, object]]:
    """Return the rows of a table by case, of which each has one."""
    found = FeatureStore(str(store)).table(table).current().to_pylist()
    assert len({row["case_key"] for row in found}) == len(found)
    return {str(row["case_id"]): row for row in found}


def mask_of(store: Path, roi: dict[str, object]) -> np.ndarray:
    return np.asarray(FeatureStore(str(store)).read_array(StoredArray(str(roi["path"]), str(roi["checksum"]))))


def test_every_case_is_outlined_or_said_to_bear_nothing(archive: Path, outlined: Path) -> None:
    outlines, rois = rows(outlined, "outlines"), rows(outlined, "rois")
    assert {case: row["state"] for case, row in outlines.items()} == {
        "000": "outlined",
        "001": "outlined",
        "002": "no_hemorrhage",
    }
    assert rois.keys() == {"000", "001"}
    for case, roi in rois.items():
        true = sitk.GetArrayFromImage(sitk.ReadImage(str(archive / f"mask{int(case)}.nii.gz"))) > 0
        found = mask_of(outlined, roi) > 0
        assert found.shape == true.shape
        assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.93
        assert roi["reader"] == outlines[case]["reader"] == f"threshold:{str(roi['outline_spec_id'])[4:12]}"
        assert (roi["roi"], roi["reading"], roi["mask_format"]) == ("hematoma", 1, None)
        assert {"auto", "not_for_inference"} <= set(roi["flags"])
        assert outlines[case]["not_for_inference"]
    [failure] = FeatureStore(str(outlined)).failures().to_pylist()
    assert (failure["case_id"], failure["stage"], failure["kind"]) == ("003", "outline", "no_inside")


def test_status_counts_what_was_found(outlined: Path) -> None:
    document = json.loads(cvtbatch("status", "--store", outlined, "--json", check=True).stdout)
    assert contracts.problems_of(document, "commands/status.json") == []
    assert document["cases"] == {
        "total": 4,
        "done": 2,
        "failed": 1,
        "no_hemorrhage": 1,
        "awaiting_mask": 0,
        "incomplete": 0,
    }
    marks = {spec["kind"]: spec["not_for_inference"] for spec in document["specs"]}
    assert marks == {"volume": False, "radiomics": False, "outline": True}
    assert document["runs"][0]["no_hemorrhage"] == 1


def test_status_counts_no_failure_of_a_method_that_the_newest_run_had_not(archive: Path, store: Path) -> None:
    opened = FeatureStore(str(store))
    [failure], roi = opened.failures().to_pylist(), rows(store, "rois")["000"]
    of_features = {"roi_key": roi["roi_key"], "spec_id": rows(store, "radiomics")["000"]["radiomics_spec_id"]}
    names = ("case_key", "center", "case_id")
    opened.table("failures").append([{**failure, **of_features, **{name: roi[name] for name in names}}])

    def failed() -> int:
        status = json.loads(cvtbatch("status", "--store", store, "--json", check=True).stdout)
        return int(status["cases"]["failed"])

    assert failed() == 2
    extract(archive, store, "--only", "radiomics")
    assert failed() == 0


def test_found_outlines_have_the_features_of_the_same_outline_from_a_file(
    archive: Path, outlined: Path, tmp_path: Path
) -> None:
    # The other way into the store: the found mask as a person's.
    given = tmp_path / "archive"
    shutil.copytree(archive, given)
    table = []
    for case, roi in rows(outlined, "rois").items():
        image = sitk.GetImageFromArray(mask_of(outlined, roi).astype(np.uint8))
        image.CopyInformation(sitk.ReadImage(str(archive / f"ct{int(case)}.nii.gz")))
        sitk.WriteImage(image, str(given / f"found{case}.nii.gz"))
        table.append({"center": "R", "case_id": case, "image": f"ct{int(case)}.nii.gz", "mask": f"found{case}.nii.gz"})
    write_rows(given / "manifest.csv", table)
    extract(given, tmp_path / "store")
    one, other = rows(outlined, "radiomics"), rows(tmp_path / "store", "radiomics")
    assert one.keys() == other.keys() == {"000", "001"}
    for case, row in one.items():
        assert row["input_digest"] == other[case]["input_digest"]
        for name in contracts.feature_names():
            assert row[name] == other[case][name] or (row[name] != row[name] and other[case][name] != other[case][name])


def test_a_second_run_has_nothing_to_do(archive: Path, store: Path) -> None:
    document = extract(archive, store, *THRESHOLD, code=3)
    assert counts(document) == {"already_done": 2, "failed": 1, "no_hemorrhage": 1}
    assert appended(document) == {}
    assert reasons(document) == {"failed before, source unchanged": 1, "done": 2, "no hemorrhage found": 1}
    assert document["outlines"]["volumes"] == 0


def test_stages_one_after_the_other_leave_what_one_run_leaves(archive: Path, outlined: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert counts(extract(archive, store, *THRESHOLD, "--only", "radiomics")) == {"awaiting_mask": 4}
    document = extract(archive, store, *THRESHOLD, "--only", "outlines", code=3)
    assert counts(document) == {"computed": 2, "failed": 1, "no_hemorrhage": 1}
    assert reasons(document) == {"no outline under this specification": 4}
    assert document["decoded"] == 0
    assert contents(store) == contents(outlined)


def test_found_outlines_are_embedded_as_others_are(archive: Path, store: Path) -> None:
    document = extract(archive, store, *THRESHOLD, *TRIAL, code=3)
    assert counts(document) == {"computed": 2, "failed": 1, "no_hemorrhage": 1}
    assert document["cost"]["worked_cases"] == 2
    embeddings = FeatureStore(str(store)).table("embeddings").current().to_pylist()
    readers = {row["reader"] for row in rows(store, "rois").values()}
    assert {row["case_id"] for row in embeddings} == {"000", "001"}
    assert {row["reader"] for row in embeddings} == readers
    document = extract(archive, store, *THRESHOLD, *TRIAL, "--only", "embeddings")
    assert (appended(document), counts(document)) == ({}, {"already_done": 2, "no_hemorrhage": 1, "awaiting_mask": 1})


def test_other_settings_stand_beside_and_supersede_nothing(archive: Path, store: Path) -> None:
    before = rows(store, "rois")
    document = extract(archive, store, *THRESHOLD, "--set", "outline.least_ml=60", code=3)
    assert counts(document) == {"failed": 1, "no_hemorrhage": 3}
    assert rows(store, "rois") == before
    states = FeatureStore(str(store)).table("outlines").current().to_pylist()
    assert sorted((row["least_ml"], row["state"]) for row in states) == [
        *[(1.0, "no_hemorrhage")],
        *[(1.0, "outlined")] * 2,
        *[(60.0, "no_hemorrhage")] * 3,
    ]
    # Which cases, and on what they are computed, moves no outline.
    again = extract(archive, store, *THRESHOLD, "--set", "outline.device=cpu", "--set", "outline.cases=all", code=3)
    assert appended(again) == {}


def test_a_case_that_a_person_outlined_is_left_to_that_person(archive: Path, tmp_path: Path) -> None:
    given = tmp_path / "archive"
    shutil.copytree(archive, given)
    table = [
        {"center": "R", "case_id": "000", "image": "ct0.nii.gz", "mask": "mask0.nii.gz"},
        {"center": "R", "case_id": "001", "image": "ct1.nii.gz", "mask": ""},
    ]
    write_rows(given / "manifest.csv", table)
    document = extract(given, tmp_path / "store", *THRESHOLD)
    assert counts(document) == {"computed": 2}
    assert {case: row["reader"][:9] for case, row in rows(tmp_path / "store", "rois").items()} == {
        "000": "A",
        "001": "threshold",
    }
    document = extract(given, tmp_path / "store", *THRESHOLD, "--set", "outline.cases=all")
    assert appended(document) == {"rois": 1, "outlines": 1, "radiomics": 1}
    assert len(FeatureStore(str(tmp_path / "store")).table("rois").current()) == 3


def test_a_case_that_a_person_outlines_after_the_method_is_theirs(archive: Path, store: Path) -> None:
    given = store.parent / "archive"
    shutil.copytree(archive, given)
    _, ball = tiny_head(0)
    sitk.WriteImage(ball, str(given / f"mask{NO_HEAD}.nii.gz"))
    numbers = (0, NO_HEAD)
    names = [(f"{number:03d}", f"ct{number}.nii.gz", f"mask{number}.nii.gz") for number in numbers]
    write_rows(
        given / "manifest.csv",
        [{"center": "R", "case_id": case, "image": ct, "mask": mask} for case, ct, mask in names],
    )
    # Under another profile what was found has no features, and is not asked to have any.
    settings = (*THRESHOLD, "--set", "radiomics.profile=onekey-1834")
    document = extract(given, store, *settings)
    assert counts(document) == {"computed": 2}
    assert appended(document) == {"rois": 2, "failures": 1, "radiomics": 2}
    assert FeatureStore(str(store)).failures().num_rows == 0
    status = json.loads(cvtbatch("status", "--store", store, "--json", check=True).stdout)
    assert {name: count for name, count in status["cases"].items() if count} == {
        "total": 4,
        "done": 2,
        "no_hemorrhage": 1,
        "incomplete": 1,
    }


def test_outlines_alone_of_what_is_not_extracted_fail(archive: Path, tmp_path: Path) -> None:
    for cases in ("without_mask", "all"):
        store = tmp_path / cases
        document = extract(archive, store, *THRESHOLD, "--set", f"outline.cases={cases}", "--only", "outlines", code=3)
        assert (counts(document), reasons(document)) == ({"failed": 4}, {"no volume under this specification": 4})
        assert document["failures"] == [{"stage": "outline", "kind": "not_extracted", "cases": 4}]


def test_people_s_cases_without_hemorrhage_stay_people_s(archive: Path, tmp_path: Path) -> None:
    given = tmp_path / "archive"
    shutil.copytree(archive, given)
    write_rows(
        given / "manifest.csv",
        [{"center": "R", "case_id": "002", "image": f"ct{BLOODLESS}.nii.gz", "mask": "mask0.nii.gz"}],
    )
    settings = (*THRESHOLD, "--set", "outline.cases=all")
    extract(given, tmp_path / "store", *settings, "--only", "radiomics")
    for state in ("computed", "already_done"):
        document = extract(given, tmp_path / "store", *settings, "--only", "outlines")
        assert (counts(document), document["outlines"]["without_hemorrhage"]) == ({state: 1}, int(state == "computed"))


def test_another_image_is_outlined_anew(archive: Path, store: Path, tmp_path: Path) -> None:
    given = tmp_path / "archive"
    shutil.copytree(archive, given)
    ct, _ = skulled_head(17)
    sitk.WriteImage(ct, str(given / "ct0.nii.gz"))
    before = rows(store, "rois")
    document = extract(given, store, *THRESHOLD, code=3)
    assert appended(document) == {"volumes": 1, "rois": 1, "outlines": 1, "radiomics": 1}
    after = rows(store, "rois")
    assert after["000"]["input_digest"] != before["000"]["input_digest"]
    assert after["001"] == before["001"]


def test_another_result_on_the_same_image_is_the_newer_row(store: Path) -> None:
    # As of a program whose version was not raised.
    table, row = FeatureStore(str(store)).table("outlines"), rows(store, "outlines")["000"]
    assert table.append([dict(row)]) == 0
    assert table.append([{**row, "blood_ml": row["blood_ml"] + 1}]) == 1
    assert rows(store, "outlines")["000"]["blood_ml"] == row["blood_ml"] + 1


def test_a_lost_outline_is_found_again(archive: Path, store: Path) -> None:
    roi = rows(store, "rois")["000"]
    shutil.rmtree(store / str(roi["path"]))
    document = extract(archive, store, *THRESHOLD, "--verify-inputs", code=3)
    assert appended(document)["rois"] == 1
    again = rows(store, "rois")["000"]
    assert (again["input_digest"], again["generation"]) == (roi["input_digest"], 1)
    mask_of(store, again)


def program(fault: str) -> tuple[str, ...]:
    line = shlex.join([sys.executable, str(SEGMENTER), fault, "{images}", "{outs}"])
    settings = {"method": "command", "command.line": line, "command.version": "segmenter 1"}
    return tuple(text for name, value in settings.items() for text in ("--set", f"outline.{name}={json.dumps(value)}"))


def test_a_program_outlines_as_a_method_does(archive: Path, tmp_path: Path) -> None:
    # It crashes over all images together, and over none of them alone.
    document = extract(archive, tmp_path / "store", *program("crash"), code=3)
    assert counts(document) == {"computed": 2, "failed": 1, "no_hemorrhage": 1}
    assert (document["outlines"]["method"], document["outlines"]["rois"]) == ("command", 2)
    for case, roi in rows(tmp_path / "store", "rois").items():
        true = sitk.GetArrayFromImage(sitk.ReadImage(str(archive / f"mask{int(case)}.nii.gz"))) > 0
        found = mask_of(tmp_path / "store", roi) > 0
        assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.93
        assert "not_for_inference" not in roi["flags"]
    # The line may name folders of the user: no table has it.
    store = FeatureStore(str(tmp_path / "store"))
    tables = [store.runs().to_pylist(), store.table("specs").read().to_pylist()]
    assert "segmenter.py" not in json.dumps(tables, default=str)
    assert "segmenter 1" in json.dumps(tables, default=str)


def test_a_program_that_fails_is_a_failure_of_each_case_until_it_is_mended(archive: Path, tmp_path: Path) -> None:
    document = extract(archive, tmp_path / "store", *program("exit"), code=3)
    assert counts(document) == {"failed": 4}
    kinds = {(row["kind"], row["cases"]) for row in document["failures"]}
    assert kinds == {("command_failed", 3), ("no_inside", 1)}
    assert appended(extract(archive, tmp_path / "store", *program("exit"), code=3)) == {}
    # Another line is another specification: its failures are its own.
    assert counts(extract(archive, tmp_path / "store", *program("none"), code=3)) == {
        "computed": 2,
        "failed": 1,
        "no_hemorrhage": 1,
    }


def test_an_outline_that_is_lost_and_not_found_again_fails_until_it_is(tmp_path: Path) -> None:
    skulled_archive(tmp_path, 1)
    script, broken, store = tmp_path / "segment.sh", tmp_path / "broken", tmp_path / "store"
    call = shlex.join([sys.executable, str(SEGMENTER), "none"])
    script.write_text(f'#!/bin/sh\n[ -e {shlex.quote(str(broken))} ] && exit 3\nexec {call} "$1" "$2"\n')
    script.chmod(0o755)
    line = json.dumps(f"{shlex.quote(str(script))} {{images}} {{outs}}")
    settings = ("--set", f"outline.command.line={line}", "--set", "outline.command.version=1.0.0")
    settings = ("--set", "outline.method=command", *settings)
    extract(tmp_path, store, *settings)
    shutil.rmtree(store / str(rows(store, "rois")["000"]["path"]))
    broken.touch()
    extract(tmp_path, store, *settings, "--verify-inputs", code=3)
    assert counts(extract(tmp_path, store, *settings, code=3)) == {"failed": 1}
    broken.unlink()
    assert counts(extract(tmp_path, store, *settings)) == {"computed": 1}
    mask_of(store, rows(store, "rois")["000"])
    assert FeatureStore(str(store)).failures().num_rows == 0


def test_a_command_without_a_line_or_a_version_is_refused(archive: Path, tmp_path: Path) -> None:
    for extra, text in (
        ((), "outline.command.line is empty"),
        (("--set", "outline.command.line=a {image}"), "lacks {out}"),
    ):
        result = cvtbatch(
            "extract",
            archive / "manifest.csv",
            "--store",
            tmp_path / "store",
            "--set",
            "outline.method=command",
            *extra,
        )
        assert result.returncode == 1
        assert text in result.stderr
    assert not (tmp_path / "store").exists()


def test_outlines_alone_need_a_method(archive: Path, tmp_path: Path) -> None:
    result = cvtbatch("extract", archive / "manifest.csv", "--store", tmp_path / "store", "--only", "outlines")
    assert (result.returncode, "name the method" in result.stderr) == (1, True)


def test_the_network_outlines_and_its_weights_stay_in_the_store(archive: Path, tmp_path: Path) -> None:
    outside("blast_ct/model_1.pt")
    given = tmp_path / "archive"
    shutil.copytree(archive, given)
    write_rows(given / "manifest.csv", [{"center": "R", "case_id": "000", "image": "ct0.nii.gz", "mask": ""}])
    network = ("--set", "outline.method=blast-ct", "--set", "outline.models=1")
    document = extract(given, tmp_path / "store", *network)
    assert counts(document) == {"computed": 1}
    [outline], [roi] = rows(tmp_path / "store", "outlines").values(), rows(tmp_path / "store", "rois").values()
    true = sitk.GetArrayFromImage(sitk.ReadImage(str(archive / "mask0.nii.gz"))) > 0
    found = mask_of(tmp_path / "store", roi) > 0
    assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.97
    assert (outline["device"], outline["agreement"], outline["not_for_inference"]) == ("cpu", None, False)
    blood_ml = outline["iph_ml"] + outline["eah_ml"] + outline["ivh_ml"]
    # Blood is where its classes together prevail, they are where each does.
    assert blood_ml == pytest.approx(outline["blood_ml"], rel=0.02)
    assert blood_ml != outline["blood_ml"]
    spec = next(
        row
        for row in FeatureStore(str(tmp_path / "store")).table("specs").read().to_pylist()
        if row["kind"] == "outline"
    )
    sha256 = json.loads(spec["settings"])["weights"]["sha256"]
    assert [file.name for file in (tmp_path / "store" / "weights").iterdir()] == [f"{sha256}.safetensors"]
