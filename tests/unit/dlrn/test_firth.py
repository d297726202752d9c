"""Firth's correction on parted outcomes against a brute-force search of the penalised likelihood."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import chi2

from cvtbatch.dlrn.firth import PenalisedLikelihood, profile_limit
from cvtbatch.dlrn.logistic import fit_logistic, is_separated
from cvtbatch.errors import InternalError

NAMES = ("dlr", "epilepsy")
DROP = chi2.ppf(0.95, 1) / 2


def parted(cases: int, events: int, gap: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return terms (n, 2) and outcomes (n,): DLR parts the outcomes, and two cases of either class lie `gap` apart."""
    rng = np.random.default_rng(seed)
    outcome = np.repeat([1, 0], [events, cases - events])
    dlr = 0.5 + np.where(outcome == 1, 0.5 * rng.beta(1, 2, cases), -0.5 * rng.beta(1, 2, cases))
    dlr[[0, -1]] = 0.5 + gap, 0.5
    epilepsy = (rng.uniform(size=cases) < np.where(outcome == 1, 0.6, 0.2)).astype(float)
    return np.column_stack([dlr, epilepsy]), outcome


def brute_force(terms: np.ndarray, outcome: np.ndarray) -> Callable[[np.ndarray], float]:
    """Return the penalised log likelihood of three coefficients, its determinant as a sum over triples of cases (Cauchy, Binet)."""
    design = np.column_stack([np.ones(len(terms)), terms])
    triples = np.array(list(combinations(range(len(design)), 3)))
    squares = np.linalg.det(design[triples]) ** 2

    def log(coefficients: np.ndarray) -> float:
        predictor = design @ coefficients
        size = -np.abs(predictor) - 2 * np.log1p(np.exp(-np.abs(predictor)))
        likelihood = -np.logaddexp(0, np.where(outcome == 1, -predictor, predictor)).sum()
        with np.errstate(divide="ignore"):
            return float(likelihood + np.log((squares * np.exp(size[triples].sum(axis=1))).sum()) / 2)

    return log


