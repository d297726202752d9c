"""Centres made alike: as neuroCombat does it, inside the folds, frozen, and without a look at the outcome."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from cvtbatch.dlrn import load_bundle
from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.bundle_files import ARRAYS, DOCUMENT
from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.combat import Harmonisation, NewCenters, fit_combat, reference_scale
from cvtbatch.dlrn.estimates import center_estimates, scores_by_repeat
from cvtbatch.dlrn.fit import Fit, fit_model
from cvtbatch.dlrn.model_arrays import problems_of
from cvtbatch.dlrn.recalibration import Function, recalibrate_bundle
from cvtbatch.dlrn.settings import FitSettings, Model
from cvtbatch.dlrn.tasks import plan_nested_tasks, plan_tasks, run_task, run_tasks_here
from cvtbatch.errors import FormatError, InputError
from tests.support.cohorts import (
    RECALIBRATION,
    SMALLEST_JOB,
    SPECS,
    CohortPlan,
    as_table,
    made_cohort,
    of_two_centers,
    settings,
    surroundings,
    write,
)
from tests.support.paths import ROOT

GOLDEN = ROOT / "tests" / "golden" / "combat.npz"
COMBAT = "fit.harmonise.method=combat"
PLAN = CohortPlan(cases=80, positives=30, radiomics=30, length=12, effect=1.5, epilepsy=(0.2, 0.5))


def golden(name: str) -> tuple[np.ndarray, list[str]]:
    """Return rows and their centres."""
    with np.load(GOLDEN) as arrays:
        return arrays[f"{name}.values"], arrays[f"{name}.centers"].tolist()


@pytest.mark.parametrize("name", ["three", "two", "few"])
def test_values_are_neurocombats(name: str) -> None:
    values, centers = golden(name)
    with np.load(GOLDEN) as arrays:
        expected, reference = arrays[f"{name}.expected"], arrays[f"{name}.reference"]
    fitted = fit_combat(values, centers, str(reference))
    found = fitted.apply(values, centers)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=0)
    own = np.array(centers) == reference
    assert found[own].tobytes() == values[own].tobytes()
    assert not np.allclose(found[~own], values[~own], rtol=0.01)
    few = [3, 1]
    assert (fitted.of_columns(few).apply(values[:, few], centers) == found[:, few]).all()


def test_one_centre_stays_as_it_is_and_so_do_centres_that_are_not_known() -> None:
    values, centers = golden("three")
    assert fit_combat(values, ["A"] * len(values)).apply(values, ["A"] * len(values)).tobytes() == values.tobytes()
    fitted = fit_combat(values, centers)
    assert (fitted.centers, fitted.reference) == (("A", "B", "C"), "A")
    assert fitted.apply(values[:3], ["D", None, "a"]).tobytes() == values[:3].tobytes()
    assert fitted.knows(["D", "C", None]).tolist() == [False, True, False]
    alone = [fitted.apply(values[row : row + 1], centers[row : row + 1])[0] for row in range(len(values))]
    assert (np.array(alone) == fitted.apply(values, centers)).all()
    # A centre of one row has no spread: it is not known, and moves nothing.
    one_more = np.concatenate([values, values[:1] + 5])
    assert (fit_combat(one_more, [*centers, "D"]).location == fitted.location).all()


def test_a_column_without_a_scale_at_the_reference_has_no_value_elsewhere() -> None:
    values, names = golden("three")
    centers = np.array(names)
    values[centers == "B", 0], values[4, 1] = 3.0, np.nan
    found = fit_combat(values, names, "B").apply(values, names)
    assert np.isnan(found[centers != "B"][:, :2]).all()
    assert (found[centers == "B", 0] == 3.0).all()
    expected = fit_combat(values[:, 2:], names, "B").apply(values[:, 2:], names)
    np.testing.assert_array_equal(found[:, 2:], expected)
    with pytest.raises(InputError, match="1 have no missing value and vary at centre 'B'") as caught:
        fit_combat(values[:, [0, 1, 2]], names, "B")
    assert caught.value.kind == "no_usable_column"


def site_auc(cohort: Cohort, alike: bool) -> float:
    """Return the AUC by which a regression on the radiomics tells the sites apart, each case by a fit that did not see it."""
    site, centers, odds = np.array(cohort.centers) == "C2", cohort.centers, np.zeros(len(cohort.keys))
    for fold in range(4):
        test = np.arange(len(site)) % 4 == fold
        values = cohort.radiomics
        if alike:
            of_train = [center for center, out in zip(centers, test.tolist(), strict=True) if not out]
            values = fit_combat(values[~test], of_train).apply(values, centers)
        values = (values - values[~test].mean(axis=0)) / values[~test].std(axis=0)
        odds[test] = LogisticRegression(C=0.1).fit(values[~test], site[~test]).decision_function(values[test])
    return float(roc_auc_score(site, odds))


def test_a_planted_site_effect_is_gone_from_rows_that_were_not_looked_at() -> None:
    """What is left tells sites slightly worse than chance: training rows were made equal, so that others lie the other way."""
    found, many = [], replace(PLAN, cases=600, positives=200)
    with threadpool_limits(1):
        for seed in range(4):
            second = np.random.default_rng(seed).uniform(size=600) < 0.4
            cohort = of_two_centers(made_cohort(many, seed), second, seed)
            found.append([site_auc(cohort, alike) for alike in (False, True)])
    before, after = np.mean(found, axis=0)
    assert before > 0.95
    assert abs(after - 0.5) < 0.05


TINY = (
    "fit.nested.repeats=1",
    "fit.nested.bootstrap=0",
    "fit.selection.lasso_alphas=10",
    "fit.selection.lasso_folds=2",
    "fit.forest.folds=2",
)


def nested_auc(cohort: Cohort, wanted: FitSettings) -> float:
    """Return the nested AUC of the signature of radiomics."""
    tasks = [replace(task, nomogram=False) for task in plan_nested_tasks(cohort, wanted)]
    scores = scores_by_repeat(list(run_tasks_here(cohort, wanted, tasks)), cohort)[Model.RAD]
    return float(roc_auc_score(cohort.outcome, scores[0]))


def test_of_noise_whose_centres_differ_in_events_nothing_is_learnt() -> None:
    """Where most events are of one centre its scanner tells them; made alike, columns of noise tell nothing."""
    cohorts = []
    for seed in range(4):
        drawn = made_cohort(replace(PLAN, effect=0.0), seed)
        share = np.where(drawn.outcome == 1, 0.8, 0.25)
        cohorts.append(of_two_centers(drawn, np.random.default_rng([9, seed]).uniform(size=80) < share, seed))
    assert nested_auc(cohorts[0], settings(*SMALLEST_JOB, *TINY)) > 0.65
    alike = settings(*SMALLEST_JOB, *TINY, COMBAT)
    # The standard error of one AUC of 30 and 50 cases is 0.067 (Hanley and McNeil), of the mean of four 0.034.
    assert abs(np.mean([nested_auc(cohort, alike) for cohort in cohorts]) - 0.5) < 2 * 0.034


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return of_two_centers(made_cohort(PLAN, 1), np.arange(80) % 5 < 2, 1)


@pytest.fixture(scope="module")
def fit(cohort: Cohort) -> Fit:
    wanted = settings(*SMALLEST_JOB, COMBAT, "fit.nested.leave_one_center_out=true")
    return fit_model(cohort, wanted, SPECS, surroundings(cohort))


@pytest.fixture(scope="module")
def folder(fit: Fit, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("combat") / "bundle"
    write(folder, fit, cohort)
    return folder


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    return load_bundle(folder)


def rows_of(cohort: Cohort, centers: list[str | None]) -> pa.Table:
    return as_table(cohort).append_column("center", pa.array(centers, pa.string()))


def test_each_step_says_which_rows_it_was_given(cohort: Cohort) -> None:
    wanted = settings(*SMALLEST_JOB, COMBAT, "fit.nested.repeats=1")
    task = plan_nested_tasks(cohort, wanted)[0]
    seen = [entry for entry in run_task(cohort, wanted, task).seen if entry.step.endswith("combat")]
    assert seen[0].rows == task.train
    assert [entry.step for entry in seen[1:]] == [f"nested-1-1/crossfit-{fold}: combat" for fold in (1, 2)]
    for entry in seen[1:]:
        assert entry.held_out
        assert {*entry.rows, *entry.held_out} == {*task.train}
        assert not {*entry.rows} & {*entry.held_out}


def test_the_frozen_model_scores_each_centre_as_the_fitted_one(cohort: Cohort, bundle: Bundle) -> None:
    wanted = settings(*SMALLEST_JOB, COMBAT)
    final = run_task(cohort, wanted, replace(plan_tasks(cohort, wanted)[-1], test=tuple(range(80))))
    scored = bundle.score(rows_of(cohort, [*cohort.centers]))
    for model in (Model.RAD, Model.DL, Model.DLR):
        assert scored[str(model)].to_pylist() == final.scores[model].tolist()
    assert not any(
        "not_harmonised" in flags or "outside_training_range" in flags for flags in scored["flags"].to_pylist()
    )
    told = bundle.description.harmonisation
    assert told is not None
    assert (told.centers, told.reference, told.columns) == (("C1", "C2"), "C1", bundle.description.columns.radiomics)


def test_a_new_centre_is_scored_as_it_is_and_says_so(cohort: Cohort, bundle: Bundle) -> None:
    plain = replace(bundle, model=replace(bundle.model, harmonisation=None))
    centers: list[str | None] = ["C3", None, "c2", "C1"] * 20
    scored, expected = bundle.score(rows_of(cohort, centers)), plain.score(as_table(cohort))
    for column in ("rad", "dlr", "dlrn", "distance", "outside_features"):
        assert scored[column].to_pylist() == expected[column].to_pylist()
    flags = [["not_harmonised" in found for found in part["flags"].to_pylist()] for part in (scored, expected)]
    assert flags == [[True, True, True, False] * 20, [False] * 80]
    frame = rows_of(cohort, centers).to_pandas()
    assert bundle.score(frame)["dlr"].tolist() == scored["dlr"].to_pylist()
    with pytest.raises(InputError, match="needs columns that the table lacks: center"):
        bundle.score(as_table(cohort))
    lists = as_table(cohort).append_column("center", pa.array([["C1"]] * 80))
    with pytest.raises(InputError, match="column center holds list") as caught:
        bundle.score(lists)
    assert caught.value.kind == "bad_column"


def test_golden_rows_are_of_every_centre_of_a_new_one_and_of_none(folder: Path) -> None:
    centers = Counter(pq.read_table(folder / "golden.parquet")["center"].to_pylist())
    assert centers == {"C1": 15, "C2": 15, "C1C2": 1, None: 1}


def test_each_centre_is_estimated_by_models_of_the_others(cohort: Cohort, fit: Fit, bundle: Bundle) -> None:
    wanted = settings(*SMALLEST_JOB, COMBAT, "fit.nested.leave_one_center_out=true")
    tasks = [task for task in plan_tasks(cohort, wanted) if task.name.startswith("center")]
    assert [task.name for task in tasks] == ["center-C1", "center-C2"]
    told = bundle.description.metrics.leave_one_center_out
    for task in tasks:
        center = task.name.removeprefix("center-")
        assert {cohort.centers[row] for row in task.test} == {center}
        assert center not in cohort.centers_of(task.train)
        scores = run_task(cohort, wanted, task).scores
        for model in Model:
            expected = roc_auc_score(cohort.outcome[list(task.test)], scores[model])
            assert told[center][model].auc == pytest.approx(expected, abs=1e-12)
    of_one = replace(cohort, outcome=np.where(np.array(cohort.centers) == "C2", 1, cohort.outcome))
    lone = [run_task(cohort, wanted, task) for task in tasks[1:]]
    assert center_estimates(lone, of_one, wanted) == {"C2": {}}


@pytest.mark.parametrize(
    ("centers", "overrides", "kind", "message"),
    [
        ("C1", (COMBAT,), "bad_job", "names one"),
        (
            "C1C2",
            (COMBAT, "fit.harmonise.reference=C9"),
            "no_such_center",
            "'C9', and the training cases are of C1, C2",
        ),
        ("few", (COMBAT,), "too_few_patients", "of C2 19"),
        ("C1", ("fit.nested.leave_one_center_out=true",), "bad_job", "takes two training centres"),
    ],
)
def test_what_cannot_be_made_alike_is_refused_before_a_fit(
    centers: str, overrides: tuple[str, ...], kind: str, message: str
) -> None:
    second = {"C1": 0, "C1C2": 40, "few": 19}[centers]
    cohort = of_two_centers(made_cohort(PLAN, 1), np.arange(80) < second, 1)
    with pytest.raises(InputError, match=message) as caught:
        fit_model(
            cohort, settings(*SMALLEST_JOB, *overrides), SPECS, surroundings(cohort), lambda _: pytest.fail("fitted")
        )
    assert caught.value.kind == kind


def test_a_reference_belongs_to_a_method() -> None:
    with pytest.raises(InputError, match="names a reference and no method"):
        settings("fit.harmonise.reference=C1")


def test_a_harmonisation_that_is_none_is_no_bundle(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    arrays, told = load_file(folder / ARRAYS), bundle.description
    assert told.harmonisation is not None
    location, scale = (arrays[f"harmonisation.{name}"] for name in ("location", "scale"))
    of_arrays = {
        "holds a number that is not finite": {"harmonisation.scale": -scale},
        "moves the reference": {"harmonisation.location": location + 1},
        "is float64 of 1 x": {"harmonisation.location": location[:1]},
    }
    for message, changes in of_arrays.items():
        assert any(message in problem for problem in problems_of(told, {**arrays, **changes})), message
    of_document = {
        "a reference that is none": replace(told.harmonisation, reference="C9"),
        "not of the radiomics columns": replace(told.harmonisation, columns=told.harmonisation.columns[1:]),
    }
    for message, changed in of_document.items():
        assert any(message in found for found in problems_of(replace(told, harmonisation=changed), arrays)), message
    assert "do not agree whether centres" in problems_of(replace(told, harmonisation=None), arrays)[0]
    names = told.harmonisation.columns
    own = replace(told.harmonisation, new_centers=NewCenters.OWN_CASES, reference_columns=names)
    told_own, ones = replace(told, harmonisation=own), np.ones(len(names))
    kept = {"harmonisation.reference_mean": ones, "harmonisation.reference_sd": ones}
    assert problems_of(told_own, {**arrays, **kept}) == []
    assert "do not agree whether new centres" in problems_of(told_own, arrays)[0]
    assert "do not agree whether new centres" in problems_of(told, {**arrays, **kept})[0]
    assert "not above 0" in problems_of(told_own, {**arrays, **kept, "harmonisation.reference_sd": ones - 1})[0]
    assert "is float64 of" in problems_of(told_own, {**arrays, **kept, "harmonisation.reference_sd": ones[1:]})[0]
    others = replace(told, harmonisation=replace(own, reference_columns=("a", *names[1:])))
    assert "nothing of one that is in use" in problems_of(others, {**arrays, **kept})[0]
    other = shutil.copytree(folder, tmp_path / "bundle")
    save_file({**arrays, "harmonisation.location": location * 1.5}, other / ARRAYS)
    with pytest.raises(FormatError) as caught:
        load_bundle(other)
    assert caught.value.kind == "bundle_damaged"
    later = {**bundle.document, "harmonisation": {**bundle.document["harmonisation"], "method": "longitudinal"}}
    (other / DOCUMENT).write_text(json.dumps(later))
    with pytest.raises(FormatError, match="made for a later version: harmonisation;"):
        load_bundle(other)


def test_a_recalibration_keeps_it(folder: Path, bundle: Bundle, tmp_path: Path) -> None:
    recalibrate_bundle(folder, tmp_path / "again", Function(-0.7, 0.5), RECALIBRATION)
    again = load_bundle(tmp_path / "again")
    assert again.document["harmonisation"] == bundle.document["harmonisation"]
    found, own = again.model.harmonisation, bundle.model.harmonisation
    assert found is not None
    assert own is not None
    assert (found.location.tobytes(), found.scale.tobytes()) == (own.location.tobytes(), own.scale.tobytes())


def test_harmonisations_of_the_same_rows_are_the_same() -> None:
    values, centers = golden("two")
    order = np.random.default_rng(1).permutation(len(centers))
    first, second = fit_combat(values, centers), fit_combat(values[order], [centers[row] for row in order])
    assert isinstance(first, Harmonisation)
    np.testing.assert_allclose(first.location, second.location, rtol=1e-9)


@pytest.mark.parametrize("name", ["three", "two", "few"])
def test_a_centre_that_comes_later_is_moved_as_one_of_training(name: str) -> None:
    values, centers = golden(name)
    with np.load(GOLDEN) as arrays:
        expected, reference = arrays[f"{name}.expected"], str(arrays[f"{name}.reference"])
    columns = [f"f{place}" for place in range(values.shape[1])]
    base = reference_scale(values, centers, reference, columns)
    assert base.columns == tuple(columns)
    for center in set(centers) - {reference}:
        own = np.array(centers) == center
        location, scale = base.moved(values[own], columns)
        np.testing.assert_allclose((values[own] - location) / scale, expected[own], rtol=1e-10, atol=0)
        some = base.moved(values[own], columns[3:1:-1])
        assert (some[0] == location[[3, 2]]).all()
        holed = values[own].copy()
        holed[0, 1] = np.nan
        assert np.flatnonzero(np.isnan(base.moved(holed, columns)[0])).tolist() == [1]
    with pytest.raises(InputError, match="many columns without missing values"):
        base.moved(np.full((20, values.shape[1]), np.nan), columns)
