"""The multinomial model against statsmodels, and Firth's correction of it against the likelihood that statsmodels has."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from statsmodels.api import MNLogit, add_constant

from cvtbatch.dlrn.kernels import multinomial
from cvtbatch.dlrn.logistic import fit_logistic
from cvtbatch.dlrn.multinomial import are_separated, fit_multinomial, fit_multinomial_or_correct
from cvtbatch.errors import InputError

NAMES = ("dlr=b", "dlr=c", "epilepsy")
COEFFICIENTS = np.array([[0.2, 1.0, -0.5, 0.3], [-0.5, -1.0, 0.2, 0.8]])


def drawn(seed: int = 0, count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Draw terms (n, 3), the last of 0 and 1, and classes of 0 to 2."""
    rng = np.random.default_rng(seed)
    terms = np.column_stack([rng.normal(size=(count, 2)), rng.uniform(size=count) < 0.3])
    predictors = np.column_stack([np.zeros(count), add_constant(terms) @ COEFFICIENTS.T])
    shares = softmax(predictors, axis=1)
    return terms, np.array([rng.choice(3, p=share) for share in shares])


def of_terms(fit: object, name: str) -> np.ndarray:
    return np.array([[getattr(term, name) for term in own] for own in fit.terms])  # type: ignore[attr-defined]


def test_maximum_likelihood_is_statsmodels() -> None:
    terms, outcome = drawn()
    fit = fit_multinomial(terms, outcome, NAMES, firth=False)
    plain = MNLogit(outcome, add_constant(terms)).fit(disp=False)
    assert [term.name for term in fit.terms[0]] == ["intercept", *NAMES]
    np.testing.assert_allclose(fit.coefficients(), plain.params.T, rtol=1e-7)
    np.testing.assert_allclose(of_terms(fit, "standard_error"), plain.bse.T, rtol=1e-7)
    np.testing.assert_allclose(of_terms(fit, "p_value"), plain.pvalues.T, rtol=1e-6)
    bounds = plain.conf_int()
    np.testing.assert_allclose(of_terms(fit, "low"), bounds[..., 0], rtol=1e-6)
    np.testing.assert_allclose(of_terms(fit, "high"), bounds[..., 1], rtol=1e-6)
    assert fit.log_likelihood == pytest.approx(plain.llf, rel=1e-12)
    np.testing.assert_allclose(fit.predict(terms), plain.predict(), rtol=1e-7)


def test_the_kernel_is_scipys_softmax_and_one_case_is_itself_among_others() -> None:
    terms = np.array([[1.0, 2.0, 0.0], [-800.0, 3.0, 1.0], [900.0, 0.0, 1.0], [np.nan, 0.0, 0.0]])
    predictors = np.column_stack([np.zeros(4), COEFFICIENTS[:, 0] + terms @ COEFFICIENTS[:, 1:].T])
    found = multinomial(COEFFICIENTS, terms)
    np.testing.assert_allclose(found[:3], softmax(predictors[:3], axis=1), rtol=1e-13, atol=1e-300)
    assert np.isnan(found[3]).all()
    for row in range(3):
        assert (multinomial(COEFFICIENTS, terms[row : row + 1])[0] == found[row]).all()


@pytest.mark.parametrize("parted", [False, True])
def test_firths_correction_is_the_maximum_of_statsmodels_likelihood_with_jeffreys_prior(parted: bool) -> None:
    terms, outcome = drawn(1, 60)
    if parted:
        terms[:, 2] = outcome == 1
    model = MNLogit(outcome, add_constant(terms))

    def penalised(flat: np.ndarray) -> float:
        return -float(model.loglike(flat) + 0.5 * np.linalg.slogdet(-model.hessian(flat))[1])

    found = minimize(penalised, np.zeros(8), method="BFGS", options={"gtol": 1e-7})
    fit = fit_multinomial_or_correct(terms, outcome, NAMES, firth=not parted)
    assert fit.firth
    assert fit.log_likelihood == pytest.approx(-found.fun, abs=1e-9)
    np.testing.assert_allclose(fit.coefficients().ravel(), found.x, atol=1e-4)


def test_of_two_classes_firths_correction_is_that_of_the_binary_nomogram() -> None:
    terms, outcome = drawn(2)
    two = (outcome > 0).astype(np.int64)
    several, binary = (fit(terms, two, NAMES, firth=True) for fit in (fit_multinomial, fit_logistic))
    np.testing.assert_allclose(several.coefficients()[0], binary.coefficients(), atol=1e-7)


def test_classes_that_are_parted_are_refused_and_it_is_said_what_to_do() -> None:
    terms, outcome = drawn(3)
    assert not are_separated(add_constant(terms), outcome)
    # Nobody of class 2 has epilepsy: no finite coefficient.
    terms[outcome == 2, 2] = 0
    assert are_separated(add_constant(terms), outcome)
    with pytest.raises(InputError, match=r"OTHER in fit\.classes.*fit\.firth") as refused:
        fit_multinomial(terms, outcome, NAMES, firth=False)
    assert refused.value.kind == "separation"


@pytest.mark.filterwarnings("error:Maximum Likelihood", "ignore:invalid value", "ignore:overflow")
@pytest.mark.parametrize("seed", [799, 938])
def test_classes_that_are_nearly_parted_where_newtons_steps_overshoot_have_scikit_learns_maximum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    terms = rng.uniform(size=(30, 3))
    outcome = (12 * terms + rng.normal(size=(30, 3))).argmax(axis=1)
    assert np.isnan(MNLogit(outcome, add_constant(terms)).fit(disp=False, method="newton").params).all()
    fit = fit_multinomial(terms, outcome, NAMES, firth=False)
    assert not fit.firth
    plain = LogisticRegression(C=np.inf, solver="newton-cg", tol=1e-10, max_iter=10000).fit(terms, outcome)
    np.testing.assert_allclose(fit.predict(terms), plain.predict_proba(terms), atol=1e-7)
    told = plain.predict_proba(terms)[np.arange(30), outcome]
    assert fit.log_likelihood == pytest.approx(np.log(told).sum(), abs=1e-9)
    assert (of_terms(fit, "standard_error") > 0).all()


def test_a_likelihood_that_is_too_flat_at_its_top_is_taken_for_parted_classes() -> None:
    rng = np.random.default_rng(418)
    terms = rng.uniform(size=(30, 3))
    outcome = (12 * terms + rng.normal(size=(30, 3))).argmax(axis=1)
    with pytest.raises(InputError, match="nearly so") as refused:
        fit_multinomial(terms, outcome, NAMES, firth=False)
    assert refused.value.kind == "separation"
    assert fit_multinomial_or_correct(terms, outcome, NAMES, firth=False).firth


def test_a_term_that_follows_from_others_is_refused() -> None:
    terms, outcome = drawn(4)
    terms[:, 1] = 1 - terms[:, 0]
    with pytest.raises(InputError) as refused:
        fit_multinomial(terms, outcome, NAMES, firth=True)
    assert refused.value.kind == "collinear_terms"
