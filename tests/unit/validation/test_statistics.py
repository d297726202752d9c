"""Properties of the statistics that no reference value shows."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import numpy as np
import pytest
from scipy.special import expit

from cvtbatch.dlrn.recalibration import Function
from cvtbatch.validation import (
    calibration,
    decision_curve,
    feature_shift,
    nomogram,
    readers,
    subgroups,
    training_distance,
)
from cvtbatch.validation.baseline import compare_levels
from cvtbatch.validation.recalibration import Recalibration, recalibrations
from cvtbatch.validation.shift_verdict import shift_verdict
from cvtbatch.validation.values import Estimate, NotComputable, Scored, Significance

NONE = NotComputable("none")


def draw(n: int, seed: int = 0, slope: float = 1.0, intercept: float = 0.0) -> Scored:
    """Draw cases whose true log odds are intercept + slope x those of their score."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-0.5, 1.2, n)
    return Scored(rng.uniform(size=n) < expit(intercept + slope * odds), expit(odds))


def test_decision_curves_are_equal_for_any_number_of_workers() -> None:
    scored = draw(80)
    alone = decision_curve.decision_curve(scored, seed=7, replicates=350)
    with ThreadPoolExecutor(3) as pool:
        assert decision_curve.decision_curve(scored, seed=7, map_=pool.map, replicates=350) == alone
    assert decision_curve.decision_curve(scored, seed=8, replicates=350) != alone


def test_net_benefit_of_the_bootstrap_is_that_of_a_plain_loop() -> None:
    scored = draw(50)
    weights = np.bincount(np.random.default_rng(1).integers(0, 50, 50), minlength=50)
    drawn = np.repeat(np.arange(50), weights)
    resampled = Scored(scored.outcome[drawn], scored.score[drawn])
    thresholds = np.array([0.1, 0.3, 0.6])
    model, every = decision_curve.weighted_net_benefits(scored, weights[None].astype(float), thresholds)
    for k, t in enumerate(thresholds):
        treated = resampled.score >= t
        odds = t / (1 - t)
        plain = (treated & resampled.outcome).mean() - (treated & ~resampled.outcome).mean() * odds
        assert model[0, k] == pytest.approx(plain)
        assert every[0, k] == pytest.approx(resampled.outcome.mean() - (~resampled.outcome).mean() * odds)


def test_helpful_ranges_in_words() -> None:
    assert decision_curve.describe(()) == "none"
    runs = tuple(decision_curve.Range(*ends) for ends in ((0.05, 0.42), (0.47, 0.47)))
    assert decision_curve.describe(runs) == "0.05 to 0.42 and 0.47"


def test_recalibration_brings_terms_to_their_ideal() -> None:
    scored = draw(4000, slope=0.5, intercept=-0.7)
    terms = calibration.terms(scored)
    offered = recalibrations(terms, scored)["intercept-slope"]
    assert isinstance(offered, Recalibration)
    assert offered.slope is not None
    function = Function(offered.intercept.value, offered.slope.value)
    after = calibration.terms(Scored(scored.outcome, function.apply(scored.score)))
    assert isinstance(after.slope, Estimate)
    assert isinstance(after.intercept, Estimate)
    assert after.slope.value == pytest.approx(1, abs=1e-6)
    assert after.intercept.value == pytest.approx(0, abs=1e-6)


def test_intervals_of_the_slope_cover_the_truth() -> None:
    covered = 0
    for seed in range(100):
        slope = calibration.terms(draw(150, seed)).slope
        assert isinstance(slope, Estimate)
        assert not isinstance(slope.interval, NotComputable)
        covered += slope.interval.low <= 1 <= slope.interval.high
    assert 88 <= covered <= 100


def test_equal_probabilities_stay_in_one_group() -> None:
    scored = Scored(np.arange(60) % 3 == 0, np.repeat([0.2, 0.4, 0.7], 20))
    groups = calibration.grouped(scored)
    assert [group.n for group in groups] == [20, 20, 20]
    assert sum(group.events for group in groups) == 20


def test_chance_of_values_outside_the_range_is_that_of_permutations() -> None:
    rng = np.random.default_rng(0)
    counts = []
    for _ in range(4000):
        values = rng.normal(size=50)
        seen, new = values[:30], values[30:]
        counts.append(((new < seen.min()) | (new > seen.max())).sum())
    for outside in (1, 2, 4):
        share = np.mean(np.array(counts) >= outside)
        assert feature_shift.chance_outside(30, 20, outside) == pytest.approx(share, abs=0.025)


def test_a_moved_feature_is_found_and_a_quiet_one_is_not() -> None:
    rng = np.random.default_rng(0)
    training = {"quiet": rng.normal(size=150), "moved": rng.normal(size=150)}
    center = {"quiet": rng.normal(size=60), "moved": rng.normal(1.5, 1, 60)}
    quiet, moved = feature_shift.find_shifts(training, center)
    assert (quiet.shifted, quiet.unseen) == (False, False)
    assert moved.shifted
    assert isinstance(moved.difference, float)
    assert moved.difference == pytest.approx(1.5, abs=0.35)
    verdict = shift_verdict((quiet, moved), NONE, NONE, NONE, NONE, ())
    assert verdict == (
        "This centre differs from training, or lies outside what the model has seen, in 1 of 2 selected features: moved."
    )
    away = training_distance.support([2, 0, 0, 1], [99.0, 50.0, None, 96.0], 10, 39)
    assert isinstance(away, training_distance.Support)
    assert away.outside.value == 0.5
    assert isinstance(away.far, Estimate)
    assert away.far.value == pytest.approx(2 / 3)
    alone = shift_verdict(NONE, NONE, NONE, away, NONE, ())
    assert "The training values of the selected features are not in this store" in alone
    assert "2 of 3 cases are farther from the training mean" in alone
    scanned = shift_verdict((quiet,), NONE, (moved,), NONE, NONE, ())
    assert scanned.endswith("It was scanned otherwise: moved.")


