"""Each step of selection against the plain call that it stands for."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LassoCV
from sklearn.preprocessing import StandardScaler

from cvtbatch import contracts
from cvtbatch.dlrn.folds import grouped_folds
from cvtbatch.dlrn.lasso import fit_lasso, penalty_path
from cvtbatch.dlrn.oversampling import oversample
from cvtbatch.dlrn.selection import Step, offer, select
from cvtbatch.dlrn.univariate import fit_scaler, mann_whitney_p, uncorrelated, unusable_reasons
from cvtbatch.errors import InputError
from tests.support.cohorts import settings

OUTCOME = np.repeat([0, 1], [50, 30])


def columns(count: int, seed: int = 0, effect: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((len(OUTCOME), count))
    values[:, : count // 4] += effect * OUTCOME[:, None]
    return values


def test_columns_that_cannot_be_used_are_named_with_their_reason() -> None:
    values = columns(6)
    values[3, 0] = np.nan
    values[3, 1] = np.inf
    values[:, 2] = 1e-9
    values[:, 3] = 7 + 1e-14 * (np.arange(len(values)) % 2)
    values[:, 4] *= 1e-30
    assert unusable_reasons(values) == ["missing_values", "infinite_values", "constant", "constant", "", ""]


def test_scaler_is_scikit_learns() -> None:
    values = columns(5) * 1e4 + 3
    plain = StandardScaler().fit(values)
    own = fit_scaler(values)
    np.testing.assert_allclose(own.mean, plain.mean_, rtol=1e-14)
    np.testing.assert_allclose(own.scale, plain.scale_, rtol=1e-14)
    np.testing.assert_allclose(own.apply(values), plain.transform(values), rtol=0, atol=1e-12)


def test_mann_whitney_is_scipys_column_by_column_with_ties_and_without() -> None:
    values = columns(40, effect=0.5)
    values[:, 10:20] = np.round(values[:, 10:20])
    values[:, 20] = OUTCOME
    values[:, 21] = np.arange(len(OUTCOME)) % 2
    plain = [
        stats.mannwhitneyu(column[OUTCOME == 1], column[OUTCOME == 0], method="asymptotic", alternative="two-sided")
        for column in values.T
    ]
    np.testing.assert_allclose(mann_whitney_p(values, OUTCOME), [result.pvalue for result in plain], rtol=1e-12, atol=0)


def test_of_two_correlated_columns_the_smaller_p_stays_and_names_break_ties() -> None:
    base = columns(3, seed=4)
    values = np.column_stack([base[:, 0], base[:, 0] + 1e-3 * base[:, 1], base[:, 2], -base[:, 2]])
    stays, instead = uncorrelated(values, np.array([0.02, 0.01, 0.03, 0.03]), ["b", "a", "d", "c"], 0.9)
    assert stays.tolist() == [False, True, False, True]
    assert instead == ["a", "", "c", ""]


def test_columns_that_stay_are_pairwise_within_the_limit_by_numpys_correlation() -> None:
    mixed = columns(10, seed=5) @ np.random.default_rng(6).standard_normal((10, 60))
    p_values = mann_whitney_p(mixed, OUTCOME)
    names = [f"f{number:02d}" for number in range(60)]
    stays, instead = uncorrelated(mixed, p_values, names, 0.7)
    r = np.abs(np.corrcoef(mixed, rowvar=False))
    kept = np.flatnonzero(stays)
    assert r[np.ix_(kept, kept)][~np.eye(len(kept), dtype=bool)].max() <= 0.7
    for place in np.flatnonzero(~stays):
        other = names.index(instead[place])
        assert stays[other]
        assert r[place, other] > 0.7
        assert p_values[other] <= p_values[place]


@pytest.mark.parametrize("count", [12, 120], ids=["fewer columns than rows", "more columns than rows"])
def test_lasso_without_smote_is_lasso_cv(count: int) -> None:
    values = fit_scaler(columns(count, effect=0.6)).apply(columns(count, effect=0.6))
    splits = grouped_folds(OUTCOME, [str(row) for row in range(len(OUTCOME))], 10, 3)
    own = fit_lasso(values, OUTCOME, splits, alphas=50, eps=1e-2, smote=None)
    plain = LassoCV(alphas=50, eps=1e-2, cv=splits, max_iter=10_000).fit(values, OUTCOME)
    np.testing.assert_allclose(own.errors, plain.mse_path_.mean(axis=1), rtol=1e-9)
    assert own.alpha == pytest.approx(plain.alpha_, rel=1e-12)
    np.testing.assert_allclose(own.coefficients, plain.coef_, rtol=0, atol=1e-9)
    np.testing.assert_allclose(penalty_path(values, OUTCOME.astype(float), 50, 1e-2), plain.alphas_, rtol=1e-12)


def test_lasso_with_smote_judges_real_rows_and_fits_enlarged_ones() -> None:
    from sklearn.linear_model import Lasso

    values = columns(8, effect=0.8)
    splits = grouped_folds(OUTCOME, [str(row) for row in range(len(OUTCOME))], 4, 3)
    own = fit_lasso(values, OUTCOME, splits, alphas=10, eps=1e-2, smote=(5, 17))
    whole, labels = oversample(values, OUTCOME, 5, 17)
    penalties = penalty_path(whole, labels.astype(float), 10, 1e-2)
    errors = np.zeros(10)
    for number, (train, test) in enumerate(splits):
        more, outcome = oversample(values[train], OUTCOME[train], 5, 18 + number)
        for place, alpha in enumerate(penalties):
            predicted = Lasso(alpha=alpha, max_iter=10_000).fit(more, outcome).predict(values[test])
            errors[place] += ((predicted - OUTCOME[test]) ** 2).mean() / len(splits)
    np.testing.assert_allclose(own.errors, errors, rtol=1e-3)
    assert own.alpha == penalties[errors.argmin()]
    plain = Lasso(alpha=own.alpha, max_iter=10_000).fit(whole, labels)
    np.testing.assert_array_equal(own.coefficients, plain.coef_)


def test_smote_is_imbalanced_learns_and_leaves_real_rows_in_front() -> None:
    from imblearn.over_sampling import SMOTE

    values = columns(4)
    more, outcome = oversample(values, OUTCOME, 5, 9)
    plain, labels = SMOTE(k_neighbors=5, random_state=9).fit_resample(values, OUTCOME)
    np.testing.assert_array_equal(more, plain)
    np.testing.assert_array_equal(outcome, labels)
    np.testing.assert_array_equal(more[: len(values)], values)
    assert np.bincount(outcome).tolist() == [50, 50]


def test_every_column_leaves_with_a_step_and_a_reason() -> None:
    values = columns(40, seed=3, effect=1.5)
    values[:, 1] = values[:, 0] * 2 + 1e-6 * values[:, 1]
    values[:, 30] = 4
    names = [f"f{number:02d}" for number in range(40)]
    unstable = ["ICC 0.100 <= 0.8" if number == 2 else "" for number in range(40)]
    splits = grouped_folds(OUTCOME, [str(row) for row in range(len(OUTCOME))], 5, 3)
    selection = select(
        offer(names, values, OUTCOME, unstable),
        range(40),
        splits,
        settings("fit.selection.lasso_eps=0.1").selection,
        (5, 1),
    )
    assert selection is not None
    left = {verdict.name: verdict.left_at for verdict in selection.verdicts}
    assert list(left) == names
    assert left["f30"] == Step.SCREENING
    assert left["f02"] == Step.AGREEMENT
    assert {left["f00"], left["f01"]} >= {Step.CORRELATION}
    assert set(left.values()) == set(Step)
    assert all(bool(verdict.reason) == (verdict.left_at != Step.SELECTED) for verdict in selection.verdicts)
    counts = selection.counts()
    assert counts["offered"] == 40
    assert counts["screening"] == 39
    assert counts["agreement"] == 38
    assert counts["lasso"] == len(selection.columns) == len(selection.names())
    assert list(counts.values()) == sorted(counts.values(), reverse=True)
    assert not selection.rescued


@pytest.mark.parametrize("region", ["", "rim5:"])
def test_a_feature_that_follows_the_processor_is_never_selected_however_well_it_tells(region: str) -> None:
    """Alone among columns of noise, and as the one with the smallest P where nothing passes the filters."""
    bound = region + next(iter(contracts.processor_bound_features()))
    values = columns(6, seed=8)
    values[:, 3] = OUTCOME + 0.1 * values[:, 3]
    names = ["a", "b", "c", bound, "e", "f"]
    splits = grouped_folds(OUTCOME, [str(row) for row in range(len(OUTCOME))], 3, 3)
    for text in ("fit.selection.mann_whitney_p=0.0001", "fit.selection.mann_whitney_p=0.9"):
        selection = select(offer(names, values, OUTCOME, [""] * 6), range(6), splits, settings(text).selection, None)
        assert selection is not None
        assert bound not in selection.names()
        assert (selection.verdicts[3].left_at, selection.verdicts[3].reason) == (Step.SCREENING, "processor_bound")
    assert select(offer([bound], values[:, 3:4], OUTCOME, [""]), range(1), splits, settings().selection, None) is None


def test_where_no_column_passes_the_smallest_p_stands_in_and_says_so() -> None:
    values = columns(6, seed=8)
    splits = grouped_folds(OUTCOME, [str(row) for row in range(len(OUTCOME))], 3, 3)
    strict = settings("fit.selection.mann_whitney_p=0.0001").selection
    selection = select(offer(list("abcdef"), values, OUTCOME, [""] * 6), range(6), splits, strict, None)
    assert selection is not None
    assert selection.rescued
    assert selection.columns.tolist() == [int(mann_whitney_p(values, OUTCOME).argmin())]


def test_folds_keep_patients_together_and_refuse_too_few() -> None:
    patients = [f"p{row // 2}" for row in range(len(OUTCOME))]
    splits = grouped_folds(OUTCOME, patients, 5, 1)
    assert sorted(row for _, test in splits for row in test) == list(range(len(OUTCOME)))
    for train, test in splits:
        assert not {patients[row] for row in train} & {patients[row] for row in test}
    with pytest.raises(InputError, match="15 patients with outcome 1 do not make 16 folds"):
        grouped_folds(OUTCOME, patients, 16, 1)
