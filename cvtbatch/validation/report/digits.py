"""Numbers as people read them, with no more digits than there is to know. Pure.

An estimate and its interval have as many decimals as give its standard error two significant digits, and three at most: Cole,
Arch Dis Child 2015;100:608, table 1, for differences and regression coefficients, and limits as the estimate. What has no
interval has two if it is of fewer than 100 cases: a share of them in whole per cents. A share of fewer than 20 cases is a count
of a count (`validation.shares`). Files of numbers have them in full.
"""

import math
from dataclasses import dataclass

from cvtbatch.validation.decisions import Decisions
from cvtbatch.validation.shares import FEW
from cvtbatch.validation.values import Estimate, Interval, Maybe, NotComputable, Z

MOST = 3
HUNDRED = 100


@dataclass(frozen=True, slots=True)
class Counted:
    """A share with its interval, and the cases that it is of."""

    estimate: Estimate
    count: int
    n: int

    @property
    def few(self) -> bool:
        """Whether the count says more than the share."""
        return self.n < FEW


def counted_share(name: str, found: Decisions) -> Maybe[Counted]:
    """Return a share of decisions with the cases that it counts, e.g. "sensitivity"."""
    share: Maybe[Estimate] = getattr(found, name)
    return share if isinstance(share, NotComputable) else Counted(share, *found.counts[name])


def decimals(estimate: Estimate, most: int = MOST) -> int:
    """Return the decimals of an estimate and its interval: two significant digits of the standard error, `most` at most."""
    if not isinstance(estimate.interval, Interval):
        return min(2, most)
    # An end may be cut off where a value can go no farther: the wider side says what the error is.
    error = max(estimate.interval.high - estimate.value, estimate.value - estimate.interval.low) / Z
    if error == 0:
        return most
    return min(most, max(0, 1 - math.floor(math.log10(error))))


def decimals_of(n: int) -> int:
    """Return the decimals of what has no interval, of n cases."""
    return 2 if n < HUNDRED else MOST


def decimal(value: float, digits: int = MOST) -> str:
    """Return a number as people read it, large ones in powers of ten."""
    # An odds ratio of 940 may have a limit of 0.49, and never of 0.
    vanishes = digits == 0 and 0 < abs(value) < 0.5
    text = f"{value:.2g}" if vanishes or abs(value) >= 1e6 else f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def span_text(estimate: Estimate, most: int = MOST) -> str:
    """Return an interval, e.g. "0.26 to 1.00"; empty where there is none."""
    if isinstance(estimate.interval, NotComputable):
        return ""
    digits = decimals(estimate, most)
    return f"{decimal(estimate.interval.low, digits)} to {decimal(estimate.interval.high, digits)}"


def value_text(found: Estimate | Counted, most: int = MOST) -> str:
    """Return a value without its interval; of few cases the count."""
    if isinstance(found, Counted):
        if found.few:
            return f"{found.count} of {found.n}"
        found = found.estimate
    return decimal(found.value, decimals(found, most))


def estimate_text(found: Estimate | Counted, most: int = MOST) -> str:
    """Return a value with its interval in a sentence, e.g. "0.75 (95 % CI 0.26 to 1.00)"; a share with its count."""
    estimate = found.estimate if isinstance(found, Counted) else found
    span = f"95 % CI {span_text(estimate, most)}"
    if isinstance(estimate.interval, NotComputable):
        span = f"no interval: {estimate.interval.reason}"
    if isinstance(found, Counted) and not found.few:
        span += f"; {found.count} of {found.n}"
    return f"{value_text(found, most)} ({span})"
