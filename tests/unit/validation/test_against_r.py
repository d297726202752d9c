"""Our statistics against R's packages (tests/golden/validation/reference.R wrote the values) and published examples."""

import csv
import json

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from cvtbatch.validation import baseline, calibration, decision_curve, decisions, feature_shift, roc, sample_size
from cvtbatch.validation.covariate_effects import covariate_effects
from cvtbatch.validation.multiple_tests import holm
from cvtbatch.validation.values import Estimate, Interval, Maybe, NotComputable, Scored, Significance, T
from tests.support.paths import ROOT

GOLDEN = ROOT / "tests" / "golden" / "validation"
R = json.loads((GOLDEN / "reference.json").read_text(encoding="utf-8"))


def _read(name: str) -> dict[str, list[str]]:
    with (GOLDEN / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {column: [row[column] for row in rows] for column in rows[0]}


COHORT = _read("cohort.csv")
OVARIAN = _read("ovarian.csv")
OUTCOME = np.array(COHORT["outcome"]) == "1"
SCORED = Scored(OUTCOME, np.array(COHORT["probability"], dtype=float))


def there(value: Maybe[T]) -> T:
    assert not isinstance(value, NotComputable), value.reason
    return value


def agrees(value: Maybe[Estimate], expected: list[float], tolerance: float = 1e-9) -> None:
    """Compare value, low and high."""
    estimate = there(value)
    interval = there(estimate.interval)
    assert [estimate.value, interval.low, interval.high] == pytest.approx(expected, rel=tolerance)


def _ovarian(column: str) -> Scored:
    sign = 1.0 if column == "kg_score" else -1.0
    return Scored(np.array(OVARIAN["no_benefit"]) == "0", sign * np.array(OVARIAN[column], dtype=float))


@pytest.mark.parametrize("column", ["albumin", "kg_score", "total_protein"])
def test_auc_and_delong_interval_are_procs(column: str) -> None:
    agrees(roc.auc(_ovarian(column)), R["auc"][column])


@pytest.mark.parametrize(
    ("column", "published"),
    [
        ("albumin", (0.7366, 0.5549, 0.9182)),
        ("kg_score", (0.7258, 0.5243, 0.9273)),
        ("total_protein", (0.6478, 0.4518, 0.8439)),
    ],
)
def test_delong_intervals_of_the_ovarian_data_as_published_with_sas(
    column: str, published: tuple[float, float, float]
) -> None:
    """SAS/STAT User's Guide, PROC LOGISTIC, example "Comparing Receiver Operating Characteristic Curves"."""
    estimate = there(roc.auc(_ovarian(column)))
    interval = there(estimate.interval)
    assert (round(estimate.value, 4), round(interval.low, 4), round(interval.high, 4)) == published


@pytest.mark.parametrize("row", R["delong"], ids=lambda row: f"{row['first']}-{row['second']}")
def test_paired_delong_test_is_procs(row: dict[str, float]) -> None:
    result = there(roc.compare_auc(_ovarian(str(row["first"])), _ovarian(str(row["second"]))))
    test = there(result.test)
    assert test.statistic == pytest.approx(row["z"], rel=1e-9)
    assert test.p_value == pytest.approx(row["p"], rel=1e-9)


def test_auc_of_probabilities_and_roc_end_points() -> None:
    agrees(roc.auc(SCORED), R["cohort_auc"])
    curve = there(roc.roc_curve(SCORED))
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(R["cohort_auc"][0])


def test_best_point_is_procs() -> None:
    found = there(decisions.decide_at_best(SCORED))
    assert there(found.sensitivity).value == pytest.approx(R["youden"]["sensitivity"])
    assert there(found.specificity).value == pytest.approx(R["youden"]["specificity"])


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("sensitivity", "se"),
        ("specificity", "sp"),
        ("accuracy", "diag.ac"),
        ("positive_predictive_value", "pv.pos"),
        ("negative_predictive_value", "pv.neg"),
        ("positive_likelihood_ratio", "lr.pos"),
        ("negative_likelihood_ratio", "lr.neg"),
    ],
)
def test_decisions_are_epirs(name: str, key: str) -> None:
    agrees(getattr(there(decisions.decide(SCORED, 0.3)), name), R["decisions"][key])


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_as_published_by_newcombe(successes: int, trials: int, low: float, high: float) -> None:
    """Newcombe, Stat Med 1998;17:857, table I, method 3."""
    interval = there(decisions.wilson(successes, trials).interval)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_calibration_terms_are_glms_and_val_probs() -> None:
    terms = calibration.terms(SCORED)
    agrees(terms.intercept, R["intercept"], 1e-6)
    agrees(terms.slope, R["slope"], 1e-6)
    agrees(terms.slope_intercept, R["slope_intercept"], 1e-6)
    assert there(terms.slope).value == pytest.approx(R["val_prob"]["slope"], rel=1e-6)
    assert there(terms.slope_intercept).value == pytest.approx(R["val_prob"]["intercept"], rel=1e-6)
    assert there(calibration.brier(SCORED)).score.value == pytest.approx(R["val_prob"]["brier"], rel=1e-9)
    assert terms.extremes == 0


def test_scaled_brier_is_0_for_the_prevalence_and_1_for_the_truth() -> None:
    flat = Scored(OUTCOME, np.full(SCORED.n, SCORED.events / SCORED.n))
    assert there(there(calibration.brier(flat)).scaled) == pytest.approx(0, abs=1e-12)
    assert there(there(calibration.brier(Scored(OUTCOME, OUTCOME.astype(float)))).scaled) == pytest.approx(1)


