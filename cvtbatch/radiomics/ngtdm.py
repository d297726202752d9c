"""NGTDM, the neighbouring gray tone difference matrix: five features.

Source: PyRadiomics 3.0.1, `ngtdm.py`. Levels without voxels do not occur here, so its guards for p = 0 have no counterpart.
"""

import numpy as np
from numpy.typing import NDArray

# What PyRadiomics returns for a perfectly homogeneous ROI.
COARSENESS_LIMIT = 1e6


def ngtdm_features(
    contrasts: NDArray[np.float64], levels: NDArray[np.int64], counts: NDArray[np.int64]
) -> dict[str, float]:
    """Return the features from (N,) summed differences, gray levels and voxel counts."""
    voxels = float(counts.sum())
    p = counts / voxels
    level = levels.astype(np.float64)
    p_by_s = p * contrasts
    coarse = float(p_by_s.sum())
    apart = np.abs(level[:, None] - level[None, :])
    p_sum = p[:, None] + p[None, :]
    level_by_p = level * p
    rivalry = float(np.abs(level_by_p[:, None] - level_by_p[None, :]).sum())
    pairs = len(levels) * (len(levels) - 1)
    contrast = float((p[:, None] * p[None, :] * apart**2).sum() * contrasts.sum() / voxels)
    s_total = float(contrasts.sum())
    return {
        "Busyness": coarse / rivalry if rivalry else 0.0,
        "Coarseness": 1 / coarse if coarse else COARSENESS_LIMIT,
        "Complexity": float((apart * (p_by_s[:, None] + p_by_s[None, :]) / p_sum).sum() / voxels),
        "Contrast": contrast / pairs if pairs else 0.0,
        "Strength": float((p_sum * apart**2).sum() / s_total) if s_total else 0.0,
    }
