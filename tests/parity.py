"""Stock PyRadiomics beside the fast engine, and the contract between them."""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch.radiomics.profiles import GLCM, IMAGE_TYPES, Profile

NAMES = tuple((Path(__file__).parents[1] / "schemas" / "features_1834.txt").read_text().split())
RELATIVE, ABSOLUTE = 1e-9, 1e-12


class Deviation(NamedTuple):
    """One feature that breaks the contract, `share` times its allowance."""

    share: float
    name: str
    fast: float
    stock: float


def deviations(fast: Mapping[str, float], stock: Mapping[str, float]) -> list[Deviation]:
    """All features whose difference passes 1e-9 |stock| + 1e-12, or of which one alone is NaN; worst first."""
    broken = []
    for name in NAMES:
        ours, theirs = fast[name], stock[name]
        if np.isnan(ours) and np.isnan(theirs):
            continue
        share = abs(ours - theirs) / (RELATIVE * abs(theirs) + ABSOLUTE)
        if not share <= 1:
            broken.append(Deviation(share, name, ours, theirs))
    return sorted(broken, reverse=True)


def skip_without_pyradiomics() -> None:
    """Skip the test where PyRadiomics, or the SciPy that its LBP-3D needs, is not installed."""
    pytest.importorskip("radiomics", reason="PyRadiomics 3.0.1 is not installed: no stock values to compare with")
    special = pytest.importorskip("scipy.special")
    if not hasattr(special, "sph_harm"):
        pytest.skip("SciPy >= 1.17 has no sph_harm: PyRadiomics computes no LBP-3D")


def stock_values(ct: sitk.Image, mask: sitk.Image, profile: Profile) -> dict[str, float]:
    """PyRadiomics' values of the volume cast to float64."""
    import radiomics
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    radiomics.setVerbosity(logging.CRITICAL)
    extractor = RadiomicsFeatureExtractor(additionalInfo=False, **profile.to_pyradiomics())
    extractor.disableAllImageTypes()
    for name, arguments in IMAGE_TYPES.items():
        extractor.enableImageTypeByName(name, customArgs=dict(arguments))
    extractor.disableAllFeatures()
    extractor.enableFeaturesByName(shape=[], firstorder=[], gldm=[], glrlm=[], glszm=[], ngtdm=[], glcm=GLCM)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = extractor.execute(sitk.Cast(ct, sitk.sitkFloat64), mask)
    return {name: float(value) for name, value in values.items()}
