"""What cannot be computed says so, in words, and is never NaN."""

import math

import numpy as np
import pytest
import statsmodels.api as sm

from cvtbatch.errors import InternalError
from cvtbatch.validation import (
    baseline,
    calibration,
    decision_curve,
    decisions,
    development_size,
    feature_shift,
    power,
    readers,
    roc,
    sample_size,
    training_distance,
)
from cvtbatch.validation.covariate_effects import covariate_effects
from cvtbatch.validation.recalibration import Recalibration, recalibrations
from cvtbatch.validation.values import Estimate, Interval, Maybe, NotComputable, Scored, T


def reason(value: Maybe[T]) -> str:
    assert isinstance(value, NotComputable), value
    return value.reason


def scored(outcomes: str, *scores: float) -> Scored:
    """Make cases: "+" is an event."""
    return Scored(np.array([sign == "+" for sign in outcomes]), np.array(scores, dtype=float))


EMPTY = Scored(np.empty(0, dtype=bool), np.empty(0))
ONE_CLASS = scored("---", 0.1, 0.2, 0.9)


@pytest.mark.parametrize("statistic", [roc.auc, roc.roc_curve, roc.precision_recall, decisions.decide_at_best])
def test_discrimination_needs_both_classes(statistic: object) -> None:
    assert "one class only" in reason(statistic(ONE_CLASS))  # type: ignore[operator]
    assert "no case" in reason(statistic(EMPTY))  # type: ignore[operator]


def test_an_auc_of_three_cases_has_no_interval_but_a_value() -> None:
    estimate = roc.auc(scored("+--", 0.5, 0.2, 0.9))
    assert isinstance(estimate, Estimate)
    assert estimate.value == 0.5
    assert "1 of 3 cases with the event, 2 are needed" in reason(estimate.interval)


def test_a_perfect_auc_has_no_interval() -> None:
    estimate = roc.auc(scored("++--", 0.8, 0.9, 0.1, 0.2))
    assert isinstance(estimate, Estimate)
    assert "exactly 1" in reason(estimate.interval)
    for events in (2, 7):
        perfect = Scored(np.arange(30) < events, np.linspace(0.99, 0.01, 30))
        found = roc.precision_recall(perfect)
        assert not isinstance(found, NotComputable)
        assert "exactly 1" in reason(found.average_precision.interval)


def test_a_nearly_perfect_average_precision_has_an_interval() -> None:
    score = np.linspace(0.99, 0.01, 4000)
    outcome = np.arange(4000) < 1000
    outcome[[999, 1000]] = outcome[[1000, 999]]
    found = roc.precision_recall(Scored(outcome, score))
    assert not isinstance(found, NotComputable)
    assert isinstance(found.average_precision.interval, Interval)
    assert found.average_precision.interval.low < found.average_precision.value < found.average_precision.interval.high


def test_two_scores_of_one_ranking_have_no_test() -> None:
    first = scored("++--", 0.8, 0.3, 0.4, 0.2)
    result = roc.compare_auc(first, Scored(first.outcome, first.score**2))
    assert not isinstance(result, NotComputable)
    assert result.difference.value == 0
    assert "alike" in reason(result.test)


def test_decisions_of_one_class_keep_what_there_is() -> None:
    found = decisions.decide(ONE_CLASS, 0.5)
    assert not isinstance(found, NotComputable)
    assert reason(found.sensitivity) == "no case with the event"
    assert isinstance(found.specificity, Estimate)
    assert found.specificity.value == pytest.approx(2 / 3)
    assert "one class" in reason(found.positive_likelihood_ratio)


def test_a_likelihood_ratio_without_false_positives_is_no_number() -> None:
    found = decisions.decide(scored("++--", 0.9, 0.4, 0.1, 0.2), 0.5)
    assert not isinstance(found, NotComputable)
    assert "denominator is 0" in reason(found.positive_likelihood_ratio)
    none_missed = decisions.decide(scored("++--", 0.9, 0.8, 0.1, 0.7), 0.5)
    assert not isinstance(none_missed, NotComputable)
    assert isinstance(none_missed.negative_likelihood_ratio, Estimate)
    assert none_missed.negative_likelihood_ratio.value == 0
    assert "logarithm" in reason(none_missed.negative_likelihood_ratio.interval)


