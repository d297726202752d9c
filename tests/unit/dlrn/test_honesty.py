"""A fit promises no more than it keeps: on cohorts without a signal, and on cohorts that it has not seen."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cvtbatch.dlrn.estimates import nested_estimate
from cvtbatch.dlrn.fit import fit_model
from cvtbatch.dlrn.folds import grouped_folds
from cvtbatch.dlrn.forest import fit_forest, votes_of
from cvtbatch.dlrn.scoring import score_batch
from cvtbatch.dlrn.selection import offer, select
from cvtbatch.dlrn.tasks import plan_tasks, run_tasks_here
from cvtbatch.dlrn.thresholds import YOUDEN
from tests.support.cohorts import SPECS, CohortPlan, as_table, made_cohort, settings, surroundings

PERMUTATIONS = 20
# A small configuration: one point in the grid, short path, few trees; every step of the full one is there.
TINY = settings(
    "fit.components=8",
    "fit.crossfit_folds=2",
    "fit.selection.lasso_alphas=10",
    "fit.forest.trees=10",
    "fit.nested.repeats=1",
    "fit.nested.folds=3",
    "fit.nested.bootstrap=0",
)
NOISE = CohortPlan(cases=72, positives=30, radiomics=120, length=16, informative=3, effect=1.5, epilepsy=(0.3, 0.3))


def honest_auc(seed: int) -> dict[str, float]:
    """Return the nested AUCs on a cohort whose outcome has been shuffled."""
    drawn = made_cohort(NOISE, seed)
    cohort = replace(drawn, outcome=np.random.default_rng([5, seed]).permutation(drawn.outcome))
    tasks = [task for task in plan_tasks(cohort, TINY) if task.name.startswith("nested")]
    estimate = nested_estimate(list(run_tasks_here(cohort, TINY, tasks)), cohort, TINY)
    models: dict[str, dict[str, float]] = estimate["models"]  # type: ignore[assignment]
    return {name: found["auc"] for name, found in models.items()}


def leaking_auc(seed: int) -> float:
    """Return the AUC of a forest in cross-validation over columns that were selected on all cases: the classic leak."""
    drawn = made_cohort(NOISE, seed)
    outcome = np.random.default_rng([5, seed]).permutation(drawn.outcome)
    offered = offer(drawn.radiomics_names, drawn.radiomics, outcome, [""] * NOISE.radiomics)
    splits = grouped_folds(outcome, drawn.patients, 3, seed)
    selection = select(offered, range(NOISE.radiomics), splits, TINY.selection, (5, seed))
    assert selection is not None
    values, votes = offered.scaled[:, selection.columns], np.zeros(len(outcome))
    for train, test in splits:
        inner = [(train, test)]
        forest = fit_forest(values[train], outcome[train], inner, TINY.forest, seed=seed, smote_neighbors=5)
        votes[test] = votes_of(forest.estimator, values[test])
    return float(roc_auc_score(outcome, votes))


def test_without_a_signal_the_nested_auc_is_one_half_and_a_leak_would_show() -> None:
    found = [honest_auc(seed) for seed in range(PERMUTATIONS)]
    for model in ("rad", "dl", "dlr", "dlrn"):
        assert abs(np.mean([aucs[model] for aucs in found]) - 0.5) < 0.05, model
    assert abs(np.mean([leaking_auc(seed) for seed in range(PERMUTATIONS)]) - 0.5) > 0.1


@pytest.fixture(scope="module")
def external() -> list[dict[str, float]]:
    """Fits on four cohorts of one population, each judged on one of another centre that it has not seen."""
    plan = CohortPlan(cases=120, positives=40, effect=1.0, epilepsy=(0.08, 0.5))
    wanted = settings("fit.nested.repeats=0", "fit.crossfit_folds=5")
    found = []
    for seed in range(4):
        cohort, outside = (
            made_cohort(plan, seed),
            made_cohort(replace(plan, cases=300, positives=100, center="C2"), 90 + seed),
        )
        fit = fit_model(cohort, wanted, SPECS, surroundings(cohort))
        scored = score_batch(fit.model, SPECS, as_table(outside), explain=False)
        row: dict[str, float] = {}
        for model in ("dlr", "dlrn"):
            row[f"{model} auc"] = float(roc_auc_score(outside.outcome, scored[model].to_numpy()))
            positive = scored[f"{model}_{YOUDEN}"].to_numpy()[outside.outcome == 1]
            row[f"{model} outside"] = float(positive.mean())
            points = fit.document["metrics"]["out_of_fold"][model]["points"]  # type: ignore[index]
            row[f"{model} inside"] = points[YOUDEN]["sensitivity"]
        found.append(row)
    return found


def test_where_epilepsy_informs_dlrn_discriminates_better_outside_than_dlr(external: list[dict[str, float]]) -> None:
    gains = [row["dlrn auc"] - row["dlr auc"] for row in external]
    assert min(gains) > 0
    assert np.mean(gains) > 0.03


def test_the_frozen_threshold_keeps_its_sensitivity_outside(external: list[dict[str, float]]) -> None:
    for row in external:
        assert abs(row["dlrn outside"] - row["dlrn inside"]) < 0.15
        assert abs(row["dlr outside"] - row["dlr inside"]) < 0.15
