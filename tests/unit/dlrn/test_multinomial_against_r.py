"""The multinomial nomogram against R's nnet, and M against R's pROC (tests/golden/multinomial/reference.R wrote the values)."""

import csv
import json

import numpy as np
import pytest

from cvtbatch.dlrn.multinomial import MultinomialFit, fit_multinomial
from cvtbatch.validation.class_aucs import macro_auc
from tests.support.paths import ROOT

GOLDEN = ROOT / "tests" / "golden" / "multinomial"
R = json.loads((GOLDEN / "reference.json").read_text(encoding="utf-8"))
NAMES = ("b", "c", "epilepsy")


def cases() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the terms of cases whose class is known, their classes, and the terms of the others."""
    with (GOLDEN / "cases.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    terms = np.array([[float(row[name]) for name in NAMES] for row in rows])
    known = np.array([bool(row["class"]) for row in rows])
    outcome = np.array([R["classes"].index(row["class"]) for row in rows if row["class"]])
    return terms[known], outcome, terms[~known]


def fitted() -> MultinomialFit:
    terms, outcome, _ = cases()
    return fit_multinomial(terms, outcome, NAMES, firth=False)


def test_coefficients_and_standard_errors_are_nnets() -> None:
    fit = fitted()
    np.testing.assert_allclose(fit.coefficients(), R["coefficients"], atol=1e-7)
    errors = [[term.standard_error for term in own] for own in fit.terms]
    np.testing.assert_allclose(errors, R["standard_errors"], rtol=1e-7)
    assert fit.log_likelihood == pytest.approx(R["log_likelihood"], abs=1e-9)


def test_probabilities_of_fresh_cases_are_nnets() -> None:
    np.testing.assert_allclose(fitted().predict(cases()[2]), R["fresh"], atol=1e-7)


def test_m_is_procs() -> None:
    terms, outcome, _ = cases()
    found = macro_auc(outcome, fitted().predict(terms)[None], np.arange(len(outcome)), 0, 1)
    assert found.value == pytest.approx(R["m"], abs=1e-12)