def test_few_cases_outside_the_range_and_no_shift_that_is_shown_are_told_as_one() -> None:
    rng = np.random.default_rng(3)
    training, center = rng.normal(size=(23, 15)), rng.normal(0.3, 1.2, (6, 15))
    outside = ((center < training.min(axis=0)) | (center > training.max(axis=0))).sum(axis=1)
    columns = [{str(name): part[:, name] for name in range(15)} for part in (training, center)]
    rows = feature_shift.find_shifts(columns[0], columns[1])
    assert not any(row.shifted or row.unseen for row in rows)
    large = sum(feature_shift.is_large(row) for row in rows)
    within = training_distance.support(outside.tolist(), [None] * 6, 15, 23)
    verdict = shift_verdict(rows, NONE, NONE, within, NONE, ())
    assert verdict == (
        f"{(outside > 0).sum()} of 6 cases lie outside the training range in one or more of the 15 columns that the models "
        f"use: in {outside.mean():.1f} on average, where about 1.2 are expected of cases like those of training. A shift of "
        "the 15 selected features is not shown with 6 cases, which is not to say that there is none: "
        f"{large} of them differ by half a standard deviation or more, which chance may explain in so few cases."
    )


def test_columns_outside_the_range_are_expected_as_permutations_have_them() -> None:
    rng = np.random.default_rng(0)
    counts = []
    for _ in range(3000):
        # Columns that depend on each other.
        values = rng.normal(size=(26, 8)) + rng.normal(size=(26, 1))
        training, center = values[:20], values[20:]
        counts.append(((center < training.min(axis=0)) | (center > training.max(axis=0))).sum() / 6)
    found = training_distance.support([0], [None], 8, 20)
    assert isinstance(found, training_distance.Support)
    assert found.expected == pytest.approx(np.mean(counts), abs=0.03)
    assert found.expected == pytest.approx(16 / 21)


def test_a_difference_without_spread_is_not_measured_by_rounding() -> None:
    upright = np.array([0.0, 1e-15, -1e-15, 0.0])
    found = feature_shift.standardised_difference(upright, 10.6 + upright)
    assert isinstance(found, NotComputable)
    assert feature_shift.standardised_difference(upright, upright) == 0.0


def test_novelty_of_like_cases_is_five_per_cent() -> None:
    rng = np.random.default_rng(3)
    found = training_distance.novelty(rng.normal(size=(400, 6)), rng.normal(size=(400, 6)))
    far = training_distance.novelty(rng.normal(size=(400, 6)), rng.normal(4, 1, size=(50, 6)))
    assert not isinstance(found, NotComputable)
    assert not isinstance(far, NotComputable)
    assert found.far.value == pytest.approx(0.05, abs=0.03)
    assert far.far.value > 0.9


def test_bands_and_their_order() -> None:
    levels = subgroups.bands([49.9, 50, 64, 65, None], (50, 65), "years")
    assert levels == ["below 50 years", "50 to below 65 years", "50 to below 65 years", "65 years and more", None]
    found = subgroups.in_subgroups(draw(5), {"age": levels})
    assert [(row.level, row.n) for row in found] == [
        ("below 50 years", 1),
        ("50 to below 65 years", 2),
        ("65 years and more", 1),
        ("unknown", 1),
    ]


def test_nomogram_gives_the_models_probability() -> None:
    term, other = nomogram.Term("a", 3.0, 0.0, 1.0), nomogram.Term("b", -0.8, 0.0, 1.0)
    found = nomogram.Nomogram(-1.5, (term, other))
    assert found.points(term, 1.0) == pytest.approx(100)
    assert found.points(other, 1.0) == pytest.approx(0)
    total = found.points(term, 0.4) + found.points(other, 0.0)
    assert found.probability(total) == pytest.approx(expit(-1.5 + 3.0 * 0.4))
    assert found.total_at(found.probability(total)) == pytest.approx(total)
    assert found.most_points == pytest.approx(100 + 80 / 3)


def test_dice_and_classes_of_features() -> None:
    first, second = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    first[:2], second[1:3] = 1, 1
    assert readers.dice(first, second) == 0.5
    names = ("wavelet-LLH_glcm_Contrast", "original_shape_Sphericity", "pca_3")
    assert [readers.feature_class(name) for name in names] == ["glcm", "shape", "embedding"]


def test_limits_of_agreement_by_hand() -> None:
    found = readers.bland_altman(np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 5.0]))
    assert not isinstance(found, NotComputable)
    assert (found.mean, found.low, found.high) == pytest.approx((1.0, 1 - 1.959964, 1 + 1.959964), abs=1e-6)


@pytest.mark.parametrize(
    ("first", "second"), [("A", "BC"), ("AB", "ABC"), ("AAB", "BCC"), ("AABB", "CCBCC"), ("AAAA", "BBCC")]
)
def test_fisher_of_three_levels_is_the_share_of_tables_that_are_no_likelier(first: str, second: str) -> None:
    """By every way of drawing the first group, each as likely as another."""
    pool = first + second
    ways = Counter("".join(sorted(chosen)) for chosen in combinations(pool, len(first)))
    own = ways["".join(sorted(first))]
    expected = sum(count for count in ways.values() if count <= own) / sum(ways.values())
    found = compare_levels("cause", list(first), list(second)).test
    assert isinstance(found, Significance)
    assert found.p_value == pytest.approx(expected, abs=0.02)
