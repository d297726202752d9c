"""Logistic regression of the nomogram: by maximum likelihood, or with Firth's correction where that has no maximum.

Firth: Biometrika 1993, 80:27-38. Tests and intervals by penalised likelihood: Heinze and Schemper, Statistics in Medicine 2002,
21:2409-2419, the defaults of R's `logistf`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cvtbatch.dlrn.arrays import Booleans, Floats, Integers
from cvtbatch.errors import InputError, InternalError

CONFIDENCE = 0.95
# A linear program's optimum above this says that a plane parts the outcomes; terms are scaled to at most 1 for it.
SEPARATION_MARGIN = 1e-7
NEWTON_STEPS = 200
NEWTON_TOLERANCE = 1e-12
# Far from its maximum, where an interval ends, the penalised likelihood is climbed by a constant factor a step, and slowly.
FIRTH_STEPS = 5000
LARGEST_STEP = 5.0


@dataclass(frozen=True, slots=True)
class Term:
    """One coefficient, with its interval, P, and on the odds' scale."""

    name: str
    coefficient: float
    standard_error: float
    low: float
    high: float
    p_value: float

    def to_document(self) -> dict[str, str | float | None]:
        """Return the term as a JSON object; what lies beyond the numbers of a computer is null."""
        odds = {"odds_ratio": self.coefficient, "odds_ratio_low": self.low, "odds_ratio_high": self.high}
        with np.errstate(over="ignore"):
            numbers = {
                "coefficient": self.coefficient,
                "standard_error": self.standard_error,
                "low": self.low,
                "high": self.high,
                "p_value": self.p_value,
                **{name: float(np.exp(value)) for name, value in odds.items()},
            }
        return {"name": self.name, **{name: value if np.isfinite(value) else None for name, value in numbers.items()}}


@dataclass(frozen=True, slots=True)
class LogisticFit:
    """A fitted model; the first term is the intercept."""

    terms: tuple[Term, ...]
    firth: bool
    rows: int
    log_likelihood: float

    def coefficients(self) -> Floats:
        """Return all coefficients, the intercept first: (1 + t,)."""
        return np.array([term.coefficient for term in self.terms])

    def predict(self, terms: Floats) -> Floats:
        """Return the probability of outcome 1 for (n, t) terms: (n,)."""
        from scipy.special import expit

        coefficients = self.coefficients()
        probability: Floats = expit(coefficients[0] + terms @ coefficients[1:])
        return probability


def fit_logistic(terms: Floats, outcome: Integers, names: Sequence[str], *, firth: bool) -> LogisticFit:
    """Fit a logistic model.

    Args:
        terms: (n, t) without intercept.
        outcome: (n,) 0 or 1.
        firth: with Firth's correction; tests and intervals are then by penalised likelihood, else Wald's.

    Raises:
        InputError: "separation" where maximum likelihood has no maximum; "collinear_terms" where a term adds nothing to the others.
    """
    design = np.column_stack([np.ones(len(terms)), terms])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise InputError("collinear_terms", f"{', '.join(names)}: one of them is constant or follows from the others")
    labels = ("intercept", *names)
    if firth:
        return _fit_firth(design, outcome.astype(np.float64), labels)
    if is_separated(design, outcome):
        raise InputError(
            "separation",
            f"{' and '.join(names)} part the outcomes of {len(terms)} cases completely or nearly so: no finite coefficients "
            "fit them best; set fit.firth to true for Firth's correction",
        )
    import statsmodels.api as sm

    result = sm.Logit(outcome, design).fit(disp=False, method="newton", maxiter=NEWTON_STEPS, tol=NEWTON_TOLERANCE)
    bounds = result.conf_int(alpha=1 - CONFIDENCE)
    columns = (labels, result.params, result.bse, bounds[:, 0], bounds[:, 1], result.pvalues)
    terms_ = tuple(Term(name, *(float(number) for number in row)) for name, *row in zip(*columns, strict=True))
    return LogisticFit(terms_, False, len(terms), float(result.llf))


