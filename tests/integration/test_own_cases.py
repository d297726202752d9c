"""A centre that a bundle was not fitted on, moved onto the scale of training by its own cases: found once, kept, and told."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner
from sklearn.metrics import roc_auc_score

from cvtbatch.cli import cli
from cvtbatch.dlrn import load_bundle
from cvtbatch.dlrn.combat import fit_combat
from cvtbatch.dlrn.recalibration import Function, recalibrate_bundle
from cvtbatch.dlrn.settings import Model
from cvtbatch.errors import CvtbatchError
from cvtbatch.pipelines.centers.bundle_facts import bundle_facts
from cvtbatch.pipelines.centers.center_cohort import read_cohort
from cvtbatch.pipelines.centers.center_source import open_source
from cvtbatch.pipelines.centers.reader_study import Readers
from cvtbatch.spec import digest
from cvtbatch.store import FeatureStore
from cvtbatch.validation.model_result import moved_models
from cvtbatch.validation.values import Estimate
from tests.support.cohorts import RECALIBRATION, SMALLEST_JOB
from tests.support.model_store import fill

JOB = (*SMALLEST_JOB, "cohort.training_centers=[C1, C3]", "fit.harmonise.method=combat", "fit.harmonise.reference=C1")
OWN = "fit.harmonise.new_centers=own_cases"


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def refused(*arguments: object) -> CvtbatchError:
    error = CliRunner().invoke(cli, [*map(str, arguments)]).exception
    assert isinstance(error, CvtbatchError)
    return error


def sets(*values: str) -> list[str]:
    return [argument for value in values for argument in ("--set", value)]


def add_case(store: FeatureStore, case_id: str, **features: float) -> None:
    """Add a case to C4 that is its case 005 but for some features."""
    for name in ("volumes", "cases", "rois", "radiomics", "embeddings"):
        rows = store.current(name)
        rows = rows.filter(pc.is_in(rows["case_key"], pa.array(["C4/005"]))).to_pylist()
        for entry in rows:
            entry |= {key: entry[key].replace("/005", f"/{case_id}") for key in {"case_key", "roi_key"} & entry.keys()}
            entry["case_id"] = case_id
            entry |= {
                key: f"{entry[key]}-{case_id}" for key in {"image_digest", "input_digest", "patient"} & entry.keys()
            }
            entry |= features if name == "radiomics" else {}
        store.table(name).append(rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    fill(folder / "store", more={"C3": 22, "C4": 22})
    run("snapshot", "create", "paper", "--store", folder / "store")
    run("fit", "--store", folder / "store", "--snapshot", "paper", *sets(*JOB, OWN), "--out", folder / "bundle")
    score = ("score", "--store", folder / "store", "--bundle", folder / "bundle", "--snapshot", "paper")
    few = refused(*score)
    assert few.kind == "too_few_own_cases"
    assert "'C2' has 14 with features that are eligible" in few.message
    store = FeatureStore(folder / "store")
    assert (len(store.table("harmonisations").read()), len(store.scores())) == (0, 0)
    run(*score, "--center", "C4", "--center", "C3")
    return folder


def test_a_new_centre_is_moved_as_combat_moves_it_and_every_row_says_so(folder: Path) -> None:
    store, bundle = FeatureStore(folder / "store"), load_bundle(folder / "bundle")
    [kept] = store.table("harmonisations").read().to_pylist()
    rows = store.wide().to_pandas().set_index("roi_key").sort_index()
    new = rows[rows["center"] == "C4"]
    told = digest(*(f"{key}\n{found}" for key, found in new["input_digest"].items()))
    assert (kept["center"], kept["cases"], kept["set_digest"], kept["columns"]) == (
        "C4",
        22,
        told,
        list(bundle.model.radiomics),
    )
    stored = store.scores().to_pandas().set_index("roi_key").sort_index()
    of_new, of_training = stored[stored["center"] == "C4"], stored[stored["center"] == "C3"]
    assert all("harmonised_by_own_cases" in flags and "not_harmonised" not in flags for flags in of_new["flags"])
    assert not any("harmonised" in flag for flags in of_training["flags"] for flag in flags)
    assert set(of_new["harmonisation_digest"]) == {told}
    assert of_training["harmonisation_digest"].isna().all()
    # ComBat of the training centres' reference and the new one together, whose values neuroCombat's hold.
    base = bundle.model.harmonisation.base  # type: ignore[union-attr]
    trained = (
        store.wide(where="center = 'C1' AND traumatic = 0 AND cvt IS NOT NULL").to_pandas().dropna(subset=["embedding"])
    )
    both = [trained[list(base.columns)].to_numpy(np.float64), new[list(base.columns)].to_numpy(np.float64)]  # type: ignore[union-attr]
    centers = ["C1"] * len(trained) + ["C4"] * len(new)
    together = fit_combat(np.concatenate(both), centers, "C1")
    used = [base.columns.index(name) for name in bundle.model.radiomics]  # type: ignore[union-attr]
    np.testing.assert_allclose(kept["location"], together.location[1][used], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(kept["scale"], together.scale[1][used], rtol=1e-9)
    moved = new.assign(center="C1")
    values = (new[list(bundle.model.radiomics)].to_numpy(np.float64) - kept["location"]) / kept["scale"]
    moved[list(bundle.model.radiomics)] = values
    expected = bundle.score(moved.reset_index()).set_index("roi_key")["dlr"]
    assert of_new["dlr"].to_dict() == pytest.approx(expected.to_dict(), nan_ok=True, abs=0)
    alone = bundle.score(store.wide(where="center = 'C4'"))
    assert all("not_harmonised" in flags for flags in alone["flags"].to_pylist())
    assert (alone["dlr"].to_pylist()) != of_new["dlr"].to_list()


def test_a_report_is_told_scores_with_and_without(folder: Path) -> None:
    bundle = load_bundle(folder / "bundle")
    source = open_source(str(folder / "store"), bundle, "C4", "paper", "validate")
    cohort = read_cohort(source, Readers((), ()))
    rows = source.store.wide(where="center = 'C4'").to_pandas().set_index("case_key")
    outcome, plain = rows["cvt"].to_dict(), bundle.score(rows)["dlr"].to_dict()
    moved = {case.key: case.scores["DLR"] for case in cohort.cases}
    assert {case.key: case.as_they_are["DLR"] for case in cohort.cases} == plain
    assert moved != plain
    [dlr] = [model for model in moved_models(cohort, bundle_facts(bundle)) if model.name == "DLR"]
    for found, scores in ((dlr.moved, moved), (dlr.as_they_are, plain)):
        pairs = [(outcome[key], score) for key, score in scores.items()]
        assert isinstance(found, Estimate)
        assert found.value == pytest.approx(roc_auc_score(*zip(*pairs, strict=True)), abs=1e-12)
    threshold = bundle.model.thresholds[Model.DLR]["youden"]
    assert dlr.decided_otherwise == sum((moved[key] >= threshold) != (plain[key] >= threshold) for key in plain)
    places = {name: place for place, name in enumerate(bundle.model.radiomics)}
    [kept] = source.own_cases
    for name in set(cohort.features) & set(places):
        place = places[name]
        expected = (rows.sort_values("roi_key")[name].to_numpy() - kept.location[place]) / kept.scale[place]
        np.testing.assert_allclose(cohort.features[name], expected, rtol=1e-12)


def test_what_moves_a_centre_stays_when_cases_come_and_the_bundle_is_recalibrated(folder: Path) -> None:
    store = FeatureStore.open_for_writing(str(folder / "store"))
    add_case(store, "late")
    where = ("--store", folder / "store", "--center", "C4")
    assert json.loads(run("score", *where, "--bundle", folder / "bundle", "--json"))["scored"] == 1
    recalibrate_bundle(folder / "bundle", folder / "again", Function(-0.7, 0.5), RECALIBRATION)
    assert json.loads(run("score", *where, "--bundle", folder / "again", "--json"))["scored"] == 23
    [kept] = store.table("harmonisations").read().to_pylist()
    assert kept["cases"] == 22
    scores = store.scores(where="center = 'C4'").to_pandas()
    assert set(scores["harmonisation_digest"]) == {kept["set_digest"]}
    assert scores.groupby("roi_key")["dlr"].nunique().max() == 1


def test_a_case_that_lacks_a_value_takes_no_score_from_the_others(folder: Path) -> None:
    where = ("--store", folder / "store")
    run("fit", *where, *sets(*JOB, OWN, "fit.seed=9"), "--out", folder / "other")
    store, bundle = FeatureStore.open_for_writing(str(folder / "store")), load_bundle(folder / "other")
    add_case(store, "holed", **dict.fromkeys(bundle.model.radiomics, float("nan")))
    cases = len(store.wide(where="center = 'C4'"))
    run("score", *where, "--center", "C4", "--bundle", folder / "other")
    [kept] = [row for row in store.table("harmonisations").read().to_pylist() if row["bundle_digest"] == bundle.digest]
    assert (kept["cases"], bool(np.isfinite(kept["location"]).all())) == (cases - 1, True)
    scores = store.scores(where="center = 'C4'").to_pandas()
    scores = scores[scores["bundle_digest"] == bundle.digest].set_index("case_key")["rad"]
    assert (len(scores), scores.drop("C4/holed").notna().all()) == (cases, True)


def test_a_comparison_refuses_what_it_does_not_do(folder: Path) -> None:
    variants = "compare.variants={clinical: {columns: [epilepsy]}}"
    named = (*sets(*JOB, OWN, "fit.nested.repeats=1", variants), "--out", folder / "compared")
    error = refused("compare-models", "--store", folder / "store", *named)
    assert (error.kind, "compare-models scores rows of centres" in error.message) == ("bad_job", True)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (("fit.harmonise.method=none", "fit.harmonise.reference=null", OWN), "names new_centers and no method"),
        ((OWN, "fit.prediction_sets.alpha=0.1"), "ask for one of them"),
        ((OWN, "fit.nested.leave_one_center_out=true"), "ask for one of them"),
    ],
)
def test_what_cannot_be_asked_for_together_is_refused(folder: Path, values: tuple[str, ...], told: str) -> None:
    error = refused("fit", "--store", folder / "store", *sets(*JOB, *values), "--out", folder / "none")
    assert error.kind == "bad_job"
    assert told in error.message
