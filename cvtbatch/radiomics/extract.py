"""The features of one ROI, by either engine."""

import math
import os
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.radiomics.box import RoiBox, cut_box
from cvtbatch.radiomics.diagnostics import GivenRoi, diagnose
from cvtbatch.radiomics.fast import box_features
from cvtbatch.radiomics.feature_set import FeatureSet
from cvtbatch.radiomics.filters import require_support
from cvtbatch.radiomics.parameter_file import load_feature_set
from cvtbatch.radiomics.processing import process_roi
from cvtbatch.radiomics.profiles import PROFILES, Engine, load_profile
from cvtbatch.radiomics.reference import require_names, stock_features

DEFAULT_PROFILE = "cvt-1834"


@dataclass(frozen=True, slots=True)
class RoiFeatures:
    """What is stored of an ROI's features.

    Attributes:
        values: every feature by name, in the set's order.
        filter_scale_hu: largest |HU| of the cropped box, by which square, squareroot, logarithm and exponential scale.
        degenerate: image types and classes that say nothing about texture, and why; found by the fast engine alone.
        engine: what computed them.
    """

    values: dict[str, float]
    filter_scale_hu: float
    degenerate: tuple[str, ...]
    engine: Engine

    def vector(self) -> npt.NDArray[np.float64]:
        """Return the values alone, in the set's order."""
        return np.fromiter(self.values.values(), np.float64, len(self.values))

    def undefined(self) -> list[str]:
        """Return the names of features that are NaN or infinite."""
        return [name for name, value in self.values.items() if not math.isfinite(value)]


def extract_features(
    ct: sitk.Image,
    mask: sitk.Image,
    profile: FeatureSet | str | os.PathLike[str] = DEFAULT_PROFILE,
    engine: Engine = "fast",
    *,
    params: str | os.PathLike[str] | None = None,
) -> dict[str, float]:
    """Compute the study's features of the voxels where a mask is 1, or those of a PyRadiomics parameter file.

    Args:
        ct: volume in HU; taken with its own pixel type, as PyRadiomics takes it, which rounds voxels that it resamples in an
            image of integers, and the samples of LBP-3D. A store's values are those of the volume as float64.
        mask: integers on the same grid.
        profile: "cvt-1834", "onekey-1834", a parameter file that changes their settings, or a `FeatureSet`.
        engine: "fast" gives PyRadiomics' values, within 1e-9 of each, in a fraction of the time; "pyradiomics" is
            stock PyRadiomics 3.0.1 itself, which computes a parameter file's set anyway where the fast engine cannot.
        params: a PyRadiomics parameter file instead of a profile, taken as PyRadiomics takes it.

    Returns:
        Values by name: in the order of `contracts.feature_names()`, or of the parameter file; NaN where PyRadiomics gives NaN.

    Raises:
        InputError: grids differ, the ROI is absent, too small or too thin, or voxels are not finite; the message names
            the value and the limit.
        ProblemsError: with every key of the parameter file that is refused.
        ResourceError: the engine is not installed here.
        InternalError: the engine gave other names than the set's.
    """
    for name, image in (("ct", ct), ("mask", mask)):
        if not isinstance(image, sitk.Image):
            raise InputError(
                "bad_argument",
                f"{name} is a SimpleITK image here, not a {type(image).__name__}; cvtbatch.extract_features takes files too",
            )
    return roi_features(ct, mask, chosen_set(profile, params), engine, as_given=True).values


def chosen_set(profile: FeatureSet | str | os.PathLike[str], params: str | os.PathLike[str] | None) -> FeatureSet:
    """Return the set that a profile or, instead of it, a parameter file asks for; errors as for `extract_features`."""
    if params is None:
        return profile if isinstance(profile, FeatureSet) else load_profile(profile)
    if profile != DEFAULT_PROFILE:
        raise InputError(
            "bad_argument",
            "profile and params are both given, and a parameter file is computed instead of a profile: leave one out",
        )
    return load_feature_set(params)


def roi_features(
    ct: sitk.Image, mask: sitk.Image, feature_set: FeatureSet, engine: Engine, *, as_given: bool = False
) -> RoiFeatures:
    """Compute the features of an ROI and what is stored beside them; as `extract_features`.

    Args:
        as_given: take the volume with its own pixel type, instead of as float64, as the store's values are.
    """
    box = process_roi(ct, mask, feature_set.preparation, as_given=as_given)
    return _features_of(box, ct, mask, feature_set, engine, as_given)


def describe_roi(given: GivenRoi, feature_set: FeatureSet) -> tuple[dict[str, object], RoiFeatures]:
    """Compute what PyRadiomics' command prints of an ROI, with the image as given: diagnostics, and features by either engine.

    Raises:
        InputError, ResourceError, InternalError: as `extract_features`.
    """
    ct, mask = given.image, given.used_mask
    box = cut_box(ct, mask, feature_set.preparation, as_given=True)
    features = _features_of(box, ct, mask, feature_set, "fast", as_given=True)
    wanted = feature_set.preparation.additional_info
    return diagnose(given, box, feature_set.preparation) if wanted else {}, features


def _features_of(
    box: RoiBox, ct: sitk.Image, mask: sitk.Image, feature_set: FeatureSet, engine: Engine, as_given: bool
) -> RoiFeatures:
    """Compute the features of the ROI of a box, which was cut of image and mask."""
    if engine == "fast" and not feature_set.stock_reasons():
        result = box_features(box, feature_set)
        values = _in_order(result.values, feature_set)
        return RoiFeatures(values, result.filter_scale_hu, result.degenerate, "fast")
    if feature_set.image_classes():
        require_support(box, feature_set.image_types)
    values = _in_order(stock_features(ct, mask, feature_set, as_given=as_given), feature_set)
    return RoiFeatures(values, box.largest_hu, (), "pyradiomics")


def _in_order(values: dict[str, float], feature_set: FeatureSet) -> dict[str, float]:
    names = feature_set.names()
    require_names(set(values), names)
    return {name: values[name] for name in names}


def check_stock(profile: FeatureSet) -> None:
    """Compute a small ROI with stock PyRadiomics: where it is absent or incomplete, that is found before any work.

    Raises:
        ResourceError, InternalError: as `extract_features`.
    """
    z, y, x = np.indices((8, 12, 12))
    hu = (40 + 5 * np.sin(x + 2 * y) + 3 * z).astype(np.int16)
    mask = ((np.abs(z - 4) < 3) & (np.abs(y - 6) < 4) & (np.abs(x - 6) < 4)).astype(np.uint8)
    box, roi = sitk.GetImageFromArray(hu), sitk.GetImageFromArray(mask)
    small = PROFILES["cvt-1834"]
    preparation = replace(small.preparation, normalize=profile.preparation.normalize)
    extract_features(box, roi, replace(small, preparation=preparation), "pyradiomics")
