"""Compiled loops of scoring: projection, scaling, forests, logistic model, distance.

Every sum runs in one written order, row by row, without BLAS and without fast-math: one case scores to the last bit as it does in a
batch, on one thread or several, and a last bit cannot carry a value across a tree's threshold. Loops are laid out so that the
compiler can still use vector instructions: the innermost one runs over independent sums, never along one.
"""

import math

import numpy as np

from cvtbatch.compiled_arrays import empty, zeros
from cvtbatch.compiled_code import compiled_nogil
from cvtbatch.dlrn.arrays import Floats, Floats32, Integers32

# Rows that walk through a tree together, so that the waiting for one's node overlaps with the others'.
ROWS_TOGETHER = 64


@compiled_nogil
def project(embedding: Floats32, loadings: Floats, offset: Floats) -> Floats:
    """Return the components of each row: sum over i of embedding[row, i] * loadings[i, k], in order of i, less offset[k].

    Args:
        embedding: (n, E).
        loadings: (E, K), C order.
        offset: (K,) the projection of the mean.

    Returns:
        (n, K).
    """
    rows, length = embedding.shape
    count = loadings.shape[1]
    components = zeros((rows, count), np.float64)
    whole = rows - rows % 4
    for row in range(0, whole, 4):
        first, second, third, fourth = (
            components[row],
            components[row + 1],
            components[row + 2],
            components[row + 3],
        )
        for i in range(length):
            a, b = np.float64(embedding[row, i]), np.float64(embedding[row + 1, i])
            c, d = np.float64(embedding[row + 2, i]), np.float64(embedding[row + 3, i])
            for k in range(count):
                weight = loadings[i, k]
                first[k] += a * weight
                second[k] += b * weight
                third[k] += c * weight
                fourth[k] += d * weight
    for row in range(whole, rows):
        for i in range(length):
            value = np.float64(embedding[row, i])
            for k in range(count):
                components[row, k] += value * loadings[i, k]
    for row in range(rows):
        for k in range(count):
            components[row, k] -= offset[k]
    return components


@compiled_nogil
def project_one(mean: Floats, loadings: Floats) -> Floats:
    """Return the projection of one float64 row, summed as in `project`: (K,)."""
    components = zeros(loadings.shape[1], np.float64)
    for i in range(len(mean)):
        for k in range(loadings.shape[1]):
            components[k] += mean[i] * loadings[i, k]
    return components


@compiled_nogil
def standardise(values: Floats, mean: Floats, scale: Floats) -> Floats:
    """Return (values - mean) / scale: (n, C)."""
    scaled = empty(values.shape, np.float64)
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            scaled[row, column] = (values[row, column] - mean[column]) / scale[column]
    return scaled


@compiled_nogil
def forest_votes(
    scaled: Floats32,
    roots: Integers32,
    depths: Integers32,
    column: Integers32,
    threshold: Floats,
    child: Integers32,
    share: Floats,
) -> Floats:
    """Return the mean share of the positive outcome in the leaves that each row falls into: (n,).

    Trees are summed in order and divided by their number once, as scikit-learn's forest does with one job.

    Args:
        scaled: (n, C) z-scores.
        roots, depths: (T,) first node of each tree, and the largest number of steps to a leaf.
        column, threshold: (N,) a row goes left where scaled[column] <= threshold; a leaf has both children on itself.
        child: (N, 2) node to the left and to the right.
        share: (N,) share of the positive outcome in a node.
    """
    rows, columns = scaled.shape
    votes = zeros(rows, np.float64)
    values, children = scaled.reshape(-1), child.reshape(-1)
    # Unsigned places: a signed one may be negative, and the compiler would ask at every step.
    node = empty(ROWS_TOGETHER, np.uint32)
    for start in range(0, rows, ROWS_TOGETHER):
        count = min(ROWS_TOGETHER, rows - start)
        for tree in range(len(roots)):
            for row in range(count):
                node[row] = np.uint32(roots[tree])
            for _ in range(depths[tree]):
                for row in range(count):
                    here = node[row]
                    value = values[np.uint64((start + row) * columns) + np.uint64(column[here])]
                    right = np.uint32(not (np.float64(value) <= threshold[here]))
                    node[row] = np.uint32(children[np.uint32(2) * here + right])
            for row in range(count):
                votes[start + row] += share[node[row]]
    for row in range(rows):
        votes[row] /= len(roots)
    return votes


