"""Calibration of few cases, where a regression may leave for infinity."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from cvtbatch.validation.calibration import EXTREME, log_odds, observed_over_expected, terms
from cvtbatch.validation.values import Estimate, NotComputable, Scored


def test_an_intercept_far_from_where_a_fit_begins_is_found() -> None:
    """Reweighting from the usual start gave 2.7e15: most log odds lie on the wrong side, at the ends."""
    score, outcome = np.array([1.7e-4, 3.8e-3, 0.938, 0.9997, 0.98]), np.array([False, True, True, True, True])
    odds = log_odds(score, EXTREME)

    def loss(shift: float) -> float:
        return float(np.logaddexp(0, odds + shift).sum() - (odds + shift)[outcome].sum())

    by_search = minimize_scalar(loss, bounds=(-30, 30), method="bounded", options={"xatol": 1e-9}).x
    intercept = terms(Scored(outcome, score)).intercept
    assert isinstance(intercept, Estimate)
    assert intercept.value == pytest.approx(by_search, abs=1e-6)
    assert intercept.value == pytest.approx(6.24, abs=0.01)


def test_events_alone_have_no_interval_of_observed_over_expected() -> None:
    found = observed_over_expected(Scored(np.array([True]), np.array([0.004])))
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(250)
    assert found.interval == NotComputable("every case has the event: the interval's standard error is 0")
