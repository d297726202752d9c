"""Stock PyRadiomics beside the fast engine, and the contract between them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

from cvtbatch import contracts
from cvtbatch.radiomics import PROFILES, FeatureSet, profile_of, study_settings
from cvtbatch.radiomics.settings import KEYS, Preparation

NAMES = contracts.feature_names()
RELATIVE, ABSOLUTE = 1e-9, 1e-12


class Deviation(NamedTuple):
    """One feature that breaks the contract, `share` times its allowance."""

    share: float
    name: str
    fast: float
    stock: float


def deviations(fast: Mapping[str, float], stock: Mapping[str, float]) -> list[Deviation]:
    """All of the study's features that break the contract, see `broken_values`."""
    return broken_values(fast, {name: stock[name] for name in NAMES})


def broken_values(fast: Mapping[str, float], stock: Mapping[str, float]) -> list[Deviation]:
    """All features whose difference passes 1e-9 |stock| + 1e-12, or of which one alone is NaN; worst first."""
    broken = []
    for name, theirs in stock.items():
        ours = fast[name]
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


def study_set(**settings: object) -> FeatureSet:
    """The study's features with other settings than those of cvt-1834, by their names in `Preparation` and `Calculation`."""
    study = PROFILES["cvt-1834"]
    keys = {KEYS[name]: value for name, value in settings.items()}
    return profile_of({**study_settings(study), **keys})


def preparation(**settings: object) -> Preparation:
    """How cvt-1834 prepares an ROI, with other settings."""
    return replace(PROFILES["cvt-1834"].preparation, **settings)
