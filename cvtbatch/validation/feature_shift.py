"""How columns differ between a centre and training: of selected features, scores, acquisition."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from cvtbatch.validation.decisions import wilson
from cvtbatch.validation.multiple_tests import holm
from cvtbatch.validation.values import Estimate, Floats, Maybe, NotComputable, Significance, finite

LARGE_DIFFERENCE = 0.5
"""A standardised difference that is called a shift (a medium effect: Cohen, Statistical Power Analysis, 1988)."""
NO_SPREAD = 1e-5
"""A spread that is so much smaller than the difference is rounding, as of a tilt that all cases share."""
SMALL_P = 0.05


@dataclass(frozen=True, slots=True)
class FeatureShift:
    """One column, the centre against training.

    Attributes:
        difference: of the means in pooled standard deviations (Austin, Stat Med 2009;28:3083), centre less training.
        ks: two-sample Kolmogorov-Smirnov test; its P is Holm's over the columns that were looked at together.
        outside: share of the centre's cases outside the training range.
        range_test: whether as many outside are explained by chance; its P is Holm's too. Were all cases alike, the number
            outside the range of n others would be beta-binomial (2, n - 1): Wilks, Ann Math Stat 1941;12:91.
        shifted, unseen: what `find_shifts` concludes: distributions differ; more cases outside than chance explains.
    """

    feature: str
    n: int
    unknown: int
    training_mean: float
    center_mean: Maybe[float]
    difference: Maybe[float]
    ks: Maybe[Significance]
    outside: Maybe[Estimate]
    range_test: Maybe[Significance]
    shifted: bool
    unseen: bool


def find_shifts(training: Mapping[str, Floats], center: Mapping[str, Floats]) -> tuple[FeatureShift, ...]:
    """Compare columns of the same names; NaN is unknown."""
    rows = [_compare(name, training[name], center[name]) for name in training]
    adjusted = [
        iter(holm([test.p_value for row in rows if isinstance(test := getattr(row, name), Significance)]))
        for name in ("ks", "range_test")
    ]
    return tuple(
        _conclude(row, row.ks, next(adjusted[0]), row.range_test, next(adjusted[1]))
        if isinstance(row.ks, Significance) and isinstance(row.range_test, Significance)
        else row
        for row in rows
    )


def _known(values: Floats) -> Floats:
    return values[np.isfinite(values)]


def _compare(name: str, training: Floats, center: Floats) -> FeatureShift:
    seen, new = _known(training), _known(center)
    unknown = len(center) - len(new)
    if len(seen) < 2 or len(new) == 0:
        reason = NotComputable("no known value at this centre" if len(seen) > 1 else "no known values in training")
        mean = float(seen.mean()) if len(seen) else 0.0
        return FeatureShift(name, len(new), unknown, mean, reason, reason, reason, reason, reason, False, False)
    result = stats.ks_2samp(seen, new)
    outside = int(((new < seen.min()) | (new > seen.max())).sum())
    return FeatureShift(
        feature=name,
        n=len(new),
        unknown=unknown,
        training_mean=float(seen.mean()),
        center_mean=float(new.mean()),
        difference=standardised_difference(seen, new),
        ks=Significance("Kolmogorov-Smirnov", finite(result.statistic), finite(result.pvalue)),
        outside=wilson(outside, len(new)),
        range_test=Significance("outside the range", float(outside), chance_outside(len(seen), len(new), outside)),
        shifted=False,
        unseen=False,
    )


def standardised_difference(training: Floats, center: Floats) -> Maybe[float]:
    """Return the difference of means, centre less training, over the root of the mean of the two variances."""
    if min(len(training), len(center)) < 2:
        return NotComputable("a standard deviation needs two values")
    spread = float(np.sqrt((training.var(ddof=1) + center.var(ddof=1)) / 2))
    difference = float(center.mean() - training.mean())
    if difference == 0:
        return 0.0
    if spread <= NO_SPREAD * abs(difference):
        return NotComputable("neither group has any spread to measure the difference by")
    return finite(difference / spread)


def chance_outside(training: int, center: int, outside: int) -> float:
    """Return the chance that at least so many of `center` cases lie outside the range of `training` cases like them."""
    if outside == 0:
        return 1.0
    return finite(stats.betabinom.sf(outside - 1, center, 2, training - 1))


def _conclude(
    row: FeatureShift, ks: Significance, ks_p: float, outside: Significance, outside_p: float
) -> FeatureShift:
    """Put adjusted P values in, and say what follows."""
    large = not isinstance(row.difference, NotComputable) and abs(row.difference) >= LARGE_DIFFERENCE
    return replace(
        row,
        ks=replace(ks, p_value=ks_p),
        range_test=replace(outside, p_value=outside_p),
        shifted=ks_p < SMALL_P and large,
        unseen=outside_p < SMALL_P,
    )
