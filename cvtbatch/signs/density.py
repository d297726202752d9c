"""Density in an outline.

The coefficient of variation of its HU: Barras et al., AJNR 2013;34:1139.
"""

from dataclasses import dataclass

import numpy as np

from cvtbatch.signs.hematoma import Hematoma


@dataclass(frozen=True, slots=True)
class Density:
    """Density of an outline, under the names of its columns in table `signs`.

    Attributes:
        density_cv: None where the mean is not above 0 HU.
    """

    mean_hu: float
    sd_hu: float
    density_cv: float | None


def measure_density(hematoma: Hematoma) -> Density:
    """Measure the density of an outline; the standard deviation is that of its voxels, not of a sample."""
    values = hematoma.hu_zyx[hematoma.outline_zyx].astype(np.float64)
    mean, deviation = float(values.mean()), float(values.std())
    return Density(mean, deviation, deviation / mean if mean > 0 else None)
