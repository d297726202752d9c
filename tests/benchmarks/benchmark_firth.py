"""Firth's correction on separated cohorts: `python -m tests.benchmarks.benchmark_firth [--cohorts 200]`.

Cohorts of 20 to 200 cases whose outcomes a plane parts, ever more nearly touching. Printed are what ended in an error, the seconds
of a fit with limits, limits that are not finite, and how far the coefficients lie from those of an independent search of the
penalised likelihood (its determinant by numpy, Nelder-Mead and then BFGS from several starts), where that finds nothing higher.
"""

import argparse
import time

import numpy as np
from scipy.optimize import minimize

from cvtbatch.dlrn.logistic import fit_logistic
from tests.unit.dlrn.test_firth import NAMES, parted

# Beyond this the information vanishes; a search is kept on this side by a loss that no cohort has.
FARTHEST, FAR = 1e6, 1e12
# Difference of log likelihoods by which another maximum counts as higher.
HIGHER = 1e-6


def search(terms: np.ndarray, outcome: np.ndarray, near: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the coefficients of the highest maximum that is found, and its penalised log likelihood."""
    design = np.column_stack([np.ones(len(terms)), terms])
    sign = np.where(outcome == 1, 1.0, -1.0)

    def loss(coefficients: np.ndarray) -> float:
        if not np.abs(coefficients).max() < FARTHEST:
            return FAR
        predictor = design @ coefficients
        weight = np.exp(-np.abs(predictor) - 2 * np.log1p(np.exp(-np.abs(predictor))))
        determinant = np.linalg.slogdet((design * weight[:, None]).T @ design)
        if not determinant.sign > 0:
            return FAR
        return float(np.logaddexp(0, -sign * predictor).sum() - determinant.logabsdet / 2)

    found = []
    for start in (np.zeros(len(near)), 0.3 * near, near, 3 * near):
        rough = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 2000, "fatol": 1e-12})
        fine = minimize(loss, rough.x, method="BFGS", options={"gtol": 1e-9})
        found.append((float(fine.fun), tuple(fine.x)))
    height, place = min(found)
    return np.array(place), -height


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=200)
    options = parser.parse_args()
    seconds, errors, infinite, higher, apart = [], [], [], [], []
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
        place, height = search(terms, outcome, fit.coefficients())
        if height > fit.log_likelihood + HIGHER:
            higher.append(seed)
        else:
            apart.append(float(np.max(np.abs(place - fit.coefficients()) / np.abs(fit.coefficients()))))
    print("\n".join([f"{options.cohorts} cohorts: {len(errors)} errors", *errors]))
    print(f"limits that are not finite: cohorts {infinite}; a higher maximum is found by the search: cohorts {higher}")
    print(f"CPU seconds of a fit with limits: median {np.median(seconds):.2f}, largest {np.max(seconds):.2f}")
    print(f"coefficients apart, relative: median {np.median(apart):.1e}, largest {np.max(apart):.1e}")


if __name__ == "__main__":
    main()
