"""Patients with several cases: variances against the paper's sums written out, a jackknife over patients, and plain formulas."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from scipy.special import expit, logit
from statsmodels.stats.proportion import proportion_confint

from cvtbatch.validation import calibration, decision_curve, decisions, roc
from cvtbatch.validation.clustering import clustered_share, clustered_variance, t_quantile
from cvtbatch.validation.sample_size import cases_for_net_benefit
from cvtbatch.validation.values import Estimate, Interval, Maybe, NotComputable, Scored, T


def there(value: Maybe[T]) -> T:
    assert not isinstance(value, NotComputable), value.reason
    return value


def draw(patients: int, seed: int, mixed: bool = False) -> Scored:
    """Draw one to five scans of each patient; `mixed`: a patient's scans may have different outcomes."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-0.7, 1.4, patients)
    patient = np.repeat(np.arange(patients), rng.integers(1, 6, patients))
    events = rng.uniform(size=patients) < expit(odds)
    outcome = rng.uniform(size=len(patient)) < expit(odds[patient]) if mixed else events[patient]
    return Scored(outcome, expit(odds[patient] + rng.normal(0, 0.6, len(patient))).round(2), patient)


def once(scored: Scored) -> Scored:
    """Return the same cases, each of a patient of its own."""
    return Scored(scored.outcome, scored.score, np.arange(scored.n))


def obuchowski(first: Scored, second: Scored) -> float:
    """Return the covariance of two AUCs by the sums of Obuchowski 1997, section 2, pair by pair."""
    patients = sorted(set(first.patient.tolist()))
    events, others = np.flatnonzero(first.outcome), np.flatnonzero(~first.outcome)

    def kernel(above: float, below: float) -> float:
        return 1.0 if above > below else 0.5 if above == below else 0.0

    sums = []
    for scored in (first, second):
        area = sum(kernel(scored.score[i], scored.score[k]) for i in events for k in others) / len(events) / len(others)
        of_events, of_others = [], []
        for one in patients:
            own = [i for i in events if scored.patient[i] == one]
            rest = [k for k in others if scored.patient[k] == one]
            outranked = sum(kernel(scored.score[i], scored.score[k]) for i in own for k in others) / len(others)
            outranking = sum(kernel(scored.score[i], scored.score[k]) for i in events for k in rest) / len(events)
            of_events.append(outranked - len(own) * area)
            of_others.append(outranking - len(rest) * area)
        sums.append((of_events, of_others))
    with_events, with_others, every = (
        len({first.patient[i] for i in places}) for places in (events, others, range(first.n))
    )

    def products(side: int, other: int) -> float:
        return sum(a * b for a, b in zip(sums[0][side], sums[1][other], strict=True))

    m, n = len(events), len(others)
    s10 = with_events / ((with_events - 1) * m) * products(0, 0)
    s01 = with_others / ((with_others - 1) * n) * products(1, 1)
    s11 = every / (every - 1) * (products(0, 1) + products(1, 0))
    return s10 / m + s01 / n + s11 / (m * n)


def jackknife(scored: Scored, statistic: Callable[[Scored], float]) -> float:
    """Return a statistic's standard error by leaving out one patient after the other (Efron and Stein 1981)."""
    values = np.array([statistic(scored.where(scored.patient != one)) for one in np.unique(scored.patient)])
    return math.sqrt((len(values) - 1) / len(values) * ((values - values.mean()) ** 2).sum())


def error_of(estimate: Maybe[Estimate], quantile: float, scale: Callable[[float], float]) -> float:
    """Return the standard error behind an interval that is symmetric on a scale."""
    interval = there(there(estimate).interval)
    assert scale(there(estimate).value) == pytest.approx((scale(interval.low) + scale(interval.high)) / 2)
    return (scale(interval.high) - scale(interval.low)) / 2 / quantile


@pytest.mark.parametrize("mixed", [False, True])
def test_auc_has_obuchowskis_variance_on_the_logit_scale(mixed: bool) -> None:
    scored = draw(25, 1, mixed)
    found = there(roc.auc(scored))
    error = error_of(found, t_quantile(scored.rarer), logit) * found.value * (1 - found.value)
    assert error**2 == pytest.approx(obuchowski(scored, scored), rel=1e-9)


@pytest.mark.parametrize("mixed", [False, True])
def test_paired_differences_have_obuchowskis_covariance(mixed: bool) -> None:
    first = draw(25, 2, mixed)
    second = Scored(
        first.outcome, np.sqrt(first.score) + draw(25, 2).score.mean() * np.sin(first.score * 40), first.patient
    )
    found = there(roc.compare_auc(first, second))
    variance = obuchowski(first, first) + obuchowski(second, second) - 2 * obuchowski(first, second)
    test = there(found.test)
    assert test.name == "Obuchowski, paired"
    assert test.statistic == pytest.approx(found.difference.value / math.sqrt(variance), rel=1e-9)
    assert test.p_value == pytest.approx(2 * stats.t.sf(abs(test.statistic), first.rarer - 1), rel=1e-9)
    half = there(found.difference.interval).width / 2
    assert half == pytest.approx(stats.t.ppf(0.975, first.rarer - 1) * math.sqrt(variance), rel=1e-9)


