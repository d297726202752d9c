"""GLCM, the gray level co-occurrence matrix: 24 features, each the mean over the angles that have voxel pairs.

Most are plain sums and are computed in one compiled pass. Imc2 and ClusterShade are not: Imc2 takes the root of a difference of
entropies that may be 0, or below it, by round-off alone (PyRadiomics then gives 0 or NaN), and ClusterShade cancels. These follow
PyRadiomics' array operations one by one, its memory layout included, since NumPy's order of summation follows the layout.

Source: PyRadiomics 3.0.1, `glcm.py`.
"""

import math
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from cvtbatch.compiled_arrays import zeros
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
    p = _probabilities(pairs, levels, symmetrical, weights)
    level = levels.astype(np.float64)
    rows = _pair_sums(np.ascontiguousarray(p[0].transpose(2, 0, 1)), level, int(levels[-1]), symmetrical)
    values = dict(zip(COLUMNS, _mean_of_rows(rows).tolist(), strict=True))
    values.update(_delicate_features(p, level))
    if "MCC" in wanted:
        values["MCC"] = _largest_correlation(p)
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
    if (
        levels[-1] - len(levels) != 1
    ):  # numpy.delete slices for one index, and takes by a boolean array for none or many
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


def _delicate_features(p: NDArray[np.float64], level: NDArray[np.float64]) -> dict[str, float]:
    """Features whose value, or whose being NaN, hangs on round-off; p is (1, N, N, A)."""
    i, j = level[:, None], level[None, :]
    px, py = p.sum(2, keepdims=True), p.sum(1, keepdims=True)
    ux = np.sum(i[None, :, :, None] * p, (1, 2), keepdims=True)
    uy = np.sum(j[None, :, :, None] * p, (1, 2), keepdims=True)
    hxy = -1 * np.sum(p * np.log2(p + EPS), (1, 2))
    # The power is dear, and i + j takes few values.
    both = (i + j).astype(np.int64)
    present = np.zeros(both[-1, -1] + 1, bool)
    present[both] = True
    cubes = (np.flatnonzero(present)[:, None] - ux[0, 0] - uy[0, 0]) ** 3
    shade = np.sum(p * np.take(cubes, (np.cumsum(present) - 1)[both], axis=0)[None], (1, 2))
    hx = -1 * np.sum(px * np.log2(px + EPS), (1, 2))
    hy = -1 * np.sum(py * np.log2(py + EPS), (1, 2))
    independent = px * py
    log_independent = np.log2(independent + EPS)
    hxy1 = -1 * np.sum(p * log_independent, (1, 2))
    hxy2 = -1 * np.sum(independent * log_independent, (1, 2))
    larger = np.fmax(hx, hy)
    imc1 = hxy - hxy1
    imc1[larger != 0] /= larger[larger != 0]
    imc1[larger == 0] = 0
    with np.errstate(invalid="ignore"):
        imc2 = (1 - np.e ** (-2 * (hxy2 - hxy))) ** 0.5
    imc2[hxy2 == hxy] = 0
    rows = np.stack([shade[0], hxy[0], imc1[0], imc2[0]], axis=1)
    return dict(zip(("ClusterShade", "JointEntropy", "Imc1", "Imc2"), _mean_of_rows(rows).tolist(), strict=True))


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
