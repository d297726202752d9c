"""Areas of several classes against scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import recall_score, roc_auc_score

from cvtbatch.validation.class_aucs import macro_auc


def drawn(seed: int, count: int = 80) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    outcome = np.concatenate([np.arange(4), rng.integers(0, 4, count - 4)])
    scores = rng.dirichlet(np.ones(4), size=(2, count)) + 0.4 * np.eye(4)[outcome]
    # Ties, as forests have them.
    scores = np.round(scores, 1) + 1e-3
    return outcome, scores / scores.sum(axis=2, keepdims=True)


def test_m_areas_of_classes_and_recall_are_scikit_learns_and_of_repeats_their_mean() -> None:
    outcome, scores = drawn(0)
    found = macro_auc(outcome, scores, np.arange(80), 0, 1)
    assert found.value == pytest.approx(np.mean([roc_auc_score(outcome, row, multi_class="ovo") for row in scores]))
    for own in range(4):
        plain = np.mean([roc_auc_score(outcome == own, row[:, own]) for row in scores])
        assert found.by_class[own] == pytest.approx(plain)
        recall = [recall_score(outcome, row.argmax(axis=1), average=None)[own] for row in scores]
        assert found.recall[own] == pytest.approx(np.mean(recall))
    assert np.isnan(found.low)


def test_of_two_classes_m_is_the_auc() -> None:
    rng = np.random.default_rng(1)
    outcome, score = np.repeat([0, 1], [30, 20]), rng.uniform(size=50)
    score += 0.3 * outcome
    found = macro_auc(outcome, np.stack([1 - score, score], axis=1)[None], np.arange(50), 0, 1)
    assert found.value == pytest.approx(roc_auc_score(outcome, score))


def test_the_interval_draws_patients_with_all_their_cases_and_every_class_in_every_draw() -> None:
    outcome, scores = drawn(2, 60)
    patient = np.arange(60) // 2
    found = macro_auc(outcome, scores[:1], patient, 12, 7)
    rng = np.random.default_rng(7)
    values = []
    for drawn_ in rng.multinomial(30, np.full(30, 1 / 30), size=12):
        rows = np.repeat(np.arange(60), drawn_[patient])
        if len(set(outcome[rows])) == 4:
            values.append(roc_auc_score(outcome[rows], scores[0, rows], multi_class="ovo"))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
