"""Filters that look at one column, or at two: what cannot be used, Mann-Whitney U (Kruskal-Wallis), Pearson's correlation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cvtbatch.dlrn.arrays import Booleans, Floats, Integers

# A column is constant where its range is no more than this share of its largest magnitude.
CONSTANT_SHARE = 1e-12


@dataclass(frozen=True, slots=True)
class Scaler:
    """Mean and standard deviation (n in the denominator) of each column: (p,) both."""

    mean: Floats
    scale: Floats

    def apply(self, values: Floats) -> Floats:
        """Return (values - mean) / scale: (n, p)."""
        scaled: Floats = (values - self.mean) / self.scale
        return scaled


def unusable_reasons(values: Floats) -> list[str]:
    """Say of each column of (n, p) why it cannot be used; an empty text where it can."""
    with np.errstate(invalid="ignore"):
        low, high = values.min(axis=0), values.max(axis=0)
        largest = np.maximum(np.abs(low), np.abs(high))
        constant = (high - low) <= CONSTANT_SHARE * largest
    missing, infinite = np.isnan(values).any(axis=0), np.isinf(values).any(axis=0)
    names = np.select([missing, infinite, constant], ["missing_values", "infinite_values", "constant"], "")
    return [str(name) for name in names]


def fit_scaler(values: Floats) -> Scaler:
    """Return the z-score of usable columns, as scikit-learn's `StandardScaler`."""
    return Scaler(values.mean(axis=0), values.std(axis=0))


def mann_whitney_p(values: Floats, outcome: Integers) -> Floats:
    """Return the two-sided P of each column between the outcomes: (p,).

    The normal approximation with correction for ties and continuity, SciPy's `mannwhitneyu(method="asymptotic")`, over all
    columns at once.
    """
    from scipy.stats import mannwhitneyu

    result = mannwhitneyu(values[outcome == 1], values[outcome == 0], axis=0, method="asymptotic")
    p_values: Floats = np.asarray(result.pvalue, dtype=np.float64)
    return p_values


def kruskal_p(values: Floats, outcome: Integers) -> Floats:
    """Return the P of each column among several classes: (p,), Mann-Whitney's generalisation.

    Kruskal and Wallis with correction for ties, SciPy's `kruskal`, over all columns at once: n - 1 times the share of the ranks'
    scatter that lies between the classes.
    """
    from scipy.stats import chi2, rankdata

    ranks = rankdata(values, axis=0)
    ranks -= ranks.mean(axis=0)
    labels, counts = np.unique(outcome, return_counts=True)
    means = np.stack([ranks[outcome == label].mean(axis=0) for label in labels])
    between = counts @ means**2
    p_values: Floats = chi2.sf((len(values) - 1) * between / (ranks**2).sum(axis=0), len(labels) - 1)
    return p_values


def uncorrelated(values: Floats, p_values: Floats, names: Sequence[str], limit: float) -> tuple[Booleans, list[str]]:
    """Drop one of each pair of columns with |r| beyond a limit: the one with the larger P, or of equal P the later name.

    Columns are visited from the smallest P; a column stays if no column that stayed is that close to it.

    Args:
        values: (n, p) columns that vary.

    Returns:
        which columns stay, (p,), and for each that goes the name of the one that stays for it.
    """
    centered = values - values.mean(axis=0)
    unit = centered / np.sqrt((centered**2).sum(axis=0))
    stays = np.zeros(values.shape[1], dtype=np.bool_)
    instead = [""] * values.shape[1]
    kept: list[int] = []
    for column in sorted(range(values.shape[1]), key=lambda index: (p_values[index], names[index])):
        close = np.abs(unit[:, kept].T @ unit[:, column]) > limit
        if close.any():
            instead[column] = names[kept[int(close.argmax())]]
        else:
            kept.append(column)
            stays[column] = True
    return stays, instead
