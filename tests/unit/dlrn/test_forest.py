"""Forests, projection and scaling against scikit-learn; compiled loops to the last bit."""

import itertools

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import Pipeline
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV

from cvtbatch.dlrn.components import fit_components
from cvtbatch.dlrn.folds import grouped_folds
from cvtbatch.dlrn.forest import fit_forest, flatten, votes_of
from cvtbatch.dlrn.freezing import whiten
from cvtbatch.dlrn.kernels import distances, project, standardise
from cvtbatch.dlrn.settings import ForestSettings
from cvtbatch.errors import InputError

OUTCOME = np.repeat([0, 1], [50, 30])


def columns(rows: int, count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, count))


def test_grid_search_is_grid_search_cv_over_smote_and_forest() -> None:
    values = columns(80, 5)
    values[:, 0] += OUTCOME
    grid = ForestSettings(12, 8, 4, (2, None), (1, 6), ("sqrt",))
    splits = grouped_folds(OUTCOME, [str(row) for row in range(80)], 4, 2)
    own = fit_forest(values, OUTCOME, splits, grid, seed=5, smote_neighbors=5)
    steps = [("smote", SMOTE(random_state=5)), ("forest", RandomForestClassifier(8, random_state=5))]
    # scikit-learn orders a grid by name: the same points, in the order of ours.
    points = [{f"forest__{name}": [value] for name, value in point.items()} for point in grid.grid()]
    plain = GridSearchCV(Pipeline(steps), points, scoring="roc_auc", cv=splits, refit=False).fit(values, OUTCOME)
    assert own.grid_auc == tuple(plain.cv_results_["mean_test_score"])
    assert {f"forest__{name}": value for name, value in own.parameters.items()} == plain.best_params_
    more, labels = SMOTE(random_state=5).fit_resample(values, OUTCOME)
    final = RandomForestClassifier(12, random_state=5, **own.parameters).fit(more, labels)
    fresh = columns(50, 5, 1)
    np.testing.assert_array_equal(votes_of(own.estimator, fresh), final.predict_proba(fresh)[:, 1])


def test_a_grid_beyond_eight_points_is_refused() -> None:
    with pytest.raises(InputError, match="spans 9 points"):
        ForestSettings(10, 10, 5, (1, 2, 3), (1, 2, 3), ("sqrt",))


@pytest.mark.parametrize("depth", [1, 4, None])
def test_flat_votes_equal_scikit_learns_to_the_last_bit_ties_included(depth: int | None) -> None:
    values = np.round(columns(80, 6), 1)
    forest = RandomForestClassifier(40, max_depth=depth, random_state=3, n_jobs=1).fit(values, OUTCOME)
    places = [9, 1, 7, 3, 5, 0]
    flat = flatten(forest, places)
    fresh = np.round(columns(1000, 6, 2), 1)
    # On the thresholds themselves, and a last bit of float32 beside them.
    edges = np.concatenate([tree.tree_.threshold[tree.tree_.feature == 0] for tree in forest.estimators_])
    fresh[: len(edges), 0] = edges[:1000]
    fresh[200:300, 0] = np.nextafter(fresh[200:300, 0].astype(np.float32), np.float32(9))
    wide = np.zeros((1000, 10))
    wide[:, places] = fresh
    expected = forest.predict_proba(fresh)[:, 1]
    np.testing.assert_array_equal(flat.votes(wide.astype(np.float32)), expected)
    alone = [flat.votes(wide[row : row + 1].astype(np.float32))[0] for row in range(0, 1000, 97)]
    np.testing.assert_array_equal(alone, expected[::97])


