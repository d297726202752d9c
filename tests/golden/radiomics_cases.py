"""ROIs whose stock values are kept: 1 to 120 ml, odd shapes, and the real head.

The phantoms are made of integers alone (sums of random integers), so that every platform makes the same voxels; each golden file
keeps a digest of them all the same.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cvtbatch.radiomics import PROFILES, FeatureSet, profile_of, study_settings

SPACING_MM = (0.5, 0.5, 5.0)

Pair = tuple[sitk.Image, sitk.Image]


@dataclass(frozen=True, slots=True)
class Case:
    """An ROI and the settings under which its values are kept."""

    make: Callable[[], Pair]
    profiles: Mapping[str, FeatureSet]


def texture(seed: int, shape: tuple[int, int, int], blur: int) -> NDArray[np.int64]:
    """Integers with a spread of about 10, correlated over `blur` voxels in the plane."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(-100, 101, (shape[0], shape[1] + blur, shape[2] + blur))
    for axis in (1, 2):
        sums = noise.cumsum(axis=axis)
        behind, ahead = [slice(None)] * 3, [slice(None)] * 3
        behind[axis], ahead[axis] = slice(None, -blur), slice(blur, None)
        noise = sums[tuple(ahead)] - sums[tuple(behind)]
    return noise * 10 // (58 * blur)


