"""What a bundle keeps of training's columns, so that a centre can be compared with cases that it does not hold.

No row of a patient, and nothing of fewer than five cases: at least so many lie between two neighbouring quantiles, before these
are rounded, and beyond the outermost ones, none of which is beyond the 5th and the 95th percentile; levels that fewer cases have
are kept together.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from cvtbatch.validation.values import Floats, NotComputable, Significance, finite

FEWEST = 5
PARTS = (20, 8, 4)
"""Parts that quantiles divide a column into: the first that leaves each part enough cases. The quartiles are among all of them."""
FEWEST_NUMBERS = FEWEST * PARTS[-1]
STEPS = 1000
"""Quantiles are rounded to no more than this part of a standard deviation."""
NORMAL_P = 0.05
NOT_KEPT = NotComputable("the bundle keeps nothing of so few training cases")
RARER = "rarer, together"
AT_QUANTILES = "Kolmogorov-Smirnov, at quantiles"


@dataclass(frozen=True, slots=True)
class KeptNumbers:
    """A numeric column.

    Attributes:
        sd: with n - 1.
        normal: whether Shapiro and Wilk's test leaves a normal distribution standing.
        shares: of the quantiles, from 0.05 to 0.95 at most.
        quantiles: linear between cases, rounded.
        at_or_below: known cases at or below each quantile, as rounded.
    """

    known: int
    unknown: int
    mean: float
    sd: float
    normal: bool
    shares: tuple[float, ...]
    quantiles: tuple[float, ...]
    at_or_below: tuple[int, ...]

    def quantile(self, share: float) -> float:
        """Return one of the kept quantiles."""
        return self.quantiles[self.shares.index(share)]


@dataclass(frozen=True, slots=True)
class KeptLevels:
    """A categorical column.

    Attributes:
        counts: cases by level, at least five each.
        rarer: cases of all other levels together: none, or at least five.
    """

    known: int
    unknown: int
    counts: Mapping[str, int]
    rarer: int


def looks_normal(values: Floats) -> bool:
    """Say whether Shapiro and Wilk's test leaves a normal distribution standing."""
    if len(values) < 3 or np.ptp(values) == 0:
        return False
    # Beyond 5,000 values SciPy's P is rough, and the t-test needs no normality.
    return len(values) > 5000 or float(stats.shapiro(values).pvalue) >= NORMAL_P


def keep_numbers(values: Floats) -> KeptNumbers | None:
    """Return what is kept of numbers (n,), NaN where unknown; None with too few known ones."""
    known = values[np.isfinite(values)]
    if len(known) < FEWEST_NUMBERS:
        return None
    parts = next(parts for parts in PARTS if len(known) >= FEWEST * parts)
    shares = [part / parts for part in range(1, parts)]
    sd = float(known.std(ddof=1))
    quantiles = _rounded(np.quantile(known, shares), sd)
    return KeptNumbers(
        known=len(known),
        unknown=len(values) - len(known),
        mean=float(known.mean()),
        sd=sd,
        normal=looks_normal(known),
        shares=tuple(shares),
        quantiles=tuple(map(float, quantiles)),
        at_or_below=tuple(int((known <= quantile).sum()) for quantile in quantiles),
    )


def _rounded(values: Floats, sd: float) -> Floats:
    if sd == 0:
        return values
    return np.round(values, math.ceil(-math.log10(sd / STEPS)))


def keep_levels(values: Sequence[str | None]) -> KeptLevels | None:
    """Return what is kept of a category, None where unknown; None with too few known ones."""
    counted = Counter(value for value in values if value is not None)
    known = counted.total()
    if known < FEWEST:
        return None
    kept = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    rarer = 0
    # One level alone could be told from the total, so that the next rarest joins it.
    while kept and (kept[-1][1] < FEWEST or 0 < rarer < FEWEST):
        rarer += kept.pop()[1]
    return KeptLevels(known, len(values) - known, dict(sorted(kept)), rarer)


def ks_at_quantiles(kept: KeptNumbers, values: Floats) -> Significance:
    """Compare numbers (n,) with kept ones: the largest difference of the two distributions at the kept quantiles.

    It is no larger than the two-sample Kolmogorov-Smirnov statistic, so that P by that one's asymptotic distribution, as SciPy
    computes it, is no smaller.
    """
    own = np.searchsorted(np.sort(values), kept.quantiles, side="right") / len(values)
    statistic = float(np.abs(own - np.array(kept.at_or_below) / kept.known).max())
    n = kept.known * len(values) / (kept.known + len(values))
    return Significance(AT_QUANTILES, statistic, finite(float(stats.kstwo.sf(statistic, round(n)))))
