"""Variants on shared nested folds: regressions beside statsmodels', and the choice inside the folds."""

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.metrics import roc_auc_score

from cvtbatch.dlrn.cohort import RepeatedOutlines
from cvtbatch.dlrn.settings import Model
from cvtbatch.dlrn.tasks import inner_folds, plan_nested_tasks, run_tasks_here
from cvtbatch.dlrn.variants import VariantScores, best_variant, fitted_variant, regression_variant, repeat_of
from cvtbatch.errors import InputError
from tests.support.cohorts import CohortPlan, made_cohort, settings

SETTINGS = settings("fit.nested.repeats=2")
COHORT = made_cohort(CohortPlan(cases_per_patient=2, epilepsy=(0.1, 0.5)), 5)
TASKS = plan_nested_tasks(COHORT, SETTINGS)


def logit(values: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    fit = sm.Logit(COHORT.outcome[train], sm.add_constant(values[train])).fit(disp=False)
    return np.asarray(fit.predict(sm.add_constant(values[test], has_constant="add")))


def test_a_regression_is_fitted_on_each_folds_training_rows_alone() -> None:
    columns = {"epilepsy": COHORT.clinical["epilepsy"], "volume": COHORT.radiomics[:, 0].copy()}
    values = np.column_stack(list(columns.values()))
    found = regression_variant("both", columns, COHORT, SETTINGS, TASKS)
    assert found.scores.shape == (2, 90)
    for task in TASKS:
        train, test = np.array(task.train), np.array(task.test)
        np.testing.assert_allclose(found.scores[repeat_of(task), test], logit(values, train, test), atol=1e-7)
    task = TASKS[0]
    train = np.array(task.train)
    inner = np.empty(len(train))
    for fitted_on, held_out in inner_folds(COHORT, train, SETTINGS, task.name):
        inner[held_out] = logit(values, train[fitted_on], train[held_out])
    assert found.inner_auc[task.name] == pytest.approx(roc_auc_score(COHORT.outcome[train], inner))


def test_a_row_with_an_unknown_value_has_no_score() -> None:
    column = COHORT.clinical["epilepsy"].copy()
    column[[3, 50]] = np.nan
    found = regression_variant("epilepsy", {"epilepsy": column}, COHORT, SETTINGS, TASKS)
    assert np.flatnonzero(np.isnan(found.scores).any(axis=0)).tolist() == [3, 50]


def test_a_column_that_does_not_vary_is_no_variant() -> None:
    with pytest.raises(InputError, match="it is the same in all cases") as caught:
        regression_variant("ones", {"ones": np.ones(90)}, COHORT, SETTINGS, TASKS)
    assert caught.value.kind == "collinear_terms"


def test_settings_that_are_not_the_folds_leave_the_folds_alone() -> None:
    other = replace(SETTINGS, firth=True, components=4, crossfit_folds=2)
    assert [(task.train, task.test) for task in plan_nested_tasks(COHORT, other)] == [
        (task.train, task.test) for task in TASKS
    ]


def test_a_fits_models_are_those_of_its_nested_tasks() -> None:
    quick = settings("fit.nested.folds=2", "fit.crossfit_folds=2", "fit.components=4", "fit.forest.trees=10")
    results = list(run_tasks_here(COHORT, quick, plan_nested_tasks(COHORT, quick)))
    dlrn = fitted_variant("dlrn", Model.DLRN, results, COHORT, quick)
    rad = fitted_variant("rad", Model.RAD, results, COHORT, quick)
    for result in results:
        place = repeat_of(result.task), list(result.task.test)
        np.testing.assert_array_equal(dlrn.scores[place], result.scores[Model.DLRN])
        np.testing.assert_array_equal(rad.scores[place], result.scores[Model.RAD])
        assert result.inner is not None
        assert len(result.inner) == len(result.task.train)
    assert dlrn.probability
    assert not rad.probability
    assert all(0.5 < auc <= 1 for auc in dlrn.inner_auc.values())
    assert rad.inner_auc == {}
    first = results[0].selected[Model.RAD][0]
    assert rad.chosen[first] == np.mean([first in result.selected[Model.RAD] for result in results])


def variant(name: str, level: float, inner: float | list[float], *, probability: bool = True) -> VariantScores:
    aucs = [inner] * len(TASKS) if isinstance(inner, float) else inner
    inside = {task.name: auc for task, auc in zip(TASKS, aucs, strict=True)}
    return VariantScores(name, np.full((2, 90), level), probability, inside, {}, 0)


def test_the_best_is_chosen_anew_in_each_fold_by_its_training_rows() -> None:
    by_turns = [0.9 if number % 2 else 0.1 for number in range(len(TASKS))]
    offered = [
        variant("steady", 0.2, 0.5),
        variant("by turns", 0.7, by_turns),
        variant("votes", 0.9, 1.0, probability=False),
    ]
    best = best_variant(offered, COHORT, TASKS)
    assert best is not None
    for number, task in enumerate(TASKS):
        assert set(best.scores[repeat_of(task), list(task.test)]) == {0.7 if number % 2 else 0.2}
    assert best.chosen == pytest.approx({"steady": 0.5, "by turns": 0.5})


def test_of_fewer_than_two_there_is_no_choice() -> None:
    assert best_variant([variant("a", 0.1, 0.6), variant("votes", 0.9, 1.0, probability=False)], COHORT, TASKS) is None
    unknown = variant("unknown", 0.3, float("nan"))
    best = best_variant([unknown, variant("known", 0.4, 0.2)], COHORT, TASKS)
    assert best is not None
    assert best.chosen == {"known": 1.0}


def test_a_cohort_of_some_rows_keeps_what_belongs_to_them() -> None:
    kept = [5, 6, 40, 41]
    repeats = (RepeatedOutlines("reader B, reading 1", np.array([6, 7, 41]), COHORT.radiomics[[6, 7, 41]] + 1),)
    whole = replace(COHORT, repeats=repeats)
    part = whole.of_keys([COHORT.keys[row] for row in reversed(kept)])
    assert part.keys == tuple(COHORT.keys[row] for row in kept)
    np.testing.assert_array_equal(part.radiomics, COHORT.radiomics[kept])
    np.testing.assert_array_equal(part.outcome, COHORT.outcome[kept])
    for number, row in enumerate(kept):
        np.testing.assert_array_equal(part.slices[part.slice_rows == number], COHORT.slices[COHORT.slice_rows == row])
    [repeat] = part.repeats
    assert repeat.rows.tolist() == [1, 3]
    np.testing.assert_array_equal(repeat.radiomics, COHORT.radiomics[[6, 41]] + 1)
    assert whole.of_keys(COHORT.keys) is whole
