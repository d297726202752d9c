"""Agreement of readers: intraclass correlation.

Of readers ICC(2,1) of Shrout and Fleiss (Psychological Bulletin 1979, 86:420-428), which McGraw and Wong call ICC(A,1)
(Psychological Methods 1996, 1:30-46): two-way, absolute agreement, one reading. Of outlines that are perturbed by chance ICC(1,1),
one-way: the third perturbation of one outline has nothing in common with the third of another.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvtbatch.errors import InputError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Intraclass correlation of each feature, with its confidence interval: (p,) each; NaN where nothing varies."""

    icc: Floats
    low: Floats
    high: Floats


def icc_agreement(readings: Floats, confidence: float = 0.95) -> Agreement:
    """Return the intraclass correlation of single readings, absolute agreement.

    Args:
        readings: (n, k, p) values of n subjects by k readers, of p features.
        confidence: of the interval (McGraw and Wong, table 7, with Satterthwaite's degrees of freedom).

    Raises:
        InputError: fewer than two subjects or two readers.
    """
    from scipy.stats import f as f_distribution

    subjects, readers, features = readings.shape
    if subjects < 2 or readers < 2:
        raise InputError(
            "too_few_readings", f"agreement of {subjects} subjects by {readers} readers: two of each are needed"
        )
    mean = readings.mean(axis=(0, 1))
    of_subjects, of_readers = readings.mean(axis=1), readings.mean(axis=0)
    rest = readings - of_subjects[:, None] - of_readers[None] + mean
    # Mean squares between subjects, between readers, and of what is left.
    between = readers * ((of_subjects - mean) ** 2).sum(axis=0) / (subjects - 1)
    columns = subjects * ((of_readers - mean) ** 2).sum(axis=0) / (readers - 1)
    error = (rest**2).sum(axis=(0, 1)) / ((subjects - 1) * (readers - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = between + (readers - 1) * error + readers * (columns - error) / subjects
        icc = (between - error) / whole
        a = readers * icc / (subjects * (1 - icc))
        b = 1 + readers * icc * (subjects - 1) / (subjects * (1 - icc))
        freedom = (a * columns + b * error) ** 2 / (
            (a * columns) ** 2 / (readers - 1) + (b * error) ** 2 / ((subjects - 1) * (readers - 1))
        )
        tail = (1 + confidence) / 2
        upper, lower = f_distribution.ppf(tail, subjects - 1, freedom), f_distribution.ppf(tail, freedom, subjects - 1)
        spread = readers * columns + (readers * subjects - readers - subjects) * error
        low = subjects * (between - upper * error) / (upper * spread + subjects * between)
        high = subjects * (lower * between - error) / (spread + subjects * lower * between)
    # Equal readings: nothing is left over, and the interval closes on 1.
    equal = (icc == 1) & np.isnan(low)
    low[equal] = high[equal] = 1
    if features and np.isnan(icc).any():
        low[np.isnan(icc)] = high[np.isnan(icc)] = np.nan
    return Agreement(icc, low, high)


def icc_one_way(means: Floats, within: Floats, readings: int, confidence: float = 0.95) -> Agreement:
    """Return the intraclass correlation of single readings that have no order.

    Args:
        means: (n, p) of each subject's readings, of p features.
        within: (n, p) sums of the squared deviations from them.
        readings: of each subject.
        confidence: of the interval (Shrout and Fleiss, p. 424).

    Raises:
        InputError: fewer than two subjects or two readings.
    """
    from scipy.stats import f as f_distribution

    subjects = len(means)
    if subjects < 2 or readings < 2:
        raise InputError(
            "too_few_readings", f"agreement of {readings} readings of {subjects} subjects: two of each are needed"
        )
    # Counted from the first: of equal values nothing is left, not even round-off.
    from_first = means - means[0]
    between = readings * ((from_first - from_first.mean(axis=0)) ** 2).sum(axis=0) / (subjects - 1)
    error = within.sum(axis=0) / (subjects * (readings - 1))
    tail, numerator, denominator = (1 + confidence) / 2, subjects - 1, subjects * (readings - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        icc = (between - error) / (between + (readings - 1) * error)
        low, high = (
            (between - bound * error) / (between + (readings - 1) * bound * error)
            for bound in (
                f_distribution.ppf(tail, numerator, denominator),
                1 / f_distribution.ppf(tail, denominator, numerator),
            )
        )
    return Agreement(icc, low, high)
