"""Whether probabilities mean what they say: intercept, slope, observed over expected, Brier score, curves, Hosmer-Lemeshow.

Reporting follows Van Calster et al., BMC Med 2019;17:230 (calibration hierarchy); formulas as in rms's `val.prob`. Where a patient
has several cases, standard errors are those of patients (`cvtbatch.validation.clustering`).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats
from scipy.optimize import brentq
from scipy.special import expit, logit

from cvtbatch.validation.clustering import clustered_variance, on_log_scale, sums_by_patient, t_quantile
from cvtbatch.validation.decisions import proportion
from cvtbatch.validation.splines import spline_basis
from cvtbatch.validation.values import (
    Estimate,
    Floats,
    Maybe,
    NotComputable,
    Scored,
    Significance,
    Z,
    finite,
    wald,
)

EXTREME = 1e-3
"""Probabilities outside [EXTREME, 1 - EXTREME] have the log odds of these ends: a forest's votes may be exactly 0 or 1."""
CLIPS = (1e-2, EXTREME, 1e-4)
"""Other ends, to show how much the slope depends on them."""
CURVE_EACH = 10
"""A flexible curve needs this many cases with and without the event."""
ONE_PATIENT = NotComputable("an interval needs cases of two patients")
GROUPS = 10
CURVE_POINTS = 60


@dataclass(frozen=True, slots=True)
class Terms:
    """Calibration of log odds.

    Attributes:
        intercept: of a logistic model whose slope is 1 (calibration in the large); 0 is ideal.
        slope: of a logistic model with an intercept of its own; 1 is ideal, below 1 is too extreme.
        slope_intercept: the intercept that goes with the slope.
        extremes: how many probabilities were clipped.
    """

    intercept: Maybe[Estimate]
    slope: Maybe[Estimate]
    slope_intercept: Maybe[Estimate]
    extremes: int


@dataclass(frozen=True, slots=True)
class ClippedSlope:
    """The slope with probabilities clipped to [clip, 1 - clip].

    Attributes:
        clipped: how many probabilities lay outside.
    """

    clip: float
    clipped: int
    slope: Maybe[Estimate]


@dataclass(frozen=True, slots=True)
class Brier:
    """Mean squared error of probabilities; scaled: 1 is perfect, 0 is no better than the prevalence for all."""

    score: Estimate
    scaled: Maybe[float]


@dataclass(frozen=True, slots=True)
class SmoothCurve:
    """Observed share of events as a smooth function of the predicted probability, with pointwise 95 % limits."""

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Cases of similar predicted probability."""

    n: int
    events: int
    predicted: float
    observed: Estimate


@dataclass(frozen=True, slots=True)
class HosmerLemeshow:
    """The grouped goodness-of-fit test, with what is wrong with it here.

    Attributes:
        test: with as many degrees of freedom as groups: for a model that was fitted elsewhere.
        fitted: of the same statistic with two fewer, for a model fitted on these very cases: what SPSS prints, for any model.
    """

    test: Significance
    fitted: Significance
    degrees_of_freedom: int
    groups: int
    caveat: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """Everything about one model's calibration.

    Attributes:
        slopes: the slope at several clips; the one of `terms` is among them.
    """

    terms: Terms
    slopes: tuple[ClippedSlope, ...]
    observed_over_expected: Maybe[Estimate]
    brier: Maybe[Brier]
    curve: Maybe[SmoothCurve]
    groups: tuple[Group, ...]
    hosmer_lemeshow: Maybe[HosmerLemeshow]


def calibrate(scored: Scored) -> Calibration:
    """Compute all of a model's calibration; scores are probabilities."""
    groups = grouped(scored)
    clipped = {clip: terms(scored, clip) for clip in CLIPS}
    return Calibration(
        terms=clipped[EXTREME],
        slopes=tuple(ClippedSlope(clip, found.extremes, found.slope) for clip, found in clipped.items()),
        observed_over_expected=observed_over_expected(scored),
        brier=brier(scored),
        curve=smooth_curve(scored),
        groups=groups,
        hosmer_lemeshow=hosmer_lemeshow(scored, groups),
    )


def log_odds(probability: Floats, clip: float = EXTREME) -> Floats:
    """Return logits of probabilities (n,), those outside [clip, 1 - clip] as these ends."""
    return np.asarray(logit(np.clip(probability, clip, 1 - clip)), dtype=np.float64)


def terms(scored: Scored, clip: float = EXTREME) -> Terms:
    """Return calibration intercept and slope with Wald intervals (Cox, Biometrika 1958;45:562)."""
    extremes = int(((scored.score < clip) | (scored.score > 1 - clip)).sum())
    if lack := scored.lacks(2 if scored.repeated else 1):
        return Terms(lack, lack, lack, extremes)
    odds = log_odds(scored.score, clip)
    quantile = _quantile(scored)
    alone = _fit(scored, np.ones((scored.n, 1)), odds)
    intercept = alone.term(0, quantile)
    if few := _no_slope(scored, odds):
        return Terms(intercept, few, few, extremes)
    both = _fit(scored, np.column_stack([np.ones(scored.n), odds]))
    return Terms(intercept, both.term(1, quantile), both.term(0, quantile), extremes)


