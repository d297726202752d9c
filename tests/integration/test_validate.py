"""`validate` on a store: from a bundle's scores of a centre to a report."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
import statsmodels.api as sm
from click.testing import CliRunner
from scipy.special import expit, logit
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.dlrn import load_bundle
from cvtbatch.dlrn.settings import Model
from cvtbatch.errors import InputError
from cvtbatch.manifest import Reading
from cvtbatch.pipelines.centers.center_cohort import REASONS, read_pictures
from cvtbatch.pipelines.centers.center_source import Source, open_source
from cvtbatch.pipelines.centers.recalibrate import RecalibrationReport, recalibrate_center
from cvtbatch.pipelines.centers.validate import other_spellings, validate_center
from cvtbatch.store import FeatureStore
from cvtbatch.validation.eligibility import CRITERIA
from tests.support.cohorts import SMALLEST_JOB
from tests.support.model_store import CASES, DRAWN, add_to_second_center, fill
from tests.support.paths import ROOT
from tests.support.store_rows import row

pytestmark = pytest.mark.usefixtures("blank_figures")

FAST = (*SMALLEST_JOB, "cohort.training_centers=[C1]")


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a bundle fitted on C1, and its scores of C2."""
    folder = tmp_path_factory.mktemp("validate")
    add_to_second_center(fill(folder / "store", more={"C3": 26}))
    sets = [argument for value in FAST for argument in ("--set", value)]
    run("fit", "--store", folder / "store", *sets, "--out", folder / "bundle")
    run("score", "--store", folder / "store", "--bundle", folder / "bundle", "--center", "C2", "--explain")
    return folder


@pytest.fixture(scope="module")
def document(archive: Path) -> dict[str, object]:
    """The command's JSON document, once it has written its report."""
    text = run(
        "validate", "--store", archive / "store", "--bundle", archive / "bundle", "--center", "C2",
        "--out", archive / "report", "--study", ROOT / "docs" / "study.yaml", "--json",
    )  # fmt: skip
    found: dict[str, object] = json.loads(text)
    assert contracts.problems_of(found, "commands/validate.json") == []
    return found


@pytest.fixture(scope="module")
def report(archive: Path, document: dict[str, object]) -> dict[str, object]:
    """report.json."""
    found: dict[str, object] = json.loads((archive / "report" / "report.json").read_text(encoding="utf-8"))
    return found


def test_the_numbers_are_those_of_the_scores(
    archive: Path, document: dict[str, object], report: dict[str, object]
) -> None:
    store = FeatureStore(str(archive / "store"))
    outcome = dict(zip(*(store.current("cases")[name].to_pylist() for name in ("case_key", "cvt")), strict=True))
    scores = [entry for entry in store.current("scores").to_pylist() if entry["dlrn"] is not None]
    expected = roc_auc_score([outcome[entry["case_key"]] for entry in scores], [entry["dlrn"] for entry in scores])
    assert document["auc"] == pytest.approx(expected)
    assert report["models"][-1]["auc"]["value"] == document["auc"]
    assert (document["cases"], document["with_outcome"], document["events"]) == (CASES["C2"], CASES["C2"], 7)
    called = {entry["case_key"]: bool(entry["dlrn_youden"]) for entry in scores}
    assert {case["key"]: case["called"] for case in report["cases"] if case["called"] is not None} == called


