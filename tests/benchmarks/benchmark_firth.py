"""Firth's correction on separated cohorts: `python -m tests.benchmarks.benchmark_firth [--cohorts 200]`.

Cohorts of 20 to 200 cases whose outcomes a plane parts, ever more nearly touching. Printed are what ended in an error, the seconds
of a fit with limits, limits that are not finite, how far the coefficients lie from those of an independent search of the
penalised likelihood (its determinant by numpy, Nelder-Mead and then BFGS from several starts), where that finds nothing higher, and
how far the profile at each limit, by a search from planes and scales all over the place, lies from where an interval of 95 % ends.
"""

import argparse
import time

import numpy as np
from scipy.optimize import minimize
from scipy.stats import chi2

from cvtbatch.dlrn.logistic import LogisticFit, fit_logistic
from tests.unit.dlrn.test_firth import NAMES, parted

# Beyond this the information vanishes; a search is kept on this side by a loss that no cohort has.
FARTHEST, FAR = 1e6, 1e12
# Difference of log likelihoods by which another maximum counts as higher.
HIGHER = 1e-6
DROP = chi2.ppf(0.95, 1) / 2
# Where the plane may lie (DLR at which the odds are even without epilepsy), how it may tilt, and how steep it may be.
CROSSINGS = np.unique(
    np.concatenate([np.linspace(-0.5, 1.5, 41), 0.5 + np.outer([-1, 1], 10.0 ** -np.arange(2, 10)).ravel()])
)
TILTS = np.linspace(-1, 1, 21)
STEEPNESS = np.geomspace(2, 2e5, 26)
STARTS = 4


class Likelihood:
    """The penalised log likelihood of a cohort, computed for many coefficients at once."""

    def __init__(self, terms: np.ndarray, outcome: np.ndarray) -> None:
        self.design = np.column_stack([np.ones(len(terms)), terms])
        self.sign = np.where(outcome == 1, 1.0, -1.0)

    def __call__(self, coefficients: np.ndarray) -> np.ndarray:
        """Return it for rows of coefficients (m, 3): (m,); -FAR where the information vanishes."""
        predictor = coefficients @ self.design.T
        size = -np.abs(predictor) - 2 * np.log1p(np.exp(-np.abs(predictor)))
        largest = size.max(axis=1)
        weight = np.exp(size - largest[:, None])
        information = np.einsum("mn,ni,nj->mij", weight, self.design, self.design, optimize=True)
        with np.errstate(divide="ignore"):
            determinant = np.linalg.slogdet(information)
        found = -np.logaddexp(0, -self.sign * predictor).sum(axis=1) + (determinant.logabsdet + 3 * largest) / 2
        there = (determinant.sign > 0) & np.isfinite(found) & (np.abs(coefficients).max(axis=1) < FARTHEST)
        return np.where(there, found, -FAR)


