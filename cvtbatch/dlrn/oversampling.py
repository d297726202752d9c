"""SMOTE: new rows of the rarer outcomes, between neighbours."""

import numpy as np

from cvtbatch.dlrn.arrays import Floats, Integers
from cvtbatch.errors import InputError


def oversampler(outcome: Integers, neighbors: int, seed: int) -> object:
    """Return imbalanced-learn's SMOTE for rows with these outcomes; few rows of the rarest have fewer neighbours.

    Raises:
        InputError: there are fewer than two rows of an outcome.
    """
    from imblearn.over_sampling import SMOTE

    counts = np.bincount(outcome, minlength=2)
    rarest = int(counts.min())
    if rarest < 2:
        told = (
            f"{counts[0]} with outcome 0 and {counts[1]} with outcome 1"
            if len(counts) == 2
            else f"{', '.join(map(str, counts))} of the classes of fit.classes"
        )
        raise InputError(
            "too_few_patients",
            f"SMOTE needs 2 rows of each outcome to draw between, and a fold has {told}: give more cases, or fewer folds",
        )
    return SMOTE(k_neighbors=min(neighbors, rarest - 1), random_state=seed)


def oversample(values: Floats, outcome: Integers, neighbors: int, seed: int) -> tuple[Floats, Integers]:
    """Return the rows followed by new ones of the rarer outcomes, until all are equally frequent.

    Args:
        values: (n, p) features.
        outcome: (n,) 0 or 1, or 0 to K - 1 of several classes.
    """
    smote = oversampler(outcome, neighbors, seed)
    more_values, more_outcome = smote.fit_resample(values, outcome)  # type: ignore[attr-defined]
    return more_values, more_outcome
