"""Small hematomas beside the main one, and the shape of its margin.

* Satellite sign: Shimoda et al., Cerebrovascular Diseases 2017;44:105: a small hematoma (largest diameter below 10 mm) completely
  apart from the main one in at least one axial slice; by Morotti et al., Annals of Neurology 2019, 1 to 20 mm from it.
* Island sign: Li et al., Stroke 2017: at least three small hematomas all apart from the main one, or at least four of which some or
  all may be connected with it, like bubbles or sprouts and not lobes.
* Irregular shape: Barras et al., Stroke 2009 (a reader's scale); by Morotti et al. 2019, at least two focal irregularities of the
  margin, joined to it or apart.

What is looked at: parts of the outline beside its largest part, and, since many outlines hold this part alone, blood beside the
outline in the same slices: regions of smoothed HU from `blood_hu`, without a voxel above `calcium_hu`, of at least
`least_area_mm2`, not within `outer_bone_mm` of bone (the skull, and blood on the brain's surface). Whether blood beside it lies in
a ventricle or a sulcus is not known. Distances are between centres of pixels in a slice.

Rules (operationalisations): the main hematoma is the outline's largest connected part, its holes filled; in a slice, the largest
region of it. A bud is what an opening by a disc of `body_radius_mm` takes off a slice of it, below `small_mm` in diameter, and at
least `bud_slimness` times as high as the line is long at which it is connected, so that lobes and corners are none. Indentations
of the margin are parts of a slice's convex hull that reach at least `indentation_mm` below its edge; since a protrusion has one on
either side, two of them are one irregularity.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull

from cvtbatch.signs.constants import Constants
from cvtbatch.signs.geometry import corners, diameters
from cvtbatch.signs.hematoma import EIGHT, THROUGH_SLICES, Hematoma, Mask, Values, depth, distance_to, regions, smooth


@dataclass(frozen=True, slots=True)
class Margin:
    """Small hematomas and irregularities, under the names of their columns in table `signs`.

    Attributes:
        satellite_distance_mm: None without a satellite.
        margin_irregularities: None where no slice is large enough.
    """

    satellites: int
    satellites_outlined: int
    satellite_distance_mm: float | None
    islands_separate: int
    islands: int
    margin_irregularities: int | None


def look_at_margin(hematoma: Hematoma, constants: Constants) -> Margin:
    """Look for small hematomas near the main one, and for irregularities of its margin."""
    main = _main(hematoma.filled_zyx)
    beside = _blood_beside(hematoma, constants)
    small, outlined = np.zeros_like(main), np.zeros_like(main)
    nearest: float | None = None
    most_separate = most = 0
    irregularities: int | None = None
    for index in np.flatnonzero(main.any(axis=(1, 2))):
        own = _largest(main[index])
        from_main = distance_to(own, hematoma.pixel_yx)
        drawn = _small_ones(hematoma.outline_zyx[index] & ~own, from_main, hematoma, constants)
        found = _small_ones(beside[index] & ~own, from_main, hematoma, constants)
        separate = [*drawn, *found]
        for region in separate:
            small[index] |= region
            distance = float(from_main[region].min())
            nearest = distance if nearest is None else min(nearest, distance)
        for region in drawn:
            outlined[index] |= region
        most_separate = max(most_separate, len(separate))
        most = max(most, len(separate) + _buds(own, hematoma, constants))
        if own.sum() * hematoma.pixel_mm2 >= constants.least_slice_mm2:
            (box,) = ndimage.find_objects(own.astype(np.uint8))
            indentations = _indentations(own[box], hematoma, constants)
            irregularities = max(irregularities or 0, (indentations + 1) // 2 + len(separate))
    labels, count = ndimage.label(small, structure=THROUGH_SLICES)
    return Margin(
        satellites=int(count),
        satellites_outlined=len(np.unique(labels[outlined])),
        satellite_distance_mm=nearest,
        islands_separate=most_separate,
        islands=most,
        margin_irregularities=irregularities,
    )


def _main(filled_zyx: Mask) -> Mask:
    """Return the largest connected part, corners included; of equal ones the first."""
    labels, _ = ndimage.label(filled_zyx, structure=np.ones((3, 3, 3)))
    return np.asarray(labels == int(np.bincount(labels.ravel())[1:].argmax()) + 1)


def _largest(mask_yx: Mask) -> Mask:
    """Return the largest region of a slice, of equal ones the first."""
    return max(regions(mask_yx, 1), key=lambda region: int(region.sum()))


def _blood_beside(hematoma: Hematoma, constants: Constants) -> Mask:
    """Return where there is blood outside the outline, away from bone, in its slices; what touches the outline is not beside it."""
    smoothed = smooth(hematoma.hu_zyx.astype(np.float64), hematoma.pixel_yx, constants.smoothing_mm)
    blood = (smoothed >= constants.blood_hu) & ~hematoma.filled_zyx
    beside = np.zeros_like(blood)
    least = constants.least_area_mm2 / hematoma.pixel_mm2
    for index in np.flatnonzero(hematoma.filled_zyx.any(axis=(1, 2))):
        hu, outline = hematoma.hu_zyx[index], hematoma.filled_zyx[index]
        near_bone = hematoma.from_bone_zyx[index] < constants.outer_bone_mm
        touching = ndimage.binary_dilation(outline, EIGHT)
        for region in regions(blood[index], least):
            if not (region & (touching | near_bone)).any() and hu[region].max() <= constants.calcium_hu:
                beside[index] |= region
    return beside


def _small_ones(mask_yx: Mask, from_main: Values, hematoma: Hematoma, constants: Constants) -> list[Mask]:
    """Return the regions of a slice that are small hematomas near the main one."""
    y_mm, x_mm = hematoma.pixel_yx
    found = []
    for region in regions(mask_yx, constants.least_area_mm2 / hematoma.pixel_mm2):
        is_near = constants.nearest_mm <= from_main[region].min() <= constants.farthest_mm
        if is_near and diameters(region, x_mm, y_mm)[0] < constants.small_mm:
            found.append(region)
    return found


def _buds(own: Mask, hematoma: Hematoma, constants: Constants) -> int:
    """Return how many small hematomas are connected with a slice of the main one."""
    pixel_yx = hematoma.pixel_yx
    deep = depth(own, pixel_yx) > constants.body_radius_mm
    if not deep.any():
        return 0
    from_body = distance_to(own & (distance_to(deep, pixel_yx) <= constants.body_radius_mm), pixel_yx)
    buds = 0
    for region in regions(own & (from_body > 0), constants.least_area_mm2 / hematoma.pixel_mm2):
        joined_mm = int((region & (from_body <= max(pixel_yx))).sum()) * np.sqrt(hematoma.pixel_mm2)
        slim = float(from_body[region].max()) >= constants.bud_slimness * joined_mm
        buds += bool(slim and diameters(region, pixel_yx[1], pixel_yx[0])[0] < constants.small_mm)
    return buds


def _indentations(own: Mask, hematoma: Hematoma, constants: Constants) -> int:
    """Return how many indentations the margin of a slice has.

    Args:
        own: the slice, in its box.
    """
    y_mm, x_mm = hematoma.pixel_yx
    hull = ConvexHull(corners(own) * (x_mm, y_mm))
    rows, columns = np.nonzero(~own)
    centers = np.stack([columns + 0.5, rows + 0.5], axis=1) * (x_mm, y_mm)
    below = np.zeros(own.shape)
    below[rows, columns] = -(centers @ hull.equations[:, :2].T + hull.equations[:, 2]).max(axis=1)
    return sum(float(below[region].max()) >= constants.indentation_mm for region in regions(below > 0, 1))
