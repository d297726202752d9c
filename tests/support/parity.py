"""Stock PyRadiomics beside the fast engine, and the contract between them."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pytest

from cvtbatch import contracts

NAMES = contracts.feature_names()
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
