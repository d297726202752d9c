"""What decisions at a threshold are worth: sensitivity, specificity, predictive values, likelihood ratios."""

from dataclasses import dataclass

from scipy import stats
from scipy.stats import contingency

from cvtbatch.validation.operating_points import confusion_matrix, youden_threshold
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
    found = confusion_matrix(scored, threshold)
    return Decisions(
        threshold=float(threshold),
        true_positive=found.true_positive,
        false_positive=found.false_positive,
        false_negative=found.false_negative,
        true_negative=found.true_negative,
        sensitivity=proportion(found.true_positive, found.events, "with the event"),
        specificity=proportion(found.true_negative, found.others, "without the event"),
        accuracy=proportion(found.correct, found.n, "scored"),
        positive_predictive_value=proportion(
            found.true_positive, found.true_positive + found.false_positive, "called positive"
        ),
        negative_predictive_value=proportion(
            found.true_negative, found.true_negative + found.false_negative, "called negative"
        ),
        positive_likelihood_ratio=_ratio(found.true_positive, found.events, found.false_positive, found.others),
        negative_likelihood_ratio=_ratio(found.false_negative, found.events, found.true_negative, found.others),
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


def decide_at_best(scored: Scored) -> Maybe[Decisions]:
    """Return what the decisions at the cases' own Youden point are worth: optimistic, since it is chosen on the same cases."""
    return scored.lacks() or decide(scored, youden_threshold(scored))
