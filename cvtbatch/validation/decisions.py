"""What decisions at a threshold are worth: sensitivity, specificity, predictive values, likelihood ratios."""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.stats import contingency

from cvtbatch.validation.values import Estimate, Interval, Maybe, NotComputable, Scored


@dataclass(frozen=True, slots=True)
class Decisions:
    """A table of two by two and what follows from it; a case is positive where its score is at least the threshold."""

    threshold: float
    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    sensitivity: Maybe[Estimate]
    specificity: Maybe[Estimate]
    accuracy: Maybe[Estimate]
    positive_predictive_value: Maybe[Estimate]
    negative_predictive_value: Maybe[Estimate]
    positive_likelihood_ratio: Maybe[Estimate]
    negative_likelihood_ratio: Maybe[Estimate]


def wilson(successes: int, trials: int) -> Estimate:
    """Return a proportion of at least one trial with Wilson's score interval (Newcombe, Stat Med 1998;17:857, method 3)."""
    interval = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    return Estimate(successes / trials, Interval(float(interval.low), float(interval.high)))


def proportion(successes: int, trials: int, of_what: str) -> Maybe[Estimate]:
    """Return a proportion with Wilson's interval; `of_what` names the denominator where it is empty."""
    return wilson(successes, trials) if trials else NotComputable(f"no case {of_what}")


def decide(scored: Scored, threshold: float) -> Maybe[Decisions]:
    """Return what the decisions at a threshold are worth.

    Likelihood ratios have the log interval of Simel, Samsa and Matchar, J Clin Epidemiol 1991;44:763.
    """
    if scored.n == 0:
        return NotComputable("no case has both an outcome and a score")
    positive = scored.score >= threshold
    events, others = scored.events, scored.n - scored.events
    true_positive = int((positive & scored.outcome).sum())
    false_positive = int((positive & ~scored.outcome).sum())
    false_negative, true_negative = events - true_positive, others - false_positive
    return Decisions(
        threshold=float(threshold),
        true_positive=true_positive,
        false_positive=false_positive,
        false_negative=false_negative,
        true_negative=true_negative,
        sensitivity=proportion(true_positive, events, "with the event"),
        specificity=proportion(true_negative, others, "without the event"),
        accuracy=proportion(true_positive + true_negative, scored.n, "scored"),
        positive_predictive_value=proportion(true_positive, true_positive + false_positive, "called positive"),
        negative_predictive_value=proportion(true_negative, true_negative + false_negative, "called negative"),
        positive_likelihood_ratio=_ratio(true_positive, events, false_positive, others),
        negative_likelihood_ratio=_ratio(false_negative, events, true_negative, others),
    )


def _ratio(among_events: int, events: int, among_others: int, others: int) -> Maybe[Estimate]:
    """Return the ratio of two shares with its log interval (that of a relative risk)."""
    if events == 0 or others == 0:
        return NotComputable("one class only: a likelihood ratio compares two")
    if among_others == 0:
        return NotComputable("its denominator is 0: no case without the event has this result")
    if among_events == 0:
        return Estimate(0.0, NotComputable("the ratio is 0: its logarithm has no interval"))
    result = contingency.relative_risk(among_events, events, among_others, others)
    interval = result.confidence_interval(0.95)
    return Estimate(float(result.relative_risk), Interval(float(interval.low), float(interval.high)))


def best_threshold(scored: Scored) -> Maybe[float]:
    """Return the score at which sensitivity + specificity is largest (Youden, Cancer 1950;3:32); of equals the smallest.

    A threshold that is chosen and judged on the same cases is optimistic.
    """
    if lack := scored.lacks():
        return lack
    thresholds, place = np.unique(scored.score, return_inverse=True)
    events = np.bincount(place, scored.outcome, len(thresholds))[::-1].cumsum()[::-1]
    others = np.bincount(place, ~scored.outcome, len(thresholds))[::-1].cumsum()[::-1]
    # In whole numbers, so that equal sums are equal.
    youden = events * (scored.n - scored.events) - others * scored.events
    return float(thresholds[int(np.argmax(youden))])
