"""Shape of the ROI: 14 features of its mesh and of its voxels' covariance, and three that are deprecated.

The mesh is PyRadiomics': marching cubes on the bounding box with one empty voxel around it, vertices half way between voxels. Its
diameters are largest distances between vertices; PyRadiomics compares all pairs, here only vertices at the two ends of a row of
the mesh are compared, since no other can be an end of the longest chord.

Source: PyRadiomics 3.0.1, `shape.py` and `src/cshape.c` (calculate_coefficients); the table of triangles is P. Bourke's (after
Lorensen and Cline, 1987), in the orientation of PyRadiomics, halved by symmetry.
"""

import math

import numpy as np
from numpy.typing import NDArray

from cvtbatch.compiled_arrays import empty
from cvtbatch.compiled_code import compiled
from cvtbatch.radiomics.box import RoiBox

# Triangles of the 128 cubes without their eighth corner: three edges (hexadecimal) a triangle; "-" has none.
_TRIANGLES = (
    "- 083 190 183198 12a 08312a 92a029 2832a8a98 b23 b2008b 190b23 b2119b98b 3a1ba3 a1008a8ba 9033b9ba9 98aba8 "
    "478 043473 190478 194147173 12a478 34730412a 92a902478 2a9297273479 478b23 b47b24204 190478b23 47b94bb29192 "
    "3a1ba3478 ba114b10447b 4789033b9ba9 47b4b99ba 954 954083 054015 854835315 12a954 08312a954 2a5542240 "
    "2a5325354834 954b23 b2008b954 054015b23 215258b28548 3a1ba3954 549a1008a8ba 54050ba5bb03 548a58ba8 789579 "
    "309539357 780017715 157173 78957912a 12a309395357 0288258572a5 2a5253357 579789b23 579972209b27 b23018178157 "
    "21b17b157 7895793a1ba3 5705097b0a10ba0 ba003ba50078570 ba557b 65a 08365a 19065a 18319865a 165126 165126083 "
    "965906026 598582526832 b2365a b2008b65a 190b2365a b2119b98b65a 63b653513 08b0b50515b6 63b036065059 65969bb98 "
    "47865a 04347365a 19047865a 19414717365a 478165126 043473165126 478965906026 739479329596269 b2347865a "
    "b47b2420465a 190b2347865a 47b94bb2919265a 47863b653513 51b5b610b47b04b 47863b036065059 65969b4797b9 a4964a "
    "a4964a083 01aa60640 18316886461a 149124264 149124264083 024426 832824426 b23a4964a b2008ba4964a b2301aa60640 "
    "64161a148b2118b 964369139b63 18b081b61149641 63b036640 86468b 67a78a89a 67a0a709a073 67a1a7178018 67a1a7173 "
    "126168189678 269129679309739 078706602 273267 b2367a78a89a 207b2709767a9a7 67a1a7178018b23 b2117ba61167 "
    "896678169b63136 09167b 07870603bb60 67b "
).split()
# The middles of a cube's edges (z, y, x) in half voxels.
_MIDDLES = np.array(
    [
        *((0, 0, 1), (0, 1, 2), (0, 2, 1), (0, 1, 0), (2, 0, 1), (2, 1, 2)),
        *((2, 2, 1), (2, 1, 0), (1, 0, 0), (1, 0, 2), (1, 2, 2), (1, 2, 0)),
    ],
    np.int64,
)
_EDGES = np.array([[int(edge, 16) for edge in row.strip("-").ljust(15, "f")] for row in _TRIANGLES], np.int64)


def shape_features(box: RoiBox) -> dict[str, float]:
    """Return the features, in mm, mm2 and mm3."""
    spacing = np.array(box.spacing_mm)
    inside = np.zeros([size + 2 for size in box.shape], np.uint8)
    voxels = tuple(axis - low + 1 for axis, low in zip(box.outline, box.lower, strict=True))
    inside.reshape(-1)[(voxels[0] * inside.shape[1] + voxels[1]) * inside.shape[2] + voxels[2]] = 1
    surface, volume = surface_and_volume(inside, spacing)
    slice_mm, column_mm, row_mm, longest_mm = _diameters(inside, spacing)
    least, minor, major = principal_variances(voxels, spacing)
    z, y, x = box.spacing_mm
    sphericity = (36 * math.pi * volume**2) ** (1.0 / 3.0) / surface
    return {
        "Compactness1": volume / (surface ** (3.0 / 2.0) * math.sqrt(math.pi)),
        "Compactness2": (36.0 * math.pi) * (volume**2.0) / (surface**3.0),
        "Elongation": root(minor / major) if major >= 0 else math.nan,
        "Flatness": root(least / major) if major >= 0 else math.nan,
        "LeastAxisLength": root(least) * 4,
        "MajorAxisLength": root(major) * 4,
        "Maximum2DDiameterColumn": column_mm,
        "Maximum2DDiameterRow": row_mm,
        "Maximum2DDiameterSlice": slice_mm,
        "Maximum3DDiameter": longest_mm,
        "MeshVolume": volume,
        "MinorAxisLength": root(minor) * 4,
        "SphericalDisproportion": 1 / sphericity,
        "Sphericity": sphericity,
        "SurfaceArea": surface,
        "SurfaceVolumeRatio": surface / volume,
        "VoxelVolume": len(voxels[0]) * (z * x * y),
    }


