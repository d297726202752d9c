"""Density in an outline: its spread, and hypodense regions that the blood encapsulates or that are as dark as brain.

* Coefficient of variation of HU: Barras et al., AJNR 2013;34:1139.
* Heterogeneous density: Barras et al., Stroke 2009 (a reader's scale); by Morotti et al., Annals of Neurology 2019, at least three
  hypodense foci in a slice.
* Black hole sign: Li et al., Stroke 2016: a hypodense area, round, oval or rod-like, encapsulated in the hematoma, with a
  well-defined margin, not connected with the brain beside it, and a difference of at least 28 HU.
* Swirl sign: Selariu et al., BMC Neurology 2012; by Ng et al., AJNR 2018;39:232, iso- or hypodensity (to brain) within a
  hyperdense region, through two contiguous slices of 5 mm.

Rules (operationalisations): a region is hypodense where smoothed HU lie `focus_hu` below those of the slice's dense blood
(`reference_percentile` inside it). A focus is one of `least_area_mm2` inside the margin. It is encapsulated if no pixel of it lies
in the margin; its difference is that of the medians of HU in it, and of the blood between `near_mm` and `far_mm` around it. The
shape of a black hole is not looked at. A swirl is of foci whose median is at most `isodense_hu`, and that overlap from slice to
slice, where the slice's dense blood is denser than that.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cvtbatch.signs.constants import Constants
from cvtbatch.signs.hematoma import THROUGH_SLICES, Hematoma, Mask, distance_to, regions


@dataclass(frozen=True, slots=True)
class Density:
    """Spread of the density of an outline, under the names of its columns in table `signs`.

    Attributes:
        density_cv: None where the mean is not above 0 HU.
    """

    mean_hu: float
    sd_hu: float
    density_cv: float | None


@dataclass(frozen=True, slots=True)
class HypodenseRegions:
    """Hypodense regions of a hematoma, under the names of their columns in table `signs`.

    Attributes:
        black_hole_difference_hu, black_hole_area_mm2: of the encapsulated area with the largest; None without one.
    """

    hypodense_foci: int
    black_holes: int
    black_hole_difference_hu: float | None
    black_hole_area_mm2: float | None
    swirl_length_mm: float
    swirl_volume_ml: float


def measure_density(hematoma: Hematoma) -> Density:
    """Measure the density of an outline; the standard deviation is that of its voxels, not of a sample."""
    values = hematoma.hu_zyx[hematoma.outline_zyx].astype(np.float64)
    mean, deviation = float(values.mean()), float(values.std())
    return Density(mean, deviation, deviation / mean if mean > 0 else None)


def find_hypodense_regions(hematoma: Hematoma, constants: Constants) -> HypodenseRegions | None:
    """Look for hypodense regions; None where nothing of the hematoma lies inside its margin."""
    if not hematoma.inner_zyx.any():
        return None
    foci, areas, isodense = 0, list[tuple[float, float]](), np.zeros_like(hematoma.inner_zyx)
    least = constants.least_area_mm2 / hematoma.pixel_mm2
    for index in np.flatnonzero(hematoma.inner_zyx.any(axis=(1, 2))):
        hu, inner = hematoma.hu_zyx[index], hematoma.inner_zyx[index]
        smoothed = hematoma.smoothed_zyx[index]
        reference = np.percentile(smoothed[inner], constants.reference_percentile)
        low = hematoma.filled_zyx[index] & (smoothed < reference - constants.focus_hu)
        within = regions(low & inner, least)
        foci = max(foci, len(within))
        for region in within:
            isodense[index] |= region & bool(np.median(hu[region]) <= constants.isodense_hu < reference)
        for region in regions(low, least):
            if not (region & ~inner).any():
                difference = _difference(hematoma, int(index), region, low, constants)
                areas += [(difference, float(region.sum()) * hematoma.pixel_mm2)] if difference is not None else []
    darkest = max(areas, default=(None, None))
    slices, voxels = _swirl(hematoma, isodense)
    return HypodenseRegions(
        hypodense_foci=foci,
        black_holes=sum(difference >= constants.black_hole_hu for difference, _ in areas),
        black_hole_difference_hu=darkest[0],
        black_hole_area_mm2=darkest[1],
        swirl_length_mm=slices * hematoma.spacing_mm[2],
        swirl_volume_ml=voxels * hematoma.voxel_ml,
    )


def _difference(hematoma: Hematoma, index: int, region: Mask, low: Mask, constants: Constants) -> float | None:
    """Return the difference between a region and the blood around it, in HU; None where there is none but hypodense blood."""
    distance = distance_to(region, hematoma.pixel_yx)
    near = (distance > constants.near_mm) & (distance <= constants.far_mm)
    hu, around = hematoma.hu_zyx[index], near & hematoma.filled_zyx[index] & ~low
    return float(np.median(hu[around]) - np.median(hu[region])) if around.any() else None


def _swirl(hematoma: Hematoma, isodense: Mask) -> tuple[int, int]:
    """Return slices and voxels of the swirl that goes through most slices, of several the largest; 0 without one."""
    labels: npt.NDArray[np.int32]
    labels, count = ndimage.label(isodense, structure=THROUGH_SLICES)
    found = [(labels == number).sum(axis=(1, 2)) for number in range(1, count + 1)]
    return max(((int((voxels > 0).sum()), int(voxels.sum())) for voxels in found), default=(0, 0))
