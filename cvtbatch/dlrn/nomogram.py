"""The nomogram: points of each term, and the probability that their sum stands for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cvtbatch.dlrn.arrays import Floats

FULL_SCALE = 100.0


@dataclass(frozen=True, slots=True)
class Axis:
    """One term's scale.

    Attributes:
        low, high: range of values that is drawn.
        zero: the end of that range which has no points.
        points_per_unit: points of a step of 1 in the term's value.
    """

    name: str
    low: float
    high: float
    zero: float
    points_per_unit: float

    def points(self, values: Floats) -> Floats:
        """Return the points of (n,) values."""
        points: Floats = (values - self.zero) * self.points_per_unit
        return points


@dataclass(frozen=True, slots=True)
class Nomogram:
    """Axes of the terms, and the line from total points to the logarithm of the odds.

    Attributes:
        intercept: logarithm of the odds at 0 points.
        per_point: what a point adds to it.
    """

    axes: tuple[Axis, ...]
    intercept: float
    per_point: float

    def to_document(self) -> dict[str, object]:
        """Return the nomogram as a JSON object."""
        axes = [{name: getattr(axis, name) for name in Axis.__dataclass_fields__} for axis in self.axes]
        return {"axes": axes, "intercept": self.intercept, "per_point": self.per_point}


def build_nomogram(coefficients: Sequence[float], ranges: Mapping[str, tuple[float, float]]) -> Nomogram:
    """Return the nomogram of a logistic model: the term that spans most has 100 points, and no point is negative in range.

    Args:
        coefficients: the intercept, then one for each of `ranges`.
        ranges: lowest and highest value of each term.
    """
    slopes = dict(zip(ranges, coefficients[1:], strict=True))
    widest = max(abs(slopes[name]) * (high - low) for name, (low, high) in ranges.items())
    per_point = widest / FULL_SCALE
    axes = []
    intercept = float(coefficients[0])
    for name, (low, high) in ranges.items():
        zero = low if slopes[name] >= 0 else high
        axes.append(Axis(name, low, high, zero, slopes[name] / per_point if per_point else 0.0))
        intercept += slopes[name] * zero
    return Nomogram(tuple(axes), intercept, per_point)


def probability_of(nomogram: Nomogram, total_points: Floats) -> Floats:
    """Return the probability that total points stand for: (n,)."""
    probability: Floats = 1 / (1 + np.exp(-(nomogram.intercept + nomogram.per_point * total_points)))
    return probability
