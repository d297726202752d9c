"""Sample sizes against the papers' examples and what pmvalsampsize 0.2.1 and pmsampsize 0.1.0 (PyPI) print."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import logit

from cvtbatch.validation import calibration, decisions, development_size, power, roc, sample_size
from cvtbatch.validation.development_size import DevelopmentCohort
from cvtbatch.validation.values import Maybe, NotComputable, Scored, T, Z

# pmvalsampsize rounds the standard error that a width asks for to three decimals: 0.2 to 0.051.
ERROR = 0.051
MANY = (np.arange(200_000) + 0.5) / 200_000


def there(value: Maybe[T]) -> T:
    assert not isinstance(value, NotComputable), value.reason
    return value


@pytest.mark.parametrize(("share", "cases"), [(0.43, 510), (0.29, 942), (0.5, 385), (0.1, 3461), (0.031, 12018)])
def test_observed_over_expected_as_pmvalsampsize(share: float, cases: int) -> None:
    assert sample_size.cases_for_observed_over_expected(share, 2 * math.sinh(Z * ERROR)) == cases


def test_the_width_of_observed_over_expected_is_asked_for_to_the_last_case() -> None:
    """944 of the issue: log interval of O/E 1 at a share of 0.29."""
    n = there(sample_size.cases_for_observed_over_expected(0.29, 0.2))
    assert n == 944

    def width(cases: int) -> float:
        error = math.sqrt(0.71 / (0.29 * cases))
        return math.exp(Z * error) - math.exp(-Z * error)

    assert width(n) <= 0.2 < width(n - 1)


@pytest.mark.parametrize(
    ("log_odds", "cases"),
    [
        (stats.norm.ppf(MANY, -5, 2.5), 4544),
        (stats.norm.ppf(MANY, -1.2, 1.5), 2065),
        (stats.norm.ppf(MANY, -4.02, 1.17), 11329),
        (logit(stats.beta.ppf(MANY, 1.33, 1.75)), 2136),
    ],
    ids=["normal -5, 2.5", "normal -1.2, 1.5", "normal -4.02, 1.17", "beta 1.33, 1.75"],
)
def test_calibration_slope_as_pmvalsampsize(log_odds: np.ndarray, cases: int) -> None:
    """Its log odds are drawn at random, a million of them."""
    assert there(sample_size.cases_for_slope(log_odds, 2 * Z * ERROR)) == pytest.approx(cases, rel=0.005)


@pytest.mark.parametrize(
    ("auc", "share", "cases"),
    [
        (0.8, 0.018, 4252),
        (0.75, 0.018, 5125),
        (0.7, 0.1, 1154),
        (0.8, 0.5, 302),
        (0.8, 0.43, 308),
        (0.85, 0.29, 283),
        (0.74, 0.031, 3110),
    ],
)
def test_auc_as_published_and_as_pmvalsampsize(auc: float, share: float, cases: int) -> None:
    """They take 1.96 for the normal quantile."""
    assert there(sample_size.cases_for_auc(auc, share, 0.1)) == pytest.approx(cases, abs=1)


@pytest.mark.parametrize(
    ("sensitivity", "specificity", "share", "threshold", "cases"),
    [
        (0.758, 0.662, 0.43, 0.4, 422),
        (0.74, 0.734, 0.29, 0.3, 517),
        (0.801, 0.883, 0.018, 0.08, 11016),
        (0.386, 0.921, 0.031, 0.08, 3743),
    ],
)
def test_net_benefit_as_pmvalsampsize(
    sensitivity: float, specificity: float, share: float, threshold: float, cases: int
) -> None:
    assert sample_size.cases_for_net_benefit(sensitivity, specificity, share, threshold, 2 * Z * ERROR) == cases


@pytest.mark.parametrize(
    ("parameters", "cox_snell", "share", "cases"),
    [
        (24, 0.288, 0.174, (623, 662, 221)),
        (25, 0.023, 0.03, (9658, 2080, 45)),
        (2348, 0.101, 0.25, (197255, 64747, 289)),
        (6, 0.2962, 0.18, (151, 163, 227)),
    ],
)
def test_development_as_pmsampsize(
    parameters: int, cox_snell: float, share: float, cases: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(development_size, "cox_snell_of", lambda *_: cox_snell)
    cohort = DevelopmentCohort(1000, 1000, round(1000 * share), parameters, 0.8)
    found = there(development_size.development_size(cohort))
    assert tuple(row.n for row in found.criteria) == cases
    assert [row.events for row in found.criteria] == [math.ceil(n * share) for n in cases]


def test_development_as_published() -> None:
    """Riley et al. 2019, sections 3 and 4 (1698.04 cases; R2 of 0.75 at most), and BMJ 2020, the example of pre-eclampsia."""
    assert development_size.cases_for_shrinkage(20, 0.1, 0.9) == 1699
    assert development_size.largest_cox_snell(0.5) == pytest.approx(0.75)
    assert development_size.cases_for_overall_risk(0.5) == 385
    assert development_size.cases_for_shrinkage(30, 0.05, 0.9) == 5249


@pytest.mark.parametrize(("auc", "share", "cox_snell"), [(0.8, 0.25, 0.2072), (0.7, 0.4, 0.1162), (0.89, 0.18, 0.2962)])
def test_cox_snell_of_an_auc_as_pmsampsize(auc: float, share: float, cox_snell: float) -> None:
    """It simulates a million cases."""
    assert development_size.cox_snell_of(auc, share) == pytest.approx(cox_snell, abs=1e-3)


@pytest.mark.parametrize("auc", [None, 0.48, 1.0])
def test_a_development_of_which_nothing_is_known_is_taken_to_explain_little(auc: float | None) -> None:
    found = there(development_size.development_size(DevelopmentCohort(192, 190, 48, 30, auc)))
    assert found.cox_snell == pytest.approx(0.15 * development_size.largest_cox_snell(0.25))
    assert "0.15 of the largest R2" in found.anticipated


def judged(cases: int) -> power.Power:
    rng = np.random.default_rng(1)
    score = rng.uniform(0.05, 0.7, cases)
    scored = Scored(rng.uniform(size=cases) < score, score)
    found = calibration.calibrate(scored)
    return power.power(
        scored, roc.auc(scored), decisions.decide(scored, 0.3), found.terms, found.observed_over_expected
    )


def test_the_verdict_names_the_criterion_that_asks_for_most() -> None:
    found = judged(120)
    needed = {row.measure: there(row.n) for row in found.criteria}
    assert list(needed) == ["observed / expected", "calibration slope", "AUC", "net benefit / share of events"]
    most = max(needed, key=lambda measure: needed[measure])
    assert f"ask for {needed[most]:,} cases at this share of events" in found.verdict
    assert f"({most}, an interval of" in found.verdict


def test_a_handful_of_cases_does_not_tell_how_many_it_would_take() -> None:
    assert "far too few" in judged(20).verdict
    assert "Riley" not in judged(20).verdict
