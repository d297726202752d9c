"""What decisions at a threshold are worth: sensitivity, specificity, predictive values, likelihood ratios."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.stats import contingency

from cvtbatch.validation.clustering import clustered_share, clustered_variance, on_log_scale, t_quantile
from cvtbatch.validation.operating_points import confusion_matrix, youden_threshold
from cvtbatch.validation.values import Bools, Estimate, Interval, Maybe, NotComputable, Scored


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

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """The cases that each share counts, and those that it is of, by its name."""
        true_positive, true_negative = self.true_positive, self.true_negative
        right, wrong = true_positive + true_negative, self.false_positive + self.false_negative
        return {
            "sensitivity": (true_positive, true_positive + self.false_negative),
            "specificity": (true_negative, true_negative + self.false_positive),
            "accuracy": (right, right + wrong),
            "positive_predictive_value": (true_positive, true_positive + self.false_positive),
            "negative_predictive_value": (true_negative, true_negative + self.false_negative),
        }


def wilson(successes: int, trials: int) -> Estimate:
    """Return a proportion of at least one trial with Wilson's score interval (Newcombe, Stat Med 1998;17:857, method 3)."""
    interval = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    return Estimate(successes / trials, Interval(float(interval.low), float(interval.high)))


def proportion(success: Bools, scored: Scored) -> Estimate:
    """Return the share of successes (n,) among at least one case, with Wilson's interval."""
    if scored.repeated:
        return clustered_share(success, scored)
    return wilson(int(success.sum()), scored.n)


def decide(scored: Scored, threshold: float) -> Maybe[Decisions]:
    """Return what the decisions at a threshold are worth.

    Likelihood ratios have the log interval of Simel, Samsa and Matchar, J Clin Epidemiol 1991;44:763.
    """
    if scored.n == 0:
        return NotComputable(scored.none)
    found = confusion_matrix(scored, threshold)
    positive, event = scored.score >= threshold, scored.outcome

    def share(success: Bools, among: Bools, of_what: str) -> Maybe[Estimate]:
        return proportion(success[among], scored.where(among)) if among.any() else NotComputable(f"no case {of_what}")

    return Decisions(
        threshold=float(threshold),
        true_positive=found.true_positive,
        false_positive=found.false_positive,
        false_negative=found.false_negative,
        true_negative=found.true_negative,
        sensitivity=share(positive, event, "with the event"),
        specificity=share(~positive, ~event, "without the event"),
        accuracy=proportion(positive == event, scored),
        positive_predictive_value=share(event, positive, "called positive"),
        negative_predictive_value=share(~event, ~positive, "called negative"),
        positive_likelihood_ratio=_ratio(positive, scored),
        negative_likelihood_ratio=_ratio(~positive, scored),
    )


def _ratio(result: Bools, scored: Scored) -> Maybe[Estimate]:
    """Return the share of a result (n,) among events over that among others, with its log interval (that of a relative risk)."""
    events, others = scored.events, scored.n - scored.events
    among_events, among_others = (int((result & members).sum()) for members in (scored.outcome, ~scored.outcome))
    if events == 0 or others == 0:
        return NotComputable("one class only: a likelihood ratio compares two")
    if among_others == 0:
        return NotComputable("its denominator is 0: no case without the event has this result")
    if among_events == 0:
        return Estimate(0.0, NotComputable("the ratio is 0: its logarithm has no interval"))
    if scored.repeated:
        return _clustered_ratio(result, scored, among_events / events, among_others / others)
    relative = contingency.relative_risk(among_events, events, among_others, others)
    interval = relative.confidence_interval(0.95)
    return Estimate(float(relative.relative_risk), Interval(float(interval.low), float(interval.high)))


def _clustered_ratio(result: Bools, scored: Scored, among_events: float, among_others: float) -> Estimate:
    """Return the ratio of two shares with its log interval, patients being independent."""
    ratio = among_events / among_others
    if few := scored.lacks(2):
        return Estimate(ratio, few)
    of_event = (result - among_events) / (scored.events * among_events)
    of_other = (among_others - result) / ((scored.n - scored.events) * among_others)
    influence = np.where(scored.outcome, of_event, of_other)
    error = ratio * math.sqrt(clustered_variance(influence, scored))
    return on_log_scale(ratio, error, t_quantile(scored.rarer))


def decide_at_best(scored: Scored) -> Maybe[Decisions]:
    """Return what the decisions at the cases' own Youden point are worth: optimistic, since it is chosen on the same cases."""
    return scored.lacks() or decide(scored, youden_threshold(scored))
