"""Folds that keep a patient together and every outcome in every part."""

from collections.abc import Sequence

import numpy as np

from cvtbatch.dlrn.arrays import Integers
from cvtbatch.errors import InputError

Split = tuple[Integers, Integers]
FOLD_KEYS = "fit.nested.folds, fit.crossfit_folds, fit.forest.folds, fit.selection.lasso_folds"


def require_patients(outcome: Integers, patients: Sequence[str], count: int) -> Integers:
    """Refuse rows with an outcome that too few patients have for so many folds; return a number for each row's patient: (n,).

    Raises:
        InputError: "too_few_patients".
    """
    groups = np.unique(np.asarray(patients, dtype=object).astype(str), return_inverse=True)[1]
    labels = _labels(outcome)
    for label in labels:
        available = len(np.unique(groups[outcome == label]))
        if available < count:
            raise InputError(
                "too_few_patients",
                f"{available} patients {_of(label, len(labels))} do not make {count} folds, and inside of outer folds there are "
                f"fewer: give cases of more patients, or fewer folds ({FOLD_KEYS})",
            )
    return np.asarray(groups, np.int64)


def grouped_folds(outcome: Integers, patients: Sequence[str], count: int, seed: int) -> list[Split]:
    """Return (train, test) row numbers of each fold, as scikit-learn's shuffled `StratifiedGroupKFold`.

    Args:
        outcome: (n,) 0 or 1, or 0 to K - 1 of several classes.
        patients: (n,) who each row belongs to.

    Raises:
        InputError: an outcome has fewer patients than there are folds, or a fold lacks one.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    groups = require_patients(outcome, patients, count)
    labels = _labels(outcome)
    folds = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    splits = [
        (np.asarray(train, np.int64), np.asarray(test, np.int64))
        for train, test in folds.split(groups[:, None], outcome, groups)
    ]
    if any(len(np.unique(outcome[part])) < len(labels) for split in splits for part in split):
        raise InputError(
            "too_few_patients",
            f"one of {count} folds has cases of one outcome only: give more cases, or fewer folds"
            if len(labels) == 2
            else f"one of {count} folds lacks a class: give more cases, put rare classes together, or take fewer folds",
        )
    return splits


def _labels(outcome: Integers) -> range:
    """Return the numbers of the classes: an outcome that nobody has is one of two as well."""
    return range(max(int(outcome.max()), 1) + 1)


def _of(label: int, labels: int) -> str:
    return f"with outcome {label}" if labels == 2 else f"of class {label + 1} of fit.classes"
