"""Scores of cases that took no part in a fit are those of the bundle of that fit; nothing of them reaches what is fitted."""

from dataclasses import replace

import numpy as np
import pytest

from cvtbatch.dlrn.audit import FindingKind
from cvtbatch.dlrn.external import external_scores, with_unseen
from cvtbatch.dlrn.scoring import score_batch
from cvtbatch.dlrn.settings import Model
from cvtbatch.dlrn.tasks import plan_frozen_tasks, run_tasks_here
from cvtbatch.errors import ProblemsError
from tests.support.cohorts import SPECS, CohortPlan, as_table, made_cohort, settings, small_fit

# The small fit's.
SETTINGS = settings("fit.forest.min_samples_leaf=[2, 6]")


def test_the_scores_are_the_bundles() -> None:
    training, fit = small_fit()
    fitted_on = len(training.keys)
    unseen = made_cohort(CohortPlan(cases=30, positives=12, center="C2"), 5)
    cohort = with_unseen(training, unseen)
    tasks = plan_frozen_tasks(training, SETTINGS, range(fitted_on, len(cohort.keys)))
    results = list(run_tasks_here(cohort, SETTINGS, tasks))
    expected = score_batch(fit.model, SPECS, as_table(unseen), explain=False)
    for model in Model:
        found = external_scores(model, results, cohort, SETTINGS, fitted_on)
        np.testing.assert_allclose(found, expected[str(model)].to_numpy(), rtol=0, atol=1e-12)


def test_a_patient_on_both_sides_is_refused() -> None:
    training, _ = small_fit()
    fitted_on = len(training.keys)
    unseen = made_cohort(CohortPlan(cases=30, positives=12, center="C2"), 5)
    cohort = with_unseen(training, replace(unseen, patients=(training.patients[0], *unseen.patients[1:])))
    tasks = plan_frozen_tasks(training, SETTINGS, range(fitted_on, len(cohort.keys)))
    results = list(run_tasks_here(cohort, SETTINGS, tasks))
    with pytest.raises(ProblemsError) as refused:
        external_scores(Model.RAD, results, cohort, SETTINGS, fitted_on)
    assert FindingKind.PATIENT_ON_BOTH_SIDES in refused.value.private
