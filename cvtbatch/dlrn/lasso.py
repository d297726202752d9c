"""LASSO on the outcome as 0 and 1, its penalty at the smallest error of a cross-validation with SMOTE inside each fold."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cvtbatch.dlrn.arrays import Floats, Integers
from cvtbatch.dlrn.folds import Split
from cvtbatch.dlrn.oversampling import oversample

MAX_ITERATIONS = 10_000


@dataclass(frozen=True, slots=True)
class LassoFit:
    """A fitted LASSO.

    Attributes:
        alpha: the penalty.
        coefficients: (p,) 0 where a column is not selected.
        errors: (A,) mean squared error of the folds for each penalty, the largest first.
    """

    alpha: float
    coefficients: Floats
    errors: Floats


def fit_lasso(
    values: Floats,
    outcome: Integers,
    splits: Sequence[Split],
    *,
    alphas: int,
    eps: float,
    smote: tuple[int, int] | None,
) -> LassoFit:
    """Fit as scikit-learn's `LassoCV`, but with SMOTE inside each fold; errors are those of real rows.

    Args:
        values: (n, p) z-scores.
        splits: (train, test) rows of each fold.
        alphas, eps: how many penalties, and the smallest as a share of the largest.
        smote: (neighbours, seed), or None for none; then this is `LassoCV` to rounding.
    """
    from sklearn.linear_model import Lasso

    def enlarged(rows: Integers, seed: int) -> tuple[Floats, Floats]:
        if smote is None:
            return values[rows], outcome[rows].astype(np.float64)
        more, labels = oversample(values[rows], outcome[rows], smote[0], smote[1] + seed)
        return more, labels.astype(np.float64)

    everything, labels = enlarged(np.arange(len(outcome)), 0)
    penalties = penalty_path(everything, labels, alphas, eps)
    errors = np.mean(
        [
            _fold_errors(*enlarged(train, 1 + number), values[test], outcome[test], penalties)
            for number, (train, test) in enumerate(splits)
        ],
        axis=0,
    )
    alpha = float(penalties[int(errors.argmin())])
    with _UnconvergedIgnored():
        final = Lasso(alpha=alpha, max_iter=MAX_ITERATIONS).fit(everything, labels)
    return LassoFit(alpha, np.asarray(final.coef_, dtype=np.float64), errors)


def penalty_path(values: Floats, labels: Floats, count: int, eps: float) -> Floats:
    """Return penalties from the smallest that selects nothing down to `eps` of it, evenly in logarithm: (count,)."""
    largest = np.abs((values - values.mean(axis=0)).T @ (labels - labels.mean())).max() / len(labels)
    path: Floats = np.geomspace(largest, largest * eps, count)
    return path


def _fold_errors(train: Floats, labels: Floats, test: Floats, truth: Integers, penalties: Floats) -> Floats:
    """Return the mean squared error on a fold's test rows for each penalty."""
    from sklearn.linear_model import lasso_path

    mean, level = train.mean(axis=0), labels.mean()
    with _UnconvergedIgnored():
        _, coefficients, _ = lasso_path(
            np.asfortranarray(train - mean), labels - level, alphas=penalties, max_iter=MAX_ITERATIONS
        )
    predicted = (test - mean) @ coefficients + level
    errors: Floats = ((predicted - truth[:, None]) ** 2).mean(axis=0)
    return errors


class _UnconvergedIgnored(warnings.catch_warnings):
    """The smallest penalties of a path may not converge; the cross-validation judges them by their error too."""

    def __enter__(self) -> None:
        from sklearn.exceptions import ConvergenceWarning

        super().__enter__()
        warnings.simplefilter("ignore", ConvergenceWarning)
