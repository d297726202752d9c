"""`cohort.reviewed`: fit, fine-tuning, score and validate take accepted outlines alone, and say why others are left out."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cvtbatch import contracts
from cvtbatch.dlrn import load_bundle
from cvtbatch.manifest import Reading
from cvtbatch.pipelines.models.cohort_source import CohortSource
from cvtbatch.pipelines.models.training_cohort import read_training
from cvtbatch.pipelines.models.tuning_cohort import read_tuning_cohort
from cvtbatch.pipelines.shared.job import read_job
from cvtbatch.store import FeatureStore, Selection, create_snapshot, erase_case
from tests.support.cohorts import SMALLEST_JOB
from tests.support.commands import cvtbatch
from tests.support.model_store import CASES, fill
from tests.support.store_rows import NOW, Row, row

pytestmark = pytest.mark.usefixtures("blank_figures")

REVIEWED = ("--set", "cohort.reviewed=true")
SETS = [argument for value in (*SMALLEST_JOB, "cohort.training_centers=[C1]") for argument in ("--set", value)]
REFUSED = {"outline_no_hematoma": 1, "outline_not_reviewed": 2, "outline_to_redo": 1}


def _review(center: str, number: int, verdict: str = "accept", reader: str = "A", **values: object) -> Row:
    key = f"{center}/{number:03d}"
    of_case = {"case_key": key, "center": center, "case_id": f"{number:03d}", "reader": reader, "reviewed_at": NOW}
    seen = {"roi_key": f"{key}/hematoma/{reader}/1", "input_digest": f"input-{center}-{number}-{reader}"}
    return row("reviews", **{**of_case, **seen, "verdict": verdict, **values})


def _judge(store: FeatureStore) -> None:
    """Accept every outline but four of each centre: to be redone, no hematoma, drawn anew since, never looked at."""
    rows = []
    for center, count in CASES.items():
        rows += [_review(center, 4, "redo"), _review(center, 5, "not_hematoma")]
        rows += [_review(center, 6, input_digest="as it was before")]
        rows += [_review(center, number) for number in range(count) if not 4 <= number < 8]
    # Of the second reader's twelve outlines nine; three of their cases are refused themselves.
    rows += [_review("C1", number, reader="B") for number in range(9)]
    store.table("reviews").append(rows)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a reviewed store, frozen as "reviewed", and a bundle that was fitted on accepted outlines."""
    folder = tmp_path_factory.mktemp("reviewed")
    _judge(fill(folder / "store"))
    create_snapshot(FeatureStore(str(folder / "store")), "reviewed", Selection(), "test")
    _run("fit", "--store", folder / "store", "--snapshot", "reviewed", *SETS, *REVIEWED, "--out", folder / "bundle")
    return folder


def _run(*arguments: object, code: int = 0) -> dict[str, object]:
    done = cvtbatch(*arguments, "--json")
    assert done.returncode == code, done.stderr
    document = json.loads(done.stdout)
    assert contracts.problems_of(document, f"commands/{arguments[0]}.json") == []
    return dict(document)


def _source(store: Path, snapshot: str, reviewed: bool = True) -> CohortSource:
    return CohortSource(str(store), snapshot, ("C1",), Reading("A", 1), (), reviewed, clinical=("epilepsy",))


def test_a_fit_takes_what_a_store_without_the_others_holds(archive: Path, tmp_path: Path) -> None:
    bundle = load_bundle(archive / "bundle").description
    plain = {"no_embedding": 1, "no_features": 1, "no_outcome": 1, "traumatic": 1}
    assert bundle.cohort.excluded == {**plain, **REFUSED}
    assert (bundle.cohort.cases, bundle.reviewed) == (36, True)
    without = fill(tmp_path / "store")
    for number in (4, 5, 6, 7):
        erase_case(without, f"C1/{number:03d}", from_snapshots=False)
    create_snapshot(without, "plain", Selection(), "test")
    expected = read_training(_source(tmp_path / "store", "plain", reviewed=False))
    found = read_training(_source(archive / "store", "reviewed"))
    assert found.cohort.digest() == load_bundle(archive / "bundle").document["cohort"]["digest"]
    alone = [replace(data.cohort, repeats=()).digest() for data in (found, expected)]
    assert alone[0] == alone[1]
    # Second outlines too: of the cases that are left, those that are accepted.
    [repeats] = found.cohort.repeats
    assert [found.cohort.keys[place].split("/")[1] for place in repeats.rows] == ["000", "001", "002", "003", "008"]


