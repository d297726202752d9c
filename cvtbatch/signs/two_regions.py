"""Two regions of different density in a hematoma: side by side, or one above the other.

* Blend sign: Li et al., Stroke 2015: a relatively hypodense area beside a hyperdense one, a well-defined margin between them that
  the naked eye recognises, at least 18 HU, and the hypodense area not encapsulated.
* Fluid level: Pfleger et al., AJNR 1994;15:217 (fluid-blood levels); by Morotti et al., Annals of Neurology 2019, a hypodense area
  above and a hyperdense one below a straight line.

Rules (operationalisations): in each slice of at least `least_slice_mm2` inside the margin, Otsu's threshold of smoothed HU makes
two classes. Blend: a region of the lower class, and one of the higher, each with `region_share` of the slice and room for a circle
of `region_radius_mm`, the lower one reaching the margin and of `serum_hu` in the median; the difference is that of medians of HU
between `near_mm` and `far_mm` on either side, so that a slow change of density is none. Fluid level: of all straight lines tilted
by at most `level_tilt_deg` from the horizontal of a patient who lies on the back, the one with most pixels on the right side (lower
class above), at least `level_share` of them, `region_share` on either side, and a difference of `level_hu`, measured like the
blend's. What is nearer to bone than `inner_bone_mm` is not looked at.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cvtbatch.signs.constants import Constants
from cvtbatch.signs.hematoma import Hematoma, Mask, Values, depth, regions, step_across

# Slices whose plane has less than this of the patient's back-to-front axis are not axial.
AXIAL = 0.7
TILT_STEPS = 11


@dataclass(frozen=True, slots=True)
class TwoRegions:
    """What two classes of density make, under the names of the columns in table `signs`; None where there is no such pair.

    Attributes:
        fluid_level_agreement: share of the slice on the right side of the line.
    """

    blend_difference_hu: float | None
    blend_hypodense_share: float | None
    fluid_level_difference_hu: float | None
    fluid_level_agreement: float | None


def find_two_regions(hematoma: Hematoma, constants: Constants) -> TwoRegions | None:
    """Look for two regions; None where no slice is large enough. Of several slices the one with the largest difference counts."""
    sizes = hematoma.inner_zyx.sum(axis=(1, 2)) * hematoma.pixel_mm2
    slices = [int(index) for index in np.flatnonzero(sizes >= constants.least_slice_mm2)]
    if not slices:
        return None
    blends, levels = list[tuple[float, float]](), list[tuple[float, float]]()
    for index in slices:
        inner = hematoma.inner_zyx[index]
        low = inner & (hematoma.smoothed_zyx[index] < otsu(hematoma.smoothed_zyx[index][inner]))
        blends += _blends(hematoma, index, low, constants)
        levels += _levels(hematoma, index, low, constants)
    straight = [level for level in levels if level[1] >= constants.level_share]
    blend = max(blends, default=(None, None))
    level = max(straight) if straight else max(levels, key=lambda found: found[1], default=(None, None))
    return TwoRegions(*blend, *level)


def otsu(values: Values) -> float:
    """Return the threshold from which two classes of values differ most (Otsu, IEEE Trans. SMC 1979); of equal values, theirs."""
    ordered = np.sort(values)
    below = np.arange(1, len(ordered))
    sums = np.cumsum(ordered)
    means_below, means_above = sums[:-1] / below, (sums[-1] - sums[:-1]) / (len(ordered) - below)
    between = below * (len(ordered) - below) * (means_above - means_below) ** 2
    between[ordered[1:] == ordered[:-1]] = 0
    return float(ordered[int(between.argmax()) + 1]) if len(between) and between.any() else float(ordered[0])


def _blends(hematoma: Hematoma, index: int, low: Mask, constants: Constants) -> Iterator[tuple[float, float]]:
    """Yield the difference of each pair of regions of a slice, and the share of the hypodense one."""
    inner = hematoma.inner_zyx[index]
    pixels = int(inner.sum())
    least = constants.region_share * pixels
    open_yx = inner & (depth(inner, hematoma.pixel_yx) <= max(hematoma.pixel_yx))
    darks, brights = (
        [part for part in regions(mask, least) if depth(part, hematoma.pixel_yx).max() >= constants.region_radius_mm]
        for mask in (low, inner & ~low)
    )
    for dark in darks:
        for bright in brights if (dark & open_yx).any() else ():
            difference = step_across(hematoma.hu_zyx[index], dark, bright, hematoma.pixel_yx, constants)
            if difference is not None and np.median(hematoma.hu_zyx[index][dark]) >= constants.serum_hu:
                yield difference, int(dark.sum()) / pixels


def _levels(hematoma: Hematoma, index: int, low: Mask, constants: Constants) -> Iterator[tuple[float, float]]:
    """Yield, for the best straight line, the difference below and above it, and the share of the slice on the right side."""
    back = np.array(hematoma.posterior_xy)
    length = float(np.hypot(*back))
    if length < AXIAL:
        return
    inner = hematoma.inner_zyx[index]
    rows, columns = np.nonzero(inner)
    points_mm = np.stack([columns * hematoma.spacing_mm[0], rows * hematoma.spacing_mm[1]], axis=1)
    is_low, pixels = low[inner], len(rows)
    best: tuple[int, Mask] = (0, np.zeros(pixels, bool))
    for tilt in np.deg2rad(np.linspace(-constants.level_tilt_deg, constants.level_tilt_deg, TILT_STEPS)):
        turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
        along = points_mm @ (turn @ back) / length
        order = np.argsort(along, kind="stable")
        # Right with so many pixels above the line: the low ones of these, and the high ones of the others.
        right = np.cumsum(np.where(is_low[order], 1, -1)) + int((~is_low).sum())
        least = int(np.ceil(constants.region_share * pixels))
        above = least - 1 + int(right[least - 1 : pixels - least].argmax()) if pixels > 2 * least else 0
        if right[above] > best[0]:
            best = int(right[above]), along <= along[order[above]]
    upper, lower = np.zeros_like(inner), np.zeros_like(inner)
    upper[rows[best[1]], columns[best[1]]], lower[rows[~best[1]], columns[~best[1]]] = True, True
    difference = step_across(hematoma.hu_zyx[index], upper, lower, hematoma.pixel_yx, constants)
    if difference is not None and np.median(hematoma.hu_zyx[index][upper]) >= constants.serum_hu:
        yield difference, best[0] / pixels