def test_contributions_sum_up_to_the_vote_and_fall_on_the_columns_that_were_asked() -> None:
    values = columns(80, 4)
    values[:, 1] += 2 * OUTCOME
    forest = RandomForestClassifier(30, max_depth=3, random_state=3).fit(values[:, [1, 2]], OUTCOME)
    flat = flatten(forest, [1, 2])
    fresh = columns(200, 4, 5).astype(np.float32)
    base, added = flat.contributions(fresh)
    np.testing.assert_allclose(base + added.sum(axis=1), flat.votes(fresh), rtol=0, atol=1e-14)
    assert not added[:, [0, 3]].any()
    stump = flatten(RandomForestClassifier(1, max_depth=1, random_state=0).fit(values[:, [1]], OUTCOME), [0])
    base, added = stump.contributions(values[:, [1]].astype(np.float32))
    leaves = stump.share[stump.child[0]]
    assert base == stump.share[0]
    assert set(added[:, 0]) == {leaves[0] - base, leaves[1] - base}


def test_contributions_to_classes_are_those_of_scikit_learns_trees() -> None:
    values, outcome = columns(90, 4), np.arange(90) % 3
    values[:, 1] += outcome
    forest = RandomForestClassifier(8, max_depth=3, random_state=3).fit(values, outcome)
    fresh = columns(20, 4, 5).astype(np.float32)
    base, added = flatten(forest, [0, 1, 2, 3]).contributions_by_class(fresh)
    plain_base, plain = np.zeros(3), np.zeros((20, 4, 3))
    for tree in (estimator.tree_ for estimator in forest.estimators_):
        share = tree.value[:, 0] / tree.value[:, 0].sum(axis=1, keepdims=True)
        plain_base += share[0] / 8
        for row, path in enumerate(tree.decision_path(fresh)):
            # Nodes are numbered from the root down.
            for here, following in itertools.pairwise(sorted(path.indices)):
                plain[row, tree.feature[here]] += (share[following] - share[here]) / 8
    np.testing.assert_allclose(base, plain_base, atol=1e-14)
    np.testing.assert_allclose(added, plain, atol=1e-14)
    np.testing.assert_allclose(base + added.sum(axis=1), forest.predict_proba(fresh), atol=1e-14)


def test_components_are_scikit_learns_pca_and_never_more_than_rows_allow() -> None:
    slices = (columns(40, 6) @ columns(6, 30, 1) + 0.1 * columns(40, 30, 2) + 5).astype(np.float32)
    own = fit_components(slices, 8)
    plain = PCA(8, svd_solver="full").fit(slices.astype(np.float64))
    fresh = slices[:7] + np.float32(0.5)
    np.testing.assert_allclose(own.apply(fresh), plain.transform(fresh.astype(np.float64)), rtol=0, atol=1e-10)
    # Nine rows have a mean and eight directions; the ninth component would be rounding.
    assert fit_components(slices[:9], 512).loadings.shape == (30, 8)


def test_projection_and_scaling_do_not_depend_on_the_rows_around() -> None:
    embedding, loadings = columns(23, 300).astype(np.float32), columns(300, 7, 1)
    offset = columns(1, 7, 2)[0]
    together = project(embedding, loadings, offset)
    np.testing.assert_allclose(together, embedding.astype(float) @ loadings - offset, rtol=0, atol=1e-11)
    alone = np.concatenate([project(embedding[row : row + 1], loadings, offset) for row in range(23)])
    np.testing.assert_array_equal(together, alone)
    some = project(embedding, np.ascontiguousarray(loadings[:, [5, 2]]), offset[[5, 2]])
    np.testing.assert_array_equal(together[:, [5, 2]], some)
    mean, scale = columns(1, 7, 3)[0], np.exp(columns(1, 7, 4)[0])
    np.testing.assert_array_equal(standardise(together, mean, scale), (together - mean) / scale)


def test_distance_is_mahalanobis_under_ledoit_and_wolfs_covariance() -> None:
    scaled = columns(60, 5) @ columns(5, 5, 1)
    scaled -= scaled.mean(axis=0)
    model = LedoitWolf(assume_centered=False).fit(scaled)
    np.testing.assert_allclose(
        distances(np.ascontiguousarray(scaled), whiten(scaled)), np.sqrt(model.mahalanobis(scaled)), rtol=1e-9
    )
