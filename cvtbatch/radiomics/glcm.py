"""GLCM, the gray level co-occurrence matrix: 24 features, each the mean over the angles that have voxel pairs.

Most are plain sums and are computed in one compiled pass. Imc2 and ClusterShade are not: Imc2 takes the root of a difference of
entropies that may be 0, or below it, by round-off alone (PyRadiomics then gives 0 or NaN), and ClusterShade cancels. These have
NumPy's logarithms and powers, and its order of summation, which follows the memory layout that PyRadiomics' calls leave behind: of
several angles that all have pairs NumPy adds one term after the other, and so does a compiled loop; else NumPy itself adds.

Source: PyRadiomics 3.0.1, `glcm.py`; NumPy 2.4, `numpy/_core/src/multiarray/nditer_constr.c` (`npyiter_find_best_axis_ordering`).
"""

import math
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from cvtbatch.compiled_arrays import empty, zeros
from cvtbatch.compiled_code import compiled

# Columns of `_pair_sums`.
COLUMNS = (
    "Autocorrelation",
    "JointAverage",
    "ClusterProminence",
    "ClusterTendency",
    "Contrast",
    "Correlation",
    "DifferenceAverage",
    "DifferenceEntropy",
    "DifferenceVariance",
    "JointEnergy",
    "Idm",
    "Idmn",
    "Id",
    "Idn",
    "InverseVariance",
    "MaximumProbability",
    "SumEntropy",
    "SumSquares",
    "SumAverage",
)
EPS = float(np.spacing(1))


def glcm_features(
    pairs: NDArray[np.int32],
    levels: NDArray[np.int64],
    symmetrical: bool,
    weights: NDArray[np.float64] | None,
    wanted: Collection[str],
) -> dict[str, float]:
    """Return the features from (A, N, N) pair counts, of level i one step after level j, and the (N,) gray levels present.

    Args:
        symmetrical: count each pair both ways.
        weights: (A,) of the angles, by which they are added to one; None for means over them.
        wanted: MCC is dear, and left out unless it is among them.
    """
    level = levels.astype(np.float64)
    laid = _lay_terms(pairs, level, symmetrical, _is_turned(levels)) if weights is None and len(pairs) > 1 else None
    if laid is not None and laid[3]:
        by_angle, sums = laid[0], _sums_in_turn(laid[1], laid[2], levels)
    else:
        p = _probabilities(pairs, levels, symmetrical, weights)
        by_angle, sums = np.ascontiguousarray(p[0].transpose(2, 0, 1)), _sums_by_numpy(p, levels)
    rows = _pair_sums(by_angle, level, int(levels[-1]), symmetrical)
    values = dict(zip(COLUMNS, _mean_of_rows(rows).tolist(), strict=True))
    values.update(_delicate_features(sums))
    if "MCC" in wanted:
        values["MCC"] = _largest_correlation(_probabilities(pairs, levels, symmetrical, weights))
    return values


