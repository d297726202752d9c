"""`fit.classes`: several classes of one outcome, from the job to the scores; what is of yes or no alone is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, roc_auc_score

from cvtbatch import contracts
from cvtbatch.dlrn import load_bundle
from cvtbatch.errors import InputError
from cvtbatch.pipelines.models.cohort_source import CohortSource
from cvtbatch.pipelines.models.training_cohort import read_training
from cvtbatch.pipelines.models.unseen_rows import read_unseen
from cvtbatch.pipelines.results.outline_results import to_outline, to_results
from cvtbatch.pipelines.results.page_lines import to_lines
from cvtbatch.pipelines.results.stored_results import read_stored_results
from cvtbatch.pipelines.shared.outcomes import UNLISTED, read_outcomes
from cvtbatch.store import FeatureStore, Selection, create_snapshot
from cvtbatch.store.wide import PRIMARY
from tests.support.cohorts import SMALLEST_JOB
from tests.support.commands import cvtbatch
from tests.support.model_store import fill

pytestmark = pytest.mark.usefixtures("blank_figures")

SETS = [argument for value in (*SMALLEST_JOB, "cohort.training_centers=[C1]") for argument in ("--set", value)]
ETIOLOGIES = ("HP", "CVT", "CAA", "CVT")
OF_ETIOLOGY = ("--set", "fit.outcome=etiology", "--set", "fit.classes=[HP, CVT, CAA]", "--set", "fit.clinical.terms=[]")
FEW = ("prediction_sets.alpha=0.2", "selection.lasso_folds=2", "forest.folds=2", "smote_neighbors=1")
CLASS_CODES = ("rad_by_class", "dl_by_class", "dlr_by_class", "dlrn_by_class", "predicted_class")
WITH_SETS = [argument for value in FEW for argument in ("--set", f"fit.{value}")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a store and a bundle of three etiologies; one case of each centre is of a fourth."""
    folder = tmp_path_factory.mktemp("classes")
    store = fill(folder / "store")
    rows = store.current("cases").to_pylist()
    for row in rows:
        row |= {"clinical_digest": row["clinical_digest"] + "again"}
        row["etiology"] = "AVM" if row["case_key"] in {"C1/004", "C2/010"} else ETIOLOGIES[int(row["case_id"]) % 4]
        row["extra"] = json.dumps({"x_kind": row["etiology"].lower(), "x_third": "abc"[int(row["case_id"]) % 3]})
    store.table("cases").append(rows)
    create_snapshot(store, "paper", Selection(), "test")
    options = ("--store", folder / "store", "--snapshot", "paper")
    fitted = cvtbatch("fit", *options, *SETS, *OF_ETIOLOGY, *WITH_SETS, "--out", folder / "bundle", check=True)
    (folder / "fit.txt").write_text(fitted.stdout)
    cvtbatch("score", *options, "--bundle", folder / "bundle", "--explain", check=True)
    return folder


def test_a_fit_tells_its_classes_and_who_is_left_out(folder: Path) -> None:
    told = (folder / "fit.txt").read_text()
    assert "9 HP, 21 CVT, 10 CAA among 40 cases" in told
    assert "other_class        1" in told
    assert "DLRN, CAA against HP" in told
    assert "Hand and Till's M with 95 % bootstrap interval" in told
    document = load_bundle(folder / "bundle").document
    assert document["outcome"]["classes"] == ["HP", "CVT", "CAA"]
    assert document["job"]["fit"]["classes"] == ["HP", "CVT", "CAA"]
    assert not {"thresholds", "nomogram", "votes"} & set(document)
    assert document["prediction_sets"]["by_class"]
    shown = cvtbatch("bundle", "show", folder / "bundle", check=True).stdout
    assert "told apart as HP, CVT, CAA" in shown
    assert "Thresholds: none" in shown
    assert "Prediction sets: by the models of 2 folds (cv+), alpha 0.2" in shown


def test_scores_hold_a_probability_of_each_class_and_none_of_an_event(folder: Path) -> None:
    rows = FeatureStore(str(folder / "store")).table("scores").read().to_pylist()
    known = [row for row in rows if row["dlrn_by_class"] is not None]
    assert len(known) > 50
    for row in known:
        assert row["classes"] == ["HP", "CVT", "CAA"]
        assert sum(row["dlrn_by_class"]) == pytest.approx(1)
        assert row["predicted_class"] == row["classes"][int(np.argmax(row["dlrn_by_class"]))]
        assert set(row["set_by_class"]) <= {0, 1}
    alone = ("rad", "dlrn", "dlr_probability", "dlrn_youden", "set_event", "points_total", "clinical_points")
    assert {row[name] for row in rows for name in alone} == {None}


