"""The 1,834 features of one ROI."""

import math
from typing import Literal

import numpy as np
import SimpleITK as sitk

from cvtbatch import contracts
from cvtbatch.errors import InputError
from cvtbatch.radiomics.profiles import Profile, load_profile
from cvtbatch.radiomics.reference import require_names, stock_features

Engine = Literal["pyradiomics"]


def extract_features(
    ct: sitk.Image, mask: sitk.Image, profile: Profile | str = "cvt-1834", engine: Engine = "pyradiomics"
) -> dict[str, float]:
    """Compute the 1,834 features of the voxels where a mask is 1.

    Args:
        ct: volume in HU; cast to float64 before anything else.
        mask: integers on the same grid, 1 in the ROI.
        profile: "cvt-1834", "onekey-1834", a parameter file, or a `Profile`.
        engine: "pyradiomics" is stock PyRadiomics 3.0.1.

    Returns:
        Values by name, in the order of `contracts.feature_names()`; NaN where PyRadiomics gives NaN.

    Raises:
        InputError: grids differ, the ROI is absent, voxels are not finite, or PyRadiomics refuses the ROI.
        ResourceError: the engine is not installed here.
        InternalError: the engine gave other names than the 1,834.
    """
    settings = load_profile(profile) if isinstance(profile, str) else profile
    _check_inputs(ct, mask)
    values = stock_features(ct, mask, settings)
    names = contracts.feature_names()
    require_names(set(values), names)
    return {name: values[name] for name in names}


def undefined_features(values: dict[str, float]) -> list[str]:
    """Return the names of features that are NaN or infinite."""
    return [name for name, value in values.items() if not math.isfinite(value)]


def filter_scale_hu(ct: sitk.Image, mask: sitk.Image, profile: Profile) -> float:
    """Return the largest |value| of the box that the filters see: square, squareroot, logarithm and exponential scale by it.

    Under a profile that normalizes, it is the HU before normalization.
    """
    hu = sitk.GetArrayViewFromImage(ct)
    if profile.pre_crop:
        inside = np.argwhere(sitk.GetArrayViewFromImage(mask) == 1)
        start = np.maximum(inside.min(axis=0) - profile.pad_distance, 0)
        stop = inside.max(axis=0) + profile.pad_distance + 1
        hu = hu[tuple(slice(low, high) for low, high in zip(start, stop, strict=True))]
    return float(np.abs(hu.astype(np.float64)).max())


def check_engine(profile: Profile, engine: Engine) -> None:
    """Compute a small ROI, so that an engine that is absent or incomplete here is found before any work.

    Raises:
        ResourceError, InternalError: as `extract_features`.
    """
    z, y, x = np.indices((8, 12, 12))
    hu = (40 + 5 * np.sin(x + 2 * y) + 3 * z).astype(np.int16)
    mask = ((np.abs(z - 4) < 3) & (np.abs(y - 6) < 4) & (np.abs(x - 6) < 4)).astype(np.uint8)
    minimal = Profile(bin_width=profile.bin_width, normalize=profile.normalize, pre_crop=profile.pre_crop)
    extract_features(sitk.GetImageFromArray(hu), sitk.GetImageFromArray(mask), minimal, engine)


def _check_inputs(ct: sitk.Image, mask: sitk.Image) -> None:
    if ct.GetSize() != mask.GetSize() or not all(
        np.allclose(getattr(ct, get)(), getattr(mask, get)(), rtol=0, atol=1e-6)
        for get in ("GetSpacing", "GetOrigin", "GetDirection")
    ):
        raise InputError(
            "grid_mismatch", f"image and mask lie on different grids: {ct.GetSize()} and {mask.GetSize()} voxels"
        )
    if not (sitk.GetArrayViewFromImage(mask) == 1).any():
        raise InputError("empty_mask", "no voxel of the mask has the label 1")
    if not np.isfinite(sitk.GetArrayViewFromImage(ct)).all():
        raise InputError("non_finite_voxels", "the volume holds voxels that are not finite")
