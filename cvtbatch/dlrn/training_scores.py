"""What a model gave to training cases that it had not seen: kept beside it, so that another centre's scores can be compared."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cvtbatch.dlrn.arrays import Floats, Integers
from cvtbatch.dlrn.settings import Model


@dataclass(frozen=True, slots=True, eq=False)
class ClassScores:
    """One model's out-of-fold probabilities.

    Each class is sorted by itself: no score leads to a case, nor to the same case's score of another model.

    Attributes:
        events, others: (n,) ascending, of the cases with and without the event.
    """

    events: Floats
    others: Floats


def scores_by_class(outcome: Integers, scores: Mapping[Model, Floats]) -> dict[Model, ClassScores]:
    """Return each model's scores (n,) by outcome (n,) 0 or 1; NaN is left out."""
    return {
        model: ClassScores(*(np.sort(values[(outcome == side) & ~np.isnan(values)]) for side in (1, 0)))
        for model, values in scores.items()
    }
