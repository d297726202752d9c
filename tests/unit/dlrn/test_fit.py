"""Fits: the same whatever runs them; what they find; what they refuse."""

import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from cvtbatch.dlrn.clinical_terms import EPILEPSY
from cvtbatch.dlrn.cohort import RepeatedOutlines
from cvtbatch.dlrn.estimates import bootstrap_auc
from cvtbatch.dlrn.fit import fit_model
from cvtbatch.dlrn.settings import Model
from cvtbatch.dlrn.tasks import Task, TaskResult, plan_tasks, run_task
from cvtbatch.errors import InputError
from tests.support.cohorts import SPECS, CohortPlan, made_cohort, settings, small_fit, surroundings, write

FEW = CohortPlan(cases=48, positives=20, radiomics=16, length=12, effect=2.0, epilepsy=(0.2, 0.5))
FAST = ("fit.nested.repeats=1", "fit.nested.folds=2", "fit.crossfit_folds=2", "fit.forest.trees=8", "fit.components=6")


def test_a_fit_is_the_same_bundle_whatever_the_workers_and_their_order(tmp_path: Path) -> None:
    cohort, wanted = made_cohort(FEW, 3), settings(*FAST)

    def in_two_processes(tasks: Sequence[Task]) -> Iterable[TaskResult]:
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            yield from reversed(list(pool.map(partial(run_task, cohort, wanted), reversed(tasks))))

    def here_with_two_threads(tasks: Sequence[Task]) -> Iterator[TaskResult]:
        with threadpool_limits(2):
            for task in reversed(tasks):
                yield run_task(cohort, wanted, task)

    digests = {
        write(tmp_path / str(number), fit_model(cohort, wanted, SPECS, surroundings(cohort), map_tasks))
        for number, map_tasks in enumerate((None, in_two_processes, here_with_two_threads))
    }
    assert len(digests) == 1
    other = fit_model(cohort, settings(*FAST, "fit.seed=2"), SPECS, surroundings(cohort))
    assert write(tmp_path / "other", other) not in digests


def test_tasks_cover_what_is_estimated_and_nothing_sees_its_test_patients() -> None:
    cohort = made_cohort(replace(FEW, cases_per_patient=2), 3)
    tasks = plan_tasks(cohort, settings("fit.nested.repeats=2"))
    names = [task.name for task in tasks]
    assert names == [f"nested-{r}-{f}" for r in (1, 2) for f in (1, 2, 3)] + [
        "study",
        "crossfit-1",
        "crossfit-2",
        "crossfit-3",
        "final",
    ]
    for kind in ("nested-1", "nested-2", "crossfit"):
        parts = [task.test for task in tasks if task.name.startswith(kind)]
        assert sorted(row for part in parts for row in part) == list(range(48))
    for task in tasks:
        if task.name not in {"study", "final"}:
            assert not {cohort.patients[row] for row in task.train} & {cohort.patients[row] for row in task.test}


def test_a_fit_says_what_it_found() -> None:
    cohort, fit = small_fit()
    document = fit.document
    dlrn = document["dlrn"]
    assert dlrn["epilepsy_unknown"] == 6  # type: ignore[index]
    assert dlrn["cases"] == 84  # type: ignore[index]
    assert [term["name"] for term in dlrn["terms"]] == ["intercept", "dlr", "epilepsy"]  # type: ignore[index]
    metrics = document["metrics"]
    assert set(metrics) == {"study_protocol", "out_of_fold", "nested"}  # type: ignore[arg-type]
    for name in Model:
        sound, study = metrics["out_of_fold"][name], metrics["study_protocol"]["in_sample"][name]  # type: ignore[index]
        nested = metrics["nested"]["models"][name]  # type: ignore[index]
        assert sound["cases"] == nested["cases"] == (84 if name is Model.DLRN else 90)
        assert nested["auc_low"] < nested["auc"] < nested["auc_high"]
        # The study's own figure is taken on the cases that it was fitted on.
        assert study["auc"] > sound["auc"]
        assert sound["points"]["sens90"]["sensitivity"] >= 0.9
        assert sound["points"]["sens95"]["sensitivity"] >= 0.95
    assert all("sensitivity_at_youden" in metrics["nested"]["models"][name] for name in ("dlr", "dlrn"))  # type: ignore[index]
    assert document["embedding_components"] == {"kept": 16, "slices": 360, "asked": 16}
    assert document["marks"] == []
    assert len(cohort.keys) == 90


def test_components_drop_with_too_few_slices_and_the_fit_says_so() -> None:
    cohort = made_cohort(replace(FEW, slices=1, length=80), 3)
    fit = fit_model(cohort, settings(*FAST, "fit.components=512", "fit.nested.repeats=0"), SPECS, surroundings(cohort))
    assert fit.document["embedding_components"] == {"kept": 47, "slices": 48, "asked": 512}
    assert "nested" not in fit.document["metrics"]  # type: ignore[operator]


