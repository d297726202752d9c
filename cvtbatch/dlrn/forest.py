"""Random forests: the grid search that fits one, and the flat arrays that it is frozen as."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cvtbatch.dlrn.arrays import Floats, Floats32, Integers, Integers32
from cvtbatch.dlrn.folds import Split
from cvtbatch.dlrn.kernels import forest_contributions, forest_votes
from cvtbatch.dlrn.oversampling import oversample, oversampler
from cvtbatch.dlrn.settings import ForestSettings

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

Parameters = dict[str, int | float | str | None]


@dataclass(frozen=True, slots=True)
class FlatForest:
    """A forest as arrays, over the columns of a frozen model.

    Attributes:
        roots, depths: (T,) first node of each tree, and the largest number of steps to a leaf.
        column: (N,) column that a node looks at; 0 at a leaf.
        threshold: (N,) a row goes left where its float32 value is <= threshold; infinite at a leaf.
        child: (N, 2) node to the left and to the right; a leaf's are itself.
        share: (N,) share of the positive outcome, or (N, K) of each of several classes.
    """

    roots: Integers32
    depths: Integers32
    column: Integers32
    threshold: Floats
    child: Integers32
    share: Floats

    def arrays(self) -> dict[str, Floats | Integers32]:
        """Return the arrays by name."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def votes(self, scaled: Floats32) -> Floats:
        """Return each row's vote for the positive outcome, (n,), or for each of several classes, (n, K)."""
        walk = (self.roots, self.depths, self.column, self.threshold, self.child)
        if self.share.ndim == 1:
            votes: Floats = forest_votes(np.ascontiguousarray(scaled), *walk, self.share)
            return votes
        own = [forest_votes(np.ascontiguousarray(scaled), *walk, np.ascontiguousarray(share)) for share in self.share.T]
        return np.column_stack(own)

    def contributions(self, scaled: Floats32) -> tuple[float, Floats]:
        """Return the mean share at the roots, and what each column adds to it for each row: (n, C)."""
        walk = (self.roots, self.depths, self.column, self.threshold, self.child, self.share)
        added: Floats = forest_contributions(np.ascontiguousarray(scaled), *walk)
        return float(self.share[self.roots].sum() / len(self.roots)), added

    def contributions_by_class(self, scaled: Floats32) -> tuple[Floats, Floats]:
        """Return the same for each of several classes: (K,) and (n, C, K)."""
        of_classes = [replace(self, share=np.ascontiguousarray(share)).contributions(scaled) for share in self.share.T]
        return np.array([base for base, _ in of_classes]), np.stack([added for _, added in of_classes], axis=2)


@dataclass(frozen=True, slots=True)
class FittedForest:
    """A forest as scikit-learn fitted it, the point of the grid that won, and the AUC of every point, of several classes M."""

    estimator: "RandomForestClassifier"
    parameters: Parameters
    grid_auc: tuple[float, ...]


def fit_forest(
    values: Floats,
    outcome: Integers,
    splits: Sequence[Split],
    settings: ForestSettings,
    *,
    seed: int,
    smote_neighbors: int | None,
) -> FittedForest:
    """Search the grid by the mean AUC over the folds, SMOTE inside each of them, and fit the best point on all rows and SMOTE.

    A grid of one point is not searched.

    Args:
        values: (n, p) z-scores.
        splits: (train, test) rows of each fold.
        smote_neighbors: None for no SMOTE.
    """
    import sklearn
    from sklearn.ensemble import RandomForestClassifier

    grid = settings.grid()
    # Parameters are checked by the job's schema; checked again in every tree they cost a third of the time.
    with sklearn.config_context(skip_parameter_validation=True):
        scores = _search(values, outcome, splits, settings, seed, smote_neighbors) if len(grid) > 1 else ()
        best = grid[scores.index(max(scores))] if scores else grid[0]
        if smote_neighbors is not None:
            values, outcome = oversample(values, outcome, smote_neighbors, seed)
        estimator = RandomForestClassifier(settings.trees, random_state=seed, n_jobs=1, **best).fit(values, outcome)
    return FittedForest(estimator, best, scores)


def _search(
    values: Floats,
    outcome: Integers,
    splits: Sequence[Split],
    settings: ForestSettings,
    seed: int,
    smote_neighbors: int | None,
) -> tuple[float, ...]:
    """Return the mean AUC of each point of the grid."""
    from imblearn.pipeline import Pipeline
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import GridSearchCV

    steps: list[tuple[str, object]] = []
    if smote_neighbors is not None:
        fewest = min((outcome[train] for train, _ in splits), key=lambda part: np.bincount(part).min())
        steps.append(("smote", oversampler(fewest, smote_neighbors, seed)))
    steps.append(("forest", RandomForestClassifier(settings.grid_trees, random_state=seed, n_jobs=1)))
    points = [{f"forest__{name}": [value] for name, value in point.items()} for point in settings.grid()]
    scoring = "roc_auc" if outcome.max() < 2 else "roc_auc_ovo"
    search = GridSearchCV(Pipeline(steps), points, scoring=scoring, cv=list(splits), refit=False, n_jobs=1)
    search.fit(values, outcome)
    return tuple(float(score) for score in search.cv_results_["mean_test_score"])


def votes_of(estimator: "RandomForestClassifier", values: Floats) -> Floats:
    """Return scikit-learn's own votes for the positive outcome, (n,), or for each of several classes, (n, K)."""
    votes: Floats = estimator.predict_proba(values)[:, _told(estimator)]
    return votes


def _told(estimator: "RandomForestClassifier") -> int | slice:
    """Return the place, among the classes, of what a forest tells."""
    return slice(None) if len(estimator.classes_) > 2 else list(estimator.classes_).index(1)


def flatten(estimator: "RandomForestClassifier", columns: Sequence[int]) -> FlatForest:
    """Return a fitted forest as arrays.

    Args:
        columns: for each of the forest's own columns, the column of the frozen model.
    """
    roots, depths, parts = [], [], []
    told = _told(estimator)
    first = 0
    for tree in (member.tree_ for member in estimator.estimators_):
        own = np.arange(tree.node_count)
        leaf = tree.children_left < 0
        child = np.stack([np.where(leaf, own, side) for side in (tree.children_left, tree.children_right)], axis=1)
        column = np.where(leaf, 0, np.asarray(columns)[np.where(leaf, 0, tree.feature)])
        parts.append((column, np.where(leaf, np.inf, tree.threshold), first + child, tree.value[:, 0, told]))
        roots.append(first)
        depths.append(tree.max_depth)
        first += tree.node_count
    column, threshold, child, share = (np.concatenate(part) for part in zip(*parts, strict=True))
    return FlatForest(
        np.asarray(roots, np.int32),
        np.asarray(depths, np.int32),
        column.astype(np.int32),
        threshold.astype(np.float64),
        child.astype(np.int32),
        share.astype(np.float64),
    )