def test_results_for_a_pacs_tell_the_probability_of_each_class(folder: Path) -> None:
    bundle = load_bundle(folder / "bundle")
    store = FeatureStore(str(folder / "store"))
    stored = read_stored_results(store.at(None), bundle)
    scores = {row["roi_key"]: row for row in store.table("scores").read().to_pylist()}
    told_of = {key for key, row in scores.items() if row["dlrn_by_class"] is not None}
    scored = [row for rows in stored.rois.values() for row in rows if row["roi_key"] in told_of]
    assert len(scored) > 50
    for row in scored:
        own = scores[row["roi_key"]]
        results = to_results(stored, row, 10.0, 60.0, bundle)
        by_code = {code: [one.text for one in results.told if one.concept.value == code] for code in CLASS_CODES}
        for name in ("rad_by_class", "dl_by_class", "dlr_by_class", "dlrn_by_class"):
            told = dict(text.rsplit(": ", 1) for text in by_code[name])
            assert {one: float(number) for one, number in told.items()} == dict(
                zip(own["classes"], own[name], strict=True)
            )
        assert by_code["predicted_class"] == [own["predicted_class"]]
        assert not results.judged
        assert not [one for one in results.measured if "CVT" in one.concept.meaning]
        outline = to_outline(stored, row)
        shown = [line for line in to_lines(outline, results) if "DLRN" in line]
        share = own["dlrn_by_class"][0]
        assert shown[0] == f"Probability of HP by DLRN: {share:.4g}"
        assert shown[3] == f"Class of the highest probability by DLRN: {own['predicted_class']}"


def test_explanations_of_all_scored_rows_sum_up_to_their_logarithms_of_odds(folder: Path) -> None:
    store = FeatureStore(str(folder / "store"))
    scores, explained = (store.table(name).read().to_pylist() for name in ("scores", "explanations"))
    of_score = {row["roi_key"]: row["dlrn_by_class"] for row in scores}
    assert of_score.keys() == {row["roi_key"] for row in explained}
    for row in explained:
        assert (row["classes"], row["clinical_terms"]) == (["HP", "CVT", "CAA"], [])
        assert row["base"] is None
        if (own := of_score[row["roi_key"]]) is not None:
            top = np.array(row["top_contributions_by_class"]).reshape(len(row["top_features"]), 3)
            odds = np.array(row["base_by_class"]) + top.sum(axis=0) + row["other_contributions_by_class"]
            np.testing.assert_allclose(odds, np.log(np.array(own) / own[0]), atol=1e-10)


def test_a_report_of_a_centre_tells_m_classes_and_decisions(folder: Path) -> None:
    options = ("--store", folder / "store", "--bundle", folder / "bundle", "--center", "C2")
    found = cvtbatch("validate", *options, "--out", folder / "report", "--json", check=True)
    told = json.loads(found.stdout)
    assert contracts.problems_of(told, "commands/validate.json") == []
    assert told["classes"] == {"HP": 4, "CVT": 7, "CAA": 2}
    document = json.loads((folder / "report" / "report.json").read_text())
    dlrn = document["models"][-1]
    rows = [row for row in document["cases"] if row["told"] and row["label"]]
    outcome = [document["classes"].index(row["label"]) for row in rows]
    probability = [[row["probabilities"][name] for name in document["classes"]] for row in rows]
    assert (
        dlrn["macro"]["value"] == told["auc"] == pytest.approx(roc_auc_score(outcome, probability, multi_class="ovo"))
    )
    assert [way["protocol"] for way in dlrn["training"]] == ["out of fold"]
    assert sum(map(sum, dlrn["confusion"])) == dlrn["n"] == 13
    scores = FeatureStore(str(folder / "store")).table("scores").read().to_pylist()
    of_case = {row["case_key"]: row["set_by_class"] for row in scores}
    for place, seen in enumerate(document["sets"]):
        sets = [of_case[row["key"]] for row in document["cases"] if row["label"] == seen["name"]]
        assert (seen["n"], seen["unknown"]) == (len(sets), 0)
        assert seen["held"]["value"] == sum(held[place] for held in sets) / len(sets)
        assert seen["sizes"] == np.bincount([sum(held) for held in sets], minlength=4).tolist()
    for row in document["cases"]:
        assert row["held"] == [name for name, own in zip(document["classes"], of_case[row["key"]], strict=True) if own]
    assert document["flow"][-1]["excluded"] == [["of a class that is not told", 1]]
    page = (folder / "report" / "report.html").read_text()
    assert "ROC curves of DLRN, each class against all others" in page
    assert "What is seen here, and no promise" in page
    assert (folder / "report" / "tables" / "confusion.csv").read_text().startswith("class,told HP,told CVT,told CAA\n")


def test_other_stands_for_all_that_are_not_listed_and_a_class_without_cases_is_told(folder: Path) -> None:
    source = CohortSource(str(folder / "store"), "paper", ("C1",), PRIMARY, (), reviewed=False, clinical=("epilepsy",))
    told = read_training(replace(source, outcome="etiology", classes=("CVT", "HP", "OTHER")))
    assert np.bincount(told.cohort.outcome).tolist() == [21, 9, 11]
    assert "other_class" not in told.excluded
    lacking = replace(source, outcome="etiology", classes=("CVT", "HP", "CAA", "AVM", "OTHER"))
    with pytest.raises(InputError, match="21 CVT, 9 HP, 10 CAA, 1 AVM, 0 OTHER"):
        read_training(lacking)
    # A centre that nothing is fitted on may lack one.
    elsewhere = read_unseen(lacking, ("C2",)).cohort.outcome
    assert np.bincount(elsewhere, minlength=5).tolist() == [7, 4, 2, 1, 0]