def test_a_case_at_the_threshold_is_positive() -> None:
    found = decisions.decide(scored("+-", 0.5, 0.5), 0.5)
    assert not isinstance(found, NotComputable)
    assert (found.true_positive, found.false_positive) == (1, 1)


def test_separated_classes_have_no_slope() -> None:
    terms = calibration.terms(scored("+++---", 0.9, 0.8, 0.7, 0.3, 0.2, 0.1))
    assert isinstance(terms.intercept, Estimate)
    assert "separates the classes perfectly" in reason(terms.slope)
    assert "separates" in reason(recalibrations(terms, Scored(np.arange(60) < 30, np.zeros(60)))["intercept-slope"])


def test_probabilities_of_exactly_0_and_1_are_counted() -> None:
    terms = calibration.terms(scored("+-+-+-", 1.0, 0.0, 0.4, 0.6, 0.2, 0.1))
    assert terms.extremes == 2
    assert isinstance(terms.slope, Estimate)


def test_the_slope_is_shown_at_several_clips_each_by_a_plain_regression() -> None:
    votes = np.array([1.0, 0.995, 0.0, 0.4, 0.6, 0.2, 0.1, 0.005, 0.9, 0.0])
    cases = scored("++-+-+--+-", *votes)
    found = calibration.calibrate(cases)
    assert [(row.clip, row.clipped) for row in found.slopes] == [(1e-2, 5), (1e-3, 3), (1e-4, 3)]
    assert found.slopes[1].slope == found.terms.slope
    for row in found.slopes:
        clipped = np.clip(votes, row.clip, 1 - row.clip)
        design = sm.add_constant(np.log(clipped / (1 - clipped)))
        assert isinstance(row.slope, Estimate)
        expected = sm.Logit(cases.outcome.astype(float), design).fit(disp=False).params[1]
        assert row.slope.value == pytest.approx(expected, rel=1e-6)


def test_calibration_of_little() -> None:
    found = calibration.calibrate(ONE_CLASS)
    assert "one class" in reason(found.terms.intercept)
    assert "one class" in reason(found.curve)
    assert "one class" in reason(found.hosmer_lemeshow)
    assert found.groups == ()
    assert isinstance(found.observed_over_expected, Estimate)
    assert found.observed_over_expected.value == 0
    few = calibration.calibrate(scored("+--", 0.5, 0.2, 0.9))
    assert "10 are needed" in reason(few.curve)
    assert "too few: 3 cases" in reason(few.terms.slope)
    assert "no case" in reason(calibration.calibrate(EMPTY).observed_over_expected)
    assert "no case" in reason(calibration.calibrate(EMPTY).brier)


def test_one_probability_for_all_has_no_slope_and_no_curve() -> None:
    flat = Scored(np.arange(40) % 2 == 0, np.full(40, 0.3))
    assert "same probability" in reason(calibration.terms(flat).slope)
    assert "same probability" in reason(calibration.smooth_curve(flat))
    assert len(calibration.grouped(flat)) == 1


def test_a_negative_slope_offers_no_recalibration() -> None:
    rng = np.random.default_rng(0)
    score = rng.uniform(0.1, 0.9, 80)
    turned = Scored(rng.uniform(size=80) < 1 - score, score)
    offered = recalibrations(calibration.terms(turned), turned)
    assert isinstance(offered["intercept"], Recalibration)
    assert "turn the ranking round" in reason(offered["intercept-slope"])


def test_few_cases_offer_no_recalibration_and_say_how_many_it_takes() -> None:
    rng = np.random.default_rng(1)
    cases = Scored(np.arange(60) < 12, rng.uniform(0.1, 0.9, 60))
    offered = recalibrations(calibration.terms(cases), cases)
    assert isinstance(offered["intercept"], Recalibration)
    assert "12 events only" in offered["intercept"].caution
    assert "12 cases with and 48 without the event, and it takes 20 of each" in reason(offered["intercept-slope"])


