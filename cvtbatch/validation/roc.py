"""How well a score ranks cases: ROC curve, AUC with DeLong's interval and test, precision-recall curve."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import expit, logit

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
    """AUC of one score less that of another on the same cases, with DeLong's paired test."""

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
    """Return the area under the ROC curve with DeLong's 95 % interval, cut to [0, 1].

    DeLong, DeLong and Clarke-Pearson, Biometrics 1988;44:837; the interval as in pROC's `ci.auc`.
    """
    if lack := scored.lacks():
        return lack
    placements = [_placements(scored)]
    value = _area(placements[0])
    if few := scored.lacks(2):
        return Estimate(value, few)
    variance = float(_covariance(placements)[0, 0])
    if variance <= 0:
        return Estimate(value, NotComputable(f"the AUC is exactly {value:g}: DeLong's variance vanishes"))
    return wald(value, math.sqrt(variance), 0.0, 1.0)


def compare_auc(outcome_and_first: Scored, outcome_and_second: Scored) -> Maybe[AucComparison]:
    """Return the difference of two AUCs on the same cases in the same order, with DeLong's paired test.

    Source: as for `auc`; z = difference / standard error, as pROC's `roc.test(paired = TRUE)`.
    """
    if lack := outcome_and_first.lacks(2):
        return lack
    placements = [_placements(outcome_and_first), _placements(outcome_and_second)]
    difference = _area(placements[0]) - _area(placements[1])
    contrast = np.array([1.0, -1.0])
    variance = float(contrast @ _covariance(placements) @ contrast)
    if variance <= 1e-15:
        same = NotComputable("the two scores rank events against the others alike: the difference has no variance")
        return AucComparison(Estimate(difference, same), same)
    z = difference / math.sqrt(variance)
    test = Significance("DeLong, paired", z, float(2 * stats.norm.sf(abs(z))))
    return AucComparison(wald(difference, math.sqrt(variance), -1.0, 1.0), test)


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


def _covariance(placements: list[tuple[Floats, Floats]]) -> Floats:
    """Return DeLong's covariance matrix of the AUCs of several scores on the same cases."""
    by_events, by_others = (np.stack([pair[side] for pair in placements]) for side in (0, 1))
    first, second = (np.atleast_2d(np.cov(components)) / components.shape[1] for components in (by_events, by_others))
    return np.asarray(first + second, dtype=np.float64)


def precision_recall(scored: Scored) -> Maybe[PrecisionRecall]:
    """Return the precision-recall curve and the average precision with a logit interval.

    The interval is that of Boyd, Eng and Page, ECML PKDD 2013, section 4: logit(AP) +- 1.96 / sqrt(events AP (1 - AP)).
    """
    if lack := scored.lacks():
        return lack
    from sklearn import metrics

    precision, recall, _ = metrics.precision_recall_curve(scored.outcome, scored.score, drop_intermediate=True)
    value = float(metrics.average_precision_score(scored.outcome, scored.score))
    interval: Maybe[Interval] = NotComputable("the average precision is exactly 1: the logit interval fails")
    # In floating point a perfect ranking may miss 1 by a last bit.
    if value < 1 - 1e-12:
        half = Z / math.sqrt(scored.events * value * (1 - value))
        interval = Interval(float(expit(logit(value) - half)), float(expit(logit(value) + half)))
    # The last point of scikit-learn's curve, recall 0 at precision 1, belongs to no threshold.
    curve = Curve(tuple(map(float, recall[-2::-1])), tuple(map(float, precision[-2::-1])))
    return PrecisionRecall(curve, Estimate(value, interval), scored.events / scored.n)
