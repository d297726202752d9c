"""A logistic model as a nomogram: points of each term, total points, probability."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from cvtbatch.errors import InputError
from cvtbatch.validation.splines import spline_basis, turning_points
from cvtbatch.validation.values import Estimate, Maybe, NotComputable, finite

NOT_KEPT = NotComputable("the bundle does not keep which values its training cases had")


@dataclass(frozen=True, slots=True)
class TrainingRange:
    """Lowest and highest value of the training cases."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Term:
    """A term of the logistic model: a line, a restricted cubic spline, or a category.

    Attributes:
        coefficient: of one unit; of a spline its first, of a category that of value 1.
        low, high: values that the axis spans.
        levels: names of values on the axis, e.g. ((0, "no"), (1, "yes")); empty for a number.
        odds_ratio: for one unit, with its interval, where the fit recorded it; None of a spline and of three levels or more.
        training: its values in training: outside them the model is not known to hold.
        more: the other coefficients, of a spline, or of the values 2, 3 ... of a category, whose value 0 has none.
        knots: of a spline.
        column: that its values come from, where it is not the name.
    """

    name: str
    coefficient: float
    low: float
    high: float
    levels: tuple[tuple[float, str], ...] = ()
    odds_ratio: Estimate | None = None
    training: Maybe[TrainingRange] = NOT_KEPT
    more: tuple[float, ...] = ()
    knots: tuple[float, ...] = ()
    column: str = ""

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise InputError("bad_nomogram", f"the axis of {self.name} runs from {self.low} to {self.high}")
        for coefficient in self.coefficients:
            finite(coefficient)

    @property
    def coefficients(self) -> tuple[float, ...]:
        return (self.coefficient, *self.more)

    def effect(self, value: float) -> float:
        """Return what a value adds to the log odds."""
        if self.knots:
            return float(spline_basis(np.array([value]), np.array(self.knots))[0] @ np.array(self.coefficients))
        if self.more:
            return (0.0, *self.coefficients)[int(value)]
        return self.coefficient * value

    @property
    def ends(self) -> tuple[float, float]:
        """The values from low to high that lower the probability most, and least."""
        if self.knots:
            values = turning_points(np.array(self.coefficients), np.array(self.knots), self.low, self.high).tolist()
        else:
            values = [value for value, _ in self.levels] if self.more else [self.low, self.high]
        effects = [self.effect(value) for value in values]
        return values[int(np.argmin(effects))], values[int(np.argmax(effects))]

    @property
    def origin(self) -> float:
        """The value that has 0 points: the one that lowers the probability most."""
        return self.ends[0]

    @property
    def span(self) -> float:
        """What the term can add to the log odds at most."""
        if self.more:
            return self.effect(self.ends[1]) - self.effect(self.origin)
        return abs(self.coefficient) * (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Nomogram:
    """Points as in rms's `nomogram`: the term that can move the log odds most spans 100 points.

    Source: Banks, Nomograms, in Encyclopedia of Statistical Sciences 1985;6:265; Harrell, Regression Modeling Strategies.
    """

    intercept: float
    terms: tuple[Term, ...]

    def __post_init__(self) -> None:
        if not any(coefficient for term in self.terms for coefficient in term.coefficients):
            raise InputError("bad_nomogram", "no term of the model has a coefficient other than 0")

    @property
    def log_odds_per_point(self) -> float:
        return max(term.span for term in self.terms) / 100

    @property
    def log_odds_at_zero(self) -> float:
        return self.intercept + sum(term.effect(term.origin) for term in self.terms)

    @property
    def most_points(self) -> float:
        return sum(self.points(term, term.ends[1]) for term in self.terms)

    def points(self, term: Term, value: float) -> float:
        """Return the points of a term's value."""
        if term.more:
            return (term.effect(value) - term.effect(term.origin)) / self.log_odds_per_point
        return term.coefficient * (value - term.origin) / self.log_odds_per_point

    def probability(self, total: float) -> float:
        """Return the probability at total points."""
        return float(expit(self.log_odds_at_zero + total * self.log_odds_per_point))

    def total_at(self, probability: float) -> float:
        """Return the total points of a probability."""
        return (float(np.log(probability / (1 - probability))) - self.log_odds_at_zero) / self.log_odds_per_point
