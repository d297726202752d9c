"""Attention over a hematoma's slices: their mean, weighted by what told the training cases' outcomes apart.

Ilse, Tomczak and Welling (ICML 2018, PMLR 80:2127-2136), equation 8: slice k with values h_k weighs exp(w . tanh(V h_k)) among
those of its hematoma. Here h_k are COMPONENTS whitened principal components of the training slices and V has HIDDEN rows, since a
hundred patients tell no more; w and V are fitted together with a logistic regression of the outcome on the weighted mean, of
several classes a multinomial one, all of them drawn towards 0, where every slice weighs the same. The regression is given up:
what is kept weighs slices, and the mean that it makes goes through principal components and selection like any other embedding.

Scoring takes two products and a tanh. Weights are rounded to STEP of the largest, so that no last bit of exp or tanh, which
machines compute otherwise, carries a mean across a tree's threshold.
"""

from dataclasses import dataclass

import numpy as np

from cvtbatch.dlrn.arrays import Floats, Floats32, Integers
from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.components import RANK_SHARE
from cvtbatch.dlrn.kernels import project, project_one
from cvtbatch.dlrn.pooling import Slices, weighted_means

COMPONENTS, HIDDEN = 16, 4
# Half of it times the squared length of all that is fitted, but for the intercept, is added to the mean loss of a case.
PENALTY = 0.03
# The loss has several valleys: the deepest is taken that is found from so many places.
STARTS, ITERATIONS = 3, 200
STEP = 2.0**-20


@dataclass(frozen=True, slots=True, eq=False)
class Attention:
    """What weighs slices: V on the embedding itself, and w.

    Attributes:
        hidden: (E, L) V behind the whitened components, a unit a column.
        offset: (L,) what they give to the mean slice.
        weights: (L,) w.
    """

    hidden: Floats
    offset: Floats
    weights: Floats

    def weigh(self, slices: Slices) -> Floats:
        """Return the weight of each slice beside the largest one of its hematoma: (m,), in 0 to 1."""
        starts = slices.starts[:-1][np.diff(slices.starts) > 0]
        if not len(starts):
            return np.empty(0)
        units = np.tanh(project(slices.values, self.hidden, self.offset))
        score = np.zeros(len(units))
        for place, weight in enumerate(self.weights.tolist()):
            score += weight * units[:, place]
        highest = np.repeat(np.maximum.reduceat(score, starts), np.diff(np.append(starts, len(score))))
        with np.errstate(invalid="ignore"):
            weights: Floats = np.rint(np.exp(score - highest) / STEP) * STEP
        return weights

    def pool(self, slices: Slices) -> Floats32:
        """Return the embedding of each hematoma: (n, E), NaN where it has no slice, or one with a value that is not finite."""
        return weighted_means(slices.values, self.weigh(slices), slices.starts)


def embedding_of(attention: Attention | None, cohort: Cohort, rows: Integers) -> Floats32:
    """Return the embedding of some rows of a cohort, pooled by attention where there is one: (len(rows), E)."""
    return cohort.embedding[rows] if attention is None else attention.pool(cohort.stacked(rows))


def fit_attention(slices: Slices, outcome: Integers, seed: int) -> Attention:
    """Fit what weighs the slices of n training hematomas, each of which has one at least.

    Args:
        outcome: (n,) 0 to K - 1, all present.
        seed: of the places where the search begins, and of the principal components.
    """
    from scipy.optimize import minimize
    from sklearn.decomposition import PCA

    values = slices.values.astype(np.float64)
    with np.errstate(invalid="ignore"):
        pca = PCA(min(COMPONENTS, *values.shape), svd_solver="randomized", random_state=seed).fit(values)
    kept = pca.explained_variance_ > RANK_SHARE * pca.explained_variance_[0]
    whitening = pca.components_[kept].T / np.sqrt(pca.explained_variance_[kept])
    loss = Loss((values - pca.mean_) @ whitening, slices.starts, outcome)
    rng, found = np.random.default_rng(seed), []
    for _ in range(STARTS):
        start = np.append(rng.standard_normal(loss.size - loss.outputs) / np.sqrt(COMPONENTS), np.zeros(loss.outputs))
        found.append(minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS}))
    hidden, weights, *_ = loss.parts(min(found, key=lambda result: float(result.fun)).x)
    of_embedding = np.ascontiguousarray(whitening @ hidden)
    return Attention(of_embedding, project_one(np.asarray(pca.mean_, np.float64), of_embedding), weights.copy())


