"""Thresholds of a score and what they do: the one rule by which models are frozen (`dlrn`) and judged (`validation`).

A case is positive where its score is >= the threshold, and a threshold is one of the scores. Youden's point is where sensitivity
+ specificity is largest (Youden, Cancer 1950;3:32); of several the highest threshold. Sums are compared in whole numbers, so that
equal ones are equal: floats tell some of them apart by their last bits.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvtbatch.validation.values import Bools, Floats, Scored

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ConfusionMatrix:
    """Cases by outcome and decision; a share of an empty class does not exist (`ZeroDivisionError`)."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def events(self) -> int:
        return self.true_positive + self.false_negative

    @property
    def others(self) -> int:
        return self.false_positive + self.true_negative

    @property
    def n(self) -> int:
        return self.events + self.others

    @property
    def correct(self) -> int:
        return self.true_positive + self.true_negative

    @property
    def sensitivity(self) -> float:
        return self.true_positive / self.events

    @property
    def specificity(self) -> float:
        return self.true_negative / self.others

    @property
    def accuracy(self) -> float:
        return self.correct / self.n

    def __add__(self, other: "ConfusionMatrix") -> "ConfusionMatrix":
        """Return the matrix of both sets of cases together."""
        return ConfusionMatrix(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
            self.true_negative + other.true_negative,
        )


def confusion_matrix(scored: Scored, threshold: float) -> ConfusionMatrix:
    """Count outcomes by the decisions at a threshold."""
    positive = scored.score >= threshold
    true_positive = int((positive & scored.outcome).sum())
    false_positive = int((positive & ~scored.outcome).sum())
    events = scored.events
    return ConfusionMatrix(true_positive, false_positive, events - true_positive, scored.n - events - false_positive)


def youden_threshold(scored: Scored) -> float:
    """Return the threshold of Youden's point; both outcomes are present.

    A threshold that is chosen and judged on the same cases is optimistic.
    """
    thresholds, true_positives, false_positives = _counts_by_threshold(scored)
    events = scored.events
    # (sensitivity + specificity - 1) x events x others
    youden = true_positives * (scored.n - events) - false_positives * events
    return float(thresholds[int(youden.argmax())])


def sensitivity_threshold(scored: Scored, sensitivity: float) -> float:
    """Return the highest threshold that reaches a sensitivity, 0 to 1; there is an event."""
    thresholds, true_positives, _ = _counts_by_threshold(scored)
    return float(thresholds[int((true_positives / scored.events >= sensitivity).argmax())])


def _counts_by_threshold(scored: Scored) -> tuple[Floats, Integers, Integers]:
    """Return the different scores (t,), the highest first, with the events and the others at or above each."""
    scores, place = np.unique(scored.score, return_inverse=True)

    def at_or_above(members: Bools) -> Integers:
        return np.bincount(place[members], minlength=len(scores))[::-1].cumsum()

    return scores[::-1], at_or_above(scored.outcome), at_or_above(~scored.outcome)