def test_observed_over_expected_by_hand() -> None:
    """20 events of 100 cases at a mean probability of 0.25: O/E 0.8; exp(+-1.96 sqrt(0.8 / 20))."""
    scored = Scored(np.arange(100) < 20, np.full(100, 0.25))
    agrees(calibration.observed_over_expected(scored), [0.8, 0.8 * np.exp(-0.391993), 0.8 * np.exp(0.391993)], 1e-6)


def test_smooth_curve_is_a_glm_on_rms_splines() -> None:
    curve = there(calibration.smooth_curve(SCORED))
    expected = R["spline"]
    for line in ("observed", "low", "high"):
        found = np.interp(expected["probability"], curve.predicted, getattr(curve, line))
        assert found == pytest.approx(expected[line], abs=5e-4), line


def test_hosmer_lemeshow_outside_and_in_sample() -> None:
    groups = calibration.grouped(SCORED)
    assert [group.n for group in groups] == [15] * 10
    found = there(calibration.hosmer_lemeshow(SCORED, groups))
    assert found.degrees_of_freedom == found.groups == 10
    for test, key in ((found.test, "external"), (found.fitted, "in_sample")):
        assert test.statistic == pytest.approx(R["hosmer_lemeshow"]["statistic"], rel=1e-9)
        assert test.p_value == pytest.approx(R["hosmer_lemeshow"][key], rel=1e-9)


def test_net_benefit_is_dcurves() -> None:
    """Values of dcurves 1.1.7 on the same file."""
    thresholds = np.array([0.05, 0.10, 0.20, 0.35, 0.50, 0.75])
    model, every = decision_curve.net_benefit(SCORED, thresholds)
    assert model == pytest.approx([0.426316, 0.387407, 0.301667, 0.201538, 0.106667, 0.013333], abs=1e-6)
    assert every == pytest.approx([0.438596, 0.407407, 0.333333, 0.179487, -0.066667, -1.133333], abs=1e-6)


def test_baseline_tests_are_rs() -> None:
    classes = [[index for index, event in enumerate(OUTCOME) if event == side] for side in (False, True)]
    units = {"age": "years", "onset_to_ct_h": "h", "epilepsy": "category", "rare": "category", "location": "category"}
    numbers = {"age", "onset_to_ct_h"}
    groups = [
        {name: [float(COHORT[name][k]) if name in numbers else COHORT[name][k] for k in side] for name in units}
        for side in classes
    ]
    rows = {row.variable: row for row in baseline.baseline_table(units, groups[0], groups[1])}
    tests: dict[str, Significance] = {name: there(row.test) for name, row in rows.items()}
    assert [tests[name].name for name in units] == [
        "t-test (Welch)",
        "Mann-Whitney U",
        "chi-square",
        "Fisher, exact",
        "Fisher, 9,999 random tables",
    ]
    assert tests["age"].statistic == pytest.approx(R["age"]["statistic"], rel=1e-9)
    for name in ("age", "onset_to_ct_h", "epilepsy", "rare"):
        assert tests[name].p_value == pytest.approx(R[name]["p"], rel=1e-7), name
    assert tests["location"].p_value == pytest.approx(R["location"]["p"], abs=0.02)
    summary = there(rows["onset_to_ct_h"].second)
    assert isinstance(summary, baseline.NumberSummary)
    assert [summary.q1, summary.median, summary.q3] == pytest.approx(R["quartiles"])


def test_shift_tests_are_rs() -> None:
    age = np.array(COHORT["age"], dtype=float)
    (row,) = feature_shift.find_shifts({"age": age[~OUTCOME]}, {"age": age[OUTCOME]})
    assert there(row.ks).statistic == pytest.approx(R["ks"]["statistic"], rel=1e-9)
    # SciPy's exact P; R's here is the asymptotic one.
    assert there(row.ks).p_value == pytest.approx(R["ks"]["p"], rel=0.15)
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx(R["holm"])
    odds = calibration.log_odds(SCORED.score)
    (effect,) = covariate_effects(odds, OUTCOME.astype(float), {"location": COHORT["location"]})
    assert there(effect.explained) == pytest.approx(R["partial_f"]["r2"], rel=1e-9)
    assert there(effect.test).p_value == pytest.approx(R["partial_f"]["p"], rel=1e-9)


def test_sample_sizes_as_published() -> None:
    """The heart valve example of Riley et al. (Stat Med 2021;40:4230) as its authors' pmvalsampsize tests it.

    Their 905 comes of a standard error in steps of 0.0001; the equation itself asks for one case more.
    """
    assert sample_size.cases_for_auc(0.8, 0.018, 0.1) == 4252
    assert there(sample_size.cases_for_observed_over_expected(0.018, 1.0)) == pytest.approx(905, abs=1)


def test_wilson_width_asked_for_is_reached() -> None:
    """statsmodels' interval, which takes counts that are no whole numbers."""
    n = there(sample_size.cases_for_proportion(0.8, 0.25, 0.2))
    limits = [proportion_confint(0.8 * trials, trials, method="wilson") for trials in (n / 4, (n - 1) / 4)]
    assert limits[0][1] - limits[0][0] <= 0.2 < limits[1][1] - limits[1][0]


def test_an_interval_runs_upwards() -> None:
    assert Interval(0.1, 0.3).width == pytest.approx(0.2)
