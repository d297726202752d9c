"""The scikit-learn classifier: its numbers are those of a fit, and it keeps to scikit-learn's rules."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GroupKFold, KFold, cross_val_predict
from sklearn.utils.estimator_checks import check_estimator

from cvtbatch.dlrn import DLRNClassifier, UncalibratedWarning
from cvtbatch.dlrn.clinical_terms import EPILEPSY
from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.fit import fit_model
from cvtbatch.dlrn.model import score_rows
from cvtbatch.dlrn.oversampling import oversampler
from cvtbatch.dlrn.settings import Model
from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.pipelines.shared.job import read_job
from tests.support.cohorts import SPECS, CohortPlan, made_cohort, settings, surroundings

# As SMALLEST_JOB of the cohorts has it.
SMALL = {
    "components": 8,
    "crossfit_folds": 2,
    "mann_whitney_p": 0.01,
    "lasso_folds": 3,
    "lasso_alphas": 20,
    "lasso_eps": 0.01,
    "forest_trees": 10,
    "forest_grid_trees": 10,
    "forest_folds": 3,
    "forest_max_depth": (3,),
    "forest_min_samples_leaf": (3,),
}
SMALL_JOB = (
    "fit.components=8",
    "fit.crossfit_folds=2",
    "fit.forest.trees=10",
    "fit.nested.repeats=0",
    "fit.selection.mann_whitney_p=0.01",
)
EXPECTED_FAILURES = {
    "check_estimators_pickle": "every column of its X misses a value, and a column that misses one is not used",
}


def frame_of(cohort: Cohort) -> pd.DataFrame:
    """Return a cohort as `FeatureStore.X_y` gives one."""
    embedding = {f"emb_{number:04d}": column for number, column in enumerate(cohort.embedding.T)}
    radiomics = dict(zip(cohort.radiomics_names, cohort.radiomics.T, strict=True))
    return pd.DataFrame({**radiomics, **embedding, **cohort.clinical}, list(cohort.keys))


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    """Return a cohort with one slice a case, two cases a patient, an epilepsy that is unknown and a feature with a gap."""
    drawn = made_cohort(CohortPlan(cases=120, positives=60, cases_per_patient=2, slices=1, epilepsy=(0.2, 0.6)), 5)
    epilepsy, radiomics = np.array(drawn.clinical[EPILEPSY]), drawn.radiomics.copy()
    epilepsy[7], radiomics[3, 9] = np.nan, np.nan
    return replace(drawn, clinical={EPILEPSY: epilepsy}, radiomics=radiomics)


@pytest.fixture(scope="module")
def fitted(cohort: Cohort) -> DLRNClassifier:
    classifier = DLRNClassifier(epilepsy="epilepsy", embedding="emb_", **SMALL)
    return classifier.fit(frame_of(cohort), cohort.outcome, groups=cohort.patients)


def test_its_numbers_are_those_of_a_fit_on_the_same_rows(cohort: Cohort, fitted: DLRNClassifier) -> None:
    whole = fit_model(cohort, settings(*SMALL_JOB), SPECS, surroundings(cohort))
    columns = [cohort.radiomics_names.index(name) for name in whole.model.radiomics]
    scores = score_rows(whole.model, cohort.radiomics[:, columns], cohort.embedding, cohort.clinical).score
    assert np.array_equal(fitted.decision_votes(frame_of(cohort)), scores[Model.DLR])
    probability = fitted.predict_proba(frame_of(cohort))
    assert np.isnan(probability[7]).all()
    np.testing.assert_allclose(probability[:, 1], scores[Model.DLRN], rtol=0, atol=1e-12)
    assert np.isnan(probability[:, 1]).sum() == 1
    selected = [entry["feature"] for entry in whole.document["signatures"]["dlr"]["selected"]]
    assert fitted.selected_features_ == selected
    assert any(name.startswith("dl_") for name in selected)
    kept = whole.out_of_fold[Model.DLR]
    for label, votes in enumerate((kept.others, kept.events)):
        assert sorted(fitted.out_of_fold_votes_[cohort.outcome == label]) == sorted(votes)


def test_its_defaults_are_those_of_the_command() -> None:
    own, job = DLRNClassifier().fit_settings(), read_job("fit").fit
    assert own == job


def test_without_epilepsy_probabilities_are_those_that_votes_stand_for(cohort: Cohort) -> None:
    frame = frame_of(cohort).drop(columns="epilepsy")
    classifier = DLRNClassifier(embedding="emb_", **SMALL).fit(frame, cohort.outcome, groups=cohort.patients)
    votes, probability = classifier.decision_votes(frame), classifier.predict_proba(frame)[:, 1]
    # The logistic step by hand, of softened votes (see dlrn.votes).
    soft = (votes * 10 + 0.5) / 11
    intercept, slope = classifier.recalibration_.intercept.value, classifier.recalibration_.slope.value
    np.testing.assert_allclose(
        probability, 1 / (1 + np.exp(-intercept - slope * np.log(soft / (1 - soft)))), atol=1e-12
    )
    assert np.array_equal(classifier.predict(frame), (probability > 0.5).astype(int))


def test_votes_that_tell_nothing_stay_as_they_are_and_say_so() -> None:
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(60, 6)), np.arange(60) % 2
    with pytest.warns(UncalibratedWarning, match="slope"):
        classifier = DLRNClassifier(**{**SMALL, "forest_trees": 3}).fit(X, y)
    assert np.array_equal(classifier.predict_proba(X)[:, 1], classifier.decision_votes(X))


@pytest.mark.parametrize(("crossfit", "within"), [(2, 3), (5, 3), (3, 10), (2, 2)])
def test_too_few_cases_are_counted_before_any_fold_is_drawn(crossfit: int, within: int) -> None:
    classifier = DLRNClassifier(**{**SMALL, "crossfit_folds": crossfit, "lasso_folds": within})
    within = max(within, SMALL["forest_folds"])
    # The least number of patients that scikit-learn's own splitters leave enough of.
    needed = next(
        count
        for count in range(max(crossfit, within), 99)
        if min(len(train) for train, _ in KFold(crossfit).split(range(count))) >= within
    )
    y = np.array(["CVT"] * (needed - 1) + ["other"] * 30)
    X = np.random.default_rng(1).normal(size=(len(y), 3)) + (y == "CVT")[:, None]
    with pytest.raises(InputError) as caught:
        cross_val_predict(classifier, np.concatenate([X, X]), np.concatenate([y, y]), cv=KFold(2))
    assert caught.value.kind == "too_few_patients"
    for told in (
        f"these {len(y)} rows",
        f"{needed - 1} rows of class CVT ({needed - 1} patients) and 30 rows of class other (30 patients)",
        f"need {needed} patients of each",
    ):
        assert told in caught.value.message


def test_a_fold_without_two_rows_of_an_outcome_says_its_counts() -> None:
    with pytest.raises(
        InputError, match=r"needs 2 rows of each outcome .* 4 with outcome 0 and 1 with outcome 1: give more cases"
    ):
        oversampler(np.array([0, 0, 1, 0, 0]), 5, 1)


def test_patients_stay_together_in_cross_validation(cohort: Cohort) -> None:
    frame, groups = frame_of(cohort), np.array(cohort.patients)
    classifier = DLRNClassifier(epilepsy="epilepsy", **{**SMALL, "forest_trees": 5})
    found = cross_val_predict(
        classifier,
        frame.drop(columns=[name for name in frame if name.startswith("emb_")]),
        cohort.outcome,
        groups=groups,
        cv=GroupKFold(2),
        params={"groups": groups},
        method="predict_proba",
    )
    assert np.isfinite(found).all(axis=1).sum() == 119


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"epilepsy": "seizure"}, "no_such_column"),
        ({"embedding": "dl"}, "no_such_column"),
        ({"forest_trees": 0}, "bad_job"),
        ({"crossfit_folds": 20, "lasso_folds": 20}, "too_few_patients"),
    ],
)
def test_wrong_parameters_are_refused(cohort: Cohort, change: dict[str, object], kind: str) -> None:
    frame, rows = frame_of(cohort), np.flatnonzero(np.arange(120) % 8 == 0)
    with pytest.raises((InputError, ProblemsError)) as caught:
        DLRNClassifier(**{**SMALL, **change}).fit(frame.iloc[rows], cohort.outcome[rows])
    assert caught.value.kind == kind


def test_a_row_without_a_needed_value_has_no_class(cohort: Cohort, fitted: DLRNClassifier) -> None:
    with pytest.raises(InputError, match=r"1 rows miss .* row 7"):
        fitted.predict(frame_of(cohort))
    assert set(fitted.predict(frame_of(cohort).drop(index=cohort.keys[7]))) == {0, 1}


def test_it_keeps_to_the_rules_of_scikit_learn() -> None:
    small = {**SMALL, "crossfit_folds": 3, "lasso_folds": 2, "lasso_alphas": 4, "lasso_eps": 0.1}
    small |= {"forest_trees": 3, "forest_folds": 2}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(DLRNClassifier(**small), expected_failed_checks=EXPECTED_FAILURES)
    assert len(results) > 50
    assert {result["check_name"] for result in results if result["status"] == "xfail"} == set(EXPECTED_FAILURES)