def test_a_frozen_cohort_stays_when_verdicts_change(archive: Path) -> None:
    before = read_training(_source(archive / "store", "reviewed")).cohort.digest()
    store = FeatureStore.open_for_writing(str(archive / "store"))
    store.table("reviews").append([_review("C1", 4, "accept"), _review("C1", 20, "redo")])
    create_snapshot(store, "later", Selection(), "test")
    read_training.cache_clear()
    later = read_training(_source(archive / "store", "later"))
    assert (later.cohort.digest() != before, len(later.cohort.keys)) == (True, 36)
    read_training.cache_clear()
    assert read_training(_source(archive / "store", "reviewed")).cohort.digest() == before


def test_finetuning_takes_accepted_outlines_alone(archive: Path) -> None:
    job = read_job("finetune", None, ["cohort.training_centers=[C1]"])
    view = FeatureStore(str(archive / "store")).at("reviewed")
    everything = read_tuning_cohort(view, job)
    accepted = read_tuning_cohort(view, replace(job, cohort=replace(job.cohort, reviewed=True)))
    assert accepted.left_out == {**everything.left_out, **REFUSED}
    gone = {roi.roi_key for roi in everything.rois} - {roi.roi_key for roi in accepted.rois}
    assert gone == {f"C1/{number:03d}/hematoma/A/1" for number in (4, 5, 6, 7)}


def test_score_and_validate_take_accepted_outlines_alone_and_say_why_others_are_out(
    archive: Path, tmp_path: Path
) -> None:
    of_center = (
        "--store",
        archive / "store",
        "--bundle",
        archive / "bundle",
        "--snapshot",
        "reviewed",
        "--center",
        "C2",
    )
    scored = _run("score", *of_center, *REVIEWED)
    assert (scored["outlines"], scored["scored"], scored["left_out"]) == (10, 10, REFUSED)
    numbers = FeatureStore(str(archive / "store")).current("scores")["case_id"].to_pylist()
    assert sorted(numbers) == [f"{number:03d}" for number in range(14) if not 4 <= number < 8]
    # All of them are scored now; the report takes accepted ones all the same.
    everything = _run("score", *of_center)
    assert (everything["outlines"], everything["scored"], everything["left_out"]) == (14, 4, {})
    judged = _run("validate", *of_center, *REVIEWED, "--out", tmp_path / "report")
    assert (judged["cases"], judged["left_out"]) == (10, REFUSED)
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    excluded = {step["name"]: dict(step["excluded"]) for step in report["flow"]}
    assert excluded["scored"] == {reason.replace("_", " "): cases for reason, cases in REFUSED.items()}
    text = (tmp_path / "report" / "report.html").read_text()
    assert "outline not reviewed" in text
    assert "those that a review accepts" in text
    plain = _run("validate", *of_center, "--out", tmp_path / "plain")
    assert (plain["cases"], plain["left_out"]) == (14, {})


def test_a_centre_of_which_nothing_is_accepted_is_refused_with_what_to_do(archive: Path, tmp_path: Path) -> None:
    store = fill(tmp_path / "store")
    create_snapshot(store, "plain", Selection(), "test")
    of_center = ("--store", tmp_path / "store", "--bundle", archive / "bundle", "--snapshot", "plain", "--center", "C2")
    assert _run("score", *of_center, *REVIEWED)["left_out"] == {"outline_not_reviewed": 14}
    refused = cvtbatch("validate", *of_center, *REVIEWED, "--out", tmp_path / "report")
    assert refused.returncode == 1
    assert "cvtbatch review apply" in refused.stderr
    unfit = cvtbatch("fit", "--store", tmp_path / "store", *SETS, *REVIEWED, "--out", tmp_path / "bundle")
    assert unfit.returncode == 1
    assert "41 outline not reviewed" in unfit.stderr
    assert "cvtbatch review --store" in unfit.stderr
