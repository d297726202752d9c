"""The convex hull of a mask on its grid: all voxels whose centres lie in the hull of the centres of the mask's voxels.

Affine maps keep hulls, so that it is found between indices, which are whole numbers, and holds for any steps of the grid. Points
of one plane or line are told by whole numbers too, and have a hull of that dimension.
"""

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull

Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.int64]
# Far above what Qhull errs, and far below how near to a plane through grid points another grid point can lie.
TOLERANCE = 1e-7


def convex_hull(mask_zyx: Mask) -> Mask:
    """Return the hull of a mask that is not empty, bool of its shape."""
    points = np.argwhere(mask_zyx)
    start, stop = points.min(axis=0), points.max(axis=0) + 1
    candidates = np.stack(np.meshgrid(*map(np.arange, start, stop), indexing="ij"), axis=-1).reshape(-1, 3)
    inside = _inside(_ends(points), candidates)
    hull = mask_zyx.copy()
    hull[tuple(map(slice, start, stop))] |= inside.reshape(stop - start)
    return hull


def _ends(points: Points) -> Points:
    """Return the first and last point of every row along x: no other one is a corner of the hull."""
    rows, first, counts = np.unique(points[:, :2], axis=0, return_index=True, return_counts=True)
    return np.unique(points[np.concatenate([first, first + counts - 1])], axis=0) if len(rows) else points


def _inside(points: Points, candidates: Points) -> Mask:
    """Say which candidates lie in the hull of some points; both (n, 3), candidates within the points' box."""
    origin = points[0]
    steps = points - origin
    along = steps[np.any(steps != 0, axis=1)][:1]
    if not len(along):
        return np.asarray(np.all(candidates == origin, axis=1))
    off_line = np.any(np.cross(steps, along[0]) != 0, axis=1)
    if not off_line.any():
        # Within the box of a line's ends.
        return np.asarray(np.all(np.cross(candidates - origin, along[0]) == 0, axis=1))
    normal = np.cross(along[0], steps[off_line][0])
    if (steps @ normal != 0).any():
        return _below_faces(points, candidates)
    # The plane seen along the axis that it is least parallel to.
    seen = np.delete(np.arange(3), int(np.argmax(np.abs(normal))))
    in_plane = np.asarray((candidates - origin) @ normal == 0)
    in_plane[in_plane] = _below_faces(points[:, seen], candidates[in_plane][:, seen])
    return in_plane


def _below_faces(points: Points, candidates: Points) -> Mask:
    """Say which candidates lie on the inner side of every face of a hull that is not flat; (n, d)."""
    faces = ConvexHull(points).equations
    places = np.arange(len(candidates))
    # Face by face, and only those that are still in: all at once would take gigabytes.
    for face in np.unique(faces.round(12), axis=0):
        places = places[candidates[places] @ face[:-1] + face[-1] <= TOLERANCE]
    inside = np.zeros(len(candidates), dtype=np.bool_)
    inside[places] = True
    return inside
