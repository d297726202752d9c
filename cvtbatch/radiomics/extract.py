"""The study's features of one ROI, by either engine."""

import math
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from cvtbatch import contracts
from cvtbatch.errors import InputError
from cvtbatch.radiomics.box import cut_box
from cvtbatch.radiomics.fast import compute_features
from cvtbatch.radiomics.profiles import Engine, Profile, load_profile
from cvtbatch.radiomics.reference import require_names, stock_features


@dataclass(frozen=True, slots=True)
class RoiFeatures:
    """What is stored of an ROI's features.

    Attributes:
        values: every feature by name, in the order of `contracts.feature_names()`.
        filter_scale_hu: largest absolute HU of the cropped box, by which square, squareroot, logarithm and exponential scale.
        degenerate: image types and classes that say nothing about texture, and why; found by the fast engine alone.
    """

    values: dict[str, float]
    filter_scale_hu: float
    degenerate: tuple[str, ...]

    def undefined(self) -> list[str]:
        """Return the names of features that are NaN or infinite."""
        return [name for name, value in self.values.items() if not math.isfinite(value)]


def extract_features(
    ct: sitk.Image, mask: sitk.Image, profile: Profile | str = "cvt-1834", engine: Engine = "fast"
) -> dict[str, float]:
    """Compute the study's features of the voxels where a mask is 1.

    Args:
        ct: volume in HU; cast to float64 before anything else.
        mask: integers on the same grid, 1 in the ROI.
        profile: "cvt-1834", "onekey-1834", a parameter file, or a `Profile`.
        engine: "fast" gives PyRadiomics' values, within 1e-9 of each, in a fraction of the time; "pyradiomics" is
            stock PyRadiomics 3.0.1 itself.

    Returns:
        Values by name, in the order of `contracts.feature_names()`; NaN where PyRadiomics gives NaN.

    Raises:
        InputError: grids differ, the ROI is absent, too small or too thin, or voxels are not finite; the message names
            the value and the limit.
        ResourceError: the engine is not installed here.
        InternalError: the engine gave other names than the study's.
    """
    for name, image in (("ct", ct), ("mask", mask)):
        if not isinstance(image, sitk.Image):
            raise InputError(
                "bad_argument",
                f"{name} is a SimpleITK image here, not a {type(image).__name__}; cvtbatch.extract_features takes files too",
            )
    return roi_features(ct, mask, load_profile(profile) if isinstance(profile, str) else profile, engine).values


def roi_features(ct: sitk.Image, mask: sitk.Image, profile: Profile, engine: Engine) -> RoiFeatures:
    """Compute the features of an ROI and what is stored beside them; as `extract_features`."""
    if engine == "fast":
        result = compute_features(ct, mask, profile)
        return RoiFeatures(_in_order(result.values), result.filter_scale_hu, result.degenerate)
    box = cut_box(ct, mask, profile)
    return RoiFeatures(_in_order(stock_features(ct, mask, profile)), box.largest_hu, ())


def _in_order(values: dict[str, float]) -> dict[str, float]:
    names = contracts.feature_names()
    require_names(set(values), names)
    return {name: values[name] for name in names}


def check_stock(profile: Profile) -> None:
    """Compute a small ROI with stock PyRadiomics: where it is absent or incomplete, that is found before any work.

    Raises:
        ResourceError, InternalError: as `extract_features`.
    """
    z, y, x = np.indices((8, 12, 12))
    hu = (40 + 5 * np.sin(x + 2 * y) + 3 * z).astype(np.int16)
    mask = ((np.abs(z - 4) < 3) & (np.abs(y - 6) < 4) & (np.abs(x - 6) < 4)).astype(np.uint8)
    box, roi = sitk.GetImageFromArray(hu), sitk.GetImageFromArray(mask)
    extract_features(box, roi, Profile(normalize=profile.normalize), "pyradiomics")
