"""Comparisons of models of several classes beside scikit-learn's M on every resample."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, brier_score_loss, confusion_matrix, roc_auc_score

from cvtbatch.errors import InputError, InternalError
from cvtbatch.validation.class_comparison import NO_EVENT, NO_TEST, compare_class_models, compare_classes_at_center
from cvtbatch.validation.model_comparison import NO_PROBABILITY, ModelScores
from cvtbatch.validation.resampling import draw_patients
from cvtbatch.validation.values import Estimate, Interval, NotComputable

CLASSES = ("HP", "CVT", "CAA")


def drawn(count: int = 60) -> tuple[np.ndarray, np.ndarray, list[ModelScores]]:
    """Return classes, patients of two cases each, and two repeats of scores that tell, with ties, and of noise."""
    rng = np.random.default_rng(5)
    outcome = np.repeat(np.concatenate([np.arange(3), rng.integers(0, 3, count // 2 - 3)]), 2)
    telling = np.round(rng.dirichlet(np.ones(3), size=(2, count)) + 0.5 * np.eye(3)[outcome], 1) + 1e-3
    noise = rng.dirichlet(np.ones(3), size=(2, count))
    scores = {"dlrn": telling / telling.sum(axis=2, keepdims=True), "rad": noise}
    return outcome, np.arange(count) // 2, [ModelScores(name, own, name == "dlrn") for name, own in scores.items()]


def sklearn_m(outcome: np.ndarray, scores: np.ndarray) -> float:
    return float(np.mean([roc_auc_score(outcome, row, multi_class="ovo") for row in scores]))


def test_m_differences_and_their_intervals_are_those_of_scikit_learns_m_on_the_same_resamples() -> None:
    outcome, patient, models = drawn()
    found = compare_class_models(outcome, patient, models, CLASSES, 40, 7)
    draws = []
    for weights in draw_patients(patient, 40, 7).astype(int):
        rows = np.repeat(np.arange(len(outcome)), weights)
        if len(set(outcome[rows])) == 3:
            draws.append([sklearn_m(outcome[rows], model.scores[:, rows]) for model in models])
    whole = np.array([sklearn_m(outcome, model.scores) for model in models])
    assert [model.auc.value for model in found.models] == pytest.approx(whole)
    by_draw = np.array(draws)
    for place, model in enumerate(found.models):
        interval = model.auc.interval
        assert isinstance(interval, Interval)
        assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(by_draw[:, place], [0.025, 0.975])))
    difference = found.models[1].auc_difference
    assert difference is not None
    less = by_draw[:, 1] - by_draw[:, 0]
    value, error = whole[1] - whole[0], less.std(ddof=1)
    assert found.quantile == pytest.approx(np.quantile(np.abs(less - value) / error, 0.95))
    half = found.quantile * error
    simultaneous = difference.simultaneous
    assert (simultaneous.low, simultaneous.high) == pytest.approx((value - half, value + half))
    assert (found.events, found.thresholds, found.resamples) == (None, (), len(draws))
    assert found.by_class == dict(zip(CLASSES, np.bincount(outcome).tolist(), strict=True))


def test_each_class_accuracy_and_confusion_are_scikit_learns() -> None:
    outcome, patient, models = drawn()
    telling, noise = compare_class_models(outcome, patient, models, CLASSES, 10, 7).models
    scores = models[0].scores
    assert isinstance(telling.accuracy, Estimate)
    assert telling.accuracy.value == pytest.approx(
        np.mean([accuracy_score(outcome, row.argmax(axis=1)) for row in scores])
    )
    for number, own in enumerate(telling.classes):
        areas = [roc_auc_score(outcome == number, row[:, number]) for row in scores]
        assert own.auc.value == pytest.approx(np.mean(areas))
        assert not isinstance(own.calibration, NotComputable)
        briers = [brier_score_loss(outcome == number, row[:, number]) for row in scores]
        assert own.calibration.brier == pytest.approx(np.mean(briers))
        told = [confusion_matrix(outcome, row.argmax(axis=1))[number] for row in scores]
        assert own.told == pytest.approx(np.mean(told, axis=0))
    assert {own.calibration for own in noise.classes} == {NotComputable(NO_PROBABILITY)}
    assert telling.net_benefit == noise.net_benefit_difference == NO_EVENT


def test_at_another_centre_there_is_the_interval_and_no_test_and_a_class_that_is_not_there_is_named() -> None:
    outcome, patient, models = drawn()
    once = [ModelScores(model.name, model.scores[:1], model.probability) for model in models]
    found = compare_classes_at_center("C2", outcome, patient + 40, once, CLASSES, 40, 7)
    same = compare_class_models(outcome, patient, once, CLASSES, 40, 7)
    assert [model.auc for model in found.models] == [model.auc for model in same.models]
    second = found.models[1].auc_difference
    assert second is not None
    assert not isinstance(second, NotComputable)
    assert second.test == NO_TEST
    assert second.difference == same.models[1].auc_difference.estimate  # type: ignore[union-attr]
    few = outcome != 2
    parts = [ModelScores(model.name, model.scores[:, few], model.probability) for model in once]
    lacking = compare_classes_at_center("C3", outcome[few], patient[few], parts, CLASSES, 40, 7)
    assert lacking.by_class["CAA"] == 0
    assert lacking.models[0].auc == NotComputable("no case here is of CAA")


def test_where_hardly_a_resample_holds_every_class_there_is_no_interval_and_no_m() -> None:
    outcome = np.repeat(np.arange(16), 2)
    scores = np.eye(16)[outcome][None]
    models = [ModelScores("dlrn", scores, True)]
    with pytest.raises(InputError, match="of 3 resamples of the patients") as refused:
        compare_class_models(outcome, np.arange(32), models, "abcdefghijklmnop", 3, 1)
    assert refused.value.kind == "too_few_patients"
    [found] = compare_classes_at_center("C2", outcome, np.arange(32), models, "abcdefghijklmnop", 3, 1).models
    assert isinstance(found.auc, NotComputable)


def test_scores_that_are_none_and_classes_without_cases_are_refused() -> None:
    outcome, patient, models = drawn()
    broken = models[1].scores.copy()
    broken[0, 0, 1] = np.nan
    with pytest.raises(InternalError, match="scores of b"):
        compare_class_models(outcome, patient, [models[0], ModelScores("b", broken, True)], CLASSES, 10, 1)
    with pytest.raises(InternalError, match="lack a class"):
        compare_class_models(np.minimum(outcome, 1), patient, models, CLASSES, 10, 1)


def test_a_class_of_one_patient_has_no_interval_and_no_certainty() -> None:
    """Every resample that holds the class holds the same cases: an interval would leave out what is least sure."""
    outcome = np.array([0, 0, 1, 1, 2, 2])
    scores = np.full((1, 6, 3), 0.2) + 0.4 * np.eye(3)[outcome]
    models = [ModelScores("dlrn", scores, probability=True), ModelScores("rad", scores[:, ::-1], probability=False)]
    with pytest.raises(InputError, match="cases of 2 patients of each class, and CAA has those of one"):
        compare_class_models(outcome, np.array([0, 1, 2, 3, 4, 4]), models, CLASSES, 50, 0)
    at = compare_classes_at_center("C2", outcome, np.array([0, 0, 1, 1, 2, 2]), models, CLASSES, 50, 0)
    assert all(isinstance(model.auc, NotComputable) for model in at.models)
