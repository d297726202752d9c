"""The 42 points at which LBP-3D samples, and their spherical harmonics.

Source: PyRadiomics 3.0.1, `imageoperations.getLBP3DImage`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import sph_harm_y

RADIUS = 1
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
    y00 = sph_harm_y(0, 0, phi, theta)
    set_points = np.tri(len(points) + 1, len(points), -1)
    # A last axis of two, as in PyRadiomics, makes NumPy sum the points one after the other.
    c00 = np.multiply(set_points[:, :, None], np.stack([y00, y00], axis=1)[None]).sum(axis=1)[:, None, :1]
    squares = np.multiply(c00, y00[None, :, None]) ** 2
    degree0 = np.real(np.sqrt(np.sum(np.repeat(squares, 2, axis=2), axis=1)))[:, 0]
    degree1 = [part for m in (-1, 0, 1) for y in (sph_harm_y(1, m, phi, theta),) for part in (y.real, y.imag)]
    return Sphere(points, degree0, np.ascontiguousarray(degree1))


def numpy_fuses() -> bool:
    """Tell whether NumPy rounds a complex product's sums of products once (fused multiply-add) or term by term."""
    a = np.exp(1j * np.arange(1, 13)).reshape(4, 3)
    b = np.exp(2j * np.arange(1, 13)).reshape(4, 3)
    product = np.multiply(a[:, None], b[None])
    return not np.array_equal(product.real, a.real[:, None] * b.real[None] - a.imag[:, None] * b.imag[None])
