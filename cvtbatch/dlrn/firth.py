"""Firth's correction of logistic regression: the likelihood times Jeffreys' prior, its maximum and its profiles.

Firth, Biometrika 1993, 80:27-38; tests and intervals by the profile: Heinze and Schemper, Statistics in Medicine 2002,
21:2409-2419, as R's `logistf`. Where terms are linearly independent, the penalised likelihood falls without bound in every
direction, so that maximum and limits are finite, also where a plane parts the outcomes.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from cvtbatch.dlrn.arrays import Booleans, Floats
from cvtbatch.errors import InternalError

NEWTON_STEPS = 100
HALVINGS = 60
# What the next step would gain, twice over: the square of its length in standard errors.
SMALLEST_DECREMENT = 1e-16
# The log likelihood near its maximum is flat but for rounding.
ROUNDING = 1e-13
# Beneath this the information's root counts as singular, so that no inverse overflows.
SMALLEST_ROOT = 1e-100
# Least curvature of a direction, in units of the information, that a step is divided by.
FLATTEST = 1e-8
# Standard errors from a maximum at which another one is sought, and how much higher it must be.
AROUND = (-50.0, -25.0, -12.0, -6.0, -3.0, -1.0, 1.0, 3.0, 6.0, 12.0, 25.0, 50.0)
SAME = 1e-7
OUTWARD_STEPS = 40
STRETCH = 1.5
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Maximum:
    """A maximum of the penalised log likelihood.

    Attributes:
        coefficients: (t,).
        log_likelihood: penalised.
        covariance: (t, t), the inverse of the Fisher information there.
    """

    coefficients: Floats
    log_likelihood: float
    covariance: Floats


class PenalisedLikelihood:
    """The penalised likelihood of a cohort."""

    def __init__(self, design: Floats, outcome: Floats) -> None:
        """Take a design (n, t) of full rank, with intercept, and outcomes (n,) of 0 and 1."""
        self._design, self._outcome = design, outcome
        self._sign = np.where(outcome == 1, 1.0, -1.0)

    def log(self, coefficients: Floats) -> float:
        """Return the log likelihood plus half the logarithm of the information's determinant; -inf where that is singular."""
        root, _ = self._factor(coefficients)
        diagonal = np.abs(np.diag(root))
        if diagonal.min() < SMALLEST_ROOT:
            return float("-inf")
        margin = self._sign * (self._design @ coefficients)
        return float(np.log(diagonal).sum() - np.logaddexp(0, -margin).sum())

    def maximise(self, start: Floats, free: Booleans) -> Maximum:
        """Return the maximum over the free coefficients (t,), with the others where `start` (t,) has them.

        Raises:
            InternalError: "no_convergence".
        """
        coefficients, height = start, self.log(start)
        for _ in range(NEWTON_STEPS):
            if not np.isfinite(height):
                break
            root, score, curvature = self._slopes(coefficients)
            step = np.zeros_like(coefficients)
            step[free], concave = _ascent(root[:, free], score[free], curvature[np.ix_(free, free)])
            reached, height = self._climb(coefficients, height, step)
            if concave and score @ step < SMALLEST_DECREMENT:
                inverse = np.linalg.inv(self._factor(reached)[0])
                return Maximum(reached, height, inverse @ inverse.T)
            if reached is coefficients:
                # No part of the step leads upward, and every further step would be the same.
                break
            coefficients = reached
        raise InternalError("no_convergence", f"Firth's correction did not converge in {NEWTON_STEPS} steps")

    def _climb(self, coefficients: Floats, height: float, step: Floats) -> tuple[Floats, float]:
        """Go as much of a step as leads upward."""
        for _ in range(HALVINGS):
            reached = self.log(coefficients + step)
            if reached >= height - ROUNDING * abs(height):
                return coefficients + step, reached
            step = step / 2
        return coefficients, height

    def _factor(self, coefficients: Floats) -> tuple[Floats, Floats]:
        """Return R (t, t) and Q (n, t) of the weighted design: the information is R'R, and Q's rows give the leverages."""
        from scipy.special import expit

        predictor = self._design @ coefficients
        weight = expit(predictor) * expit(-predictor)
        basis, root = np.linalg.qr(self._design * np.sqrt(weight)[:, None])
        return root, basis

    def _slopes(self, coefficients: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the information's root R (t, t), and the penalised log likelihood's gradient (t,) and negative Hessian (t, t)."""
        from scipy.special import expit

        root, basis = self._factor(coefficients)
        predictor = self._design @ coefficients
        weight, tilt = expit(predictor) * expit(-predictor), -np.tanh(predictor / 2)
        leverage = np.einsum("ij,ij->i", basis, basis)
        residual = self._sign * expit(-self._sign * predictor)
        score = self._design.T @ (residual + leverage * tilt / 2)
        # Squares of the products of two rows of Q, summed over all pairs of cases without listing them.
        pairs = np.einsum("ia,ib,ir->abr", basis, basis, self._design * tilt[:, None]).reshape(-1, len(coefficients))
        bend = self._design.T @ (self._design * (leverage * (1 - 6 * weight))[:, None]) - pairs.T @ pairs
        return root, score, root.T @ root - bend / 2


def _ascent(root: Floats, score: Floats, curvature: Floats) -> tuple[Floats, bool]:
    """Return a step upward (t,), and whether the likelihood is concave here, where the step is Newton's.

    Elsewhere each direction's curvature, in units of the information, counts by its size: near a saddle the step leads away.
    """
    inverse = np.linalg.inv(np.linalg.qr(root)[1])
    values, directions = np.linalg.eigh(inverse.T @ curvature @ inverse)
    along = inverse @ directions
    step: Floats = along @ (along.T @ score / np.maximum(np.abs(values), FLATTEST))
    return step, bool(values[0] > 0)


def find_maximum(likelihood: PenalisedLikelihood, starts: Iterable[Floats], free: Booleans) -> Maximum:
    """Return the highest maximum over the free coefficients that is reached from some starts (t,), and from around what they reach.

    On parted outcomes there may be several: one for each few cases that hold the plane between the outcomes.

    Raises:
        InternalError: "no_convergence", from every start.
    """
    highest = _highest(likelihood, starts, free)
    while True:
        higher = _highest(likelihood, (highest.coefficients, *_around(highest, free)), free)
        if higher.log_likelihood <= highest.log_likelihood + SAME:
            return highest
        highest = higher


def _highest(likelihood: PenalisedLikelihood, starts: Iterable[Floats], free: Booleans) -> Maximum:
    found = []
    for start in starts:
        with suppress(InternalError):
            found.append(likelihood.maximise(start, free))
    if not found:
        raise InternalError("no_convergence", f"Firth's correction did not converge in {NEWTON_STEPS} steps")
    return max(found, key=lambda maximum: maximum.log_likelihood)


def _around(center: Maximum, free: Booleans) -> Iterator[Floats]:
    """Yield starts (t,) some standard errors away from a maximum, with the fixed coefficients where they are."""
    information = np.linalg.inv(center.covariance)
    root = np.linalg.cholesky(np.linalg.inv(information[np.ix_(free, free)]))
    for column in root.T:
        for errors in AROUND:
            start = center.coefficients.copy()
            start[free] += errors * column
            yield start


def profile_p_value(likelihood: PenalisedLikelihood, best: Maximum, place: int) -> float:
    """Return the P value of a coefficient by the penalised likelihood's ratio; NaN where that cannot be computed."""
    from scipy.stats import chi2

    free = np.arange(len(best.coefficients)) != place
    try:
        without = find_maximum(likelihood, [np.zeros(len(free)), np.where(free, best.coefficients, 0)], free)
    except InternalError:
        return float("nan")
    return float(chi2.sf(2 * (best.log_likelihood - without.log_likelihood), 1))


def profile_limit(likelihood: PenalisedLikelihood, best: Maximum, place: int, side: int, confidence: float) -> float:
    """Return the limit of a coefficient's interval by its profile: the upper one of side 1, the lower one of -1.

    NaN where a maximum on the way is not found, infinite where the profile has not fallen far enough at the end of the walk.
    That goes outward in growing steps, each maximum being the start of the next, and on where a search around the limit finds a
    higher one.
    """
    from scipy.optimize import brentq
    from scipy.stats import chi2

    free = np.arange(len(best.coefficients)) != place
    floor = best.log_likelihood - float(chi2.ppf(confidence, 1)) / 2

    def along(value: float, maximum: Maximum) -> Floats:
        ridge = maximum.covariance[:, place] / maximum.covariance[place, place]
        return np.where(free, maximum.coefficients + ridge * (value - maximum.coefficients[place]), value)

    def starts(value: float, inside: Maximum) -> Iterator[Floats]:
        for maximum in (inside, best):
            own = maximum.coefficients[place]
            steeper = max(1.0, abs(value / own)) if own else 1.0
            yield along(value, maximum)
            yield np.where(free, maximum.coefficients * steeper, value)

    def height(value: float, ends: Sequence[Maximum]) -> float:
        found = [likelihood.maximise(along(value, end), free).log_likelihood for end in ends]
        return max(found) - floor

    inside, reach = best, side * float(np.sqrt(best.covariance[place, place]))
    try:
        for _ in range(OUTWARD_STEPS):
            value = float(inside.coefficients[place])
            outside = _highest(likelihood, starts(value + reach, inside), free)
            if outside.log_likelihood < floor:
                limit = float(brentq(height, value, value + reach, args=([inside, outside],), xtol=TOLERANCE))
                outside = find_maximum(likelihood, starts(limit, inside), free)
                if outside.log_likelihood <= floor + SAME:
                    return limit
            else:
                reach *= STRETCH
            inside = outside
    except InternalError:
        return float("nan")
    return side * float("inf")
