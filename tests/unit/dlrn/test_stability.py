"""Columns that follow volume, judged without the outcome, beside SciPy's rank correlation."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from cvtbatch.dlrn.cohort import Cohort
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
