"""Stock PyRadiomics 3.0.1: the reference for every value, and the engine `pyradiomics`."""

import logging
import warnings

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from cvtbatch.errors import InputError, InternalError, ResourceError
from cvtbatch.radiomics.profiles import FEATURE_CLASSES, GLCM, IMAGE_TYPES, Profile


def stock_features(ct: sitk.Image, mask: sitk.Image, profile: Profile) -> dict[str, float]:
    """Return what PyRadiomics computes on the volume cast to float64, by its names and in its order.

    On an int16 volume PyRadiomics would truncate the samples of LBP-3D to whole HU.

    Raises:
        ResourceError: PyRadiomics is not installed here.
        InputError: PyRadiomics refuses the ROI.
    """
    extractor = _extractor(profile)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            values = extractor.execute(sitk.Cast(ct, sitk.sitkFloat64), mask)
        except ValueError as error:
            raise InputError("roi_refused", "PyRadiomics refuses the ROI", str(error)) from None
    return {name: float(value) for name, value in values.items() if not name.startswith("diagnostics")}


def stock_images(ct: sitk.Image, mask: sitk.Image, profile: Profile) -> dict[str, npt.NDArray[np.floating]]:
    """Return the (n,) ROI values of every filtered image as PyRadiomics makes them, by the image's name in the features."""
    images: dict[str, npt.NDArray[np.floating]] = {}

    def keep(image: sitk.Image, roi: sitk.Image, image_type: str, **_: object) -> dict[str, float]:
        images[image_type] = sitk.GetArrayFromImage(image)[sitk.GetArrayViewFromImage(roi) == 1]
        return {}

    extractor = _extractor(profile)
    extractor.computeFeatures = keep
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extractor.execute(sitk.Cast(ct, sitk.sitkFloat64), mask)
    return images


def _extractor(profile: Profile):  # type: ignore[no-untyped-def]
    try:
        import radiomics
        from radiomics.featureextractor import RadiomicsFeatureExtractor
    except ImportError as error:
        raise ResourceError(
            "no_pyradiomics",
            "engine pyradiomics needs PyRadiomics 3.0.1, which is not installed here (it builds on Python 3.11 and no later one)",
            str(error),
        ) from None
    radiomics.setVerbosity(logging.CRITICAL)
    extractor = RadiomicsFeatureExtractor(additionalInfo=False, **profile.to_pyradiomics())
    extractor.disableAllImageTypes()
    for name, arguments in IMAGE_TYPES.items():
        extractor.enableImageTypeByName(name, customArgs=dict(arguments))
    extractor.disableAllFeatures()
    extractor.enableFeaturesByName(**{name: GLCM if name == "glcm" else [] for name in FEATURE_CLASSES})
    return extractor


def require_names(found: set[str], expected: tuple[str, ...]) -> None:
    """Refuse values whose names are not exactly the expected ones.

    Stock PyRadiomics only logs a warning when it drops a whole filter: without SciPy's `sph_harm` or trimesh it returns 1,561.

    Raises:
        InternalError: names are missing or too many.
    """
    missing, excess = set(expected) - found, found - set(expected)
    if missing or excess:
        shown = ", ".join(sorted(missing or excess)[:3])
        hint = "; LBP-3D needs trimesh and SciPy < 1.17" if any("lbp-3D" in name for name in missing) else ""
        raise InternalError(
            "wrong_features",
            f"{len(found)} features instead of {len(expected)}: {len(missing)} missing, {len(excess)} too many "
            f"({shown}, ...){hint}",
        )