def surface_and_volume(inside: NDArray[np.uint8], spacing: NDArray[np.float64]) -> tuple[float, float]:
    """Return the area (mm2) and the volume (mm3) of the mesh around voxels that are 1, none of them at the array's border."""
    surface, volume = _mesh(inside, spacing, _MIDDLES, _EDGES)
    return surface, volume


def root(value: np.floating | np.complexfloating) -> float:
    """Return the root of an eigenvalue; NaN below 0."""
    return float(np.sqrt(value).real) if value >= 0 else math.nan


def principal_variances(
    voxels: tuple[NDArray[np.int64], ...], spacing: NDArray[np.float64]
) -> NDArray[np.floating | np.complexfloating]:
    """Return the eigenvalues, one an axis, of the voxels' covariance (mm2), increasing, in PyRadiomics' order of operations.

    On a flat ROI the least one is round-off, of which the root is reported: hence the same calls on the same numbers. Of a few
    voxels on a line they can come out complex, and then PyRadiomics reports the real part of the root.
    """
    coordinates = np.array(voxels, dtype="int").transpose((1, 0))
    physical = coordinates * spacing[None, :]
    physical -= np.mean(physical, axis=0)
    physical /= np.sqrt(len(voxels[0]))
    variances: NDArray[np.floating | np.complexfloating] = np.linalg.eigvals(np.dot(physical.T.copy(), physical))
    variances[(variances < 0) & (variances > -1e-10)] = 0
    variances.sort()
    return variances


