"""SMOTE: new rows of the rarer outcome, between neighbours."""

from cvtbatch.dlrn.arrays import Floats, Integers
from cvtbatch.errors import InputError


def oversampler(outcome: Integers, neighbors: int, seed: int) -> object:
    """Return imbalanced-learn's SMOTE for rows with these outcomes; few rows of one outcome have fewer neighbours.

    Raises:
        InputError: there are fewer than two rows of an outcome.
    """
    from imblearn.over_sampling import SMOTE

    others, events = (int((outcome == label).sum()) for label in (0, 1))
    rarer = min(others, events)
    if rarer < 2:
        raise InputError(
            "too_few_patients",
            f"SMOTE needs 2 rows of each outcome to draw between, and a fold has {others} with cvt 0 and {events} with cvt 1: give "
            "more cases, or fewer folds",
        )
    return SMOTE(k_neighbors=min(neighbors, rarer - 1), random_state=seed)


def oversample(values: Floats, outcome: Integers, neighbors: int, seed: int) -> tuple[Floats, Integers]:
    """Return the rows followed by new ones of the rarer outcome, until both are equally frequent.

    Args:
        values: (n, p) features.
        outcome: (n,) 0 or 1.
    """
    smote = oversampler(outcome, neighbors, seed)
    more_values, more_outcome = smote.fit_resample(values, outcome)  # type: ignore[attr-defined]
    return more_values, more_outcome
