"""A logistic model as a nomogram: points of each term, total points, probability."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from cvtbatch.errors import InputError
from cvtbatch.validation.values import Estimate, Maybe, NotComputable, finite

NOT_KEPT = NotComputable("the bundle does not keep which values its training cases had")


@dataclass(frozen=True, slots=True)
class TrainingRange:
    """Lowest and highest value of the training cases."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Term:
    """A term of the logistic model.

    Attributes:
        low, high: values that the axis spans.
        levels: names of values on the axis, e.g. ((0, "no"), (1, "yes")); empty for a number.
        odds_ratio: for one unit, with its interval, where the fit recorded it.
        training: its values in training: outside them the model is not known to hold.
    """

    name: str
    coefficient: float
    low: float
    high: float
    levels: tuple[tuple[float, str], ...] = ()
    odds_ratio: Estimate | None = None
    training: Maybe[TrainingRange] = NOT_KEPT

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise InputError("bad_nomogram", f"the axis of {self.name} runs from {self.low} to {self.high}")
        finite(self.coefficient)

    @property
    def origin(self) -> float:
        """The value that has 0 points: the one that lowers the probability most."""
        return self.low if self.coefficient >= 0 else self.high


@dataclass(frozen=True, slots=True)
class Nomogram:
    """Points as in rms's `nomogram`: the term that can move the log odds most spans 100 points.

    Source: Banks, Nomograms, in Encyclopedia of Statistical Sciences 1985;6:265; Harrell, Regression Modeling Strategies.
    """

    intercept: float
    terms: tuple[Term, ...]

    def __post_init__(self) -> None:
        if not any(term.coefficient for term in self.terms):
            raise InputError("bad_nomogram", "no term of the model has a coefficient other than 0")

    @property
    def log_odds_per_point(self) -> float:
        return max(abs(term.coefficient) * (term.high - term.low) for term in self.terms) / 100

    @property
    def log_odds_at_zero(self) -> float:
        return self.intercept + sum(term.coefficient * term.origin for term in self.terms)

    @property
    def most_points(self) -> float:
        return sum(self.points(term, term.high if term.origin == term.low else term.low) for term in self.terms)

    def points(self, term: Term, value: float) -> float:
        """Return the points of a term's value."""
        return term.coefficient * (value - term.origin) / self.log_odds_per_point

    def probability(self, total: float) -> float:
        """Return the probability at total points."""
        return float(expit(self.log_odds_at_zero + total * self.log_odds_per_point))

    def total_at(self, probability: float) -> float:
        """Return the total points of a probability."""
        return (float(np.log(probability / (1 - probability))) - self.log_odds_at_zero) / self.log_odds_per_point
