"""Multinomial logistic regression of the nomogram of several classes: logarithms of odds of each class against the first.

By maximum likelihood as statsmodels' `MNLogit` and R's `nnet::multinom` define it, or with Firth's correction, the likelihood times
Jeffreys' prior, where that has no maximum: Firth, Biometrika 1993, 80:27-38; of several classes Bull, Mak and Greenwood,
Computational Statistics & Data Analysis 2002, 39:57-74, and Kosmidis and Firth, Biometrika 2011, 98:755-759 (R's `brglm2`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cvtbatch.dlrn.arrays import Floats, Integers
from cvtbatch.dlrn.kernels import multinomial
from cvtbatch.dlrn.logistic import NEWTON_STEPS, NEWTON_TOLERANCE, SEPARATION_MARGIN, Term, require_independent
from cvtbatch.errors import InputError, InternalError

CLIMB = {"gtol": 1e-8, "maxiter": 5000}
# In standard errors, what Newton's next step would still be at a maximum.
LONGEST_LAST_STEP = 1e-4
Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class MultinomialFit:
    """A fitted model of K classes.

    Attributes:
        terms: of each class but the first, the intercept first; intervals and P are Wald's.
    """

    terms: tuple[tuple[Term, ...], ...]
    firth: bool
    rows: int
    log_likelihood: float

    def coefficients(self) -> Floats:
        """Return all coefficients: (K - 1, 1 + t)."""
        return np.array([[term.coefficient for term in own] for own in self.terms])

    def predict(self, terms: Floats) -> Floats:
        """Return the probability of each class for (n, t) terms: (n, K); NaN where a term is."""
        from scipy.special import softmax

        coefficients = self.coefficients()
        predictors = coefficients[:, 0] + terms @ coefficients[:, 1:].T
        probability: Floats = softmax(np.column_stack([np.zeros(len(terms)), predictors]), axis=1)
        return probability


def fit_multinomial(terms: Floats, outcome: Integers, names: Sequence[str], *, firth: bool) -> MultinomialFit:
    """Fit a multinomial model.

    Args:
        terms: (n, t) without intercept.
        outcome: (n,) 0 to K - 1, all present.
        firth: with Firth's correction.

    Raises:
        InputError: "separation" where maximum likelihood has no maximum; "collinear_terms" where a term adds nothing to the others.
    """
    design = np.column_stack([np.ones(len(terms)), terms])
    require_independent(design, names)
    if firth:
        return _climb(design, outcome, names, firth=True)
    if are_separated(design, outcome):
        raise _separation(len(terms), names)
    return _fit_newton(design, outcome, names) or _climb(design, outcome, names, firth=False)


def _separation(cases: int, names: Sequence[str]) -> InputError:
    return InputError(
        "separation",
        f"{', '.join(names)} part some classes of {cases} cases completely or nearly so: no finite coefficients fit "
        "them best; put rare classes together (OTHER in fit.classes), leave a clinical term out, or set fit.firth to true for "
        "Firth's correction",
    )


def fit_multinomial_or_correct(
    terms: Floats, outcome: Integers, names: Sequence[str], *, firth: bool
) -> MultinomialFit:
    """Fit by maximum likelihood, or with Firth's correction where that is asked for or has no maximum.

    Raises:
        InputError: "collinear_terms".
    """
    if not firth:
        try:
            return fit_multinomial(terms, outcome, names, firth=False)
        except InputError as error:
            if error.kind != "separation":
                raise
    return fit_multinomial(terms, outcome, names, firth=True)


def are_separated(design: Floats, outcome: Integers) -> bool:
    """Say whether the likelihood of several classes has no maximum.

    It has none if some coefficients, not all of them alike, rank every case's own class at least as high as each other one (Albert
    and Anderson, Biometrika 1984, 71:1-10): a linear program, as of two classes.

    Args:
        design: (n, 1 + t) with intercept.
    """
    from scipy.optimize import linprog

    classes, (count, width) = int(outcome.max()) + 1, design.shape
    scaled = design / np.abs(design).max(axis=0)
    margins = np.zeros((classes - 1, count, classes, width))
    rows = np.arange(count)
    for step in range(1, classes):
        margins[step - 1, rows, outcome] = scaled
        margins[step - 1, rows, (outcome + step) % classes] = -scaled
    # The first class's coefficients are 0.
    signed = margins.reshape(-1, classes, width)[:, 1:].reshape((classes - 1) * count, -1)
    result = linprog(-signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(signed)), bounds=(-1, 1), method="highs")
    if not result.success:
        raise InternalError("linear_program", f"the search for separation ended with status {result.status}")
    return bool(-result.fun > SEPARATION_MARGIN * len(signed))


def _fit_newton(design: Floats, outcome: Integers, names: Sequence[str]) -> MultinomialFit | None:
    """Return statsmodels' fit by Newton's steps; None where they overshoot, as they do among classes that are nearly parted."""
    import statsmodels.api as sm

    model = sm.MNLogit(outcome, design)
    # Its own word on convergence is of digits of the coefficients, which large ones never settle.
    how = {"method": "newton", "maxiter": NEWTON_STEPS, "tol": NEWTON_TOLERANCE, "warn_convergence": False}
    try:
        with np.errstate(all="ignore"):
            result = model.fit(disp=False, **how)
            covariance, score = np.asarray(result.cov_params()), model.score(np.ravel(result.params, order="F"))
            if not _is_maximum(covariance, score):
                return None
    except np.linalg.LinAlgError:
        return None
    # statsmodels has a column a class.
    return _summarise(np.asarray(result.params).T, covariance, names, False, len(design), float(result.llf))


def _is_maximum(covariance: Floats, score: Floats) -> bool:
    """Say whether Newton's next step would be no step any more; not where it is not finite."""
    step = np.abs(covariance @ score) / np.sqrt(np.diag(covariance))
    return bool(step.max() < LONGEST_LAST_STEP)


