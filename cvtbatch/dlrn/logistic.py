"""Logistic regression of the nomogram: by maximum likelihood, or with Firth's correction where that has no maximum.

The correction itself is `cvtbatch.dlrn.firth`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cvtbatch.dlrn.arrays import Floats, Integers
from cvtbatch.dlrn.firth import PenalisedLikelihood, find_maximum, profile_limit, profile_p_value
from cvtbatch.errors import InputError, InternalError

CONFIDENCE = 0.95
# A linear program's optimum above this says that a plane parts the outcomes; terms are scaled to at most 1 for it.
SEPARATION_MARGIN = 1e-7
NEWTON_STEPS = 200
NEWTON_TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True)
class Term:
    """One coefficient, with its interval, P, and on the odds' scale.

    Attributes:
        low, high, p_value: NaN where Firth's profile was not asked for, or does not give them.
    """

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


def fit_logistic(
    terms: Floats, outcome: Integers, names: Sequence[str], *, firth: bool, limits: bool = False
) -> LogisticFit:
    """Fit a logistic model.

    Args:
        terms: (n, t) without intercept.
        outcome: (n,) 0 or 1.
        firth: with Firth's correction; tests and intervals are then by penalised likelihood, else Wald's.
        limits: seek Firth's tests and intervals too, which take longer than the coefficients.

    Raises:
        InputError: "separation" where maximum likelihood has no maximum; "collinear_terms" where a term adds nothing to the others.
    """
    design = np.column_stack([np.ones(len(terms)), terms])
    require_independent(design, names)
    labels = ("intercept", *names)
    if firth:
        return _fit_firth(design, outcome.astype(np.float64), labels, limits=limits)
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


def require_independent(design: Floats, names: Sequence[str]) -> None:
    """Refuse a design (n, 1 + t) with intercept of which a column follows from the others.

    Raises:
        InputError: "collinear_terms".
    """
    if np.linalg.matrix_rank(design) < design.shape[1]:
        fault = (
            "one of them is constant or follows from the others" if len(names) > 1 else "it is the same in all cases"
        )
        raise InputError("collinear_terms", f"{', '.join(names)}: {fault}")


def fit_or_correct(terms: Floats, outcome: Integers, names: Sequence[str], *, firth: bool) -> LogisticFit:
    """Fit a logistic model by maximum likelihood, or with Firth's correction where that is asked for or has no maximum.

    Raises:
        InputError: "collinear_terms".
    """
    if not firth:
        try:
            return fit_logistic(terms, outcome, names, firth=False)
        except InputError as error:
            if error.kind != "separation":
                raise
    return fit_logistic(terms, outcome, names, firth=True)


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


def _fit_firth(design: Floats, outcome: Floats, names: Sequence[str], *, limits: bool) -> LogisticFit:
    likelihood, count = PenalisedLikelihood(design, outcome), design.shape[1]
    best = find_maximum(likelihood, [np.zeros(count)], np.ones(count, dtype=np.bool_))
    terms = []
    for place, name in enumerate(names):
        low = high = p_value = float("nan")
        if limits:
            low, high = (profile_limit(likelihood, best, place, side, CONFIDENCE) for side in (-1, 1))
            p_value = profile_p_value(likelihood, best, place)
        error = float(np.sqrt(best.covariance[place, place]))
        terms.append(Term(name, float(best.coefficients[place]), error, low, high, p_value))
    return LogisticFit(tuple(terms), True, len(design), best.log_likelihood)