def search(likelihood: Likelihood, near: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the coefficients of the highest maximum that is found, and its penalised log likelihood."""

    def loss(coefficients: np.ndarray) -> float:
        return float(-likelihood(coefficients[None])[0])

    found = []
    for start in (np.zeros(len(near)), 0.3 * near, near, 3 * near):
        rough = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 2000, "fatol": 1e-12})
        fine = minimize(loss, rough.x, method="BFGS", options={"gtol": 1e-9})
        found.append((float(fine.fun), tuple(fine.x)))
    height, place = min(found)
    return np.array(place), -height


def profile(likelihood: Likelihood, place: int, value: float, best: np.ndarray) -> float:
    """Return the highest penalised log likelihood that is found where a coefficient has a value."""
    others = [k for k in range(3) if k != place]

    def loss(two: np.ndarray) -> float:
        coefficients = np.empty((1, 3))
        coefficients[0, place], coefficients[0, others] = value, two
        return float(-likelihood(coefficients)[0])

    starts = _starts(place, value, best)
    order = np.argsort(-likelihood(starts))
    kept: list[np.ndarray] = []
    for two in starts[order[:400]][:, others]:
        if all(np.linalg.norm(two - other) > 0.15 * np.linalg.norm(other) + 0.05 for other in kept):
            kept.append(two)
    return max(_climb(loss, start) for start in kept[:STARTS])


def _starts(place: int, value: float, best: np.ndarray) -> np.ndarray:
    """Return coefficients (m, 3) of many planes and scales, and many around the best ones and multiples of them."""
    if place == 0:
        steep, tilt = (part.ravel() for part in np.meshgrid(STEEPNESS, TILTS))
        planes = np.stack([np.full(steep.size, value), steep, steep * tilt], axis=1)
    elif place == 1:
        crossing, tilt = (part.ravel() for part in np.meshgrid(CROSSINGS, TILTS))
        planes = np.stack([-value * crossing, np.full(tilt.size, value), value * tilt], axis=1)
    else:
        steep, crossing = (part.ravel() for part in np.meshgrid(STEEPNESS, CROSSINGS))
        planes = np.stack([-steep * crossing, steep, np.full(steep.size, value)], axis=1)
    rng = np.random.default_rng(0)
    spread = np.abs(best) * rng.choice([0.3, 1, 3, 10], (500, 1))
    around = best * rng.choice([0, 0.5, 1, value / best[place]], (500, 1)) + spread * rng.normal(size=(500, 3))
    around[:, place] = value
    ridge = best * value / best[place]
    return np.concatenate([planes, around, np.where(np.arange(3) == place, value, best)[None], ridge[None]])


def _climb(loss: object, start: np.ndarray) -> float:
    """Return the height that Nelder and Mead reach from a start, taken up again until they find nothing higher."""
    place, lowest = start, np.inf
    for _ in range(6):
        sides = np.diag(np.maximum(1e-3, 0.05 * np.abs(place)))
        found = minimize(
            loss,
            place,
            method="Nelder-Mead",
            options={"maxiter": 1500, "xatol": 1e-9, "fatol": 1e-11, "initial_simplex": [place, *(place + sides)]},
        )
        if found.fun >= lowest - 1e-9:
            break
        place, lowest = found.x, found.fun
    return -lowest


def off_the_floor(likelihood: Likelihood, fit: LogisticFit) -> list[float]:
    """Return by how much the profile at each limit lies above where the interval ends."""
    best = fit.coefficients()
    floor = fit.log_likelihood - DROP
    limits = [(place, limit) for place, term in enumerate(fit.terms) for limit in (term.low, term.high)]
    return [profile(likelihood, place, limit, best) - floor for place, limit in limits if np.isfinite(limit)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=200)
    options = parser.parse_args()
    seconds, errors, infinite, higher, apart, off = [], [], [], [], [], []
    for seed in range(options.cohorts):
        cases = 20 + 180 * seed // max(1, options.cohorts - 1)
        terms, outcome = parted(cases, max(3, cases // 4), 10.0 ** -(1 + seed % 9), seed)
        began = time.process_time()
        try:
            fit = fit_logistic(terms, outcome, NAMES, firth=True, limits=True)
        except Exception as error:
            errors.append(f"cohort {seed}, {cases} cases: {type(error).__name__}: {error}")
            continue
        seconds.append(time.process_time() - began)
        if not np.isfinite([bound for term in fit.terms for bound in (term.low, term.high)]).all():
            infinite.append(seed)
        likelihood = Likelihood(terms, outcome)
        place, height = search(likelihood, fit.coefficients())
        if height > fit.log_likelihood + HIGHER:
            higher.append(seed)
        else:
            apart.append(float(np.max(np.abs(place - fit.coefficients()) / np.abs(fit.coefficients()))))
        found = off_the_floor(likelihood, fit)
        off += found
        if max(found, default=0.0) > HIGHER:
            print(f"cohort {seed}, {cases} cases: profile less floor {[f'{value:.1e}' for value in found]}", flush=True)
    print("\n".join([f"{options.cohorts} cohorts: {len(errors)} errors", *errors]))
    print(f"limits that are not finite: cohorts {infinite}; a higher maximum is found by the search: cohorts {higher}")
    print(f"CPU seconds of a fit with limits: median {np.median(seconds):.2f}, largest {np.max(seconds):.2f}")
    print(f"coefficients apart, relative: median {np.median(apart):.1e}, largest {np.max(apart):.1e}")
    print(f"profile at {len(off)} limits less where the interval ends: {np.min(off):.1e} to {np.max(off):.1e}")


if __name__ == "__main__":
    main()