def test_what_authors_say_stands_in_the_report_and_its_checklists(archive: Path, report: dict[str, object]) -> None:
    assert report["provenance"]["study"]["dates"] == {"first": "2019-01", "last": "2024-06-30"}
    answers = {}
    for name in ("clear", "tripod", "metrics"):
        with (archive / "report" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            answers[name] = {row["item"]: row for row in csv.DictReader(file)}
    assert answers["clear"]["20"]["in words"] == "A: neurosurgeon, 12 years; B: neurosurgeon, 6 years."
    assert answers["clear"]["42"]["answer"] == "no"
    assert answers["clear"]["22"]["rests on (report.json)"] == "/provenance/settings/volume specification"
    assert answers["tripod"]["5b"]["in words"] == "Scans from 2019-01 to 2024-06-30."
    assert answers["metrics"]["3"]["answer"] == "yes"
    confirmed = [row for row in report["baseline_by_class"] if row["variable"] == "confirmed_by"]
    assert len(confirmed) == 1


def test_a_bad_study_file_is_refused_before_any_work(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("version: 1\nethics: approved\n", encoding="utf-8")
    command = ("validate", "--store", archive / "store", "--bundle", archive / "bundle", "--center", "C2")
    result = CliRunner().invoke(
        cli, [*map(str, (*command, "--out", tmp_path / "report", "--study", tmp_path / "study.yaml"))]
    )
    assert result.exit_code == 1
    assert "ethics: 'approved' is no section of keys" in str(result.exception)
    assert not (tmp_path / "report").exists()


def test_the_flow_says_who_is_missing(report: dict[str, object]) -> None:
    steps = {step["name"]: (step["left"], dict(step["excluded"])) for step in report["flow"]}
    assert steps == {
        "screened": (17, {}),
        "eligible": (16, {"traumatic hemorrhage": 1}),
        "scored": (14, {"failed: empty mask": 1, "no outline by A, reading 1": 1}),
        "with a known outcome": (14, {}),
    }
    assert [step["keys"] for step in report["flow"]] == [[], [["C2/traumatic"]], [["C2/failing"], ["C2/awaiting"]], []]
    assert report["failures"] == [{"kind": "empty_mask", "cases": 1}]


def test_every_criterion_has_its_words() -> None:
    assert set(REASONS) == {criterion.reason for criterion in CRITERIA}


def test_facts_of_the_bundle_stand_in_the_report(archive: Path, report: dict[str, object]) -> None:
    bundle = load_bundle(archive / "bundle")
    origin = report["provenance"]
    assert origin["bundle_digest"] == bundle.digest
    assert origin["training_centers"] == ["C1"]
    assert origin["training_cases"] == 40
    assert [point["name"] for point in report["models"][0]["points"]] == ["youden", "sens90", "sens95"]
    assert report["models"][0]["points"][0]["decisions"]["threshold"] == bundle.document["thresholds"]["rad"]["youden"]
    estimates = [(row["protocol"], row["caution"]) for row in report["models"][-1]["training"]]
    assert estimates == [
        ("out of fold", "the nomogram was fitted on these scores: in sample for its coefficients, optimistic"),
        ("study protocol", "in sample, optimistic"),
    ]
    selected = {row["feature"] for row in bundle.document["signatures"]["dlr"]["selected"]}
    assert {row["feature"] for row in report["importances"]} == selected
    assert {row["feature"] for row in report["shift"]["features"]} == selected
    page = (archive / "report" / "report.html").read_text(encoding="utf-8")
    assert bundle.digest in page
    assert str(archive) not in page


def test_points_of_a_case_lead_to_its_probability(report: dict[str, object]) -> None:
    nomogram = report["nomogram"]
    scored = [case for case in report["cases"] if "DLRN" in case["scores"]]
    assert len(scored) == CASES["C2"] - 1
    for case in scored:
        total = sum(entry["amount"] for entry in case["explanation"]["points"])
        odds = nomogram["log_odds_at_zero"] + total * nomogram["log_odds_per_point"]
        assert expit(odds) == pytest.approx(case["scores"]["DLRN"], rel=1e-9)
        added = sum(entry["amount"] for entry in case["explanation"]["contributions"]) + case["explanation"]["others"]
        assert case["explanation"]["base"] + added == pytest.approx(case["scores"]["DLR"], rel=1e-9)


def test_readers_are_compared_by_feature_outline_and_score(report: dict[str, object]) -> None:
    (study,) = report["readers"]
    assert (study["kind"], study["cases"]) == ("inter-reader", 6)
    assert len(study["features"]) == len(contracts.feature_names())
    assert sum(row["features"] for row in study["classes"]) == len(contracts.feature_names())
    strong = [row for row in study["features"] if row["icc"].get("value", 0) > 0.99]
    assert len(strong) > 1800
    assert {row["model"] for row in study["scores"]} == {"Rad", "DL", "DLR", "DLRN"}


def test_the_gallery_shows_the_slice_that_is_there(archive: Path, document: dict[str, object]) -> None:
    page = (archive / "report" / "report.html").read_text(encoding="utf-8")
    cards = re.findall(r"<article.*?</article>", page, flags=re.DOTALL)
    with_picture = [card for card in cards if "data:image/jpeg" in card]
    assert len(cards) == CASES["C2"]
    assert len(with_picture) == 1
    assert DRAWN in with_picture[0]
    source = open_source(str(archive / "store"), load_bundle(archive / "bundle"), "C2", None, "validate")
    drawn = read_pictures(source)(DRAWN)
    assert drawn is not None
    # Of rows 60 to 79 and columns 50 to 79 among 140 and 120, seen from the other two sides.
    assert [(int(axis.min()), int(axis.max())) for axis in np.nonzero(drawn.mask_yx)] == [(60, 79), (40, 69)]


@pytest.mark.parametrize(
    ("center", "kind"),
    [("C1", "training_center"), ("c1", "training_center"), ("C\u00a01", "training_center"), ("C9", "no_such_center")],
)
def test_other_centers_are_refused(archive: Path, tmp_path: Path, center: str, kind: str) -> None:
    with pytest.raises(InputError) as caught:
        validate_center(str(archive / "store"), archive / "bundle", center, None, tmp_path / "report")
    assert caught.value.kind == kind
    assert not (tmp_path / "report").exists()


def test_a_report_of_a_centre_that_has_another_spelling_says_so(archive: Path, tmp_path: Path) -> None:
    store = FeatureStore.open_for_writing(str(tmp_path / "store"))
    for name in ("C2", "c2", "C4"):
        store.table("cases").append(
            [row("cases", case_key=f"{name}/1", center=name, case_id="1", patient="p", extra="{}")]
        )
    view = FeatureStore(str(tmp_path / "store")).at(None)
    source = Source(store, view, "s", "d", load_bundle(archive / "bundle"), "C2", Reading("A", 1))
    assert other_spellings(source) == [
        "cases of 'c2' are not in this report, from which 'C2' differs by capitals, blanks or Unicode form alone"
    ]
    assert other_spellings(replace(source, center="C4")) == []


@pytest.fixture(scope="module")
def scored(archive: Path, report: dict[str, object]) -> Path:
    """The archive with C3 scored too, once the tests of one centre have read it."""
    run("score", "--store", archive / "store", "--bundle", archive / "bundle", "--center", "C3")
    return archive


def recalibrate(archive: Path, center: str, method: str, out: Path) -> RecalibrationReport:
    return recalibrate_center(str(archive / "store"), archive / "bundle", center, None, method, out)


def test_a_recalibrated_bundle_is_one_of_its_own_and_the_report_says_so(scored: Path, tmp_path: Path) -> None:
    """The terms are those of statsmodels on the stored scores; the centre that gave them is no centre to validate on."""
    out, store = tmp_path / "recalibrated", str(scored / "store")
    text = run(
        "recalibrate", "--bundle", scored / "bundle", "--store", store, "--center", "C3", "--method", "intercept",
        "--out", out, "--json",
    )  # fmt: skip
    told = json.loads(text)
    assert contracts.problems_of(told, "commands/recalibrate.json") == []
    rows = [row for row in FeatureStore(store).current("scores").to_pylist() if row["center"] == "C3" and row["dlrn"]]
    cases = FeatureStore(store).current("cases").to_pylist()
    outcome = {row["case_key"]: float(row["cvt"]) for row in cases if row["cvt"] is not None}
    observed = np.array([outcome[row["case_key"]] for row in rows])
    odds = logit(np.array([row["dlrn"] for row in rows]))
    plain = sm.Logit(observed, np.ones((len(rows), 1)), offset=odds).fit(disp=0, tol=1e-12)
    found = told["recalibration"]
    assert found["intercept"]["value"] == pytest.approx(plain.params[0], rel=1e-6)
    assert [found["intercept"][end] for end in ("low", "high")] == pytest.approx(plain.conf_int()[0], rel=1e-5)
    assert (found["slope"], found["cases"], found["events"]) == (None, 25, 13)
    first, second = load_bundle(scored / "bundle"), load_bundle(out)
    assert (second.digest, found["parent_digest"]) == (told["bundle_digest"], first.digest)
    assert set(found["image_digests"]) == {f"image-C3-{number}" for number in range(26) if number != 2}

    with pytest.raises(InputError, match="recalibrated on centre 'C3'"):
        validate_center(store, out, "C3", None, tmp_path / "report")
    with pytest.raises(InputError, match="recalibrated on centre 'C3', from which 'c3' differs by capitals, blanks or"):
        validate_center(store, out, "c3", None, tmp_path / "report")
    with pytest.raises(InputError, match="itself recalibrated"):
        recalibrate_center(store, out, "C2", None, "intercept", tmp_path / "again")
    run("score", "--store", store, "--bundle", out, "--center", "C2")
    stored = FeatureStore(store).current("scores").to_pylist()
    mine = {row["roi_key"]: row for row in stored if row["bundle_digest"] == second.digest}
    before = [row for row in stored if row["bundle_digest"] == first.digest and row["center"] == "C2"]
    assert len(mine) == len(before) == CASES["C2"]
    for entry in before:
        new = mine[entry["roi_key"]]
        assert [new[f"dlrn_{name}"] for name in ("youden", "sens90", "sens95")] == [
            entry[f"dlrn_{name}"] for name in ("youden", "sens90", "sens95")
        ]
        assert new["dlr"] == entry["dlr"]
        if entry["dlrn"] is not None:
            assert new["dlrn"] == pytest.approx(expit(plain.params[0] + logit(entry["dlrn"])), rel=1e-6)
    run("validate", "--store", store, "--bundle", out, "--center", "C2", "--out", tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    first_screen = page[: page.index("<nav")]
    assert "Recalibrated bundle." in first_screen
    assert first.digest in first_screen
    assert "centre C3 (25 cases, 13 of them with CVT" in first_screen
    written = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    assert "itself recalibrated" in written["recalibrations"]["intercept"]["not_computable"]
    assert written["provenance"]["recalibrated"]["center"] == "C3"


def test_a_recalibration_that_cannot_be_is_refused_with_the_figure(scored: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="7 cases with and 6 without the event, and it takes 10 of each") as caught:
        recalibrate(scored, "C2", "intercept", tmp_path / "out")
    assert caught.value.kind == "not_recalibrated"
    with pytest.raises(InputError, match="it takes 20 of each"):
        recalibrate(scored, "C3", "intercept-slope", tmp_path / "out")
    with pytest.raises(InputError, match="trained on centre 'C1'"):
        recalibrate(scored, "C1", "intercept", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="something already"):
        recalibrate(scored, "C3", "intercept", scored / "bundle")


def test_scores_are_compared_with_what_training_scored_out_of_fold(archive: Path, report: dict[str, object]) -> None:
    bundle = load_bundle(archive / "bundle")
    found = report["shift"]["scores"]
    kept = bundle.out_of_fold[Model.DLRN]
    by_group = {row["group"]: row for row in found["distributions"]}
    assert by_group["CVT"]["training"] == kept.events.tolist()
    assert by_group["other causes"]["training"] == kept.others.tolist()
    own = {
        side: sorted(c["scores"]["DLRN"] for c in report["cases"] if c["outcome"] is side and "DLRN" in c["scores"])
        for side in (True, False)
    }
    assert (by_group["CVT"]["center"], by_group["other causes"]["center"]) == (own[True], own[False])
    rows = {row["feature"]: row for row in found["rows"]}
    assert len(rows) == 12
    expected = ks_2samp(kept.events, own[True])
    assert rows["DLRN (CVT)"]["ks"]["statistic"] == pytest.approx(expected.statistic)
    then, now = logit(kept.others), logit(own[False])
    spread = np.sqrt((then.var(ddof=1) + now.var(ddof=1)) / 2)
    assert rows["DLRN (other causes)"]["difference"] == pytest.approx((now.mean() - then.mean()) / spread, rel=1e-9)
    # What thresholds rest on is what is compared.
    outcome = [1] * len(kept.events) + [0] * len(kept.others)
    auc = roc_auc_score(outcome, [*kept.events, *kept.others])
    assert auc == pytest.approx(bundle.document["metrics"]["out_of_fold"]["dlrn"]["auc"])


@pytest.mark.parametrize("trained", [0, 30], ids=["no training centre", "other cases of it"])
def test_a_store_without_the_training_cases_is_compared_with_what_the_bundle_keeps(
    archive: Path, report: dict[str, object], tmp_path: Path, trained: int
) -> None:
    add_to_second_center(fill(tmp_path / "store", more={"C1": trained}))
    run("score", "--store", tmp_path / "store", "--bundle", archive / "bundle", "--center", "C2")
    out = ("--bundle", archive / "bundle", "--center", "C2", "--out", tmp_path / "report")
    run("validate", "--store", tmp_path / "store", *out)
    found = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    full, own = (each["shift"]["features"] for each in (report, found))
    assert [row["feature"] for row in own] == [row["feature"] for row in full]
    for one, other in zip(own, full, strict=True):
        assert one["outside"] == other["outside"]
        assert one["training_mean"] == pytest.approx(other["training_mean"])
        assert one["difference"] == pytest.approx(other["difference"])
        assert one["ks"]["statistic"] <= other["ks"]["statistic"] + 1e-12
    assert (report["shift"]["novelty"]["reference"], found["shift"]["novelty"]["reference"]) == (
        "nearest training case",
        "training mean",
    )
    before, now = (
        {entry["variable"]: entry for entry in each["baseline_against_training"]} for each in (report, found)
    )
    assert now["cvt"] == before["cvt"]
    assert now["epilepsy"]["second"]["levels"] == before["epilepsy"]["second"]["levels"]
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "the bundle keeps quantiles of them" in page
    assert "farther from the training mean than 95 %" in page


def test_several_centres_have_a_report_each(scored: Path, tmp_path: Path) -> None:
    command = ("validate", "--store", scored / "store", "--bundle", scored / "bundle", "--out", tmp_path / "reports")
    found = json.loads(run(*command, "--center", "C3", "--center", "C2", "--json"))
    assert contracts.problems_of(found, "commands/validate.json") == []
    assert [(entry["center"], entry["report"]) for entry in found["centers"]] == [
        (name, str(tmp_path / "reports" / name / "report.html")) for name in ("C3", "C2")
    ]
    assert len({entry["snapshot"] for entry in found["centers"]}) == 1
    for name in ("C2", "C3"):
        report = json.loads((tmp_path / "reports" / name / "report.json").read_text(encoding="utf-8"))
        assert {case["key"].partition("/")[0] for case in report["cases"]} == {name}
    refused = CliRunner().invoke(cli, [*map(str, command), "--center", "C2", "--center", "Berlin"])
    assert "has no centre 'Berlin'; it has 'C1', 'C2', 'C3'" in str(refused.exception)
    assert (
        CliRunner()
        .invoke(
            cli, ["recalibrate", *map(str, command[1:]), "--center", "C2", "--center", "C3", "--method", "intercept"]
        )
        .exit_code
        == 2
    )


def test_a_report_without_an_auc_is_told_by_the_exit_code(scored: Path, tmp_path: Path) -> None:
    store = FeatureStore.open_for_writing(str(scored / "store"), existing=True)
    cases = store.current("cases")
    third = cases.filter(pc.equal(cases["center"], "C3")).to_pylist()
    store.table("cases").append(
        [{**case, "cvt": None, "clinical_digest": f"silent-{case['case_key']}"} for case in third]
    )
    run("score", "--store", scored / "store", "--bundle", scored / "bundle", "--center", "C3")
    told = run(
        "validate", "--store", scored / "store", "--bundle", scored / "bundle", "--center", "C3",
        "--out", tmp_path / "report", code=3,
    )  # fmt: skip
    assert told.count("AUC not computable: ") == 4
    assert (tmp_path / "report" / "report.html").is_file()


def test_images_that_the_bundle_was_trained_on_are_refused(archive: Path, tmp_path: Path) -> None:
    store = FeatureStore.open_for_writing(str(archive / "store"))
    rows = store.current("volumes")
    seen = rows.filter(pc.equal(rows["case_key"], "C1/000")).to_pylist()[0]
    case = {"case_key": "C2/awaiting", "center": "C2", "case_id": "awaiting"}
    store.table("volumes").append([{**seen, **case}])
    with pytest.raises(InputError, match=r"trained or recalibrated on: C2/awaiting"):
        validate_center(str(archive / "store"), archive / "bundle", "C2", None, tmp_path / "report")


def test_a_centre_without_scores_is_told_what_to_do(archive: Path, tmp_path: Path) -> None:
    fill(tmp_path / "store")
    with pytest.raises(InputError, match="run `cvtbatch score` with it first"):
        validate_center(str(tmp_path / "store"), archive / "bundle", "C2", None, tmp_path / "report")
