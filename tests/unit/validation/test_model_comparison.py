"""Comparisons of models: values beside scikit-learn's on every resample, and what simultaneous intervals promise."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from cvtbatch.errors import InternalError
from cvtbatch.validation.model_comparison import NO_PROBABILITY, Comparison, ModelScores, compare_models
from cvtbatch.validation.resampling import draw_patients, has_both
from cvtbatch.validation.values import Floats, Interval, NotComputable

THRESHOLDS = (0.2, 0.5)


def cohort(n: int = 60, cases_per_patient: int = 2) -> tuple[np.ndarray, np.ndarray, dict[str, Floats]]:
    rng = np.random.default_rng(3)
    patient = np.arange(n) // cases_per_patient
    outcome = (rng.uniform(size=patient.max() + 1) < 0.35)[patient]
    base = np.clip(0.35 + 0.2 * outcome + 0.25 * rng.standard_normal((2, n)), 0.01, 0.99)
    other = np.clip(base + 0.1 * rng.standard_normal((2, n)), 0.01, 0.99).round(1)
    return outcome, patient, {"first": base, "rounded": other, "noise": rng.uniform(size=(2, n))}


def compared(resamples: int = 80) -> Comparison:
    outcome, patient, scores = cohort()
    models = [ModelScores(name, values, name != "noise") for name, values in scores.items()]
    return compare_models(outcome, patient, models, THRESHOLDS, resamples, 7)


def resampled_aucs(outcome: np.ndarray, scores: Floats, weights: Floats) -> tuple[float, Floats]:
    value = float(np.mean([roc_auc_score(outcome, row) for row in scores]))
    return value, np.array(
        [np.mean([roc_auc_score(outcome, row, sample_weight=draw) for row in scores]) for draw in weights]
    )


def net_benefit(outcome: np.ndarray, scores: Floats, threshold: float, weight: Floats) -> float:
    odds = threshold / (1 - threshold)
    values = []
    for row in scores:
        treated = row >= threshold
        values.append(
            ((weight * (treated & outcome)).sum() - odds * (weight * (treated & ~outcome)).sum()) / weight.sum()
        )
    return float(np.mean(values))


def test_areas_and_their_intervals_are_scikit_learns_on_the_same_resamples() -> None:
    outcome, patient, scores = cohort()
    weights = draw_patients(patient, 80, 7)
    weights = weights[has_both(outcome, weights)]
    found = {name: resampled_aucs(outcome, values, weights) for name, values in scores.items()}
    result = compared()
    assert (result.cases, result.patients, result.resamples) == (60, 30, len(weights))
    for model in result.models:
        value, draws = found[model.name]
        assert model.auc.value == pytest.approx(value, abs=1e-12)
        assert isinstance(model.auc.interval, Interval)
        expected = np.quantile(draws, [0.025, 0.975])
        assert [model.auc.interval.low, model.auc.interval.high] == pytest.approx(expected, abs=1e-12)
    first, first_draws = found["first"]
    errors, deviations = {}, []
    for name in ("rounded", "noise"):
        difference, draws = found[name][0] - first, found[name][1] - first_draws
        errors[name] = draws.std(ddof=1)
        deviations.append(abs(draws - difference) / errors[name])
    quantile = np.quantile(np.max(deviations, axis=0), 0.95)
    assert result.quantile == pytest.approx(quantile, abs=1e-9)
    for model in result.models[1:]:
        assert model.auc_difference is not None
        difference = found[model.name][0] - first
        assert model.auc_difference.estimate.value == pytest.approx(difference, abs=1e-12)
        simultaneous = model.auc_difference.simultaneous
        half = quantile * errors[model.name]
        assert [simultaneous.low, simultaneous.high] == pytest.approx([difference - half, difference + half], abs=1e-9)


def test_net_benefits_are_counted_by_hand() -> None:
    outcome, patient, scores = cohort()
    weights = draw_patients(patient, 80, 7)
    weights = weights[has_both(outcome, weights)]
    result = compared()
    ones = np.ones(len(outcome))
    for place, threshold in enumerate(THRESHOLDS):
        share = outcome.mean()
        assert result.treat_all[place] == pytest.approx(share - (1 - share) * threshold / (1 - threshold))
        for model in result.models[:2]:
            assert not isinstance(model.net_benefit, NotComputable)
            estimate = model.net_benefit[place]
            assert estimate.value == pytest.approx(net_benefit(outcome, scores[model.name], threshold, ones), abs=1e-12)
            draws = [net_benefit(outcome, scores[model.name], threshold, weight) for weight in weights]
            assert isinstance(estimate.interval, Interval)
            expected = np.quantile(draws, [0.025, 0.975])
            assert [estimate.interval.low, estimate.interval.high] == pytest.approx(expected, abs=1e-12)
    rounded = result.models[1].net_benefit_difference
    assert rounded is not None
    assert not isinstance(rounded, NotComputable)
    expected_difference = net_benefit(outcome, scores["rounded"], 0.5, ones) - net_benefit(
        outcome, scores["first"], 0.5, ones
    )
    assert rounded[1].estimate.value == pytest.approx(expected_difference, abs=1e-12)


def test_calibration_is_the_mean_over_the_repeats_and_of_probabilities_alone() -> None:
    outcome, _, scores = cohort()
    first, _, noise = compared().models
    assert not isinstance(first.calibration, NotComputable)
    assert first.calibration.brier == pytest.approx(
        np.mean([brier_score_loss(outcome, row) for row in scores["first"]])
    )
    assert noise.calibration == noise.net_benefit == noise.net_benefit_difference == NotComputable(NO_PROBABILITY)


def test_a_model_beside_itself_differs_by_nothing() -> None:
    outcome, patient, scores = cohort()
    twice = [ModelScores(name, scores["first"], True) for name in ("a", "b")]
    result = compare_models(outcome, patient, twice, THRESHOLDS, 100, 1)
    difference = result.models[1].auc_difference
    assert difference is not None
    assert difference.estimate.value == 0
    assert difference.simultaneous == Interval(0, 0)
    assert result.quantile == 0


def test_among_many_models_of_noise_the_simultaneous_intervals_rarely_err() -> None:
    """Each by itself errs in some of 20 models almost always; all at once in about 5 % of cohorts."""
    alone = together = 0
    cohorts = 30
    for seed in range(cohorts):
        rng = np.random.default_rng(seed)
        outcome = rng.permutation(np.arange(120) < 40)
        models = [ModelScores(str(number), rng.uniform(size=(1, 120)), False) for number in range(20)]
        result = compare_models(outcome, np.arange(120), models, (0.5,), 200, seed)
        differences = [model.auc_difference for model in result.models if model.auc_difference]
        alone += any(
            isinstance(found.estimate.interval, Interval)
            and not found.estimate.interval.low <= 0 <= found.estimate.interval.high
            for found in differences
        )
        together += any(not found.simultaneous.low <= 0 <= found.simultaneous.high for found in differences)
    assert together <= 5
    assert alone >= 10


def test_scores_that_are_none_are_refused() -> None:
    outcome, patient, scores = cohort()
    broken = scores["first"].copy()
    broken[0, 0] = np.nan
    models = [ModelScores("a", scores["first"], True), ModelScores("b", broken, True)]
    with pytest.raises(InternalError, match="scores of b"):
        compare_models(outcome, patient, models, THRESHOLDS, 10, 1)
    with pytest.raises(InternalError, match="one outcome"):
        compare_models(np.ones_like(outcome), patient, models[:1], THRESHOLDS, 10, 1)
