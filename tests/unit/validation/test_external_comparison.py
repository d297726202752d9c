"""Models side by side at one centre, beside scikit-learn and counts by hand."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cvtbatch.validation.external_comparison import compare_at_center
from cvtbatch.validation.model_comparison import NO_PROBABILITY, ModelScores
from cvtbatch.validation.values import NotComputable

OUTCOME = np.array([1, 1, 1, 0, 0, 0, 0, 1, 0, 0], np.bool_)
REFERENCE = np.array([0.9, 0.6, 0.3, 0.4, 0.2, 0.1, 0.35, 0.8, 0.5, 0.05])
VOTES = np.array([7.0, 3, 5, 4, 2, 1, 6, 8, 0, 9])


def test_values_are_those_of_scikit_learn_and_counts() -> None:
    models = [ModelScores("dlrn", REFERENCE[None], True), ModelScores("rad", VOTES[None], False)]
    found = compare_at_center("C2", OUTCOME, np.arange(10), models, [0.25])
    assert (found.cases, found.events, found.patients) == (10, 4, 10)
    reference, votes = found.models
    areas = [roc_auc_score(OUTCOME, scores) for scores in (REFERENCE, VOTES)]
    assert [model.auc.value for model in found.models] == pytest.approx(areas)
    assert reference.auc_difference is None
    assert votes.auc_difference.difference.value == pytest.approx(areas[1] - areas[0])
    assert votes.auc_difference.difference.interval.low < areas[1] - areas[0]
    # Treated from 0.25 on: 4 events and 3 others of 10; of all: 4 and 6. The odds of the threshold are 1/3.
    assert reference.net_benefit == pytest.approx((0.4 - 0.3 / 3,))
    assert found.treat_all == pytest.approx((0.4 - 0.6 / 3,))
    assert votes.net_benefit == votes.calibration == NotComputable(NO_PROBABILITY)
    assert reference.calibration.brier == pytest.approx(np.mean((REFERENCE - OUTCOME) ** 2))


def test_a_centre_of_one_outcome_says_so() -> None:
    models = [ModelScores("dlrn", REFERENCE[None, :3], True), ModelScores("rad", VOTES[None, :3], False)]
    found = compare_at_center("C2", OUTCOME[:3], np.arange(3), models, [0.25])
    assert all(isinstance(model.auc, NotComputable) for model in found.models)
    assert isinstance(found.models[1].auc_difference, NotComputable)
