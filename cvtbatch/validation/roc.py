"""How well a score ranks cases: ROC curve, AUC with its interval and paired test, precision-recall curve.

AUCs have DeLong's variance (DeLong, DeLong and Clarke-Pearson, Biometrics 1988;44:837), or, where a patient has several cases,
Obuchowski's (Biometrics 1997;53:567), which is DeLong's where none has.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from cvtbatch.validation.clustering import clustered_variance, on_logit_scale, sums_by_patient, t_quantile
from cvtbatch.validation.values import Estimate, Floats, Interval, Maybe, NotComputable, Scored, Significance, Z, wald


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of a curve: (false-positive rate, sensitivity) of a ROC, (recall, precision) of a PR curve."""

    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """Precision-recall curve with average precision, and the precision of a score that knows nothing."""

    curve: Curve
    average_precision: Estimate
    prevalence: float


@dataclass(frozen=True, slots=True)
class AucComparison:
    """AUC of one score less that of another on the same cases, with a paired test."""

    difference: Estimate
    test: Maybe[Significance]


def roc_curve(scored: Scored) -> Maybe[Curve]:
    """Return the ROC curve from (0, 0) to (1, 1), points that lie on a line between others left out."""
    if lack := scored.lacks():
        return lack
    from sklearn import metrics

    false_positive, sensitivity, _ = metrics.roc_curve(scored.outcome, scored.score)
    return Curve(tuple(map(float, false_positive)), tuple(map(float, sensitivity)))


def area(scored: Scored) -> float:
    """Return the area under the ROC curve: of all pairs of an event and another case the share in which the event scores higher.

    Ties count half (Hanley and McNeil, Radiology 1982;143:29); both outcomes are present.
    """
    return _area(_placements(scored))


def auc(scored: Scored) -> Maybe[Estimate]:
    """Return the area under the ROC curve with a 95 % interval.

    DeLong's interval is cut to [0, 1], as pROC's `ci.auc`; Obuchowski's is of the log odds.
    """
    if lack := scored.lacks():
        return lack
    placements = [_placements(scored)]
    value = _area(placements[0])
    if few := scored.lacks(2):
        return Estimate(value, few)
    variance = float(_covariance(placements, scored)[0, 0])
    if variance <= 0:
        return Estimate(value, NotComputable(f"the AUC is exactly {value:g}: its variance vanishes"))
    if scored.repeated:
        return on_logit_scale(value, math.sqrt(variance), t_quantile(scored.rarer))
    return wald(value, math.sqrt(variance), 0.0, 1.0)


def compare_auc(outcome_and_first: Scored, outcome_and_second: Scored) -> Maybe[AucComparison]:
    """Return the difference of two AUCs on the same cases in the same order, with a paired test.

    z = difference / standard error, as pROC's `roc.test(paired = TRUE)`; where a patient has several cases, t with one degree of
    freedom fewer than there are patients of the rarer outcome.
    """
    if lack := outcome_and_first.lacks(2):
        return lack
    placements = [_placements(outcome_and_first), _placements(outcome_and_second)]
    difference = _area(placements[0]) - _area(placements[1])
    contrast = np.array([1.0, -1.0])
    variance = float(contrast @ _covariance(placements, outcome_and_first) @ contrast)
    if variance <= 1e-15:
        same = NotComputable("the two scores rank events against the others alike: the difference has no variance")
        return AucComparison(Estimate(difference, same), same)
    error = math.sqrt(variance)
    ratio = difference / error
    if not outcome_and_first.repeated:
        test = Significance("DeLong, paired", ratio, float(2 * stats.norm.sf(abs(ratio))))
        return AucComparison(wald(difference, error, -1.0, 1.0), test)
    patients = outcome_and_first.rarer
    test = Significance("Obuchowski, paired", ratio, float(2 * stats.t.sf(abs(ratio), patients - 1)))
    return AucComparison(wald(difference, error, -1.0, 1.0, t_quantile(patients)), test)


