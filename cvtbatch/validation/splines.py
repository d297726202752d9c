"""Restricted cubic splines as R's rms has them: knots, basis, and where a curve turns. Pure."""

import itertools

import numpy as np

from cvtbatch.validation.values import Floats

OUTER_SHARE = {3: 0.10, 4: 0.05, 5: 0.05, 6: 0.05, 7: 0.025}
"""By number of knots, the share of values below the first and above the last one; see `knots_of`."""


def knots_of(values: Floats, count: int) -> Floats:
    """Return the places of `count` knots, 3 to 7, by the percentiles of known values (n,); some may be equal where values are.

    Harrell, Regression Modeling Strategies, 2nd ed., table 2.3: evenly spaced from the outer ones, e.g. 5th, 35th, 65th and 95th.
    """
    outer = OUTER_SHARE[count]
    places: Floats = np.quantile(values, np.linspace(outer, 1 - outer, count))
    return places


def spline_basis(values: Floats, knots: Floats) -> Floats:
    """Return Harrell's restricted cubic spline basis (n, knots - 1): the value itself, then the non-linear terms.

    Harrell, Regression Modeling Strategies, 2nd ed., section 2.4.5; scaled by the squared range of the knots as
    `rcspline.eval(norm = 2)`.
    """
    first, penultimate, last = knots[0], knots[-2], knots[-1]

    def cube(knot: float) -> Floats:
        return np.asarray(np.maximum(values - knot, 0) ** 3, dtype=np.float64)

    columns = [values]
    columns.extend(
        (
            cube(knot)
            - cube(penultimate) * (last - knot) / (last - penultimate)
            + cube(last) * (penultimate - knot) / (last - penultimate)
        )
        / (last - first) ** 2
        for knot in knots[:-2]
    )
    return np.column_stack(columns)


def turning_points(coefficients: Floats, knots: Floats, low: float, high: float) -> Floats:
    """Return the values from low to high where a spline's curve can be lowest or highest: both ends, and where its slope is 0.

    Args:
        coefficients: (knots - 1,) of the basis.
    """
    found = [low, high]
    pieces = sorted({low, high, *(float(knot) for knot in knots if low < knot < high)})
    for start, end in itertools.pairwise(pieces):
        at = np.linspace(start, end, 4)
        cubic = np.polynomial.Polynomial.fit(at, spline_basis(at, knots) @ coefficients, 3)
        roots = [complex(root) for root in cubic.deriv().roots()]
        found += [root.real for root in roots if abs(root.imag) < 1e-9 and start < root.real < end]
    return np.array(sorted(found))