def is_separated(design: Floats, outcome: Integers) -> bool:
    """Say whether a plane parts the outcomes, completely or with some cases on it, so that likelihood has no maximum.

    A linear program: maximise the sum of the signed distances with none negative (Konis, thesis, Oxford 2007).

    Args:
        design: (n, 1 + t) with intercept.
    """
    from scipy.optimize import linprog

    signed = design / np.abs(design).max(axis=0) * np.where(outcome == 1, 1.0, -1.0)[:, None]
    result = linprog(-signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(signed)), bounds=(-1, 1), method="highs")
    if not result.success:
        raise InternalError("linear_program", f"the search for separation ended with status {result.status}")
    return bool(-result.fun > SEPARATION_MARGIN * len(signed))


def _fit_firth(design: Floats, outcome: Floats, names: Sequence[str]) -> LogisticFit:
    from scipy.stats import chi2

    free = np.ones(design.shape[1], dtype=np.bool_)
    best, likelihood = _maximise(design, outcome, np.zeros(design.shape[1]), free)
    errors = np.sqrt(np.diag(np.linalg.inv(_information(design, best)[0])))
    limit = likelihood - chi2.ppf(CONFIDENCE, 1) / 2
    terms = []
    for place, name in enumerate(names):

        def profile(value: float, place: int = place) -> float:
            start, others = best.copy(), free.copy()
            start[place], others[place] = value, False
            return _maximise(design, outcome, start, others)[1]

        low, high = (_crossing(profile, best[place], side * errors[place], limit) for side in (-1, 1))
        p_value = float(chi2.sf(2 * (likelihood - profile(0.0)), 1))
        terms.append(Term(name, float(best[place]), float(errors[place]), low, high, p_value))
    return LogisticFit(tuple(terms), True, len(design), likelihood)


def _information(design: Floats, coefficients: Floats) -> tuple[Floats, Floats]:
    """Return the Fisher information (t, t) and the probabilities (n,)."""
    from scipy.special import expit

    probability = expit(design @ coefficients)
    information: Floats = design.T @ (design * (probability * (1 - probability))[:, None])
    return information, probability


def _penalised(design: Floats, outcome: Floats, coefficients: Floats) -> float:
    """Return the log likelihood plus half the logarithm of the information's determinant."""
    predictor = design @ coefficients
    information, _ = _information(design, coefficients)
    sign, logarithm = np.linalg.slogdet(information)
    if sign <= 0:
        return float("-inf")
    return float(outcome @ predictor - np.logaddexp(0, predictor).sum() + logarithm / 2)


def _maximise(design: Floats, outcome: Floats, start: Floats, free: Booleans) -> tuple[Floats, float]:
    """Return the free coefficients at the maximum of the penalised likelihood, with the others where they are, and that maximum."""
    coefficients, likelihood = start.copy(), _penalised(design, outcome, start)
    for _ in range(FIRTH_STEPS):
        information, probability = _information(design, coefficients)
        weight = probability * (1 - probability)
        hat = weight * np.einsum("ij,jk,ik->i", design, np.linalg.inv(information), design)
        score = design.T @ (outcome - probability + hat * (0.5 - probability))
        step = np.zeros_like(coefficients)
        step[free] = np.linalg.solve(information[np.ix_(free, free)], score[free])
        step *= min(1.0, LARGEST_STEP / max(float(np.abs(step).max()), 1e-300))
        following = _penalised(design, outcome, coefficients + step)
        while following < likelihood and np.abs(step).max() > NEWTON_TOLERANCE:
            step /= 2
            following = _penalised(design, outcome, coefficients + step)
        if np.abs(step).max() <= NEWTON_TOLERANCE:
            return coefficients, likelihood
        coefficients, likelihood = coefficients + step, following
    raise InternalError("no_convergence", f"Firth's correction did not converge in {FIRTH_STEPS} steps")


def _crossing(profile: Callable[[float], float], center: float, step: float, limit: float) -> float:
    """Return where the profile falls to a limit on one side of its maximum; infinite where it does not."""
    from scipy.optimize import brentq

    reach = step
    for _ in range(20):
        if profile(center + reach) < limit:
            return float(brentq(lambda value: profile(value) - limit, center, center + reach, xtol=1e-10))
        reach *= 1.5
    return float("inf") if step > 0 else float("-inf")
