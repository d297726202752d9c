"""What a statistic may be: a number with its interval, or the reason why there is none. Never NaN."""

import math
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from cvtbatch.errors import InternalError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

CONFIDENCE = 0.95
Z = 1.959963984540054
"""Normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class NotComputable:
    """Why a value does not exist, in words for a reader of a report."""

    reason: str


T = TypeVar("T")
Maybe: TypeAlias = T | NotComputable


def finite(value: float) -> float:
    """Return a float that is a number.

    Raises:
        InternalError: it is NaN or infinite: whoever computed it should have said that it is not computable.
    """
    if not math.isfinite(value):
        raise InternalError("not_finite", f"a statistic is {value}")
    return float(value)


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % confidence interval."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if finite(self.low) > finite(self.high):
            raise InternalError("bad_interval", f"an interval runs from {self.low} to {self.high}")

    @property
    def width(self) -> float:
        return self.high - self.low


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % confidence interval, where that can be computed."""

    value: float
    interval: Maybe[Interval]

    def __post_init__(self) -> None:
        finite(self.value)


def wald(value: float, error: float, low: float = -math.inf, high: float = math.inf) -> Estimate:
    """Return an estimate with the interval value +- 1.96 standard errors, cut to [low, high]."""
    return Estimate(value, Interval(max(low, value - Z * error), min(high, value + Z * error)))


@dataclass(frozen=True, slots=True)
class Significance:
    """A test of a null hypothesis.

    Attributes:
        name: of the test, e.g. "Mann-Whitney U".
        statistic: None where the test has none but its P value.
        p_value: two-sided.
    """

    name: str
    statistic: float | None
    p_value: float

    def __post_init__(self) -> None:
        if self.statistic is not None:
            finite(self.statistic)
        finite(self.p_value)


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Cases of which both outcome and score are known.

    Attributes:
        outcome: bool (n,), true for an event.
        score: float64 (n,), finite; the larger, the likelier the event.
    """

    outcome: Bools
    score: Floats

    def __post_init__(self) -> None:
        if self.outcome.shape != self.score.shape or self.outcome.ndim != 1:
            raise InternalError("bad_scores", f"{self.outcome.shape} outcomes for {self.score.shape} scores")
        if not np.isfinite(self.score).all():
            raise InternalError("bad_scores", "a score is not a number")

    @property
    def n(self) -> int:
        return len(self.outcome)

    @property
    def events(self) -> int:
        return int(self.outcome.sum())

    def where(self, kept: Bools) -> "Scored":
        """Return the cases of a mask (n,)."""
        return Scored(self.outcome[kept], self.score[kept])

    def lacks(self, each: int = 1) -> NotComputable | None:
        """Say why a statistic that needs `each` cases with and without the event cannot be computed, if it cannot."""
        if self.n == 0:
            return NotComputable("no case has both an outcome and a score")
        for count, name in ((self.events, "with"), (self.n - self.events, "without")):
            if count == 0:
                return NotComputable(f"one class only: none of {self.n} cases is {name} the event")
            if count < each:
                return NotComputable(f"too few: {count} of {self.n} cases {name} the event, {each} are needed")
        return None
