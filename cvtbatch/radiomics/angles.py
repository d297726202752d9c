"""The directions between neighbouring voxels, in PyRadiomics' order.

Source: PyRadiomics 3.0.1, `src/cmatrices.c`, `build_angles`: each offset runs from the largest distance down to its negative, the
last axis fastest, those whose largest step is a distance asked for are kept, and of these the first half is used. An axis along
which the ROI is too thin has no such offsets, nor has the axis across the planes where features are forced into 2-D.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from cvtbatch.radiomics.box import Index, Triple


def list_angles(shape: Triple, distances: Sequence[int] = (1,), across: int | None = None) -> NDArray[np.int64]:
    """Return the (A, 3) offsets in (z, y, x), 13 of distance 1 in a thick ROI; the first offset that is not 0 is positive.

    Args:
        across: the axis along which nothing moves.
    """
    longest = max(distances)
    steps = [
        [step for step in range(longest, -longest - 1, -1) if abs(step) < size and (axis != across or step == 0)]
        for axis, size in enumerate(shape)
    ]
    angles = [step for step in product(*steps) if max(map(abs, step)) in distances]
    return np.array(angles[: len(angles) // 2], np.int64).reshape(-1, 3)


def lines_along(index: Index, angle: NDArray[np.int64]) -> bool:
    """Tell whether some line through the grid along the angle holds two ROI voxels, adjacent or not.

    PyRadiomics drops every other angle from the GLRLM ("segmentation is 2D for this angle").
    """
    coordinates = np.stack(index, axis=1)
    axis = int(np.flatnonzero(angle)[0])
    foot = coordinates - coordinates[:, [axis]] * angle
    foot -= foot.min(axis=0)
    key = np.ravel_multi_index(tuple(foot.T), tuple(foot.max(axis=0) + 1))
    return len(np.unique(key)) < len(key)


def pair_weights(angles: NDArray[np.int64], spacing_mm: Sequence[float], norm: str) -> NDArray[np.float64]:
    """Return the (A,) weights of angles in a GLCM: exp(-d^2) for a step of d mm; 1 where the norm weights nothing."""
    steps = np.abs(angles) * np.array(spacing_mm)
    if norm == "euclidean":
        return np.array([np.exp(-np.sum(step**2)) for step in steps])
    return np.array([np.exp(-(_length(step, norm) ** 2)) if norm != "no_weighting" else 1.0 for step in steps])


def run_weights(angles: NDArray[np.int64], spacing_mm: Sequence[float], norm: str) -> NDArray[np.float64]:
    """Return the (A,) weights of angles in a GLRLM: the length of a step in mm; 1 where the norm weights nothing."""
    steps = np.abs(angles) * np.array(spacing_mm)
    return np.array([_length(step, norm) if norm != "no_weighting" else 1.0 for step in steps])


def _length(step: NDArray[np.float64], norm: str) -> float:
    if norm == "infinity":
        return float(np.max(step))
    return float(np.sum(step) if norm == "manhattan" else np.sqrt(np.sum(step**2)))