@dataclass(frozen=True, slots=True, eq=False)
class Loss:
    """What is made small: the mean logistic loss of the hematomas, of several classes the multinomial one, and the penalty.

    Of several classes each has coefficients and an intercept of its own, so that the penalty favours none.

    Attributes:
        values: (m, q) of the slices.
        starts: (n + 1,) where each hematoma's slices begin, and m.
        outcome: (n,) 0 to K - 1, all present.
    """

    values: Floats
    starts: Integers
    outcome: Integers

    @property
    def outputs(self) -> int:
        """How many regressions there are: one of two classes, else K."""
        classes = int(self.outcome.max()) + 1
        return classes if classes > 2 else 1

    @property
    def size(self) -> int:
        """The length of what is fitted: V, w, the regressions' coefficients, and their intercepts, one behind the other."""
        count: int = self.values.shape[1]
        return count * (HIDDEN + self.outputs) + HIDDEN + self.outputs

    def parts(self, fitted: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Return V (q, L), w (L,), coefficients (q,) and intercept (1,), of several classes (q, K) and (K,)."""
        count = self.values.shape[1]
        ends = [count * HIDDEN, count * HIDDEN + HIDDEN, len(fitted) - self.outputs]
        hidden, weights, coefficients, intercepts = np.split(fitted, ends)
        shape = (count, self.outputs) if self.outputs > 1 else (count,)
        return hidden.reshape(count, HIDDEN), weights, coefficients.reshape(shape), intercepts

    def __call__(self, fitted: Floats) -> tuple[float, Floats]:
        """Return the loss and its gradient."""
        hidden, weights, coefficients, intercepts = self.parts(fitted)
        first, counts = self.starts[:-1], np.diff(self.starts)
        units = np.tanh(self.values @ hidden)
        score = units @ weights
        grown = np.exp(score - np.repeat(np.maximum.reduceat(score, first), counts))
        share = grown / np.repeat(np.add.reduceat(grown, first), counts)
        pooled = np.add.reduceat(share[:, None] * self.values, first)
        likelihood, by_odds = self._likelihood(pooled @ coefficients + intercepts)
        told = np.repeat(by_odds, counts, axis=0) * (self.values @ coefficients)
        by_share = share * (told.sum(axis=1) if self.outputs > 1 else told)
        by_score = by_share - share * np.repeat(np.add.reduceat(by_share, first), counts)
        by_hidden = self.values.T @ (by_score[:, None] * weights * (1 - units**2))
        parts = [by_hidden, units.T @ by_score, pooled.T @ by_odds, by_odds.sum(axis=0)]
        gradient = np.concatenate([part.ravel() for part in parts])
        drawn = fitted[: -self.outputs]
        gradient[: -self.outputs] += PENALTY * drawn
        return likelihood + PENALTY / 2 * float(drawn @ drawn), gradient

    def _likelihood(self, odds: Floats) -> tuple[float, Floats]:
        """Return the mean logistic loss, and what it changes by with each of the logarithms of odds: (n,), or (n, K)."""
        from scipy.special import log_softmax

        if self.outputs == 1:
            signs = np.where(self.outcome == 1, -1.0, 1.0)
            slopes: Floats = signs * np.exp(-np.logaddexp(0.0, -signs * odds)) / len(odds)
            return float(np.logaddexp(0.0, signs * odds).mean()), slopes
        logarithms = log_softmax(odds, axis=1)
        own = np.eye(self.outputs)[self.outcome]
        return -float(logarithms[own == 1].mean()), (np.exp(logarithms) - own) / len(odds)