def test_one_case_a_patient_has_delongs_interval_and_test() -> None:
    """DeLong's variance as that of the means of placements, pair by pair."""
    scored = once(draw(30, 3))
    events, others = scored.score[scored.outcome], scored.score[~scored.outcome]
    kernel = (events[:, None] > others) + 0.5 * (events[:, None] == others)
    variance = kernel.mean(axis=1).var(ddof=1) / len(events) + kernel.mean(axis=0).var(ddof=1) / len(others)
    error = error_of(roc.auc(scored), 1.959963984540054, float)
    assert error**2 == pytest.approx(variance, rel=1e-9)
    assert obuchowski(scored, scored) == pytest.approx(variance, rel=1e-9)
    assert there(
        there(roc.compare_auc(scored, Scored(scored.outcome, scored.score**2 % 0.3, scored.patient))).test
    ).name == ("DeLong, paired")


def test_copies_of_every_scan_change_no_interval_of_the_auc() -> None:
    """Thrice the same scan says nothing new: the variance is that of one."""
    scored = draw(60, 4)
    single = Scored(*(part[np.unique(scored.patient, return_index=True)[1]] for part in (scored.outcome, scored.score)))
    thrice = Scored(np.repeat(single.outcome, 3), np.repeat(single.score, 3), np.repeat(np.arange(single.n), 3))
    found, one = there(roc.auc(thrice)), there(roc.auc(single))
    error = error_of(found, t_quantile(thrice.rarer), logit) * found.value * (1 - found.value)
    assert found.value == pytest.approx(one.value)
    assert error == pytest.approx(error_of(one, 1.959963984540054, float), rel=1e-9)
    share = there(decisions.decide(thrice, 0.3))
    assert there(share.sensitivity).value == there(there(decisions.decide(single, 0.3)).sensitivity).value
    ratio = (
        there(there(share.accuracy).interval).width
        / there(there(there(decisions.decide(single, 0.3)).accuracy).interval).width
    )
    assert ratio == pytest.approx(1, abs=0.03)


RARER, EVERY = "rarer", "patients"
STATISTICS: list[tuple[str, Callable[[Scored], Maybe[Estimate]], Callable[[float], float], str]] = [
    ("auc", roc.auc, logit, RARER),
    ("average precision", lambda s: there(roc.precision_recall(s)).average_precision, logit, RARER),
    ("intercept", lambda s: calibration.terms(s).intercept, float, RARER),
    ("slope", lambda s: calibration.terms(s).slope, float, RARER),
    ("slope's intercept", lambda s: calibration.terms(s).slope_intercept, float, RARER),
    ("O/E", calibration.observed_over_expected, math.log, EVERY),
    ("Brier", lambda s: there(calibration.brier(s)).score, math.log, EVERY),
    ("net benefit", lambda s: decision_curve.standardised_net_benefit(s, 0.3), float, RARER),
    ("LR+", lambda s: there(decisions.decide(s, 0.3)).positive_likelihood_ratio, math.log, RARER),
    ("LR-", lambda s: there(decisions.decide(s, 0.3)).negative_likelihood_ratio, math.log, RARER),
]


@pytest.mark.parametrize(("name", "statistic", "scale", "patients"), STATISTICS, ids=[row[0] for row in STATISTICS])
@pytest.mark.parametrize("mixed", [False, True])
def test_intervals_are_those_of_a_jackknife_over_patients(
    name: str,
    statistic: Callable[[Scored], Maybe[Estimate]],
    scale: Callable[[float], float],
    patients: str,
    mixed: bool,
) -> None:
    scored = draw(150, 5, mixed)
    error = error_of(statistic(scored), t_quantile(getattr(scored, patients)), scale)
    assert error == pytest.approx(jackknife(scored, lambda kept: scale(there(statistic(kept)).value)), rel=0.06), name


