"""Folds that keep a patient together and both outcomes in every part."""

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
    for label in (0, 1):
        available = len(np.unique(groups[outcome == label]))
        if available < count:
            raise InputError(
                "too_few_patients",
                f"{available} patients with cvt {label} do not make {count} folds, and inside of outer folds there are fewer: give "
                f"cases of more patients, or fewer folds ({FOLD_KEYS})",
            )
    return np.asarray(groups, np.int64)


def grouped_folds(outcome: Integers, patients: Sequence[str], count: int, seed: int) -> list[Split]:
    """Return (train, test) row numbers of each fold, as scikit-learn's shuffled `StratifiedGroupKFold`.

    Args:
        outcome: (n,) 0 or 1.
        patients: (n,) who each row belongs to.

    Raises:
        InputError: an outcome has fewer patients than there are folds, or a fold lacks one.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    groups = require_patients(outcome, patients, count)
    folds = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    splits = [
        (np.asarray(train, np.int64), np.asarray(test, np.int64))
        for train, test in folds.split(groups[:, None], outcome, groups)
    ]
    if any(len(np.unique(outcome[part])) < 2 for split in splits for part in split):
        raise InputError(
            "too_few_patients", f"one of {count} folds has cases of one outcome only: give more cases, or fewer folds"
        )
    return splits