def _quantile(scored: Scored) -> float:
    """Return the quantile of a regression's 95 % intervals."""
    return t_quantile(scored.rarer) if scored.repeated else Z


def _no_slope(scored: Scored, odds: Floats) -> NotComputable | None:
    """Say why a logistic slope has no finite estimate, if it has none."""
    if scored.n < 5:
        return NotComputable(f"too few: {scored.n} cases")
    if np.ptp(odds) == 0:
        return NotComputable("all cases have the same probability")
    events, others = odds[scored.outcome], odds[~scored.outcome]
    if events.min() >= others.max() or others.min() >= events.max():
        return NotComputable("the score separates the classes perfectly: the slope has no finite estimate")
    return None


@dataclass(frozen=True, slots=True)
class _Fit:
    """A fitted logistic regression: coefficients (k,) and their covariance (k, k)."""

    coefficients: Floats
    covariance: Floats
    converged: bool

    def term(self, place: int, quantile: float) -> Maybe[Estimate]:
        """Return a coefficient with its Wald interval."""
        if not self.converged:
            return NotComputable("the regression does not converge on these cases")
        return wald(float(self.coefficients[place]), math.sqrt(self.covariance[place, place]), quantile=quantile)


def _fit(scored: Scored, design: Floats, offset: Floats | None = None) -> _Fit:
    """Fit a logistic regression; the caller has excluded separation. With an offset, the design is an intercept alone."""
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    outcome = scored.outcome.astype(np.float64)
    # From where statsmodels begins by itself, reweighting may leave for infinity where offsets are large.
    start = None if offset is None else np.array([_intercept(outcome, offset)])
    # Far from 0 the inverse link is 0 or 1, whether its exponential overflows or not.
    with np.errstate(over="ignore"):
        model: Any = GLM(outcome, design, family=Binomial(), offset=offset)
        found = model.fit(start_params=start, tol=1e-10)
    # At the maximum the gradient of the log likelihood is 0.
    gradient = design.T @ (outcome - found.fittedvalues)
    converged = bool(found.converged) and float(np.abs(gradient).max()) < 1e-6 * scored.n
    covariance = np.asarray(found.cov_params(), dtype=np.float64)
    if scored.repeated:
        covariance = _clustered(covariance, design * (scored.outcome - found.fittedvalues)[:, None], scored)
    return _Fit(np.asarray(found.params, dtype=np.float64), covariance, converged)


def _intercept(outcome: Floats, offset: Floats) -> float:
    """Return the one intercept with which as many events are expected as there are; both classes are there."""
    reach = float(np.abs(offset).max()) + 40
    return float(brentq(lambda shift: expit(offset + shift).sum() - outcome.sum(), -reach, reach, xtol=1e-12))


def _clustered(covariance: Floats, scores: Floats, scored: Scored) -> Floats:
    """Return the sandwich covariance (k, k) of patients (Liang and Zeger 1986), with the factors of R's `sandwich::vcovCL`.

    Args:
        covariance: of independent cases.
        scores: (n, k), what each case adds to the gradient of the log likelihood.
    """
    patients, terms_ = scored.patients, scores.shape[1]
    sums = np.column_stack([sums_by_patient(column, scored.clusters, patients) for column in scores.T])
    factor = patients / (patients - 1) * (scored.n - 1) / (scored.n - terms_)
    return np.asarray(covariance @ (sums.T @ sums) @ covariance * factor, dtype=np.float64)


def observed_over_expected(scored: Scored) -> Maybe[Estimate]:
    """Return events over the sum of probabilities; log interval with SE sqrt((1 - events / n) / events).

    Debray et al., BMJ 2017;356:i6460, appendix 7; where a patient has several cases, with that of the ratio of two sums.
    """
    expected = float(scored.score.sum())
    if scored.n == 0:
        return NotComputable(scored.none)
    if expected <= 0:
        return NotComputable("the model expects no event at all")
    value = scored.events / expected
    if scored.events == 0:
        return Estimate(value, NotComputable("no event: the logarithm of 0 has no interval"))
    if scored.events == scored.n:
        return Estimate(value, NotComputable("every case has the event: the interval's standard error is 0"))
    error = value * math.sqrt((1 - scored.events / scored.n) / scored.events)
    if not scored.repeated:
        return on_log_scale(value, error, Z)
    if scored.patients < 2:
        return Estimate(value, ONE_PATIENT)
    influence = scored.outcome / scored.events - scored.score / expected
    return on_log_scale(value, value * math.sqrt(clustered_variance(influence, scored)), t_quantile(scored.patients))


