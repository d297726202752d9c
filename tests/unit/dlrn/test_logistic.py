"""The nomogram's regression, points and thresholds against published and plain ones."""

from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.metrics import roc_curve

from cvtbatch.dlrn.clinical_terms import DEFAULT_TERMS
from cvtbatch.dlrn.freezing import build_nomogram
from cvtbatch.dlrn.logistic import fit_logistic, is_separated
from cvtbatch.dlrn.thresholds import find_thresholds, operating_point
from cvtbatch.errors import InputError
from tests.support.paths import DATA

# R's logistf on the endometrial cancer study of Heinze and Schemper (2002): coefficient and 95 % profile interval.
LOGISTF = {
    "intercept": (3.77455951, 1.0825371, 7.20928050),
    "NV": (2.92927330, 0.6097244, 7.85463171),
    "PI": (-0.03475175, -0.1244587, 0.04045547),
    "EH": (-2.60416387, -4.3651832, -1.23272106),
}
NAMES = ("NV", "PI", "EH")


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    table = np.genfromtxt(path, delimiter=",", names=True)
    return np.column_stack([table[name] for name in NAMES]), table["HG"].astype(np.int64)


def test_firth_gives_what_logistf_gives() -> None:
    terms, outcome = read(DATA / "endometrial.csv")
    fit = fit_logistic(terms, outcome, NAMES, firth=True, limits=True)
    assert fit.firth
    for term in fit.terms:
        assert (term.coefficient, term.low, term.high) == pytest.approx(LOGISTF[term.name], rel=1e-6)
    assert all((term.p_value < 0.05) == (term.low * term.high > 0) for term in fit.terms)


def test_separation_is_an_error_that_names_firth() -> None:
    terms, outcome = read(DATA / "endometrial.csv")
    with pytest.raises(InputError, match=r"set fit\.firth to true") as caught:
        fit_logistic(terms, outcome, NAMES, firth=False)
    assert caught.value.kind == "separation"


@pytest.mark.parametrize(
    ("term", "separated"),
    [([0, 1, 2, 3, 4, 5], True), ([0, 1, 2, 2, 4, 5], True), ([0, 1, 3, 2, 4, 5], False), ([5, 5, 5, 5, 5, 9], True)],
    ids=["complete", "quasi-complete", "overlap", "one value in one class alone"],
)
def test_separation_is_found_where_it_is(term: list[int], separated: bool) -> None:
    design = np.column_stack([np.ones(6), term])
    assert is_separated(design, np.array([0, 0, 0, 1, 1, 1])) == separated


def test_maximum_likelihood_is_statsmodels() -> None:
    rng = np.random.default_rng(1)
    terms = np.column_stack([rng.uniform(size=80), rng.integers(0, 2, 80)])
    outcome = (rng.uniform(size=80) < 1 / (1 + np.exp(1 - terms @ [2.0, 1.0]))).astype(np.int64)
    fit = fit_logistic(terms, outcome, ("dlr", "epilepsy"), firth=False)
    plain = sm.Logit(outcome, sm.add_constant(terms)).fit(disp=False)
    assert [term.name for term in fit.terms] == ["intercept", "dlr", "epilepsy"]
    np.testing.assert_allclose(fit.coefficients(), plain.params, rtol=1e-6)
    np.testing.assert_allclose([term.p_value for term in fit.terms], plain.pvalues, rtol=1e-6)
    np.testing.assert_allclose([(term.low, term.high) for term in fit.terms], plain.conf_int(), rtol=1e-5)
    np.testing.assert_allclose(fit.predict(terms), plain.predict(), rtol=1e-7)
    document = fit.terms[1].to_document()
    assert document["odds_ratio"] == pytest.approx(np.exp(plain.params[1]), rel=1e-6)
    score = sm.add_constant(terms).T @ (outcome - fit.predict(terms))
    np.testing.assert_allclose(score, 0, atol=1e-9)


def test_a_term_that_never_varies_is_refused() -> None:
    with pytest.raises(InputError, match="constant"):
        fit_logistic(
            np.column_stack([np.arange(6.0), np.ones(6)]), np.array([0, 1, 0, 1, 0, 1]), ("a", "b"), firth=True
        )


@pytest.mark.parametrize("slopes", [(3.0, 1.0), (-3.0, 1.0), (0.5, -2.0)])
def test_points_sum_up_to_the_models_probability(slopes: tuple[float, float]) -> None:
    nomogram = build_nomogram([-1.5, *slopes], DEFAULT_TERMS)
    dlr, epilepsy = np.meshgrid(np.linspace(0, 1, 9), [0.0, 1.0])
    points = [axis.points(values) for axis, values in zip(nomogram.axes, (dlr, epilepsy), strict=True)]
    assert min(part.min() for part in points) == 0
    assert max(part.max() for part in points) == pytest.approx(100)
    expected = 1 / (1 + np.exp(1.5 - slopes[0] * dlr - slopes[1] * epilepsy))
    found = 1 / (1 + np.exp(-(nomogram.intercept + nomogram.per_point * sum(points))))
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_youdens_threshold_is_that_of_the_roc_curve() -> None:
    rng = np.random.default_rng(2)
    outcome = rng.integers(0, 2, 60)
    score = np.round(rng.normal(outcome, 1.5), 1)
    found = find_thresholds(outcome, score)
    fall_out, sensitivity, levels = roc_curve(outcome, score, drop_intermediate=False)
    assert found["youden"] == levels[(sensitivity - fall_out).argmax()]
    for name, wanted in (("sens90", 0.90), ("sens95", 0.95)):
        assert found[name] == levels[sensitivity >= wanted].max()
        assert operating_point(outcome, score, found[name])["sensitivity"] >= wanted
    point = operating_point(outcome, score, found["youden"])
    place = list(levels).index(found["youden"])
    assert (point["sensitivity"], point["specificity"]) == pytest.approx((sensitivity[place], 1 - fall_out[place]))
    assert point["accuracy"] == ((score >= found["youden"]) == outcome).mean()


def test_firths_intervals_are_found_where_the_likelihood_is_climbed_slowly() -> None:
    """In 23 cases with nearly parted outcomes the climb takes more than 200 steps at an interval's end."""
    dlr = (
        "0.865 0.213 0.073 0.241 0.081 0.676 0.228 0.208 0.829 0.890 0.109 0.136 "
        "0.172 0.058 0.079 0.093 0.835 0.151 0.091 0.934 0.090 0.039 0.054"
    )
    epilepsy, outcome = "10001100110000011000001", "10000100110000001001000"
    terms = np.column_stack([np.array(dlr.split(), dtype=float), np.array(list(epilepsy), dtype=float)])
    fit = fit_logistic(terms, np.array(list(outcome), dtype=int), ["dlr", "epilepsy"], firth=True, limits=True)
    for place, term in enumerate(fit.terms):
        assert term.low < term.coefficient < term.high, place
