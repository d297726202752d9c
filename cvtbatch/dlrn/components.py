"""Principal components of slice embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cvtbatch.dlrn.arrays import Floats, Floats32, Integers
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


def fit_components(slices: Floats32, limit: int, networks: Sequence[int] = ()) -> Components:
    """Fit principal components of each network's part of an embedding by themselves: a long one would drown a short one's.

    Args:
        slices: (m, E); no components where E is 0.
        limit: components of a network at most; there are never more than rows, nor than the rows' rank.
        networks: how many numbers each of several fused networks gives, in their order; nothing for one. Where E is a multiple of
            their sum, each part of that length (mean and maximum) holds all of them.
    """
    if not networks:
        return _of_one_network(slices, limit)
    places = _places(networks, slices.shape[1])
    parts = [_of_one_network(_changing(slices[:, own]), limit) for own in places]
    kept = np.cumsum([0, *(len(part.offset) for part in parts)])
    loadings = np.zeros((slices.shape[1], kept[-1]))
    for own, part, first in zip(places, parts, kept, strict=False):
        loadings[own, first : first + len(part.offset)] = part.loadings
    return Components(loadings, np.concatenate([part.offset for part in parts]), len(slices))


def _places(networks: Sequence[int], length: int) -> list[Integers]:
    """Return where each network's numbers stand in an embedding."""
    starts = np.arange(0, length, sum(networks))[:, None]
    ends = np.cumsum(networks)
    return [(starts + np.arange(end - own, end)).ravel() for own, end in zip(networks, ends, strict=True)]


def _changing(slices: Floats32) -> Floats32:
    """Return the rows without those that repeat the row before: what sees an outline as a whole counts once, not once a slice."""
    kept = np.r_[True, (slices[1:] != slices[:-1]).any(axis=1)] if len(slices) else np.ones(0, np.bool_)
    return slices[kept]


def _of_one_network(slices: Floats32, limit: int) -> Components:
    """Fit scikit-learn's full PCA.

    Args:
        slices: (m, E).
        limit: components at most.
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
