"""Sets of classes in place of one: CV+, for each class by itself.

Romano, Sesia and Candes (NeurIPS 2020, Classification with valid and adaptive coverage, algorithm 2; the method is that of Barber,
Candes, Ramdas and Tibshirani, Annals of Statistics 2021, 49:486-507). A case of probability p of class y has the score 1 - p. Each
training case is scored by the model of the fold that held it out; a new case by the models of all folds. Class y belongs to its set
unless too many training cases of that class have a smaller score by their model than the new case has by the same one:

    #{i of class y: score of i < score of the case, both by the model of i's fold} < (1 - alpha) (n + 1)

Comparing within a class (label-conditional, Mondrian) makes the promise one for each class, however rare. What is promised is
`bound`, and only of cases that are exchangeable with training's: not of a new centre.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cvtbatch.dlrn.arrays import Booleans, Floats, Integers

METHOD = "cv+"


@dataclass(frozen=True, slots=True, eq=False)
class PredictionSets:
    """What makes prediction sets of the probabilities that the models of all folds give.

    Attributes:
        alpha: share of each class that a set may lack.
        scores: by fold, its model's probabilities of the rows that it held out, as `held_out_scores` gives them.
    """

    alpha: float
    scores: tuple[tuple[Floats, ...], ...]

    @property
    def bound(self) -> float:
        """The share of each class that sets hold at least, of cases that are exchangeable with training's (theorem 2)."""
        counts = (sum(map(len, of_class)) for of_class in zip(*self.scores, strict=True))
        return min(coverage_bound(self.alpha, count, len(self.scores)) for count in counts)

    def holds(self, probability: Floats) -> Booleans:
        """Say which classes each case's set holds: (n, 2), the event and its absence; of several classes (n, C).

        Args:
            probability: by the model of each fold, of the event (K, n), or of each of several classes (K, n, C).
        """
        by_class = list(zip(*self.scores, strict=True))
        if probability.ndim > 2:
            return np.column_stack([self._holds(own, probability[..., label]) for label, own in enumerate(by_class)])
        events, others = by_class
        # An event's absence has the larger probability where the event has the smaller; 1 - p would round.
        absence = self._holds([-own[::-1] for own in others], -probability)
        return np.column_stack([self._holds(events, probability), absence])

    def _holds(self, scores: Sequence[Floats], probability: Floats) -> Booleans:
        """Say whether sets hold a class of these scores, ascending by fold, by a case's own by each fold's model (K, n)."""
        # A score 1 - p is smaller where p is larger.
        smaller = [
            len(own) - np.searchsorted(own, row, side="right") for own, row in zip(scores, probability, strict=True)
        ]
        few: Booleans = np.sum(smaller, axis=0) < (1 - self.alpha) * (sum(map(len, scores)) + 1)
        return few


def held_out_scores(outcome: Integers, probability: Floats) -> tuple[Floats, ...]:
    """Return what a fold's model gave to the rows that it held out, ascending, by the class that they have; NaN is left out.

    Args:
        outcome: (n,) 0 or 1, or of several classes 0 to C - 1.
        probability: (n,) of the event, which is returned of rows with it, then of those without; or (n, C) of each of several
            classes, of which that of a row's own is returned.
    """
    if probability.ndim > 1:
        own = [probability[outcome == label, label] for label in range(probability.shape[1])]
    else:
        own = [probability[outcome == label] for label in (1, 0)]
    return tuple(np.sort(of_class[~np.isnan(of_class)]) for of_class in own)


def coverage_bound(alpha: float, cases: int, folds: int) -> float:
    """Return what CV+ promises: 1 - 2 alpha, less what so few cases in folds of equal size cost; 0 where it promises nothing."""
    if cases < folds:
        return 0.0
    cost = min(2 * (1 - 1 / folds) / (cases / folds + 1), (1 - folds / cases) / (folds + 1))
    return max(0.0, 1 - 2 * alpha - cost)
