"""How columns differ between a centre and training: of selected features, scores, acquisition."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from cvtbatch.validation.decisions import wilson
from cvtbatch.validation.kept_columns import KeptNumbers, ks_at_quantiles
from cvtbatch.validation.multiple_tests import holm
from cvtbatch.validation.values import Estimate, Floats, Maybe, NotComputable, Significance, finite

LARGE_DIFFERENCE = 0.5
"""A standardised difference that is called a shift (a medium effect: Cohen, Statistical Power Analysis, 1988)."""
NO_SPREAD = 1e-5
NO_SPREAD_EITHER = NotComputable("neither group has any spread to measure the difference by")
"""A spread that is so much smaller than the difference is rounding, as of a tilt that all cases share."""
SMALL_P = 0.05
TOO_FEW = NotComputable("a standard deviation needs two values")
NO_RANGE = NotComputable("the bundle keeps no range of this column")


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


def find_shifts(
    training: Mapping[str, Floats | KeptNumbers],
    center: Mapping[str, Floats],
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> tuple[FeatureShift, ...]:
    """Compare columns of the same names; NaN is unknown.

    Args:
        training: values, or what is kept of them.
        ranges: of kept columns, where they are known.
    """
    rows = [
        _compare_kept(name, column, center[name], (ranges or {}).get(name))
        if isinstance(column, KeptNumbers)
        else _compare(name, column, center[name])
        for name, column in training.items()
    ]
    adjusted = [
        iter(holm([test.p_value for row in rows if isinstance(test := getattr(row, name), Significance)]))
        for name in ("ks", "range_test")
    ]
    return tuple(_conclude(row, *adjusted) for row in rows)


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


def _compare_kept(name: str, kept: KeptNumbers, center: Floats, span: tuple[float, float] | None) -> FeatureShift:
    new = _known(center)
    unknown = len(center) - len(new)
    if len(new) == 0:
        reason = NotComputable("no known value at this centre")
        return FeatureShift(name, 0, unknown, kept.mean, reason, reason, reason, reason, reason, False, False)
    outside: Maybe[Estimate] = NO_RANGE
    range_test: Maybe[Significance] = NO_RANGE
    if span is not None:
        count = int(((new < span[0]) | (new > span[1])).sum())
        outside = wilson(count, len(new))
        range_test = Significance("outside the range", float(count), chance_outside(kept.known, len(new), count))
    difference: Maybe[float] = TOO_FEW
    if len(new) > 1:
        difference = _standardised(float(new.mean()) - kept.mean, kept.sd**2, float(new.var(ddof=1)))
    ks = ks_at_quantiles(kept, new)
    own = (len(new), unknown, kept.mean, float(new.mean()))
    return FeatureShift(name, *own, difference, ks, outside, range_test, shifted=False, unseen=False)


def standardised_difference(training: Floats, center: Floats) -> Maybe[float]:
    """Return the difference of means, centre less training, over the root of the mean of the two variances."""
    if min(len(training), len(center)) < 2:
        return TOO_FEW
    difference = float(center.mean() - training.mean())
    return _standardised(difference, float(training.var(ddof=1)), float(center.var(ddof=1)))


def _standardised(difference: float, first: float, second: float) -> Maybe[float]:
    spread = float(np.sqrt((first + second) / 2))
    if difference == 0:
        return 0.0
    if spread <= NO_SPREAD * abs(difference):
        return NO_SPREAD_EITHER
    return finite(difference / spread)


def chance_outside(training: int, center: int, outside: int) -> float:
    """Return the chance that at least so many of `center` cases lie outside the range of `training` cases like them."""
    if outside == 0:
        return 1.0
    return finite(stats.betabinom.sf(outside - 1, center, 2, training - 1))


def is_large(row: FeatureShift) -> bool:
    """Say whether the means differ much; those of two groups without any spread do wherever they differ."""
    if isinstance(row.difference, NotComputable):
        return row.difference == NO_SPREAD_EITHER
    return abs(row.difference) >= LARGE_DIFFERENCE


def _conclude(row: FeatureShift, of_ks: Iterator[float], of_range: Iterator[float]) -> FeatureShift:
    """Put adjusted P values in, the next ones for the tests that the row has, and say what follows."""
    large = is_large(row)
    if isinstance(row.ks, Significance):
        ks = replace(row.ks, p_value=next(of_ks))
        row = replace(row, ks=ks, shifted=ks.p_value < SMALL_P and large)
    if isinstance(row.range_test, Significance):
        outside = replace(row.range_test, p_value=next(of_range))
        row = replace(row, range_test=outside, unseen=outside.p_value < SMALL_P)
    return row
