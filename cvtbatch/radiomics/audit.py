"""The parity contract with stock PyRadiomics, and the audit that holds computed values to it.

A feature keeps the contract if |value - stock| <= 1e-9 |stock| + 1e-12, or if both are NaN. Deviations are given in units of that
tolerance: 1 is the limit.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.radiomics.box import cut_box
from cvtbatch.radiomics.discretisation import bin_edges
from cvtbatch.radiomics.feature_set import FeatureSet
from cvtbatch.radiomics.filters import filter_images
from cvtbatch.radiomics.reference import stock_features, stock_images

RELATIVE_TOLERANCE = 1e-9
ABSOLUTE_TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True)
class AuditResult:
    """Values of one ROI beside stock's.

    Attributes:
        largest_deviation: by feature class, in units of the tolerance; infinite where one of two values alone is NaN.
        worst_feature: the feature that deviates most.
        value, stock: its two values.
        beyond: how many features break the contract.
        differing_voxels: voxels whose gray level differs from stock's, by image type; counted where the contract is broken.
    """

    largest_deviation: Mapping[str, float]
    worst_feature: str
    value: float
    stock: float
    beyond: int
    differing_voxels: Mapping[str, int]

    @property
    def broken(self) -> bool:
        """Say whether any feature breaks the contract."""
        return self.beyond > 0


def deviation(value: float, stock: float) -> float:
    """Return how far a value lies from stock's, in units of the tolerance."""
    if value == stock or (math.isnan(value) and math.isnan(stock)):
        return 0.0
    distance = abs(value - stock)
    return distance / (RELATIVE_TOLERANCE * abs(stock) + ABSOLUTE_TOLERANCE) if math.isfinite(distance) else math.inf


def audit_features(
    ct: sitk.Image,
    mask: sitk.Image,
    feature_set: FeatureSet,
    values: Mapping[str, float],
    *,
    as_given: bool = False,
) -> AuditResult:
    """Compute an ROI with stock PyRadiomics and compare.

    Values of a store are audited on what a store holds: `ct` resampled and cut at -1024 HU, as `cvtbatch.imaging.resample_volume`
    says, and a mask on the image's grid by `resample_volume(mask, interpolator="nearest")`. The image is taken as float64, as all
    values of a store are: those of an image of integers as given (`extract_features`) may be others.

    Args:
        values: every feature by name, as the fast engine gave them for this volume and mask.
        as_given: they are of the image with its own pixel type, as those of a source's grid are.

    Raises:
        ResourceError: PyRadiomics is not installed here.
        InputError: PyRadiomics refuses the ROI, or these are no images and no feature set.
    """
    for name, given, kind in (
        ("ct", ct, sitk.Image),
        ("mask", mask, sitk.Image),
        ("feature_set", feature_set, FeatureSet),
    ):
        if not isinstance(given, kind):
            raise InputError(
                "bad_argument",
                f"{name} is a {kind.__name__}, not a {type(given).__name__}; load_profile(NAME) gives a FeatureSet",
            )
    stock = stock_features(ct, mask, feature_set, as_given=as_given)
    deviations = {name: deviation(value, stock[name]) for name, value in values.items()}
    largest: dict[str, float] = {}
    for name, size in deviations.items():
        feature_class = name.split("_")[1]
        largest[feature_class] = max(size, largest.get(feature_class, 0.0))
    worst = max(deviations, key=lambda name: deviations[name])
    beyond = sum(size > 1 for size in deviations.values())
    differing = _differing_voxels(ct, mask, feature_set, as_given) if beyond else {}
    return AuditResult(largest, worst, values[worst], stock[worst], beyond, differing)


def _differing_voxels(ct: sitk.Image, mask: sitk.Image, feature_set: FeatureSet, as_given: bool) -> dict[str, int]:
    """Count, by image type, the ROI voxels whose gray level (for LBP, whose code) differs between the engines."""
    theirs = stock_images(ct, mask, feature_set, as_given=as_given)
    differing = {}
    box = cut_box(ct, mask, feature_set.preparation, as_given=as_given)
    for image_type in feature_set.image_types:
        for name, ours in filter_images(box, image_type):
            edges = (bin_edges(values, image_type.calculation) for values in (ours, theirs[name]))
            levels = [np.digitize(values, own) for values, own in zip((ours, theirs[name]), edges, strict=True)]
            if count := int(np.count_nonzero(levels[0] != levels[1])):
                differing[name] = count
    return differing
