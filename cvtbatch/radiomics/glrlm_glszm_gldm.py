"""GLRLM, GLSZM and GLDM: features of matrices of gray level by size, of runs, zones and dependences.

The three classes share their formulas: `_matrix_features` computes all of them for one or more angles, and each class picks its
own names.

Source: PyRadiomics 3.0.1, `glrlm.py`, `glszm.py`, `gldm.py`.
"""

import numpy as np
from numpy.typing import NDArray

from cvtbatch.compiled_arrays import zeros
from cvtbatch.compiled_code import compiled
from cvtbatch.radiomics.texture_matrices import TextureMatrices

# Columns of `_matrix_features`; `Size` stands for Run, Zone or Dependence.
COLUMNS = (
    "GrayLevelNonUniformity",
    "GrayLevelNonUniformityNormalized",
    "GrayLevelVariance",
    "HighGray",
    "Large",
    "LargeHighGray",
    "LargeLowGray",
    "LowGray",
    "Entropy",
    "SizeNonUniformity",
    "SizeNonUniformityNormalized",
    "Percentage",
    "SizeVariance",
    "Small",
    "SmallHighGray",
    "SmallLowGray",
)
GLRLM = {
    "GrayLevelNonUniformity": "GrayLevelNonUniformity",
    "GrayLevelNonUniformityNormalized": "GrayLevelNonUniformityNormalized",
    "GrayLevelVariance": "GrayLevelVariance",
    "HighGrayLevelRunEmphasis": "HighGray",
    "LongRunEmphasis": "Large",
    "LongRunHighGrayLevelEmphasis": "LargeHighGray",
    "LongRunLowGrayLevelEmphasis": "LargeLowGray",
    "LowGrayLevelRunEmphasis": "LowGray",
    "RunEntropy": "Entropy",
    "RunLengthNonUniformity": "SizeNonUniformity",
    "RunLengthNonUniformityNormalized": "SizeNonUniformityNormalized",
    "RunPercentage": "Percentage",
    "RunVariance": "SizeVariance",
    "ShortRunEmphasis": "Small",
    "ShortRunHighGrayLevelEmphasis": "SmallHighGray",
    "ShortRunLowGrayLevelEmphasis": "SmallLowGray",
}
GLSZM = {
    "GrayLevelNonUniformity": "GrayLevelNonUniformity",
    "GrayLevelNonUniformityNormalized": "GrayLevelNonUniformityNormalized",
    "GrayLevelVariance": "GrayLevelVariance",
    "HighGrayLevelZoneEmphasis": "HighGray",
    "LargeAreaEmphasis": "Large",
    "LargeAreaHighGrayLevelEmphasis": "LargeHighGray",
    "LargeAreaLowGrayLevelEmphasis": "LargeLowGray",
    "LowGrayLevelZoneEmphasis": "LowGray",
    "SizeZoneNonUniformity": "SizeNonUniformity",
    "SizeZoneNonUniformityNormalized": "SizeNonUniformityNormalized",
    "SmallAreaEmphasis": "Small",
    "SmallAreaHighGrayLevelEmphasis": "SmallHighGray",
    "SmallAreaLowGrayLevelEmphasis": "SmallLowGray",
    "ZoneEntropy": "Entropy",
    "ZonePercentage": "Percentage",
    "ZoneVariance": "SizeVariance",
}
GLDM = {
    "DependenceEntropy": "Entropy",
    "DependenceNonUniformity": "SizeNonUniformity",
    "DependenceNonUniformityNormalized": "SizeNonUniformityNormalized",
    "DependenceVariance": "SizeVariance",
    "GrayLevelNonUniformity": "GrayLevelNonUniformity",
    "GrayLevelVariance": "GrayLevelVariance",
    "HighGrayLevelEmphasis": "HighGray",
    "LargeDependenceEmphasis": "Large",
    "LargeDependenceHighGrayLevelEmphasis": "LargeHighGray",
    "LargeDependenceLowGrayLevelEmphasis": "LargeLowGray",
    "LowGrayLevelEmphasis": "LowGray",
    "SmallDependenceEmphasis": "Small",
    "SmallDependenceHighGrayLevelEmphasis": "SmallHighGray",
    "SmallDependenceLowGrayLevelEmphasis": "SmallLowGray",
}


