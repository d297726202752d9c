"""Principal components of slice embeddings."""

from dataclasses import dataclass

import numpy as np

from cvtbatch.dlrn.arrays import Floats, Floats32
from cvtbatch.dlrn.kernels import project, project_one

# Components whose variance is below this share of the first one's hold rounding, not tissue.
RANK_SHARE = 1e-10


@dataclass(frozen=True, slots=True)
class Components:
    """A projection onto K principal components.

    Attributes:
        loadings: (E, K) one component a column.
        offset: (K,) the projection of the mean embedding.
        rows: slices that it was fitted on.
    """

    loadings: Floats
    offset: Floats
    rows: int

    def apply(self, embedding: Floats32) -> Floats:
        """Return the components of (n, E) embeddings: (n, K)."""
        components: Floats = project(embedding, self.loadings, self.offset)
        return components


def fit_components(slices: Floats32, limit: int) -> Components:
    """Fit scikit-learn's full PCA.

    Args:
        slices: (m, E); no components where E is 0.
        limit: components at most; there are never more than rows, nor than the rows' rank.
    """
    from sklearn.decomposition import PCA

    count = min(limit, *slices.shape)
    if not count:
        return Components(np.empty((slices.shape[1], 0)), np.empty(0), len(slices))
    pca = PCA(count, svd_solver="full").fit(slices.astype(np.float64))
    kept = int((pca.explained_variance_ > RANK_SHARE * pca.explained_variance_[0]).sum())
    loadings = np.ascontiguousarray(pca.components_[:kept].T)
    offset = project_one(np.asarray(pca.mean_, np.float64), loadings)
    return Components(loadings, offset, len(slices))