def _climb(design: Floats, outcome: Integers, names: Sequence[str], *, firth: bool) -> MultinomialFit:
    """Climb the likelihood, with Firth's correction the penalised one, from 0, in orthogonal coordinates, which it follows.

    Raises:
        InputError: "separation": the likelihood is too flat at its top.
        InternalError: "no_convergence": the penalised one, which has a maximum.
    """
    from scipy.optimize import minimize

    classes, (rows, width) = int(outcome.max()) + 1, design.shape
    truth = np.eye(classes)[outcome][:, 1:]
    basis, root = np.linalg.qr(design)
    # So that the intercept stays the first column, of ones.
    stretch = np.sqrt(rows) * np.sign(np.diag(root))
    unit = basis * stretch

    def falling(coordinates: Floats) -> tuple[float, Floats]:
        height, score, _ = _slopes(unit, truth, coordinates.reshape(classes - 1, width), firth=firth)
        return -height, -score.ravel()

    found = minimize(falling, np.zeros((classes - 1) * width), jac=True, method="BFGS", options=CLIMB)
    coefficients = np.linalg.solve(root, (found.x.reshape(classes - 1, width) * stretch).T).T
    height, score, covariance = _slopes(design, truth, coefficients, firth=firth)
    if not _is_maximum(covariance, score.ravel()):
        if not firth:
            raise _separation(rows, names)
        raise InternalError("no_convergence", f"Firth's correction of {classes} classes did not converge")
    return _summarise(coefficients, covariance, names, firth, rows, height)


def _slopes(design: Floats, truth: Floats, coefficients: Floats, *, firth: bool) -> tuple[float, Floats, Floats]:
    """Return the log likelihood, its gradient (K - 1, 1 + t), and the inverse of the information.

    With Firth's correction, the score of class m at a case is its residual plus half the sum over a, b of the third cumulant of
    (a, b, m) times x' V_ab x, V being the inverse of the information: the derivative of half the logarithm of its determinant.

    Args:
        truth: (n, K - 1) 1 for the case's class, else 0.
    """
    others, width = coefficients.shape
    whole = multinomial(coefficients, np.ascontiguousarray(design[:, 1:]))
    share = whole[:, 1:]
    weight = share[:, :, None] * np.eye(others) - share[:, :, None] * share[:, None, :]
    information = np.einsum("nab,ni,nj->aibj", weight, design, design, optimize=True).reshape(others * width, -1)
    sign, volume = np.linalg.slogdet(information)
    if sign <= 0:
        return float("-inf"), np.zeros_like(coefficients), np.eye(others * width)
    inverse = np.linalg.inv(information)
    own = np.where(truth.any(axis=1), truth.argmax(axis=1) + 1, 0)
    with np.errstate(divide="ignore"):
        likelihood = float(np.log(whole[np.arange(len(design)), own]).sum())
    if not firth:
        return likelihood, (truth - share).T @ design, inverse
    spread = np.einsum("ni,aibj,nj->nab", design, inverse.reshape(others, width, others, width), design, optimize=True)
    diagonal = np.einsum("naa->na", spread)
    along = np.einsum("nab,nb->na", spread, share)
    # The sum over a, b of cumulant times spread, each of its five terms by itself.
    level = (diagonal * share).sum(axis=1, keepdims=True) - 2 * (along * share).sum(axis=1, keepdims=True)
    bend = share * (diagonal - 2 * along - level)
    score = (truth - share + bend / 2).T @ design
    return likelihood + float(volume) / 2, score, inverse


def _summarise(
    coefficients: Floats, covariance: Floats, names: Sequence[str], firth: bool, rows: int, log_likelihood: float
) -> MultinomialFit:
    """Return a fit from coefficients (K - 1, 1 + t) and their covariance in that order, with Wald's intervals and P."""
    from scipy.stats import norm

    errors = np.sqrt(np.diag(covariance)).reshape(coefficients.shape)
    labels = ("intercept", *names)
    terms = tuple(
        tuple(
            Term(name, value, error, value - Z * error, value + Z * error, float(2 * norm.sf(abs(value / error))))
            for name, value, error in zip(labels, own.tolist(), spread.tolist(), strict=True)
        )
        for own, spread in zip(coefficients, errors, strict=True)
    )
    return MultinomialFit(terms, firth, rows, log_likelihood)