def test_the_study_protocol_can_be_frozen_and_is_named() -> None:
    cohort = made_cohort(FEW, 3)
    fast = [*FAST, "fit.nested.repeats=0", "fit.protocol=study"]
    fit = fit_model(cohort, settings(*fast, "fit.firth=true"), SPECS, surroundings(cohort))
    assert fit.document["protocol"] == "study"
    assert fit.document["dlrn"]["firth"] is True  # type: ignore[index]
    metrics = fit.document["metrics"]
    assert metrics["in_sample"] == metrics["study_protocol"]["in_sample"]  # type: ignore[index]


def test_separation_ends_a_fit_with_the_remedy_and_firth_is_it() -> None:
    drawn = made_cohort(FEW, 3)
    cohort = replace(drawn, clinical={EPILEPSY: drawn.outcome.astype(np.float64)})
    fast = [*FAST, "fit.nested.repeats=0"]
    with pytest.raises(InputError, match=r"fit\.firth") as caught:
        fit_model(cohort, settings(*fast), SPECS, surroundings(cohort))
    assert caught.value.kind == "separation"
    fit = fit_model(cohort, settings(*fast, "fit.firth=true"), SPECS, surroundings(cohort))
    assert fit.document["dlrn"]["firth"] is True  # type: ignore[index]


def test_features_on_which_readers_do_not_agree_leave_first() -> None:
    drawn = made_cohort(FEW, 3)
    again = drawn.radiomics[:20].copy()
    again[:, 0] = np.random.default_rng(0).permutation(again[:, 0])
    cohort = replace(drawn, repeats=(RepeatedOutlines("reader B, reading 1", np.arange(20), again),))
    fast = settings(*FAST, "fit.nested.repeats=0", "fit.selection.icc_minimum=0.8")
    fit = fit_model(cohort, fast, SPECS, surroundings(cohort))
    verdicts = {row["feature"]: row for row in fit.selection.to_pylist() if row["signature"] == "rad"}
    assert [name for name, row in verdicts.items() if row["left_at"] == "agreement"] == ["feature_000"]
    assert "with reader B" in verdicts["feature_000"]["reason"]
    with pytest.raises(InputError, match="second outlines"):
        fit_model(drawn, fast, SPECS, surroundings(drawn))


def test_too_few_patients_and_broken_cohorts_are_refused() -> None:
    cohort = made_cohort(FEW, 3)
    with pytest.raises(InputError, match="20 patients with outcome 1 do not make 21 folds"):
        plan_tasks(cohort, replace(settings("fit.nested.repeats=0"), crossfit_folds=21))
    # Of 20, 13 are left in an outer fold, and 8 inside of it: seen before any task has run.
    with pytest.raises(InputError, match="8 patients with outcome 1 do not make 10 folds"):
        plan_tasks(cohort, settings("fit.selection.lasso_folds=10"))
    for changed, kind in (
        ({"outcome": np.zeros(48, np.int64)}, "one_class"),
        ({"clinical": {EPILEPSY: np.full(48, 2.0)}}, "bad_value"),
        ({"patients": cohort.patients[1:]}, "bad_cohort"),
        ({"keys": (cohort.keys[1], *cohort.keys[1:])}, "bad_cohort"),
        ({"embedding": np.full_like(cohort.embedding, np.nan)}, "bad_value"),
    ):
        with pytest.raises(InputError) as caught:
            replace(cohort, **changed)
        assert caught.value.kind == kind


def test_bootstrap_resamples_patients_not_cases() -> None:
    rng = np.random.default_rng(4)
    outcome = np.repeat([0, 1], 40)
    scores = np.round(rng.normal(outcome, 1, (3, 80)), 1)
    alone = [str(case) for case in range(80)]
    value, low, high = bootstrap_auc(outcome, scores, alone, 4000, 1)
    assert value == pytest.approx(np.mean([roc_auc_score(outcome, row) for row in scores]), rel=1e-12)
    draws = []
    for _ in range(2000):
        drawn = rng.integers(0, 80, 80)
        ranks = rankdata(scores[:, drawn], axis=1)[:, outcome[drawn] == 1]
        cases = ranks.shape[1]
        draws.append((ranks.sum(axis=1) - cases * (cases + 1) / 2).mean() / (cases * (80 - cases)))
    assert (low, high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.015)
    # Four copies of every case are four times the cases, and no more patients.
    fourfold = bootstrap_auc(np.tile(outcome, 4), np.tile(scores, 4), alone * 4, 4000, 1)
    assert fourfold == pytest.approx((value, low, high), abs=1e-12)
