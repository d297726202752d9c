"""The nomogram as a bundle keeps it: points of each term, and the line from their sum to the logarithm of the odds.

How coefficients become points is said in `cvtbatch.validation.nomogram`; `freezing` writes it down.
"""

from dataclasses import dataclass

from cvtbatch.dlrn.arrays import Floats


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


NO_NOMOGRAM = Nomogram((), 0.0, 0.0)
"""Of several classes, each of which has a logarithm of odds of its own."""