def ball(shape: tuple[int, int, int], centre: tuple[float, float, float], ml: float, wobble: NDArray[np.int64]):
    """Where a lumpy ball of about `ml` lies; shape and centre in voxels (z, y, x)."""
    radius2 = (ml * 1000 * 0.75 / np.pi) ** (2 / 3)
    axes = [(np.arange(n) - c) * s for n, c, s in zip(shape, centre, SPACING_MM[::-1], strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return z * z + y * y + x * x < radius2 * (1 + wobble * 0.01)


def images(hu: NDArray[np.int64], inside: NDArray[np.bool_], spacing_mm: tuple[float, ...] = SPACING_MM) -> Pair:
    """Wrap arrays as a volume and a mask."""
    ct = sitk.GetImageFromArray(np.clip(hu, -1024, 3071).astype(np.int16))
    mask = sitk.GetImageFromArray(inside.astype(np.uint8))
    for image in (ct, mask):
        image.SetSpacing(spacing_mm)
        image.SetOrigin((-60.0, -75.5, 12.25))
    return ct, mask


def bleed(seed: int, ml: float, shift: tuple[int, int, int] = (0, 0, 0), second_ml: float = 0) -> Pair:
    """A hematoma (about 62 HU) in brain (34) in a box of skull (1100)."""
    radius = (ml * 750 / np.pi) ** (1 / 3)
    shape = (int(2 * radius / 5) + 9, int(4 * radius) + 50, int(4 * radius) + 50)
    middle = tuple(n / 2 + s for n, s in zip(shape, shift, strict=True))
    wobble = texture(seed + 1, shape, 15)
    inside = ball(shape, middle, ml, wobble)
    if second_ml:
        inside |= ball(shape, (middle[0], 12.0, 12.0), second_ml, wobble)
    hu = np.where(inside, 62, 34) + texture(seed, shape, 4) // np.where(inside, 1, 2)
    hu[:, :3], hu[:, :, -3:] = 1100, 1100
    return images(hu + np.random.default_rng(seed + 2).integers(-6, 7, shape), inside)


def clipped(seed: int) -> Pair:
    """A hematoma beside a metal clip."""
    ct, mask = bleed(seed, 5.0)
    hu, inside = sitk.GetArrayFromImage(ct).astype(np.int64), sitk.GetArrayFromImage(mask) == 1
    x = np.argwhere(inside)[:, 2].max() + 4
    hu[4:6, 30:33, x : x + 3] = 3071
    return images(hu, inside)


def one_slice(seed: int) -> Pair:
    """One slice of a hematoma."""
    ct, mask = bleed(seed, 12.0)
    inside = sitk.GetArrayFromImage(mask) == 1
    inside[np.arange(len(inside)) != len(inside) // 2] = False
    return images(sitk.GetArrayFromImage(ct).astype(np.int64), inside)


def flat(seed: int) -> Pair:
    """A hematoma with a region of one value, and kurtosis undefined there."""
    ct, mask = bleed(seed, 4.0)
    hu, inside = sitk.GetArrayFromImage(ct).astype(np.int64), sitk.GetArrayFromImage(mask) == 1
    middle = hu.shape[1] // 2
    hu[:, middle - 8 : middle + 8, middle - 8 : middle + 8] = 60
    return images(hu, inside)


def isotropic(seed: int) -> Pair:
    """Cubic voxels of 1 mm."""
    ct, mask = bleed(seed, 3.0)
    return images(
        sitk.GetArrayFromImage(ct).astype(np.int64), sitk.GetArrayFromImage(mask) == 1, spacing_mm=(1.0, 1.0, 1.0)
    )


def real_head() -> Pair:
    """The real head as a stack of slices, its tilt and its uneven gaps left aside, with an ellipsoid in the left hemisphere."""
    import pydicom

    from tests.support.outside_data import outside

    slices = [pydicom.dcmread(path) for path in sorted(outside("head_ct_ge").glob("*.dcm"))]
    slices.sort(key=lambda ds: float(ds.ImagePositionPatient[2]))
    hu = np.stack([ds.pixel_array * int(ds.RescaleSlope) + int(ds.RescaleIntercept) for ds in slices]).astype(np.int64)
    z, y, x = np.indices(hu.shape)
    inside = ((z - 17) * 5 / 16) ** 2 + ((y - 330) * 0.49 / 22) ** 2 + ((x - 320) * 0.49 / 13) ** 2 < 1
    return images(hu, inside, spacing_mm=(0.48828125, 0.48828125, 5.0))


def digest(pair: Pair) -> str:
    """Digest of the voxels of both images."""
    total = hashlib.sha256()
    for image in pair:
        total.update(sitk.GetArrayViewFromImage(image).tobytes())
    return total.hexdigest()


def _profiles(*keys: str) -> dict[str, FeatureSet]:
    cvt, onekey = (study_settings(PROFILES[name]) for name in ("cvt-1834", "onekey-1834"))
    known = {
        "cvt5": cvt,
        "cvt25": {**cvt, "binWidth": 25.0},
        "onekey5": onekey,
        "onekey25": {**onekey, "binWidth": 25.0},
        "whole": {**cvt, "preCrop": False},
    }
    return {key: profile_of(known[key]) for key in keys}


CASES: Mapping[str, Case] = {
    "ml001": Case(lambda: bleed(10, 1.0), _profiles("cvt5", "cvt25", "onekey5", "onekey25", "whole")),
    "ml003": Case(lambda: bleed(11, 3.0), _profiles("cvt5", "cvt25", "onekey5")),
    "ml010": Case(lambda: bleed(12, 10.0), _profiles("cvt5", "onekey5", "whole")),
    "ml030": Case(lambda: bleed(13, 30.0), _profiles("cvt5", "onekey25")),
    "ml060": Case(lambda: bleed(14, 60.0), _profiles("cvt5", "onekey5")),
    "ml090": Case(lambda: bleed(15, 90.0), _profiles("cvt5")),
    "ml120": Case(lambda: bleed(16, 120.0), _profiles("cvt25", "onekey5")),
    "two_components": Case(lambda: bleed(17, 6.0, second_ml=1.0), _profiles("cvt5", "onekey5")),
    "border": Case(lambda: bleed(18, 8.0, shift=(-4, 20, -50)), _profiles("cvt5", "onekey5", "whole")),
    "one_slice": Case(lambda: one_slice(19), _profiles("cvt5", "cvt25", "onekey5")),
    "clip": Case(lambda: clipped(20), _profiles("cvt5", "onekey5")),
    "flat": Case(lambda: flat(21), _profiles("cvt5", "onekey25")),
    "isotropic": Case(lambda: isotropic(22), _profiles("cvt5", "onekey5")),
    "real_head": Case(real_head, _profiles("cvt5", "onekey5")),
}