def test_slopes_have_the_sandwich_of_patients() -> None:
    """Liang and Zeger 1986, written out, with R's sandwich::vcovCL factors G / (G - 1) and (n - 1) / (n - k)."""
    scored = draw(80, 6)
    design = sm.add_constant(calibration.log_odds(scored.score))
    fit = sm.Logit(scored.outcome.astype(float), design).fit(disp=False, method="newton", tol=1e-12)
    probability = fit.predict()
    bread = np.linalg.inv(design.T @ (design * (probability * (1 - probability))[:, None]))
    residual = design * (scored.outcome - probability)[:, None]
    sums = np.stack([residual[scored.patient == one].sum(axis=0) for one in range(80)])
    factor = 80 / 79 * (scored.n - 1) / (scored.n - 2)
    errors = np.sqrt(np.diag(bread @ (sums.T @ sums) @ bread) * factor)
    terms = calibration.terms(scored)
    for estimate, error in zip((terms.slope_intercept, terms.slope), errors, strict=True):
        assert error_of(estimate, t_quantile(scored.rarer), float) == pytest.approx(error, rel=1e-6)


def test_shares_have_wilsons_interval_of_independent_cases() -> None:
    """statsmodels' interval, which takes counts that are no whole numbers; the design effect by the formula of Rao and Scott."""
    scored = draw(40, 7)
    success = scored.score >= 0.3
    share = success.mean()
    sums = [(success[scored.patient == one] - share).sum() for one in range(40)]
    effect = 40 / 39 * np.square(sums).sum() / scored.n**2 / (share * (1 - share) / (scored.n - 1))
    assert effect > 1.5
    cases = scored.n / effect * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 39)) ** 2
    low, high = proportion_confint(share * cases, cases, method="wilson")
    found = clustered_share(success, scored)
    interval = there(found.interval)
    assert (found.value, interval.low, interval.high) == pytest.approx((share, low, high))


def test_a_share_of_all_or_none_counts_each_patient_once() -> None:
    scored = draw(20, 8)
    for success in (np.ones(scored.n, bool), np.zeros(scored.n, bool)):
        expected = proportion_confint(20 * success[0], 20, method="wilson")
        interval = there(clustered_share(success, scored).interval)
        assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-12)


def test_the_net_benefit_of_independent_cases_has_the_width_that_sample_sizes_assume() -> None:
    scored = once(draw(60, 11))
    found, decided = (
        there(decision_curve.standardised_net_benefit(scored, 0.3)),
        there(decisions.decide(scored, 0.3)),
    )
    benefit, _ = decision_curve.net_benefit(scored, np.array([0.3]))
    share = scored.events / scored.n
    assert found.value == pytest.approx(benefit[0] / share)
    rates = there(decided.sensitivity).value, there(decided.specificity).value
    width = there(found.interval).width
    # One case fewer: the variance divides by n - 1.
    assert cases_for_net_benefit(*rates, share, 0.3, width) == pytest.approx(scored.n - 1, abs=1)


def test_decision_curves_draw_patients() -> None:
    """Scans of ten patients: a resample of patients has whole patients, so that its net benefit has the spread of ten."""
    scored = draw(10, 9)
    wide, narrow = (
        there(decision_curve.decision_curve(part, seed=1, replicates=400)) for part in (scored, once(scored))
    )
    assert wide.model == narrow.model
    assert wide.high[20] - wide.low[20] > 1.3 * (narrow.high[20] - narrow.low[20])
    same = Scored(scored.outcome, scored.score)
    assert there(decision_curve.decision_curve(same, seed=1, replicates=400)) == narrow


def test_scans_of_one_patient_have_no_interval() -> None:
    outcome = np.array([True, True, True, False, False, False])
    scored = Scored(outcome, np.array([0.9, 0.4, 0.7, 0.2, 0.6, 0.1]), np.array([0, 0, 0, 1, 2, 3]))
    lack = "1 of 4 patients with the event, 2 are needed"
    assert lack in there(roc.auc(scored)).interval.reason  # type: ignore[union-attr]
    assert lack in there(roc.precision_recall(scored)).average_precision.interval.reason  # type: ignore[union-attr]
    assert lack in calibration.terms(scored).slope.reason  # type: ignore[union-attr]
    found = there(decisions.decide(scored, 0.5))
    assert lack in there(found.positive_likelihood_ratio).interval.reason  # type: ignore[union-attr]
    assert isinstance(there(found.sensitivity).interval, Interval)
    assert "independent" in calibration.calibrate(scored).hosmer_lemeshow.reason  # type: ignore[union-attr]
    alone = Scored(outcome, scored.score, np.zeros(6, dtype=int))
    assert "two patients" in there(calibration.brier(alone)).score.interval.reason  # type: ignore[union-attr]
    assert "two patients" in there(calibration.observed_over_expected(alone)).interval.reason  # type: ignore[union-attr]


def test_variance_of_a_mean_of_patients() -> None:
    values = np.random.default_rng(10).normal(size=30)
    single = Scored(np.arange(30) < 10, np.zeros(30))
    assert clustered_variance((values - values.mean()) / 30, single) == pytest.approx(values.var(ddof=1) / 30)
