"""LASSO on the outcome as 0 and 1, its penalty at the smallest error of a cross-validation with SMOTE inside each fold.

Several classes are one column of 0 and 1 each, and a feature enters for all of them or for none: the penalty is the sum, over
features, of the length of its coefficients (Obozinski, Taskar and Jordan, Statistics and Computing 2010, 20:231-252; scikit-learn's
`MultiTaskLasso`, glmnet's `mgaussian`). Of two classes that is the LASSO on 0 and 1, its penalty times the root of 2.
"""

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
        coefficients: (p,) 0 where a column is not selected; of several classes their length over the classes.
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
    from sklearn.linear_model import Lasso, MultiTaskLasso

    classes = int(outcome.max()) + 1
    targets = np.eye(classes)[outcome] if classes > 2 else outcome.astype(np.float64)

    def enlarged(rows: Integers, seed: int) -> tuple[Floats, Floats]:
        if smote is None:
            return values[rows], targets[rows]
        more, labels = oversample(values[rows], outcome[rows], smote[0], smote[1] + seed)
        return more, np.eye(classes)[labels] if classes > 2 else labels.astype(np.float64)

    everything, labels = enlarged(np.arange(len(outcome)), 0)
    penalties = penalty_path(everything, labels, alphas, eps)
    errors = np.mean(
        [
            _fold_errors(*enlarged(train, 1 + number), values[test], targets[test], penalties)
            for number, (train, test) in enumerate(splits)
        ],
        axis=0,
    )
    alpha = float(penalties[int(errors.argmin())])
    with _UnconvergedIgnored():
        lasso = Lasso if classes == 2 else MultiTaskLasso
        found = np.asarray(lasso(alpha=alpha, max_iter=MAX_ITERATIONS).fit(everything, labels).coef_, np.float64)
    return LassoFit(alpha, found if classes == 2 else np.linalg.norm(found, axis=0), errors)


def penalty_path(values: Floats, labels: Floats, count: int, eps: float) -> Floats:
    """Return penalties from the smallest that selects nothing down to `eps` of it, evenly in logarithm: (count,)."""
    together = (values - values.mean(axis=0)).T @ (labels - labels.mean(axis=0))
    lengths = np.abs(together) if together.ndim == 1 else np.linalg.norm(together, axis=1)
    largest = lengths.max() / len(labels)
    path: Floats = np.geomspace(largest, largest * eps, count)
    return path


def _fold_errors(train: Floats, labels: Floats, test: Floats, truth: Floats, penalties: Floats) -> Floats:
    """Return the mean squared error on a fold's test rows for each penalty."""
    from sklearn.linear_model import lasso_path

    mean, level = train.mean(axis=0), labels.mean(axis=0)
    with _UnconvergedIgnored():
        _, coefficients, _ = lasso_path(
            np.asfortranarray(train - mean), labels - level, alphas=penalties, max_iter=MAX_ITERATIONS
        )
    # Of several classes (K, n, A).
    predicted = (test - mean) @ coefficients + np.asarray(level)[..., None, None]
    errors: Floats = ((predicted - truth.T[..., None]) ** 2).mean(axis=tuple(range(predicted.ndim - 1)))
    return errors


class _UnconvergedIgnored(warnings.catch_warnings):
    """The smallest penalties of a path may not converge; the cross-validation judges them by their error too."""

    def __enter__(self) -> None:
        from sklearn.exceptions import ConvergenceWarning

        super().__enter__()
        warnings.simplefilter("ignore", ConvergenceWarning)
