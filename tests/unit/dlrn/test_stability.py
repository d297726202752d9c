"""Columns that follow volume, judged without the outcome, beside SciPy's rank correlation."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from cvtbatch.dlrn.cohort import Cohort, RepeatedOutlines
from cvtbatch.dlrn.stability import VOLUME, unstable_reasons
from cvtbatch.errors import InputError
from tests.support.cohorts import CohortPlan, made_cohort, settings

MAXIMUM = 0.6
SELECTION = settings(f"fit.selection.volume_correlation={MAXIMUM}").selection


def with_volume() -> Cohort:
    drawn = made_cohort(CohortPlan(radiomics=12), 3)
    values = drawn.radiomics.copy()
    volume = np.random.default_rng(1).lognormal(3, 1, len(values)).round(1)
    values[:, 0] = volume
    values[:, 1] = np.sqrt(volume)  # volume by another name
    values[:, 2] = -volume + np.random.default_rng(2).normal(0, 5, len(values))
    values[3:, 3] = volume[3:] ** 2
    values[:3, 3] = np.nan
    values[:, 4] = 7.0
    return replace(drawn, radiomics=values, radiomics_names=(VOLUME, *drawn.radiomics_names[1:]))


def test_columns_that_follow_volume_are_named_with_their_correlation() -> None:
    cohort = with_volume()
    rows = np.arange(0, 90, 2)
    reasons = unstable_reasons(cohort, rows, SELECTION)
    for name, column, reason in zip(cohort.radiomics_names[1:], cohort.radiomics[rows].T[1:], reasons[1:], strict=True):
        if np.ptp(column[np.isfinite(column)]) == 0:
            assert reason == ""
            continue
        rho = spearmanr(column, cohort.radiomics[rows, 0], nan_policy="omit").statistic
        expected = f"rank correlation with volume {rho:+.3f}, beyond {MAXIMUM:g}" if abs(rho) > MAXIMUM else ""
        assert reason == expected, name
    assert [bool(reason) for reason in reasons[:5]] == [False, True, True, True, False]


def test_the_outcome_has_no_say() -> None:
    cohort = with_volume()
    other = replace(cohort, outcome=1 - cohort.outcome)
    rows = np.arange(90)
    assert unstable_reasons(cohort, rows, SELECTION) == unstable_reasons(other, rows, SELECTION)


def test_features_without_volume_are_told_what_they_lack() -> None:
    with pytest.raises(InputError, match=VOLUME) as caught:
        unstable_reasons(made_cohort(CohortPlan(), 1), np.arange(90), SELECTION)
    assert caught.value.kind == "no_volume"


def test_regions_are_judged_by_the_second_outlines_that_have_them() -> None:
    drawn, rng = made_cohort(CohortPlan(radiomics=6), 4), np.random.default_rng(5)
    names = ("a", "b", "rim5:a", "rim5:b", "core2:a", "core2:b")
    rows = np.arange(30)
    second = drawn.radiomics[rows] + np.array([0.1, 3, 0.1, 3, 0.1, 0.1]) * drawn.radiomics.std(axis=0) * rng.normal(
        size=(len(rows), 6)
    )
    second[10:, 2:4], second[1:, 4:] = np.nan, np.nan
    cohort = replace(drawn, radiomics_names=names, repeats=(RepeatedOutlines("reader B, reading 1", rows, second),))
    selection = settings("fit.selection.icc_minimum=0.8").selection
    reasons = unstable_reasons(cohort, np.arange(90), selection)

    def expected(column: int, count: int) -> float:
        """Shrout and Fleiss's ICC(2,1) by statsmodels' two-way analysis of variance."""
        pairs = np.stack([drawn.radiomics[rows[:count], column], second[:count, column]], axis=1)
        frame = pd.DataFrame({"value": pairs.ravel(), "case": np.repeat(rows[:count], 2), "reader": [0, 1] * count})
        squares = anova_lm(ols("value ~ C(case) + C(reader)", frame).fit())["mean_sq"]
        between, readers, error = squares["C(case)"], squares["C(reader)"], squares["Residual"]
        return float((between - error) / (between + error + 2 * (readers - error) / count))

    assert [bool(reason) for reason in reasons] == [False, True, False, True, True, True]
    assert reasons[1] == f"ICC {expected(1, 30):.3f} <= 0.8 with reader B, reading 1"
    assert reasons[3] == f"ICC {expected(3, 10):.3f} <= 0.8 with reader B, reading 1"
    assert reasons[4] == "no ICC of core2: 1 outlines with it by reader B, reading 1"
