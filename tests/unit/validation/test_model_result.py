"""A model at a centre: ranks and decisions by its scores, calibration and net benefit by its probabilities."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from cvtbatch.validation.inputs import ModelFacts
from cvtbatch.validation.model_result import evaluate_model
from cvtbatch.validation.values import Estimate
from tests.support.validation_cases import make_cohort

FACTS = ModelFacts("Rad", {"youden": 0.33}, scale="recalibrated votes")


def test_votes_rank_and_decide_and_their_probabilities_are_calibrated() -> None:
    cohort = make_cohort(3, 120)
    found = evaluate_model(cohort, FACTS, 0, map)
    kept = [case for case in cohort.cases if case.outcome is not None]
    outcome = np.array([case.outcome for case in kept])
    votes, probabilities = (
        np.array([getattr(case, name)["Rad"] for case in kept]) for name in ("scores", "probabilities")
    )
    assert isinstance(found.auc, Estimate)
    assert found.auc.value == pytest.approx(roc_auc_score(outcome, votes))
    assert found.points[0].decisions.true_positive == int((outcome & (votes >= 0.33)).sum())
    assert found.calibration.brier.score.value == pytest.approx(brier_score_loss(outcome, probabilities))
    assert found.calibration.observed_over_expected.value == pytest.approx(outcome.sum() / probabilities.sum())
    treated = probabilities >= 0.3
    benefit = (outcome & treated).mean() - (~outcome & treated).mean() * 0.3 / 0.7
    assert found.decision_curve.model[found.decision_curve.thresholds.index(0.3)] == pytest.approx(benefit)
    assert found.scale == "recalibrated votes"


def test_without_probabilities_votes_stand_for_themselves() -> None:
    cohort = make_cohort(3, 120)
    bare = replace(cohort, cases=tuple(replace(case, probabilities={}) for case in cohort.cases))
    found = evaluate_model(bare, replace(FACTS, scale="uncalibrated votes"), 0, map)
    kept = [case for case in cohort.cases if case.outcome is not None]
    votes = np.array([case.scores["Rad"] for case in kept])
    outcome = np.array([case.outcome for case in kept])
    assert found.calibration.brier.score.value == pytest.approx(brier_score_loss(outcome, votes))
    assert found.auc == evaluate_model(cohort, FACTS, 0, map).auc