def glrlm_features(
    matrices: TextureMatrices,
    levels: NDArray[np.int64],
    with_lines: NDArray[np.bool_],
    weights: NDArray[np.float64] | None,
) -> dict[str, float]:
    """Return the GLRLM features over the angles along which the ROI has lines; NaN where there are none.

    Args:
        weights: of the angles, by which they are added to one; None for means over them.
    """
    runs = matrices.glrlm[with_lines]
    sizes = np.flatnonzero(runs.any(axis=(0, 1)))
    matrix = np.ascontiguousarray(runs[:, :, sizes], np.float64)
    if weights is not None and len(matrix):
        matrix = np.tensordot(weights[with_lines], matrix, 1)[None]
    return _named(GLRLM, _matrix_features(matrix, levels.astype(np.float64), (sizes + 1).astype(np.float64)))


def glszm_features(matrices: TextureMatrices, levels: NDArray[np.int64]) -> dict[str, float]:
    """Return the GLSZM features."""
    sizes = np.flatnonzero(np.bincount(matrices.glszm_sizes))
    place = np.zeros(sizes[-1] + 1, np.int64)
    place[sizes] = np.arange(len(sizes))
    cells = matrices.glszm_levels * len(sizes) + place[matrices.glszm_sizes]
    matrix = np.bincount(cells, minlength=len(levels) * len(sizes)).reshape(1, len(levels), len(sizes))
    return _named(
        GLSZM, _matrix_features(matrix.astype(np.float64), levels.astype(np.float64), sizes.astype(np.float64))
    )


def gldm_features(matrices: TextureMatrices, levels: NDArray[np.int64]) -> dict[str, float]:
    """Return the GLDM features; a voxel without equal neighbours has size 1."""
    sizes = np.flatnonzero(matrices.gldm.any(axis=0))
    matrix = np.ascontiguousarray(matrices.gldm[None][:, :, sizes], np.float64)
    return _named(GLDM, _matrix_features(matrix, levels.astype(np.float64), (sizes + 1).astype(np.float64)))


def _named(names: dict[str, str], rows: NDArray[np.float64]) -> dict[str, float]:
    means = rows.mean(axis=0) if len(rows) else np.full(len(COLUMNS), np.nan)
    by_column = dict(zip(COLUMNS, means.tolist(), strict=True))
    return {name: by_column[column] for name, column in names.items()}


@compiled
def _matrix_features(
    matrix: NDArray[np.float64], levels: NDArray[np.float64], sizes: NDArray[np.float64]
) -> NDArray[np.float64]:  # pragma: no cover - compiled
    """Return (A, 16) in the order of `COLUMNS` for a matrix (A, N, S), levels (N,) and sizes (S,)."""
    n_angles, n_levels, n_sizes = matrix.shape
    eps = np.spacing(1.0)
    out = zeros((n_angles, 16), np.float64)
    for a in range(n_angles):
        row = out[a]
        by_size = zeros(n_sizes, np.float64)
        count, voxels, mean_level, mean_size = 0.0, 0.0, 0.0, 0.0
        for i in range(n_levels):
            for j in range(n_sizes):
                count += matrix[a, i, j]
        for i in range(n_levels):
            level2 = levels[i] ** 2
            in_level = 0.0
            for j in range(n_sizes):
                cell = matrix[a, i, j]
                if cell == 0.0:
                    continue
                size2 = sizes[j] ** 2
                in_level += cell
                by_size[j] += cell
                row[5] += cell * level2 * size2
                row[6] += cell * size2 / level2
                row[14] += cell * level2 / size2
                row[15] += cell / (level2 * size2)
                share = cell / count
                row[8] -= share * np.log2(share + eps)
            row[0] += in_level**2
            row[3] += in_level * level2
            row[7] += in_level / level2
            mean_level += in_level / count * levels[i]
        for j in range(n_sizes):
            size2 = sizes[j] ** 2
            row[4] += by_size[j] * size2
            row[9] += by_size[j] ** 2
            row[13] += by_size[j] / size2
            voxels += by_size[j] * sizes[j]
            mean_size += by_size[j] / count * sizes[j]
        for i in range(n_levels):
            in_level = 0.0
            for j in range(n_sizes):
                in_level += matrix[a, i, j]
            row[2] += in_level / count * (levels[i] - mean_level) ** 2
        for j in range(n_sizes):
            row[12] += by_size[j] / count * (sizes[j] - mean_size) ** 2
        row[1] = row[0] / count**2
        row[10] = row[9] / count**2
        row[11] = count / voxels
        for column in (0, 3, 4, 5, 6, 7, 9, 13, 14, 15):
            row[column] /= count
    return out