def _mean_of_rows(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over angles; an angle that is NaN is passed over, all NaN where there is none."""
    columns = np.ascontiguousarray(rows.T)
    if len(rows) and not np.isnan(rows).any():
        means: NDArray[np.float64] = columns.sum(axis=1) / len(rows)
        return means
    out = np.full(len(columns), np.nan)
    for column, values in enumerate(columns):
        known = values[~np.isnan(values)]
        if known.size:
            out[column] = known.sum() / known.size
    return out


def _probabilities(
    pairs: NDArray[np.int32], levels: NDArray[np.int64], symmetrical: bool, weights: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Return (1, N, N, A) probabilities in the memory layout that PyRadiomics' calls leave behind; of weighted angles A is 1."""
    p = np.ascontiguousarray(pairs.transpose(2, 1, 0), np.float64)[None]
    if _is_turned(levels):
        keep = np.ones(len(levels), bool)
        p = p[:, keep]
        p = p[:, :, keep]
    if symmetrical:
        p += np.transpose(p, (0, 2, 1, 3)).copy()
    if weights is not None:
        p = np.sum(p * weights[None, None, None, :], 3, keepdims=True)
    totals = np.sum(p, (1, 2))
    if p.shape[3] > 1:
        empty = np.where(np.sum(totals, 0) == 0)
        if len(empty[0]) > 0:
            p = np.delete(p, empty, 3)
            totals = np.delete(totals, empty, 1)
    totals[totals == 0] = np.nan
    p /= totals[:, None, None, :]
    return p


def _is_turned(levels: NDArray[np.int64]) -> bool:
    """Tell whether the last level of a pair comes first in memory: numpy.delete slices for one level without voxels, and takes by
    a boolean array for none or many."""
    return int(levels[-1]) - len(levels) != 1


def _delicate_features(sums: NDArray[np.float64]) -> dict[str, float]:
    """Features whose value, or whose being NaN, hangs on round-off, from (6, A) sums as `_add_in_turn` has them."""
    shade = sums[0]
    hxy, hx, hy, hxy1, hxy2 = -1 * sums[1:]
    larger = np.fmax(hx, hy)
    imc1 = hxy - hxy1
    imc1[larger != 0] /= larger[larger != 0]
    imc1[larger == 0] = 0
    with np.errstate(invalid="ignore"):
        imc2 = (1 - np.e ** (-2 * (hxy2 - hxy))) ** 0.5
    imc2[hxy2 == hxy] = 0
    rows = np.stack([shade, hxy, imc1, imc2], axis=1)
    return dict(zip(("ClusterShade", "JointEntropy", "Imc1", "Imc2"), _mean_of_rows(rows).tolist(), strict=True))


def _cubes(levels: NDArray[np.int64], means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each sum of two levels is from that of (2, A) means, cubed: (S, A), from twice the lowest level on.

    The power is dear, and the sums are few.
    """
    sums = np.arange(2 * levels[0], 2 * levels[-1] + 1)
    cubes: NDArray[np.float64] = (sums[:, None] - means[0] - means[1]) ** 3
    return cubes


def _sums_in_turn(
    terms: NDArray[np.float64], means: NDArray[np.float64], levels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the (6, A) sums of terms as `_lay_terms` has them."""
    return _add_in_turn(terms, np.log2(terms + EPS), _cubes(levels, means), levels, _is_turned(levels))


def _sums_by_numpy(p: NDArray[np.float64], levels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the same of (1, N, N, A) probabilities in any layout."""
    i, j = levels[None, :, None, None], levels[None, None, :, None]
    px, py = p.sum(2, keepdims=True), p.sum(1, keepdims=True)
    means = np.stack([np.sum(i * p, (1, 2))[0], np.sum(j * p, (1, 2))[0]])
    cubes = np.take(_cubes(levels, means), (i + j)[0, :, :, 0] - 2 * levels[0], axis=0)[None]
    independent = px * py
    log_independent = np.log2(independent + EPS)
    terms = (
        p * cubes,
        p * np.log2(p + EPS),
        px * np.log2(px + EPS),
        py * np.log2(py + EPS),
        p * log_independent,
        independent * log_independent,
    )
    return np.stack([np.sum(term, (1, 2))[0] for term in terms])


def _largest_correlation(p: NDArray[np.float64]) -> float:
    """MCC, from the second largest eigenvalue of Q; of one gray level it is 1.

    An eigenvalue may be 0, or below it, by round-off alone, and the root of it is reported: hence PyRadiomics' sums in its order.
    """
    if p.shape[1] < 2:
        return 1.0
    if p.shape[3] == 0 or np.isnan(p).any():
        return math.nan
    rows, columns = p.sum(2)[0].T, p.sum(1)[0].T
    eigenvalues = np.linalg.eigvals(_products(np.ascontiguousarray(p[0].transpose(2, 0, 1)), rows, columns))
    eigenvalues.sort()
    with np.errstate(invalid="ignore"):
        roots = np.sqrt(eigenvalues[:, -2])
    known = roots[~np.isnan(roots)]
    return float(np.real(known.sum() / known.size)) if known.size else math.nan


@compiled
def _lay_terms(
    pairs: NDArray[np.int32], level: NDArray[np.float64], symmetrical: bool, turned: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], bool]:  # pragma: no cover - compiled
    """Return what sums are taken over, of (A, N, N) pairs, and whether every angle has pairs; without, the rest is void.

    The probabilities by angle (A, N, N); the same, the products of their sums, and these, all with the angle last, N * N * A twice
    and N * A twice in one row; and the means of both levels (2, A).
    """
    n_angles, n = len(pairs), len(level)
    by_angle, means = empty((n_angles, n, n), np.float64), zeros((2, n_angles), np.float64)
    terms, complete = zeros(2 * (n + 1) * n * n_angles, np.float64), True
    independent, first, second = n * n * n_angles, 2 * n * n * n_angles, (2 * n + 1) * n * n_angles
    for a in range(n_angles):
        total = 0
        for i in range(n):
            for j in range(n):
                total += pairs[a, i, j]
        complete = complete and total > 0
        total *= 1 + symmetrical
        for i in range(n):
            for j in range(n):
                count = pairs[a, j, i] + (pairs[a, i, j] if symmetrical else 0)
                p = count / total
                by_angle[a, i, j] = p
                terms[(i * n + j) * n_angles + a] = p
                terms[first + i * n_angles + a] += p
                terms[second + j * n_angles + a] += p
        for k in range(n):
            for m in range(n):
                i, j = (m, k) if turned else (k, m)
                means[0, a] += level[i] * by_angle[a, i, j]
                means[1, a] += level[j] * by_angle[a, i, j]
                terms[independent + (k * n + m) * n_angles + a] = (
                    terms[first + k * n_angles + a] * terms[second + m * n_angles + a]
                )
    return by_angle, terms, means, complete


@compiled
def _add_in_turn(
    terms: NDArray[np.float64],
    logs: NDArray[np.float64],
    cubes: NDArray[np.float64],
    levels: NDArray[np.int64],
    turned: bool,
) -> NDArray[np.float64]:  # pragma: no cover - compiled
    """Return (6, A) sums of terms as `_lay_terms` has them, one after the other: of cubes by p, and of p log p, of pairs, of their
    first level and of their second; then with the logarithm of independent levels, by p and by their own."""
    n, n_angles = len(levels), cubes.shape[1]
    size, out = n * n * n_angles, zeros((6, n_angles), np.float64)
    for i in range(n):
        for j in range(n):
            at, sum_of_levels = (i * n + j) * n_angles, levels[i] + levels[j] - 2 * levels[0]
            own = (j * n + i) * n_angles if turned else at
            for a in range(n_angles):
                out[0, a] += terms[at + a] * cubes[sum_of_levels, a]
                out[1, a] += terms[own + a] * logs[own + a]
                out[4, a] += terms[at + a] * logs[size + at + a]
                out[5, a] += terms[size + at + a] * logs[size + at + a]
    for i in range(n):
        row, column = 2 * size + i * n_angles, 2 * size + (n + i) * n_angles
        for a in range(n_angles):
            out[2, a] += terms[row + a] * logs[row + a]
            out[3, a] += terms[column + a] * logs[column + a]
    return out


@compiled
def _products(
    p: NDArray[np.float64], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float64]:  # pragma: no cover - compiled
    """Return (A, N, N): the sum over k of p(i, k) p(j, k) / (p(i) p(k)), for p (A, N, N) and its sums (A, N)."""
    n_angles, n = rows.shape
    eps = np.spacing(1.0)
    out = zeros((n_angles, n, n), np.float64)
    for a in range(n_angles):
        for k in range(n):
            for i in range(n):
                divisor = rows[a, i] * columns[a, k] + eps
                for j in range(n):
                    out[a, i, j] += p[a, i, k] * p[a, j, k] / divisor
    return out


@compiled
def _pair_sums(
    p: NDArray[np.float64], level: NDArray[np.float64], highest: int, symmetrical: bool
) -> NDArray[np.float64]:  # pragma: no cover - compiled
    """Return (A, 19) in the order of `COLUMNS` for p (A, N, N), levels (N,) and the highest gray level."""
    n_angles, n = p.shape[0], len(level)
    eps = np.spacing(1.0)
    out = zeros((n_angles, 19), np.float64)
    for a in range(n_angles):
        row = out[a]
        by_sum = zeros(2 * highest + 1, np.float64)
        by_difference = zeros(highest, np.float64)
        mean = 0.0
        for i in range(n):
            for j in range(n):
                cell = p[a, i, j]
                mean += level[i] * cell
                by_sum[int(level[i] + level[j])] += cell
                by_difference[int(abs(level[i] - level[j]))] += cell
                row[0] += cell * level[i] * level[j]
                row[9] += cell * cell
                row[15] = cell if cell != cell else max(row[15], cell)
        mean_y = mean
        if not symmetrical:
            mean_y = 0.0
            for i in range(n):
                for j in range(n):
                    mean_y += level[j] * p[a, i, j]
        covariance, variance_y = 0.0, 0.0
        for i in range(n):
            x = level[i] - mean
            for j in range(n):
                y = level[j] - mean_y
                cell = p[a, i, j]
                covariance += cell * x * y
                row[17] += cell * x * x
                variance_y += cell * y * y
                centred2 = (x + y) ** 2
                row[3] += cell * centred2
                row[2] += cell * centred2 * centred2
        row[1] = mean
        spread = row[17] if symmetrical else np.sqrt(row[17]) * np.sqrt(variance_y)
        row[5] = covariance / (spread + eps) if spread != 0 else 1.0
        for k in range(highest):
            cell = by_difference[k]
            row[4] += cell * k * k
            row[6] += cell * k
            row[7] -= cell * np.log2(cell + eps)
            row[10] += cell / (1 + k * k)
            row[11] += cell / (1 + k * k / highest**2)
            row[12] += cell / (1 + k)
            row[13] += cell / (1 + k / highest)
            if k > 0:
                row[14] += cell / (k * k)
        for k in range(highest):
            row[8] += by_difference[k] * (k - row[6]) ** 2
        for k in range(len(by_sum)):
            cell = by_sum[k]
            row[16] -= cell * np.log2(cell + eps)
            row[18] += cell * k
    return out