def brier(scored: Scored) -> Maybe[Brier]:
    """Return Brier's score (Mon Weather Rev 1950;78:1) with the interval of a mean, and scaled by that of the prevalence.

    Scaling: Steyerberg et al., Epidemiology 2010;21:128. Where a patient has several cases, the interval is of the logarithm.
    """
    if scored.n == 0:
        return NotComputable(scored.none)
    errors = (scored.score - scored.outcome) ** 2
    value = float(errors.mean())
    score = Estimate(value, NotComputable("an interval needs two cases"))
    if scored.repeated:
        score = _clustered_mean(errors, scored)
    elif scored.n > 1:
        score = wald(value, float(errors.std(ddof=1)) / math.sqrt(scored.n), 0.0, 1.0)
    prevalence = scored.events / scored.n
    one_class = scored.lacks()
    return Brier(score, one_class or finite(1 - value / (prevalence * (1 - prevalence))))


def _clustered_mean(values: Floats, scored: Scored) -> Estimate:
    """Return the mean of positive values (n,) with its log interval, patients being independent."""
    value = float(values.mean())
    if scored.patients < 2:
        return Estimate(value, ONE_PATIENT)
    if value == 0:
        return Estimate(value, NotComputable("the score is exactly 0: its logarithm has no interval"))
    error = math.sqrt(clustered_variance((values - value) / scored.n, scored))
    return on_log_scale(value, error, t_quantile(scored.patients))


def smooth_curve(scored: Scored) -> Maybe[SmoothCurve]:
    """Return the flexible calibration curve: a restricted cubic spline of the log odds, three knots at 0.1, 0.5 and 0.9.

    Austin and Steyerberg, Stat Med 2014;33:517. It spans the 2.5th to the 97.5th percentile of the probabilities; beyond
    that a few cases would draw it.
    """
    if lack := scored.lacks(CURVE_EACH):
        return lack
    odds = log_odds(scored.score)
    if few := _no_slope(scored, odds):
        return few
    knots = np.quantile(odds, [0.1, 0.5, 0.9])
    if len(np.unique(knots)) < 3:
        return NotComputable("too many cases have the same probability for a curve")
    low, high = np.quantile(odds, [0.025, 0.975])
    points = logit(np.linspace(expit(low), expit(high), CURVE_POINTS))
    ones = np.ones((CURVE_POINTS, 1))
    fit = _fit(scored, np.column_stack([np.ones(scored.n), spline_basis(odds, knots)]))
    at = np.column_stack([ones, spline_basis(points, knots)])
    error = np.sqrt(np.einsum("ij,jk,ik->i", at, fit.covariance, at))
    center = at @ fit.coefficients
    if not (fit.converged and np.isfinite(error).all() and error.max() < 50):
        return NotComputable("the smooth curve does not converge on these cases")
    half = _quantile(scored) * error
    lines = (expit(points), expit(center), expit(center - half), expit(center + half))
    return SmoothCurve(*(tuple(map(float, line)) for line in lines))


def grouped(scored: Scored, groups: int = GROUPS) -> tuple[Group, ...]:
    """Return cases in at most `groups` groups of similar size by predicted probability; equal probabilities stay together.

    Fewer cases make fewer groups: at least five cases each.
    """
    groups = min(groups, scored.n // 5)
    if groups < 2:
        return ()
    place = np.floor(groups * (stats.rankdata(scored.score) - 0.5) / scored.n)
    found = []
    for number in np.unique(place):
        inside = scored.where(place == number)
        found.append(Group(inside.n, inside.events, float(inside.score.mean()), proportion(inside.outcome, inside)))
    return tuple(found)


def hosmer_lemeshow(scored: Scored, groups: tuple[Group, ...]) -> Maybe[HosmerLemeshow]:
    """Return the Hosmer-Lemeshow test of g groups: with g degrees of freedom, and with the g - 2 of the fitting cohort.

    Hosmer and Lemeshow, Commun Stat Theory Methods 1980;9:1043; degrees of freedom: Hosmer, Lemeshow and Sturdivant,
    Applied Logistic Regression, 3rd ed., sections 5.2.2 and 5.4.
    """
    if lack := scored.lacks():
        return lack
    if scored.repeated:
        return NotComputable("patients have several scans: the test takes cases as independent")
    if len(groups) < 3:
        return NotComputable(f"too few groups: {scored.n} cases make {len(groups)} of at least five different ones")
    n, events = (np.array([getattr(group, name) for group in groups], dtype=np.float64) for name in ("n", "events"))
    share = np.array([group.predicted for group in groups])
    if share.min() <= 0 or share.max() >= 1:
        return NotComputable("a group has the predicted probability 0 or 1 throughout")
    statistic = float(((events - n * share) ** 2 / (n * share * (1 - share))).sum())
    small = int((np.minimum(n * share, n * (1 - share)) < 5).sum())
    caveat = "Depends on the grouping, says nothing of direction or size, and finds little in small cohorts."
    if small:
        caveat += f" {small} of {len(groups)} groups expect fewer than five cases of a class: the P value is rough."
    test, fitted = (
        Significance("Hosmer-Lemeshow", statistic, float(stats.chi2.sf(statistic, len(groups) - lost)))
        for lost in (0, 2)
    )
    return HosmerLemeshow(test, fitted, len(groups), len(groups), caveat)
