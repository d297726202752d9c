"""What a statistic may be: a number with its interval, or the reason why there is none. Never NaN."""

import math
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from cvtbatch.errors import InternalError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

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


def wald(value: float, error: float, low: float = -math.inf, high: float = math.inf, quantile: float = Z) -> Estimate:
    """Return an estimate with the interval value +- `quantile` standard errors, cut to [low, high]."""
    return Estimate(value, Interval(max(low, value - quantile * error), min(high, value + quantile * error)))


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


NO_SCORED_CASE = "no case has both an outcome and a score"


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Cases of which both outcome and score are known.

    Attributes:
        outcome: bool (n,), true for an event.
        score: float64 (n,), finite; the larger, the likelier the event.
        patient: int (n,), equal for cases of one patient; by default each case is of another.
        none: why, where there is no case.
    """

    outcome: Bools
    score: Floats
    patient: Integers | None = None
    none: str = NO_SCORED_CASE

    def __post_init__(self) -> None:
        if self.outcome.shape != self.score.shape or self.outcome.ndim != 1:
            raise InternalError("bad_scores", f"{self.outcome.shape} outcomes for {self.score.shape} scores")
        if self.patient is not None and self.patient.shape != self.outcome.shape:
            raise InternalError("bad_scores", f"{self.patient.shape} patients for {self.outcome.shape} outcomes")
        if not np.isfinite(self.score).all():
            raise InternalError("bad_scores", "a score is not a number")

    @property
    def n(self) -> int:
        return len(self.outcome)

    @property
    def events(self) -> int:
        return int(self.outcome.sum())

    @property
    def clusters(self) -> Integers:
        """The patient of each case (n,), numbered from 0 without a gap."""
        if self.patient is None:
            return np.arange(self.n)
        return np.asarray(np.unique(self.patient, return_inverse=True)[1], dtype=np.int64)

    @property
    def patients(self) -> int:
        return self.n if self.patient is None else len(np.unique(self.patient))

    @property
    def repeated(self) -> bool:
        """Whether a patient has several cases."""
        return self.patients < self.n

    @property
    def rarer(self) -> int:
        """Patients of the rarer outcome; one who has cases of both counts for both."""
        return min(self.where(self.outcome).patients, self.where(~self.outcome).patients)

    def where(self, kept: Bools) -> "Scored":
        """Return the cases of a mask (n,)."""
        patient = None if self.patient is None else self.patient[kept]
        return Scored(self.outcome[kept], self.score[kept], patient, self.none)

    def lacks(self, each: int = 1) -> NotComputable | None:
        """Say why a statistic that needs `each` patients with and without the event cannot be computed, if it cannot."""
        if self.n == 0:
            return NotComputable(self.none)
        for members, name in ((self.outcome, "with"), (~self.outcome, "without")):
            if not members.any():
                return NotComputable(f"one class only: none of {self.n} cases is {name} the event")
            if (count := self.where(members).patients) < each:
                total = f"{self.patients} patients" if self.repeated else f"{self.n} cases"
                return NotComputable(f"too few: {count} of {total} {name} the event, {each} are needed")
        return None