def _diameters(inside: NDArray[np.uint8], spacing: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Return the largest distances (mm) between mesh vertices of one z plane, y plane, x plane, and of the whole mesh."""
    rows, rows_across = _row_ends(inside), _row_ends(np.ascontiguousarray(inside.swapaxes(1, 2)))
    z, y, x = spacing / 2
    steps, steps_across = np.array([z, y, x]), np.array([z, x, y])
    farthest, farthest_across = _farthest_first(rows, steps), _farthest_first(rows_across, steps_across)
    squared = (
        _longest(*farthest, 0, steps),
        _longest(*farthest, 1, steps),
        _longest(*farthest_across, 1, steps_across),
        _longest(*farthest, -1, steps),
    )
    slice_mm, column_mm, row_mm, longest_mm = (math.sqrt(value) for value in squared)
    return slice_mm, column_mm, row_mm, longest_mm


def _farthest_first(
    rows: NDArray[np.int64], steps: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return row ends, those first that reach farthest from the middle, and what no end of theirs is farther away than (mm)."""
    middle = np.array([rows[:, 0].mean(), rows[:, 1].mean(), rows[:, 2:].mean()])
    along = np.abs(rows[:, 2:] - middle[2]).max(axis=1)
    off = np.column_stack([rows[:, :2] - middle[:2], along]) * steps
    reach = np.sqrt((off * off).sum(axis=1)) * (1 + 1e-12)
    order = np.argsort(-reach)
    return rows[order], reach[order]


@compiled
def _mesh(
    inside: NDArray[np.uint8],
    spacing: NDArray[np.float64],
    middles: NDArray[np.int64],
    edges: NDArray[np.int64],
) -> tuple[float, float]:  # pragma: no cover - compiled
    """Return surface (mm2) and volume (mm3) of the mesh of a mask (z, y, x) with an empty border."""
    surface, volume = 0.0, 0.0
    halves = 2 * max(inside.shape)
    along = empty((3, halves), np.float64)
    for axis in range(3):
        for half in range(halves):
            along[axis, half] = half / 2 * spacing[axis]
    for z in range(inside.shape[0] - 1):
        for y in range(inside.shape[1] - 1):
            p, q, r, s = inside[z, y], inside[z, y + 1], inside[z + 1, y], inside[z + 1, y + 1]
            ahead = 0
            for x in range(inside.shape[2] - 1):
                # Most cubes have all corners inside, or none.
                behind, ahead = ahead, p[x + 1] + q[x + 1] + r[x + 1] + s[x + 1]
                if behind == ahead and ahead % 4 == 0:
                    continue
                cube = np.int64(p[x] | p[x + 1] << 1 | q[x + 1] << 2 | q[x] << 3)
                cube |= np.int64(r[x] << 4 | r[x + 1] << 5 | s[x + 1] << 6 | s[x] << 7)
                sign = 1.0
                if cube & 0x80:
                    cube ^= 0xFF
                    sign = -1.0
                if cube == 0:
                    continue
                at_z, at_y, at_x = along[0, 2 * z :], along[1, 2 * y :], along[2, 2 * x :]
                first = 0
                while first < 15 and edges[cube, first] < 12:
                    i, j, k = edges[cube, first], edges[cube, first + 1], edges[cube, first + 2]
                    az, ay, ax = at_z[middles[i, 0]], at_y[middles[i, 1]], at_x[middles[i, 2]]
                    bz, by, bx = at_z[middles[j, 0]], at_y[middles[j, 1]], at_x[middles[j, 2]]
                    cz, cy, cx = at_z[middles[k, 0]], at_y[middles[k, 1]], at_x[middles[k, 2]]
                    volume += sign * ((ay * bx - by * ax) * cz + (ax * bz - bx * az) * cy + (az * by - bz * ay) * cx)
                    a0, a1, a2, b0, b1, b2 = az - cz, ay - cy, ax - cx, bz - cz, by - cy, bx - cx
                    n0, n1, n2 = a1 * b2 - b1 * a2, a2 * b0 - b2 * a0, a0 * b1 - b0 * a1
                    surface += 0.5 * np.sqrt(n0 * n0 + n1 * n1 + n2 * n2)
                    first += 3
    return surface, volume / 6


@compiled
def _row_ends(inside: NDArray[np.uint8]) -> NDArray[np.int64]:  # pragma: no cover - compiled
    """Return, in half voxels, (z, y) rows of the mesh with their first and last vertex along x: (rows, 4)."""
    nz, ny, nx = inside.shape
    first, last = empty((2 * nz, 2 * ny), np.int64), empty((2 * nz, 2 * ny), np.int64)
    for i in range(2 * nz):
        for j in range(2 * ny):
            first[i, j], last[i, j] = 2 * nx, -1
    for z in range(nz - 1):
        for y in range(ny - 1):
            for x in range(nx - 1):
                here = inside[z, y, x]
                for axis in range(3):
                    dz, dy, dx = axis == 0, axis == 1, axis == 2
                    if here != inside[z + dz, y + dy, x + dx]:
                        i, j, k = 2 * z + dz, 2 * y + dy, 2 * x + dx
                        first[i, j] = min(first[i, j], k)
                        last[i, j] = max(last[i, j], k)
    count = 0
    rows = empty((4 * nz * ny, 4), np.int64)
    for i in range(2 * nz):
        for j in range(2 * ny):
            if last[i, j] >= 0:
                rows[count, 0], rows[count, 1], rows[count, 2], rows[count, 3] = i, j, first[i, j], last[i, j]
                count += 1
    return rows[:count]


@compiled
def _longest(
    rows: NDArray[np.int64], reach: NDArray[np.float64], plane: int, steps: NDArray[np.float64]
) -> float:  # pragma: no cover - compiled
    """Return the largest squared distance between row ends that share column `plane` of `rows`; all rows if it is -1.

    Rows and their reach come as `_farthest_first` has them: those that are too near to the middle to matter are not looked at.
    """
    best = 0.0
    for a in range(len(rows)):
        if 4 * reach[a] ** 2 < best:
            break
        for b in range(a, len(rows)):
            if (reach[a] + reach[b]) ** 2 < best:
                break
            if plane >= 0 and rows[a, plane] != rows[b, plane]:
                continue
            dz, dy = (rows[a, 0] - rows[b, 0]) * steps[0], (rows[a, 1] - rows[b, 1]) * steps[1]
            dx = max(abs(rows[a, 3] - rows[b, 2]), abs(rows[b, 3] - rows[a, 2])) * steps[2]
            best = max(best, dz * dz + dy * dy + dx * dx)
    return best
