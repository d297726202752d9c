"""What a bundle keeps of columns: nothing of fewer than five cases, and comparisons that hold against those of all values."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import cdist

from cvtbatch.validation.baseline import (
    LevelSummary,
    NumberSummary,
    baseline_table,
    compare_levels,
    compare_numbers,
)
from cvtbatch.validation.feature_shift import find_shifts
from cvtbatch.validation.kept_columns import (
    AT_QUANTILES,
    FEWEST,
    NOT_KEPT,
    RARER,
    keep_levels,
    keep_numbers,
    ks_at_quantiles,
)
from cvtbatch.validation.training_distance import SHARES, keep_embedding, novelty_of_kept
from cvtbatch.validation.values import NotComputable, Significance


@given(st.integers(20, 300), st.sampled_from([1e-3, 1.0, 1e6]), st.integers(0, 99))
def test_five_cases_lie_between_quantiles_and_beyond_them(n: int, scale: float, seed: int) -> None:
    values = np.random.default_rng(seed).normal(2e6, scale, n)
    kept = keep_numbers(values)
    assert kept is not None
    ends = (0, *kept.at_or_below, n)
    # Rounding may carry a quantile past a case.
    assert min(np.diff(ends)) >= FEWEST - 1
    exact = np.searchsorted(np.sort(values), np.quantile(values, kept.shares), side="right")
    assert min(np.diff((0, *exact, n))) >= FEWEST
    assert len(kept.shares) == (19 if n >= 100 else 7 if n >= 40 else 3)
    assert min(kept.shares) >= 0.05
    assert max(kept.shares) <= 0.95
    assert np.abs(np.quantile(values, kept.shares) - kept.quantiles).max() <= kept.sd / 1000 + 1e-9
    assert [int((values <= quantile).sum()) for quantile in kept.quantiles] == list(kept.at_or_below)
    assert (kept.mean, kept.sd) == (values.mean(), values.std(ddof=1))


def test_too_few_numbers_are_not_kept_and_unknown_ones_are_counted() -> None:
    values = np.arange(24, dtype=float)
    values[:4] = np.nan
    kept = keep_numbers(values)
    assert kept is not None
    assert (kept.known, kept.unknown) == (20, 4)
    values[4] = np.inf
    assert keep_numbers(values) is None


@given(st.lists(st.sampled_from([*"abcdef", None]), max_size=120))
def test_no_cell_of_levels_is_below_five_and_they_add_up(values: list[str | None]) -> None:
    kept = keep_levels(values)
    known = sum(value is not None for value in values)
    if kept is None:
        assert known < FEWEST
        return
    assert sum(kept.counts.values()) + kept.rarer == kept.known == known
    assert kept.unknown == len(values) - known
    assert all(count >= FEWEST and count == values.count(level) for level, count in kept.counts.items())
    assert kept.rarer == 0 or kept.rarer >= FEWEST


def test_one_rare_level_takes_the_next_rarest_with_it() -> None:
    kept = keep_levels(["a"] * 40 + ["b"] * 8 + ["c"] * 2 + [None])
    assert kept is not None
    assert asdict(kept) == {"known": 50, "unknown": 1, "counts": {"a": 40}, "rarer": 10}
    hidden = keep_levels(["yes"] * 3 + ["no"] * 30)
    assert hidden is not None
    assert (hidden.counts, hidden.rarer) == ({}, 33)


@given(st.integers(20, 250), st.integers(1, 120), st.floats(-2, 2), st.booleans(), st.integers(0, 999))
def test_the_statistic_at_quantiles_is_no_larger_than_the_full_one(
    n: int, m: int, shift: float, tied: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    training, center = rng.normal(size=n), rng.normal(shift, 1.3, m)
    if tied:
        training, center = training.round(), center.round()
    kept = keep_numbers(training)
    assert kept is not None
    found = ks_at_quantiles(kept, center)
    full = stats.ks_2samp(training, center, method="asymp")
    places = [np.mean(training <= q) - np.mean(center <= q) for q in kept.quantiles]
    assert found.statistic == pytest.approx(np.abs(places).max(), abs=1e-12)
    assert found.statistic <= full.statistic + 1e-12
    assert found.p_value >= full.pvalue - 1e-12


def test_p_at_quantiles_is_scipys_where_the_largest_difference_lies_at_one() -> None:
    kept = keep_numbers(np.arange(200, dtype=float))
    assert kept is not None
    same = stats.ks_2samp(np.repeat(kept.quantiles, 10), np.full(30, kept.quantiles[9]), method="asymp")
    again = keep_numbers(np.repeat(kept.quantiles, 10))
    assert again is not None
    own = ks_at_quantiles(again, np.full(30, kept.quantiles[9]))
    assert own.name == AT_QUANTILES
    assert (own.statistic, own.p_value) == pytest.approx((same.statistic, same.pvalue), rel=1e-12)


def test_numbers_that_look_normal_are_compared_as_their_values_are() -> None:
    rng = np.random.default_rng(3)
    training, center = rng.normal(50, 10, 192), rng.normal(54, 12, 83)
    kept = keep_numbers(training)
    assert kept is not None
    [found] = baseline_table({"age": "years"}, {"age": center.tolist()}, {"age": kept})
    full = compare_numbers("age", "years", center.tolist(), training.tolist())
    assert found.normal
    assert isinstance(found.test, Significance)
    assert isinstance(full.test, Significance)
    assert found.test.name == full.test.name == "t-test (Welch)"
    assert (found.test.statistic, found.test.p_value) == pytest.approx((full.test.statistic, full.test.p_value))
    assert isinstance(found.second, NumberSummary)
    assert isinstance(full.second, NumberSummary)
    for name in ("known", "unknown", "mean", "sd", "median", "q1", "q3"):
        assert getattr(found.second, name) == pytest.approx(getattr(full.second, name), abs=0.01), name
    skewed = keep_numbers(np.exp(training / 10))
    assert skewed is not None
    [other] = baseline_table({"age": "years"}, {"age": np.exp(center / 10).tolist()}, {"age": skewed})
    assert isinstance(other.test, Significance)
    assert other.test.name == AT_QUANTILES


def test_levels_that_are_all_kept_are_compared_as_their_values_are() -> None:
    training, center = ["a"] * 60 + ["b"] * 40, ["a"] * 20 + ["b"] * 30 + [None]
    kept = keep_levels(training)
    assert kept is not None
    [found] = baseline_table({"sex": "category"}, {"sex": center}, {"sex": kept})
    assert found == compare_levels("sex", center, training)


def test_levels_beside_kept_ones_are_one_in_the_test_and_themselves_in_the_table() -> None:
    kept = keep_levels(["Philips"] * 90 + ["GE"] * 6 + ["Siemens"] * 3)
    assert kept is not None
    center = ["GE"] * 20 + ["Canon"] * 10 + ["Philips"] * 30
    [found] = baseline_table({"scanner": "category"}, {"scanner": center}, {"scanner": kept})
    assert isinstance(found.first, LevelSummary)
    assert isinstance(found.second, LevelSummary)
    assert {row.level: row.count for row in found.first.levels} == {"Canon": 10, "GE": 20, "Philips": 30}
    assert {row.level: row.count for row in found.second.levels} == {"Philips": 90, RARER: 9}
    plain = stats.chi2_contingency([[30, 30], [90, 9]], correction=False)
    assert isinstance(found.test, Significance)
    assert found.test.p_value == pytest.approx(plain.pvalue)


@pytest.mark.parametrize("unit", ["years", "category"])
def test_what_is_not_kept_is_said(unit: str) -> None:
    [found] = baseline_table({"x": unit}, {"x": [1.0, 2.0]}, {"x": NOT_KEPT})
    assert (found.second, found.test) == (NOT_KEPT, NOT_KEPT)
    assert not isinstance(found.first, NotComputable)


def test_shifts_against_kept_columns_agree_with_those_against_values() -> None:
    rng = np.random.default_rng(8)
    names = [f"c{place}" for place in range(12)]
    training = {name: rng.normal(size=192) for name in names}
    center = {name: rng.normal(2.0 * (name in {"c1", "c4"}), 1, 80) for name in names}
    kept = {name: column for name in names if (column := keep_numbers(training[name])) is not None}
    ranges = {name: (float(values.min()), float(values.max())) for name, values in training.items()}
    full, found = find_shifts(training, center), find_shifts(kept, center, ranges)
    for one, other in zip(full, found, strict=True):
        assert (one.shifted, one.unseen, one.outside, one.range_test) == (
            other.shifted,
            other.unseen,
            other.outside,
            other.range_test,
        )
        assert one.difference == pytest.approx(other.difference)
        assert (one.n, one.unknown, one.training_mean) == (other.n, other.unknown, pytest.approx(other.training_mean))
    assert [row.feature for row in found if row.shifted] == ["c1", "c4"]
    bare = find_shifts(kept, center)
    assert all(isinstance(row.outside, NotComputable) and not row.unseen for row in bare)
    assert [row.shifted for row in bare] == [row.shifted for row in found]


def test_means_that_differ_without_any_spread_are_a_shift_whether_or_not_a_range_is_kept() -> None:
    tilt, tilted = np.zeros(23), np.full(15, 10.6)
    (kept,) = find_shifts({"tilt": keep_numbers(tilt)}, {"tilt": tilted})
    (full,) = find_shifts({"tilt": tilt}, {"tilt": tilted})
    assert isinstance(kept.outside, NotComputable)
    assert kept.shifted
    assert full.shifted
    (alike,) = find_shifts({"tilt": keep_numbers(tilt)}, {"tilt": np.zeros(15)})
    assert not alike.shifted


def test_distances_are_those_from_the_mean_of_the_others() -> None:
    rng = np.random.default_rng(9)
    training = np.column_stack([rng.normal(3, 2, (60, 5)), np.full(60, 7.0)])
    kept = keep_embedding(training)
    assert kept is not None
    own = []
    for row in range(60):
        others = np.delete(training, row, axis=0)[:, :5]
        scaled = (training[row, :5] - others.mean(axis=0)) / others.std(axis=0, ddof=1)
        own.append(cdist(scaled[None], np.zeros((1, 5)))[0, 0] / np.sqrt(5))
    assert kept.distances == pytest.approx(np.quantile(own, SHARES))
    assert keep_embedding(training[:19]) is None


def test_alike_cases_are_as_far_from_the_mean_as_training_and_others_are_farther() -> None:
    rng = np.random.default_rng(10)
    mixing = rng.normal(size=(8, 300))
    training, alike = (rng.normal(size=(n, 8)) @ mixing + 4 for n in (400, 2000))
    kept = keep_embedding(training)
    assert kept is not None
    found, other = novelty_of_kept(kept, alike), novelty_of_kept(kept, alike + 3 * training.std(axis=0))
    assert not isinstance(found, NotComputable)
    assert not isinstance(other, NotComputable)
    assert (found.reference, found.training_n, found.columns) == ("training mean", 400, 300)
    assert found.far.value == pytest.approx(0.05, abs=0.03)
    assert np.mean(found.percentiles) == pytest.approx(50, abs=3)
    assert other.far.value > 0.95
