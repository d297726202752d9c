"""How uncertain a statistic is where a patient has several cases, which are not independent.

Each case adds an influence to a statistic (its derivative by the case's weight); the variance is that of the sums of influences
over patients (Binder, Int Stat Rev 1983;51:279; Liang and Zeger, Biometrika 1986;73:13; for shares: Rao and Scott, Biometrics
1992;48:577). Quantiles are Student's, since few patients make that variance too small. How often such intervals cover is what
`tests/benchmarks/benchmark_coverage.py` prints.
"""

import math

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from cvtbatch.validation.values import CONFIDENCE, Bools, Estimate, Floats, Integers, Interval, Scored, Z


def sums_by_patient(values: Floats, patient: Integers, patients: int) -> Floats:
    """Return the sum of values (n,) over the cases of each patient: (patients,)."""
    return np.asarray(np.bincount(patient, weights=values, minlength=patients), dtype=np.float64)


def clustered_variance(influence: Floats, scored: Scored) -> float:
    """Return the variance of a statistic from what each case adds to it (n,): G / (G - 1) times the squares of G patients' sums."""
    patients = scored.patients
    sums = sums_by_patient(influence, scored.clusters, patients)
    return float((sums**2).sum()) * patients / (patients - 1)


def t_quantile(patients: int) -> float:
    """Return Student's quantile of a two-sided 95 % interval for what at least two patients carry."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, patients - 1))


def on_log_scale(value: float, error: float, quantile: float) -> Estimate:
    """Return a positive value with the interval of its logarithm; `error` is the value's own."""
    half = quantile * error / value
    return Estimate(value, Interval(value * math.exp(-half), value * math.exp(half)))


def on_logit_scale(value: float, error: float, quantile: float) -> Estimate:
    """Return a value between 0 and 1 with the interval of its log odds; `error` is the value's own."""
    half = quantile * error / (value * (1 - value))
    return Estimate(value, Interval(float(expit(logit(value) - half)), float(expit(logit(value) + half))))


def clustered_share(success: Bools, scored: Scored) -> Estimate:
    """Return the share of successes (n,) with Wilson's interval for as many independent cases as carry the same information.

    These are the cases divided by the design effect, at least 1, of the patients' sums (Rao and Scott 1992), and by the square of
    Student's quantile over the normal one (Korn and Graubard, Surv Methodol 1998;24:193). A share of 0 or 1 has no variance:
    there, and where all cases are of one patient, each patient counts as one case.
    """
    value, patients = float(success.mean()), scored.patients
    independent = float(patients)
    if patients > 1 and 0 < value < 1:
        variance = clustered_variance((success - value) / scored.n, scored)
        effect = max(1.0, variance * (scored.n - 1) / (value * (1 - value)))
        independent = scored.n / effect * (Z / t_quantile(patients)) ** 2
    return Estimate(value, wilson_interval(value, independent))


def wilson_interval(value: float, trials: float) -> Interval:
    """Return Wilson's score interval of a share of so many independent trials, whole or not."""
    center, spread = value + Z**2 / (2 * trials), math.sqrt(value * (1 - value) / trials + (Z / trials) ** 2 / 4)
    low, high = ((center + side * Z * spread) / (1 + Z**2 / trials) for side in (-1, 1))
    return Interval(max(0.0, low), min(1.0, high))