@compiled_nogil
def forest_contributions(
    scaled: Floats32,
    roots: Integers32,
    depths: Integers32,
    column: Integers32,
    threshold: Floats,
    child: Integers32,
    share: Floats,
) -> Floats:
    """Return what each column adds to the vote of each row: (n, C).

    A step from a node to its child adds the change of the positive outcome's share to the column that decided it; all of a row,
    and the mean share of the roots, sum up to its vote (Saabas' decomposition).
    """
    rows, columns = scaled.shape
    added = zeros((rows, columns), np.float64)
    for row in range(rows):
        for tree in range(len(roots)):
            here = roots[tree]
            for _ in range(depths[tree]):
                right = 0 if scaled[row, column[here]] <= threshold[here] else 1
                following = child[here, right]
                added[row, column[here]] += share[following] - share[here]
                here = following
        for place in range(columns):
            added[row, place] /= len(roots)
    return added


@compiled_nogil
def logistic(intercept: float, coefficients: Floats, terms: Floats) -> Floats:
    """Return 1 / (1 + exp(-(intercept + sum of coefficient * term))), summed in order: (n,) for terms (n, t)."""
    probability = empty(len(terms), np.float64)
    for row in range(len(terms)):
        predictor = intercept
        for term in range(len(coefficients)):
            predictor += coefficients[term] * terms[row, term]
        probability[row] = 1.0 / (1.0 + math.exp(-predictor))
    return probability


@compiled_nogil
def multinomial(coefficients: Floats, terms: Floats) -> Floats:
    """Return the probability of each class: (n, K) for terms (n, t), each logarithm of odds against the first summed in order.

    Args:
        coefficients: (K - 1, 1 + t) of each class but the first, the intercept first.
    """
    rows, classes = len(terms), len(coefficients) + 1
    probability = zeros((rows, classes), np.float64)
    for row in range(rows):
        highest = 0.0
        for label in range(1, classes):
            predictor = coefficients[label - 1, 0]
            for term in range(coefficients.shape[1] - 1):
                predictor += coefficients[label - 1, 1 + term] * terms[row, term]
            probability[row, label] = predictor
            # Of a predictor that is unknown every class's probability is.
            if not predictor <= highest:
                highest = predictor
        total = 0.0
        for label in range(classes):
            probability[row, label] = math.exp(probability[row, label] - highest)
            total += probability[row, label]
        for label in range(classes):
            probability[row, label] /= total
    return probability


@compiled_nogil
def recalibrate(probability: Floats, intercept: float, slope: float) -> Floats:
    """Return 1 / (1 + exp(-(intercept + slope * log odds))) of probabilities (n,)."""
    found = empty(len(probability), np.float64)
    for row in range(len(probability)):
        odds = math.log(probability[row]) - math.log1p(-probability[row])
        found[row] = 1.0 / (1.0 + math.exp(-(intercept + slope * odds)))
    return found


@compiled_nogil
def distances(scaled: Floats, whitening: Floats) -> Floats:
    """Return the length of each row under a whitening matrix, summed in order: (n,).

    Args:
        scaled: (n, d).
        whitening: (d, d), lower triangle.
    """
    length = empty(len(scaled), np.float64)
    for row in range(len(scaled)):
        total = 0.0
        for i in range(whitening.shape[0]):
            part = 0.0
            for j in range(i + 1):
                part += whitening[i, j] * scaled[row, j]
            total += part * part
        length[row] = math.sqrt(total)
    return length