def test_classes_are_of_an_x_column_too_and_those_that_are_not_there_are_told(folder: Path) -> None:
    view = FeatureStore(str(folder / "store")).at("paper")
    cases = view.rows("cases").to_pylist()
    found = read_outcomes(view, cases, "x_kind", PRIMARY, (), ("cvt", "hp", "caa"))
    names = {case["case_key"]: json.loads(case["extra"])["x_kind"] for case in cases}
    assert found == {key: {"cvt": 0, "hp": 1, "caa": 2, "avm": UNLISTED}[name] for key, name in names.items()}
    for column, classes, told in (
        ("etiology", ("CVT", "HP", "CAAA"), "no etiology; did you mean 'CAA'"),
        ("x_kin", ("a", "b", "c"), "did you mean 'x_kind'"),
    ):
        with pytest.raises(InputError, match=told) as refused:
            read_outcomes(view, cases, column, PRIMARY, (), classes)
        assert refused.value.kind == "no_such_outcome"


def test_variants_of_several_classes_are_compared_by_m_here_and_at_another_centre(folder: Path) -> None:
    store, job = folder / "store", folder / "job.yaml"
    small = (
        "nested.repeats=1",
        "nested.folds=2",
        "nested.bootstrap=100",
        "smote_neighbors=1",
        "selection.lasso_folds=2",
    )
    classes = (
        "forest.folds=2",
        "forest.min_samples_leaf=[1]",
        "outcome=x_third",
        "classes=[a, b, c]",
        "clinical.terms=[]",
    )
    sets = [argument for value in (*small, *classes) for argument in ("--set", f"fit.{value}")]
    variants = "{rad: {model: rad}, entropy: {columns: [original_firstorder_Entropy]}}"
    job.write_text(f"version: 1\nkind: compare-models\ncompare: {{external_centers: [C2], variants: {variants}}}\n")
    options = ("--store", store, "--snapshot", "paper", *SETS, *sets)
    told = cvtbatch("compare-models", job, *options, "--out", folder / "models", check=True).stdout
    assert "M (95 % CI)" in told
    document = json.loads((folder / "models" / "comparison.json").read_text())
    assert contracts.problems_of(document, "commands/compare-models.json") == []
    names = ["dlrn", "rad", "entropy", "best, chosen inside the folds"]
    assert [variant["name"] for variant in document["variants"]] == names
    cvtbatch("fit", *options, "--out", folder / "thirds", check=True)
    bundle = load_bundle(folder / "thirds")
    nested, reference = bundle.document["metrics"]["nested"]["models"]["dlrn"], document["variants"][0]
    assert reference["auc"]["value"] == pytest.approx(nested["auc"])
    assert {own["name"]: own["auc"]["value"] for own in reference["classes"]} == pytest.approx(nested["by_class"])
    assert reference["accuracy"]["value"] == pytest.approx(nested["accuracy"])
    [center] = document["external"]
    scored = [
        row
        for row in bundle.score(FeatureStore(str(store)).wide()).to_pylist()
        if row["roi_key"].startswith("C2/") and row["dlrn_by_class"] is not None
    ]
    outcome = [int(row["roi_key"].split("/")[1]) % 3 for row in scored]
    assert center["by_class"] == dict(zip("abc", np.bincount(outcome).tolist(), strict=True))
    whole = roc_auc_score(outcome, [row["dlrn_by_class"] for row in scored], multi_class="ovo")
    assert center["models"][0]["auc"]["value"] == pytest.approx(whole)
    as_each = confusion_matrix(outcome, np.argmax([row["dlrn_by_class"] for row in scored], axis=1))
    assert [own["told"] for own in center["models"][0]["classes"]] == as_each.tolist()
    page = (folder / "models" / "comparison.html").read_text()
    assert "Hand and Till" in page
    assert page.count("What cases of each class are told to be") >= 2
    assert "None" not in page


def test_what_is_of_yes_or_no_alone_is_refused(folder: Path) -> None:
    store, bundle = ("--store", folder / "store"), ("--bundle", folder / "bundle")
    center = ("--center", "C2")
    for command, kind in (
        (
            ("recalibrate", *store, *bundle, *center, "--method", "intercept", "--out", folder / "again"),
            "several classes (HP, CVT, CAA)",
        ),
        (("agreement", *store, *bundle, "--readers", "A,B", "--out", folder / "pairs"), "leave --bundle out"),
    ):
        found = cvtbatch(*command)
        assert found.returncode == 1, command
        assert kind in found.stderr
