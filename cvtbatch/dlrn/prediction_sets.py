"""Sets of classes in place of one: CV+, for each class by itself.

Romano, Sesia and Candes (NeurIPS 2020, Classification with valid and adaptive coverage, algorithm 2; the method is that of Barber,
Candes, Ramdas and Tibshirani, Annals of Statistics 2021, 49:486-507). A case of probability p of class y has the score 1 - p. Each
training case is scored by the model of the fold that held it out; a new case by the models of all folds. Class y belongs to its set
unless too many training cases of that class have a smaller score by their model than the new case has by the same one:

    #{i of class y: score of i < score of the case, both by the model of i's fold} < (1 - alpha) (n + 1)

Comparing within a class (label-conditional, Mondrian) makes the promise one for each class, however rare. What is promised is
`bound`, and only of cases that are exchangeable with training's: not of a new centre.
"""

from dataclasses import dataclass

import numpy as np

from cvtbatch.dlrn.arrays import Booleans, Floats, Integers
from cvtbatch.dlrn.training_scores import ClassScores

METHOD = "cv+"


@dataclass(frozen=True, slots=True, eq=False)
class PredictionSets:
    """What makes prediction sets of the probabilities that the models of all folds give.

    Attributes:
        alpha: share of each class that a set may lack.
        scores: by fold, its model's probabilities of the rows that it held out.
    """

    alpha: float
    scores: tuple[ClassScores, ...]

    @property
    def bound(self) -> float:
        """The share of each class that sets hold at least, of cases that are exchangeable with training's (theorem 2)."""
        counts = (sum(len(getattr(own, side)) for own in self.scores) for side in ("events", "others"))
        return min(coverage_bound(self.alpha, count, len(self.scores)) for count in counts)

    def holds(self, probability: Floats) -> tuple[Booleans, Booleans]:
        """Say whether each case's set holds the event, and its absence: (n,) both.

        Args:
            probability: (K, n) of the event, by the model of each fold.
        """
        events, others = [own.events for own in self.scores], [own.others for own in self.scores]
        # Scores of events are smaller where probabilities are larger.
        above = [
            len(own) - np.searchsorted(own, row, side="right") for own, row in zip(events, probability, strict=True)
        ]
        below = [np.searchsorted(own, row, side="left") for own, row in zip(others, probability, strict=True)]
        return self._few(np.sum(above, axis=0), events), self._few(np.sum(below, axis=0), others)

    def _few(self, smaller: Integers, scores: list[Floats]) -> Booleans:
        few: Booleans = smaller < (1 - self.alpha) * (sum(map(len, scores)) + 1)
        return few


def coverage_bound(alpha: float, cases: int, folds: int) -> float:
    """Return what CV+ promises: 1 - 2 alpha, less what so few cases in folds of equal size cost; 0 where it promises nothing."""
    if cases < folds:
        return 0.0
    cost = min(2 * (1 - 1 / folds) / (cases / folds + 1), (1 - folds / cases) / (folds + 1))
    return max(0.0, 1 - 2 * alpha - cost)