def _placements(scored: Scored) -> tuple[Floats, Floats]:
    """Return, of each event, the share of others that it outranks (ties count half), and of each other that of events.

    By midranks: Sun and Xu, IEEE Signal Processing Letters 2014;21:1389.
    """
    events, others = scored.score[scored.outcome], scored.score[~scored.outcome]
    ranks = stats.rankdata(np.concatenate([events, others]))
    above = (ranks[: len(events)] - stats.rankdata(events)) / len(others)
    below = 1 - (ranks[len(events) :] - stats.rankdata(others)) / len(events)
    return above, below


def _area(placements: tuple[Floats, Floats]) -> float:
    return float(placements[0].mean())


def _covariance(placements: list[tuple[Floats, Floats]], scored: Scored) -> Floats:
    """Return the covariance matrix of the AUCs of several scores on the same cases (Obuchowski 1997, section 2)."""
    patient, patients = scored.clusters, scored.patients
    sides, spreads = [], []
    for side, members in ((0, scored.outcome), (1, ~scored.outcome)):
        own, n = patient[members], int(members.sum())
        sums = np.stack([sums_by_patient((pair[side] - _area(pair)) / n, own, patients) for pair in placements])
        count = len(np.unique(own))
        sides.append(sums)
        spreads.append(sums @ sums.T * (count / (count - 1)))
    cross = sides[0] @ sides[1].T * (patients / (patients - 1))
    return np.asarray(spreads[0] + spreads[1] + cross + cross.T, dtype=np.float64)


def precision_recall(scored: Scored) -> Maybe[PrecisionRecall]:
    """Return the precision-recall curve and the average precision with a logit interval.

    The interval is that of Boyd, Eng and Page, ECML PKDD 2013, section 4: logit(AP) +- 1.96 / sqrt(events AP (1 - AP)); where a
    patient has several cases, the standard error is that of patients.
    """
    if lack := scored.lacks():
        return lack
    from sklearn import metrics

    precision, recall, _ = metrics.precision_recall_curve(scored.outcome, scored.score, drop_intermediate=True)
    value = float(metrics.average_precision_score(scored.outcome, scored.score))
    interval: Maybe[Interval] = NotComputable("the average precision is exactly 1: the logit interval fails")
    # In floating point a perfect ranking may miss 1 by a last bit.
    if value < 1 - 1e-12 and scored.repeated:
        few = scored.lacks(2)
        interval = few or _clustered_precision(scored, value)
    elif value < 1 - 1e-12:
        half = Z / math.sqrt(scored.events * value * (1 - value))
        interval = Interval(float(expit(logit(value) - half)), float(expit(logit(value) + half)))
    # The last point of scikit-learn's curve, recall 0 at precision 1, belongs to no threshold.
    curve = Curve(tuple(map(float, recall[-2::-1])), tuple(map(float, precision[-2::-1])))
    return PrecisionRecall(curve, Estimate(value, interval), scored.events / scored.n)


def _clustered_precision(scored: Scored, value: float) -> Maybe[Interval]:
    """Return the interval of an average precision below 1 by the influence of each case on it.

    The average precision is the mean, over events, of the precision at the event's score: a case changes that of its own and of
    all lower scores.
    """
    scores, place = np.unique(-scored.score, return_inverse=True)
    events = np.bincount(place, weights=scored.outcome, minlength=len(scores))
    called = np.bincount(place, minlength=len(scores)).cumsum()
    precision = events.cumsum() / called
    weight = events / (scored.events * called)
    as_event, as_called = (np.cumsum(part[::-1])[::-1] for part in (weight, weight * precision))
    own = (precision[place] - value) / scored.events + as_event[place]
    influence = np.where(scored.outcome, own, 0.0) - as_called[place]
    error = math.sqrt(clustered_variance(influence, scored))
    return on_logit_scale(value, error, t_quantile(scored.rarer)).interval