def test_a_decision_curve_needs_both_classes() -> None:
    assert "one class" in reason(decision_curve.decision_curve(ONE_CLASS, seed=0))


def test_baseline_without_values() -> None:
    (row,) = baseline.baseline_table({"age": "years"}, {"age": [None, None]}, {"age": [50.0, 60.0]})
    assert reason(row.first) == "unknown in all 2 cases"
    assert "two values in each group" in reason(row.test)
    (same,) = baseline.baseline_table({"age": "years"}, {"age": [50.0, 50.0]}, {"age": [50.0, 50.0]})
    assert reason(same.test) == "all values are equal"
    (level,) = baseline.baseline_table({"sex": "category"}, {"sex": ["F", "F"]}, {"sex": ["F", None]})
    assert reason(level.test) == "all known values are equal"
    (empty,) = baseline.baseline_table({"sex": "category"}, {}, {"sex": ["F", "M"]})
    assert reason(empty.first) == "no case in the group"
    assert reason(empty.test) == "one group has no known value"


def test_shift_without_values() -> None:
    (row,) = feature_shift.find_shifts({"a": np.array([1.0, 2.0, 3.0])}, {"a": np.array([np.nan, np.nan])})
    assert reason(row.ks) == "no known value at this centre"
    assert row.unknown == 2
    assert "20 are needed" in reason(training_distance.novelty(np.ones((5, 2)), np.ones((3, 2))))
    (effect,) = covariate_effects(np.zeros(3), np.zeros(3), {"scanner": ["a", "a", None]})
    assert reason(effect.test) == "the same in all cases"


def test_readers_without_pairs() -> None:
    nothing = np.empty(0)
    assert "no case" in reason(readers.score_agreement("DLRN", nothing, nothing, 0.5))
    same = readers.score_agreement("DLRN", np.array([0.1, 0.2]), np.array([0.2, 0.1]), 0.5)
    assert not isinstance(same, NotComputable)
    assert "kappa is not defined" in reason(same.kappa)
    assert "both masks are empty" in reason(readers.dice(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8)))


def test_power_of_nothing() -> None:
    nothing = NotComputable("none")
    lacking = calibration.Terms(nothing, nothing, nothing, 0)

    def verdict(n: int, events: int) -> str:
        found = power.power(Scored(np.arange(n) < events, np.full(n, 0.3)), nothing, nothing, lacking, nothing)
        assert (found.targets, found.criteria) == ((), ())
        return found.verdict

    assert verdict(0, 0).startswith("No case has both an outcome and a score; this model is not judged")
    assert "one class" in verdict(5, 0)
    assert "far too few" in verdict(30, 4)
    assert "formula has no answer" in reason(sample_size.cases_for_auc(1.0, 0.3, 0.1))
    assert "more than" in reason(sample_size.cases_for_auc(0.8, 0.3, 1e-6))
    assert "more than" in reason(sample_size.cases_for_observed_over_expected(0.3, 1e-6))
    assert "same probability" in reason(sample_size.cases_for_slope(np.full(9, -1.3), 0.2))
    assert "no decision was wrong" in reason(sample_size.cases_for_net_benefit(1.0, 1.0, 0.3, 0.3, 0.2))


def test_a_development_of_one_class_takes_no_cases_that_can_be_told() -> None:
    assert "one class" in reason(development_size.development_size(development_size.DevelopmentCohort(9, 9, 0, 5, 0.8)))
    assert "no answer" in reason(development_size.cases_for_shrinkage(5, 0.95, 0.9))


def test_a_nan_is_a_defect_that_is_told() -> None:
    for make in (lambda: Estimate(math.nan, NotComputable("x")), lambda: Interval(0.0, math.inf)):
        with pytest.raises(InternalError):
            make()
    with pytest.raises(InternalError):
        Interval(1.0, 0.0)
    with pytest.raises(InternalError):
        Scored(np.array([True]), np.array([np.nan]))
