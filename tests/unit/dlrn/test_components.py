"""Principal components of fused embeddings, held to scikit-learn's of each network by itself."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from cvtbatch.dlrn.components import fit_components


@pytest.mark.parametrize("parts", [1, 2])
def test_each_networks_numbers_are_projected_by_themselves(parts: int) -> None:
    """Of mean and maximum, which stand one behind the other, a network has its numbers in both."""
    rng = np.random.default_rng(0)
    slices = (rng.normal(size=(40, parts * 8)) * 100 ** rng.uniform(size=parts * 8)).astype(np.float32)
    found = fit_components(slices, 3, (5, 3))
    first, second = (
        [part * 8 + own for part in range(parts) for own in numbers] for numbers in (range(5), range(5, 8))
    )
    for places, columns in ((first, slice(0, 3)), (second, slice(3, 6))):
        pca = PCA(3, svd_solver="full").fit(slices[:, places].astype(np.float64))
        assert np.count_nonzero(found.loadings[:, columns]) == 3 * len(places)
        np.testing.assert_allclose(
            found.apply(slices)[:, columns], pca.transform(slices[:, places].astype(np.float64)), atol=1e-4
        )
    assert found.loadings.shape == (parts * 8, 6)
    assert found.rows == 40


def test_what_sees_an_outline_as_a_whole_counts_once_however_many_slices_it_has() -> None:
    rng = np.random.default_rng(0)
    boxes, slices = rng.normal(size=(20, 4)), rng.normal(size=(90, 6))
    rows = np.sort(np.r_[np.arange(20), rng.integers(0, 20, 70)])
    found = fit_components(np.concatenate([boxes[rows], slices], axis=1).astype(np.float32), 2, (4, 6))
    alone = PCA(2, svd_solver="full").fit(boxes.astype(np.float32).astype(np.float64))
    np.testing.assert_allclose(found.loadings[:4, :2], alone.components_.T, atol=1e-12)
