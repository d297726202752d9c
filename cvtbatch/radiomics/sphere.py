"""The 42 points at which LBP-3D samples, and their spherical harmonics.

Source: PyRadiomics 3.0.1, `imageoperations.getLBP3DImage`.
"""

import cmath
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RADIUS = 1
# Y(0, 0), everywhere.
Y00 = 0.5 / math.sqrt(math.pi)
# The icosahedron's 12 vertices and its 30 edges' middles on the unit sphere, bit for bit and in the order of trimesh's
# `icosphere(1, 1)`, whose import would double the engine's own: each word is one point (z, y, x), each digit a magnitude.
_MAGNITUDES = (
    *(0.0, 0.3090169943749474, 0.30901699437494745, 0.5, 0.5000000000000001, 0.5257311121191336),
    *(0.8090169943749473, 0.8090169943749475, 0.85065080835204, 1.0),
)
_POINTS = (
    "-5+8+0 +5+8+0 -5-8+0 +5-8+0 +0-5+8 +0+5+8 +0-5-8 +0+5-8 +8+0-5 +8+0+5 -8+0-5 -8+0+5 +0+9+0 +0-9+0 "
    "-1-6+3 +1-6+3 -1+6+3 +1+6+3 +0+0+9 -1-6-3 +1-6-3 -1+6-3 +1+6-3 +0+0-9 +7+4-2 +7-4-2 +4-2-7 +4+2-7 "
    "+7+4+2 +7-4+2 +4-2+7 +4+2+7 +9+0+0 -7+4-2 -7-4-2 -4-2-7 -4+2-7 -7+4+2 -7-4+2 -4-2+7 -4+2+7 -9+0+0"
).split()


@dataclass(frozen=True, slots=True)
class Sphere:
    """What sampling and its magnitudes take.

    Attributes:
        points: (42, 3) float64, offsets (z, y, x) in voxels.
        degree0: (43,) float64, the magnitude of degree 0 by number of set points.
        degree1: (6, 42) float64, Y(1, m) at the points: real and imaginary part for m = -1, then 0, then 1.
    """

    points: NDArray[np.float64]
    degree0: NDArray[np.float64]
    degree1: NDArray[np.float64]


def sphere_points() -> NDArray[np.float64]:
    """Return the (42, 3) points."""
    signed = [[int(word[k : k + 2]) for k in (0, 2, 4)] for word in _POINTS]
    points: NDArray[np.float64] = np.sign(signed) * np.array(_MAGNITUDES)[np.abs(signed)]
    return points + 0.0


def lay_sphere() -> Sphere:
    """Compute the harmonics as PyRadiomics does: with the polar angle as azimuth and the azimuth as polar angle."""
    points = sphere_points()
    theta = np.arccos(np.true_divide(points[:, 2], RADIUS))
    phi = np.arctan2(points[:, 1], points[:, 0])
    y00 = np.full(len(points), Y00, np.complex128)
    set_points = np.tri(len(points) + 1, len(points), -1)
    # A last axis of two, as in PyRadiomics, makes NumPy sum the points one after the other.
    c00 = np.multiply(set_points[:, :, None], np.stack([y00, y00], axis=1)[None]).sum(axis=1)[:, None, :1]
    squares = np.multiply(c00, y00[None, :, None]) ** 2
    degree0 = np.real(np.sqrt(np.sum(np.repeat(squares, 2, axis=2), axis=1)))[:, 0]
    return Sphere(points, degree0, _degree1(polar=phi, azimuth=theta))


def _degree1(polar: NDArray[np.float64], azimuth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Y(1, m) (6, points), as `Sphere` has it, to the bit as SciPy's `sph_harm_y`, whose import takes longer than all else.

    By the C library's functions, as there: NumPy's own may differ in the last bit.
    """
    cosine, sine = np.array([(math.cos(angle), math.sin(angle)) for angle in polar]).T
    turn = np.array([cmath.rect(1, angle) for angle in azimuth])
    size = math.sqrt(3 / (8 * math.pi)) * np.abs(sine)
    harmonics = size * turn.conj(), math.sqrt(3) * cosine * Y00 + 0j, -size * turn
    return np.stack([part for values in harmonics for part in (values.real, values.imag)])


def numpy_fuses() -> bool:
    """Tell whether NumPy rounds a complex product's sums of products once (fused multiply-add) or term by term."""
    a = np.exp(1j * np.arange(1, 13)).reshape(4, 3)
    b = np.exp(2j * np.arange(1, 13)).reshape(4, 3)
    product = np.multiply(a[:, None], b[None])
    return not np.array_equal(product.real, a.real[:, None] * b.real[None] - a.imag[:, None] * b.imag[None])
