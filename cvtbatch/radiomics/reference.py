"""Stock PyRadiomics 3.0.1: the reference for every value, and the engine `pyradiomics`."""

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from cvtbatch.errors import InputError, InternalError
from cvtbatch.extras import Library, require
from cvtbatch.radiomics.box import cut_box, require_pyradiomics_order
from cvtbatch.radiomics.discretisation import bin_edges
from cvtbatch.radiomics.feature_names import TEXTURE_CLASSES
from cvtbatch.radiomics.feature_set import FeatureSet
from cvtbatch.radiomics.filters import filter_images

# The version whose values both engines give, as it tells it of itself.
STOCK_VERSION = "v3.0.1"
# Its co-occurrence matrices take 13 x N x N x 8 bytes: 1.7 GB.
MAXIMUM_BINS = 4096


def stock_features(
    ct: sitk.Image, mask: sitk.Image, feature_set: FeatureSet, *, as_given: bool = False
) -> dict[str, float]:
    """Return what PyRadiomics computes on the volume, by its names and in its order.

    Args:
        as_given: hand the volume over with its own pixel type, instead of as float64.

    Raises:
        ResourceError: this installation is one without the extra `stock`.
        InputError: PyRadiomics refuses the ROI, or the set is not in its order of processing.
    """
    require_pyradiomics_order(feature_set.preparation)
    _require_pyradiomics(feature_set)
    volume = ct if as_given else sitk.Cast(ct, sitk.sitkFloat64)
    _check_gray_range(volume, mask, feature_set)
    with _own_tolerance(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            values = _extractor(feature_set).execute(volume, mask)
        except (ValueError, RuntimeError) as error:
            raise InputError("roi_refused", "PyRadiomics refuses the ROI", str(error)) from None
    # Of a few voxels on a line some shape values come out complex, with an imaginary part of 0.
    return {name: float(np.real(value)) for name, value in values.items() if not name.startswith("diagnostics")}


def _check_gray_range(ct: sitk.Image, mask: sitk.Image, feature_set: FeatureSet) -> None:
    """Refuse an ROI over whose gray range PyRadiomics would crash the process: its matrices hold every bin, empty ones too.

    Raises:
        InputError: too_many_gray_levels; and what `cut_box` and `filter_images` refuse.
    """
    if not set(TEXTURE_CLASSES) & set(feature_set.image_classes()):
        return
    box = cut_box(ct, mask, feature_set.preparation, as_given=True)
    for image_type in feature_set.image_types:
        if image_type.name == "LBP3D" and feature_set.stock_reasons():
            continue
        if image_type.name == "LBP2D":
            alone = replace(feature_set, image_types=(image_type,))
            images: Iterable[tuple[str, npt.NDArray[np.floating]]] = stock_images(
                ct, mask, alone, as_given=True
            ).items()
        else:
            images = filter_images(box, image_type)
        for name, values in images:
            bins = len(bin_edges(values, image_type.calculation)) - 1
            if bins > MAXIMUM_BINS:
                width = image_type.calculation.bin_width
                raise InputError(
                    "too_many_gray_levels",
                    f"image type {name} spans {bins} bins of width {width:g}; PyRadiomics' matrices would not fit "
                    f"into memory (limit {MAXIMUM_BINS})",
                )


def stock_images(
    ct: sitk.Image, mask: sitk.Image, feature_set: FeatureSet, *, as_given: bool = False
) -> dict[str, npt.NDArray[np.floating]]:
    """Return the (n,) ROI values of every filtered image as PyRadiomics makes them, by the image's name in the features."""
    images: dict[str, npt.NDArray[np.floating]] = {}

    def keep(image: sitk.Image, roi: sitk.Image, image_type: str, **_: object) -> dict[str, float]:
        images[image_type] = sitk.GetArrayFromImage(image)[
            sitk.GetArrayViewFromImage(roi) == feature_set.preparation.label
        ]
        return {}

    with _own_tolerance(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extractor = _extractor(feature_set)
        extractor.computeFeatures = keep
        extractor.execute(ct if as_given else sitk.Cast(ct, sitk.sitkFloat64), mask)
    return images


@contextmanager
def _own_tolerance() -> Iterator[None]:
    """Set back what PyRadiomics changes for the whole process, where a set has a `geometryTolerance`."""
    tolerances = sitk.ProcessObject
    coordinate, direction = (
        tolerances.GetGlobalDefaultCoordinateTolerance(),
        tolerances.GetGlobalDefaultDirectionTolerance(),
    )
    try:
        yield
    finally:
        tolerances.SetGlobalDefaultCoordinateTolerance(coordinate)
        tolerances.SetGlobalDefaultDirectionTolerance(direction)


def _require_pyradiomics(feature_set: FeatureSet) -> None:
    with_lbp_2d: tuple[Library, ...] = ("skimage",) if any(of.name == "LBP2D" for of in feature_set.image_types) else ()
    require(
        "radiomics.engine pyradiomics, audits and some keys of parameter files need",
        "radiomics",
        "trimesh",
        *with_lbp_2d,
    )
    import radiomics

    radiomics.setVerbosity(logging.CRITICAL)


def _extractor(feature_set: FeatureSet):  # type: ignore[no-untyped-def]
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    document = feature_set.to_document()
    extractor = RadiomicsFeatureExtractor(**{**document["setting"], "additionalInfo": False})
    extractor.disableAllImageTypes()
    for name, own in document["imageType"].items():
        extractor.enableImageTypeByName(name, customArgs=own)
    extractor.disableAllFeatures()
    extractor.enableFeaturesByName(**document["featureClass"])
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
        hint = (
            "; LBP-3D needs SciPy < 1.17: pip install 'cvtbatch[stock]'"
            if any("lbp-3D" in name for name in missing)
            else ""
        )
        raise InternalError(
            "wrong_features",
            f"{len(found)} features instead of {len(expected)}: {len(missing)} missing, {len(excess)} too many "
            f"({shown}, ...){hint}",
        )
