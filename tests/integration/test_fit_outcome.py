"""`fit.outcome`: another yes-or-no outcome, from the job to the page of a report; the numbers are those of the same labels."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from cvtbatch import contracts
from cvtbatch.dlrn import load_bundle
from cvtbatch.dlrn.bundle_document import refuse_later
from cvtbatch.errors import FormatError
from cvtbatch.pipelines.models.cohort_source import CohortSource
from cvtbatch.pipelines.models.training_cohort import read_training
from cvtbatch.pipelines.results.outline_results import to_results
from cvtbatch.pipelines.results.stored_results import read_stored_results
from cvtbatch.store import FeatureStore, Selection, create_snapshot
from cvtbatch.store.wide import PRIMARY
from tests.support.cohorts import SMALLEST_JOB
from tests.support.commands import cvtbatch
from tests.support.model_store import fill

SETS = [argument for value in (*SMALLEST_JOB, "cohort.training_centers=[C1]") for argument in ("--set", value)]
WORDS = {1: "yes", 0: "no", None: ""}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a store and a bundle of x_poor: in C1 it says what cvt says, and in C2 cvt says nothing."""
    folder = tmp_path_factory.mktemp("outcome")
    store = fill(folder / "store", more={"C3": 1})
    rows = store.current("cases").to_pylist()
    for row in rows:
        told = WORDS[row["cvt"]]
        # Of C3 nobody asked.
        row["extra"] = json.dumps({"x_poor": told} if told and row["center"] != "C3" else {})
        row |= {
            "cvt": row["cvt"] if row["center"] == "C1" else None,
            "clinical_digest": row["clinical_digest"] + "again",
        }
    store.table("cases").append(rows)
    create_snapshot(store, "paper", Selection(), "test")
    options = ("--store", folder / "store", "--snapshot", "paper")
    fitted = cvtbatch("fit", *options, *SETS, "--set", "fit.outcome=x_poor", "--out", folder / "bundle", check=True)
    (folder / "fit.txt").write_text(fitted.stdout)
    cvtbatch("score", *options, "--bundle", folder / "bundle", check=True)
    return folder


def test_equal_labels_by_any_name_are_an_equal_cohort(folder: Path) -> None:
    source = CohortSource(str(folder / "store"), "paper", ("C1",), PRIMARY, (), reviewed=False, clinical=("epilepsy",))
    told = read_training(replace(source, outcome="x_poor"))
    of_cvt = read_training(source)
    assert told.cohort.digest() == of_cvt.cohort.digest()
    assert told.excluded == of_cvt.excluded
    document = load_bundle(folder / "bundle").document
    assert document["cohort"]["digest"] == told.cohort.digest()
    assert document["outcome"] == {"column": "x_poor", "classes": ["no x_poor", "x_poor"]}
    assert document["job"]["fit"]["outcome"] == "x_poor"


def test_words_are_those_of_the_outcome(folder: Path) -> None:
    bundle = load_bundle(folder / "bundle")
    assert repr(bundle).endswith("20 of them x_poor)")
    assert bundle.description.intended_use.startswith(
        "Research: tells hematomas with x_poor from those with no x_poor on"
    )
    assert "20 with x_poor among 40 cases" in (folder / "fit.txt").read_text()
    shown = cvtbatch("bundle", "show", folder / "bundle", check=True).stdout
    assert "20 of them with x_poor" in shown
    assert "CVT" not in shown


# Letters of a drawn figure are paths.
@pytest.mark.usefixtures("blank_figures")
def test_a_report_speaks_of_the_outcome_and_of_nothing_published_of_another(folder: Path) -> None:
    out = folder / "report"
    validate = (
        "validate",
        "--store",
        folder / "store",
        "--bundle",
        folder / "bundle",
        "--center",
        "C2",
        "--out",
        out,
    )
    assert "14 with a known outcome, 7 of them with x_poor" in cvtbatch(*validate, check=True).stdout
    document = json.loads((out / "report.json").read_text())
    assert contracts.problems_of(document, "report.json") == []
    assert document["outcome"] == {"column": "x_poor", "classes": ["no x_poor", "x_poor"]}
    assert {model["published_auc"] for model in document["models"]} == {None}
    pages = [out / "report.html", out / "results.md", *(out / "tables").glob("*.csv"), *(out / "figures").glob("*.svg")]
    for page in pages:
        text = page.read_text(encoding="utf-8-sig")
        assert not re.search(r"\bCVT\b|venous|other causes|another cause", text), page.name
    assert "x_poor" in (out / "tables" / "cases.csv").read_text(encoding="utf-8-sig")
    assert "7 of them had x_poor" in (out / "results.md").read_text()


def test_a_centre_without_the_column_is_refused(folder: Path) -> None:
    validate = ("validate", "--store", folder / "store", "--bundle", folder / "bundle", "--center", "C3")
    found = cvtbatch(*validate, "--out", folder / "none")
    assert found.returncode == 1
    assert "the outcome is the manifest's column x_poor, which none of these cases has" in found.stderr
    assert not (folder / "none").exists()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("x_por", "did you mean 'x_poor'"),
        ("age", "fit.outcome"),
        ("expansion", "no patient has two studies"),
    ],
)
def test_an_outcome_that_is_not_there_is_told(folder: Path, value: str, told: str) -> None:
    fit = ("fit", "--store", folder / "store", *SETS, "--set", f"fit.outcome={value}", "--out", folder / "never")
    found = cvtbatch(*fit)
    assert found.returncode == 1
    assert told in found.stderr


def test_the_outcome_is_no_term(folder: Path) -> None:
    more = ("--set", "fit.outcome=x_poor", "--set", "fit.clinical.terms=[x_poor]")
    found = cvtbatch("fit", "--store", folder / "store", *SETS, *more, "--out", folder / "never")
    assert found.returncode == 1
    assert "fit.clinical names x_poor" in found.stderr


def test_results_for_a_pacs_name_the_event(folder: Path) -> None:
    bundle = load_bundle(folder / "bundle")
    stored = read_stored_results(FeatureStore(str(folder / "store")).at(None), bundle)
    scored = [
        (row, score)
        for rows in stored.rois.values()
        for row in rows
        if (score := stored.scores.get((row["roi_key"], row["input_digest"]))) is not None and score["dlrn"] is not None
    ]
    assert len(scored) > 10
    for row, score in scored:
        results = to_results(stored, row, 10.0, 60.0, bundle)
        assert [one.value for one in results.measured if one.concept.value == "dlrn_event_prob"] == [score["dlrn"]]
        assert [one.text for one in results.told if one.concept.value == "event"] == ["x_poor"]
        assert not [one for one in results.measured if "CVT" in one.concept.meaning]


def test_what_is_told_of_classes_and_not_known_here_is_for_a_later_version() -> None:
    refuse_later({"outcome": {"column": "x_a", "classes": ["no", "yes"]}})
    refuse_later(
        {"outcome": {"column": "x_a", "classes": ["a", "b", "c"], "by_class": {"a": {"cases": 3, "terms": []}}}}
    )
    for outcome in (
        {"column": "x_a", "classes": ["a", "b", "c"]},
        {"column": "x_a", "classes": ["a", "b", "c"], "by_class": {"a": {"thresholds": {}}}},
        {"column": "x_a", "classes": ["a", "b"], "by_class": {}},
    ):
        with pytest.raises(FormatError, match="outcome"):
            refuse_later({"outcome": outcome})
