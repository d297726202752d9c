import math

import numpy as np
from scipy import stats

from cvtbatch.radiomics.drift import ClassDrift, FeatureDrift, class_drift, feature_drift, relative_differences

RNG = np.random.default_rng(0)


def test_features_against_scipy_and_numpy() -> None:
    a = RNG.normal(size=(40, 3))
    b = a * RNG.uniform(0.5, 1.5, a.shape)
    b[:, 1] = a[:, 1]
    a[3, 2] = math.nan
    b[[4, 5], 2] = math.nan, math.inf
    first, second, third = feature_drift(["x", "y", "z"], a, b)
    b[5, 2] = math.nan
    differences = np.abs(b - a) / np.maximum(np.abs(a), np.abs(b))
    assert first.rois == 40
    assert first.equal == 0
    np.testing.assert_allclose([first.median, first.largest], [np.median(differences[:, 0]), differences[:, 0].max()])
    np.testing.assert_allclose(first.rank_correlation, stats.spearmanr(a[:, 0], b[:, 0]).statistic)
    assert second == FeatureDrift(
        "y", rois=40, equal=40, only_one=0, median=0, largest=0, rank_correlation=second.rank_correlation
    )
    np.testing.assert_allclose(second.rank_correlation, 1)
    kept = [row for row in range(40) if row not in {3, 4, 5}]
    assert (third.rois, third.only_one) == (37, 3)
    np.testing.assert_allclose(third.median, np.median(differences[kept, 2]))
    np.testing.assert_allclose(third.rank_correlation, stats.spearmanr(a[kept, 2], b[kept, 2]).statistic)


def test_relative_differences_at_the_edges() -> None:
    a = np.array([0.0, 0.0, 1.0, -1.0, 1.7e308, 5e-324, 0.0])
    b = np.array([0.0, -0.0, 2.0, 1.0, -1.7e308, 0.0, 3.0])
    assert relative_differences(a, b).tolist() == [0.0, 0.0, 0.5, 2.0, 2.0, 1.0, 1.0]


def test_a_constant_has_no_rank_correlation() -> None:
    [found] = feature_drift(["x"], np.ones((5, 1)), RNG.normal(size=(5, 1)))
    assert math.isnan(found.rank_correlation)
    [none] = feature_drift(["x"], np.full((5, 1), math.nan), np.ones((5, 1)))
    assert (none.rois, none.only_one) == (0, 5)
    assert math.isnan(none.median)


def test_classes_are_summarised() -> None:
    def feature(
        name: str, median: float, largest: float, correlation: float, equal: int = 0, rois: int = 4
    ) -> FeatureDrift:
        return FeatureDrift(name, rois, equal, 0, median, largest, correlation)

    nan = math.nan
    features = [
        feature("a", 0.1, 0.5, 0.9),
        feature("b", 0.3, 0.4, nan),
        feature("c", 0, 0, 1, 4),
        feature("d", nan, nan, nan, 0, 0),
    ]
    found = class_drift(features, {"a": "glcm", "b": "glcm", "c": "shape", "d": "glcm"})
    assert found == [
        ClassDrift("glcm", 3, 1, 0.2, 0.5, 0.9),
        ClassDrift("shape", 1, 1, 0.0, 0.0, 1.0),
    ]