def highest(log: Callable[[np.ndarray], float], starts: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """Return the best of several searches that use no derivative, each taken up again until it finds nothing higher."""
    found = []
    for start in starts:
        place, height = start, -np.inf
        for _ in range(20):
            search = minimize(
                lambda x: -log(x), place, method="Nelder-Mead", options={"maxiter": 5000, "xatol": 1e-9, "fatol": 1e-14}
            )
            if -search.fun <= height + 1e-13:
                break
            place, height = search.x, -search.fun
        found.append((height, tuple(place)))
    best = max(found)
    return np.array(best[1]), best[0]


COHORTS = [(20, 6, 1e-2, 0), (20, 8, 1e-6, 1), (22, 5, 1e-4, 2)]


@pytest.mark.parametrize(("cases", "events", "gap", "seed"), COHORTS)
def test_coefficients_and_limits_are_those_of_a_brute_force_search(
    cases: int, events: int, gap: float, seed: int
) -> None:
    terms, outcome = parted(cases, events, gap, seed)
    assert is_separated(np.column_stack([np.ones(cases), terms]), outcome)
    fit = fit_logistic(terms, outcome, NAMES, firth=True, limits=True)
    log = brute_force(terms, outcome)
    best, height = highest(log, [np.zeros(3), np.array([-10.0, 30.0, -2.0])])
    np.testing.assert_allclose(fit.coefficients(), best, rtol=1e-6, atol=1e-6)
    assert fit.log_likelihood == pytest.approx(height, abs=1e-9)
    for place, term in enumerate(fit.terms):
        others = [k for k in range(3) if k != place]

        def profile(value: float, place: int = place, others: list[int] = others) -> float:
            def log_of_others(two: np.ndarray) -> float:
                coefficients = np.empty(3)
                coefficients[place], coefficients[others] = value, two
                return log(coefficients)

            return highest(log_of_others, [best[others], best[others] * value / best[place]])[1]

        for limit in (term.low, term.high):
            assert profile(limit) == pytest.approx(height - DROP, abs=1e-7), (term.name, limit)
            assert profile((limit + best[place]) / 2) > height - DROP


def test_parted_outcomes_of_any_size_and_gap_have_finite_limits() -> None:
    """Also where the likelihood between maximum and limit is not concave, and where the gap is beneath any tolerance."""
    for seed in range(0, 10, 2):
        cases = 20 + 20 * seed
        terms, outcome = parted(cases, cases // 4, 10.0 ** -(1 + seed % 9), seed)
        fit = fit_logistic(terms, outcome, NAMES, firth=True, limits=True)
        for term in fit.terms:
            assert np.isfinite(term.low), (seed, term)
            assert term.low < term.coefficient < term.high < np.inf, (seed, term)
            assert (term.p_value < 0.05) == (term.low * term.high > 0), (seed, term)


def test_limits_are_not_sought_unless_asked_for() -> None:
    terms, outcome = parted(40, 12, 1e-3, 3)
    with_limits, without = (fit_logistic(terms, outcome, NAMES, firth=True, limits=asked) for asked in (True, False))
    assert with_limits.coefficients().tolist() == without.coefficients().tolist()
    for term in without.terms:
        document = term.to_document()
        assert (document["low"], document["high"], document["p_value"], document["odds_ratio_high"]) == (None,) * 4
        assert document["standard_error"] == pytest.approx(term.standard_error)


def test_a_limit_that_is_not_found_is_no_number_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    terms, outcome = parted(20, 6, 1e-2, 0)
    likelihood = PenalisedLikelihood(np.column_stack([np.ones(20), terms]), outcome.astype(float))
    best = likelihood.maximise(np.zeros(3), np.ones(3, dtype=bool))
    monkeypatch.setattr("cvtbatch.dlrn.firth.OUTWARD_STEPS", 1)
    assert profile_limit(likelihood, best, 1, -1, 1 - 1e-9) == -np.inf
    monkeypatch.setattr("cvtbatch.dlrn.firth.NEWTON_STEPS", 1)
    assert np.isnan(profile_limit(likelihood, best, 1, 1, 0.95))


def test_a_search_ends_where_no_part_of_a_step_leads_upward(monkeypatch: pytest.MonkeyPatch) -> None:
    terms, outcome = parted(20, 6, 1e-2, 0)
    likelihood = PenalisedLikelihood(np.column_stack([np.ones(20), terms]), outcome.astype(float))
    steps = []

    def stay(coefficients: np.ndarray, height: float, step: np.ndarray) -> tuple[np.ndarray, float]:
        steps.append(step)
        return coefficients, height

    monkeypatch.setattr(likelihood, "_climb", stay)
    with pytest.raises(InternalError, match="did not converge"):
        likelihood.maximise(np.zeros(3), np.ones(3, dtype=bool))
    assert len(steps) == 1


def test_a_rival_that_lies_far_away_counts_at_the_limit() -> None:
    """Two planes part these outcomes nearly as well: they tilt to either side, 26 standard errors of epilepsy apart."""
    terms, outcome = parted(136, 34, 1e-4, 129)
    design = np.column_stack([np.ones(136), terms])
    limit = fit_logistic(terms, outcome, NAMES, firth=True, limits=True).terms[0].low

    def log(coefficients: np.ndarray) -> float:
        predictor = design @ coefficients
        weight = np.exp(-np.abs(predictor) - 2 * np.log1p(np.exp(-np.abs(predictor))))
        likelihood = -np.logaddexp(0, np.where(outcome == 1, -predictor, predictor)).sum()
        return float(likelihood + np.linalg.slogdet((design * weight[:, None]).T @ design).logabsdet / 2)

    _, height = highest(log, [np.array([-52.0, 103.0, 1.5])])
    floor = height - DROP
    heights = [
        highest(lambda two: log(np.array([limit, *two])), [np.array([-2 * limit, tilt * limit])])[1]
        for tilt in (0.08, -0.05)
    ]
    assert max(heights) == pytest.approx(floor, abs=1e-6)
    assert min(heights) < floor - 0.1
