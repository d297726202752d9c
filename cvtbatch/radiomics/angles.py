"""The 13 directions between neighbouring voxels, in PyRadiomics' order.

Source: PyRadiomics 3.0.1, `src/cmatrices.c`, `build_angles` for distance 1: each offset runs from +1 to -1, the last axis
fastest, and the first half of the list is used. An axis along which the ROI is one voxel thick has no offsets.
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from cvtbatch.radiomics.box import Triple


def list_angles(shape: Triple) -> NDArray[np.int64]:
    """Return the (A, 3) offsets in (z, y, x), A from 1 to 13; the first offset that is not 0 is +1."""
    steps = [(1, 0, -1) if size > 1 else (0,) for size in shape]
    angles = [step for step in product(*steps) if any(step)]
    return np.array(angles[: len(angles) // 2], np.int64)


def lines_along(
    index: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]], angle: NDArray[np.int64]
) -> bool:
    """Tell whether some line through the grid along the angle holds two ROI voxels, adjacent or not.

    PyRadiomics drops every other angle from the GLRLM ("segmentation is 2D for this angle").
    """
    coordinates = np.stack(index, axis=1)
    axis = int(np.flatnonzero(angle)[0])
    foot = coordinates - coordinates[:, [axis]] * angle
    foot -= foot.min(axis=0)
    key = np.ravel_multi_index(tuple(foot.T), tuple(foot.max(axis=0) + 1))
    return len(np.unique(key)) < len(key)
