"""The hematoma of an outline, as its signs are looked for: cut out of the volume, its holes filled, its density smoothed.

Signs are looked for slice by slice, as readers do on 5 mm slices. An outline's holes are part of the hematoma: whoever draws around
blood may leave out what is dark in it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid, Triple, voxels_of
from cvtbatch.imaging.triage import touches_border
from cvtbatch.signs.constants import Constants

Mask = npt.NDArray[np.bool_]
Volume = npt.NDArray[np.int16]
Values = npt.NDArray[np.float64]
# Of smoothed HU; the rest is round-off.
DECIMALS = 6
# Neighbours share a corner; a region goes on in the next slice where it overlaps itself.
EIGHT = np.ones((3, 3))
THROUGH_SLICES = np.stack([np.pad([[1]], 1), np.ones((3, 3)), np.pad([[1]], 1)])


@dataclass(frozen=True, slots=True)
class Hematoma:
    """An outline with its surroundings, (z, y, x).

    Attributes:
        hu_zyx: int16, the outline's slices, and so much around it as satellites may lie.
        outline_zyx: what the outline holds of it.
        filled_zyx: the outline, its holes filled slice by slice.
        inner_zyx: what of it lies farther inside than the margin, and not at the skull.
        from_bone_zyx: distance of the nearest bone in the slice, in mm; infinite without any.
        smoothed_zyx: HU in `filled_zyx` after a Gaussian in the slice that leaves out what lies outside; 0 there.
        spacing_mm: of the voxels, x, y, z.
        voxel_ml: volume of one.
        posterior_xy: in a slice, the direction to the patient's back, by millimetre; shorter than 1 where slices are not axial.
        cut_off: the outline touches the end of what was scanned.
    """

    hu_zyx: Volume
    outline_zyx: Mask
    filled_zyx: Mask
    inner_zyx: Mask
    from_bone_zyx: Values
    smoothed_zyx: Values
    spacing_mm: Triple
    voxel_ml: float
    posterior_xy: tuple[float, float]
    cut_off: bool

    @property
    def pixel_yx(self) -> tuple[float, float]:
        """Distances of a slice's pixels, in mm."""
        return self.spacing_mm[1], self.spacing_mm[0]

    @property
    def pixel_mm2(self) -> float:
        """Area of a slice's pixel."""
        return self.spacing_mm[0] * self.spacing_mm[1]

    @property
    def largest_slice(self) -> int:
        """The slice in which the outline has most pixels, the first of several."""
        return int(self.outline_zyx.sum(axis=(1, 2)).argmax())


def cut_hematoma(hu_zyx: Volume, mask_zyx: npt.NDArray[np.uint8], grid: Grid, constants: Constants) -> Hematoma:
    """Cut the hematoma of an outline out of a volume.

    Raises:
        InputError: "empty_mask".
    """
    inside = mask_zyx != 0
    if not inside.any():
        raise InputError("empty_mask", "the outline has no voxel inside")
    z, y, x = box = tuple(slice(int(index.min()), int(index.max()) + 1) for index in voxels_of(inside))
    x_mm, y_mm, _ = grid.spacing_mm
    around_mm = constants.farthest_mm + constants.small_mm + constants.outer_bone_mm
    more_y, more_x = int(np.ceil(around_mm / y_mm)), int(np.ceil(around_mm / x_mm))
    kept = (z, slice(max(0, y.start - more_y), y.stop + more_y), slice(max(0, x.start - more_x), x.stop + more_x))
    hu, outline = hu_zyx[kept], inside[kept]
    filled = np.stack([ndimage.binary_fill_holes(part) for part in outline])
    from_bone = np.stack([_from_bone(part, (y_mm, x_mm), constants) for part in hu])
    deep = np.stack([depth(part, (y_mm, x_mm)) for part in filled]) > constants.margin_mm
    return Hematoma(
        hu_zyx=hu,
        outline_zyx=outline,
        filled_zyx=filled,
        inner_zyx=deep & (from_bone >= constants.inner_bone_mm),
        from_bone_zyx=from_bone,
        smoothed_zyx=_smooth_inside(hu, filled, (y_mm, x_mm), constants.smoothing_mm),
        spacing_mm=grid.spacing_mm,
        voxel_ml=grid.voxel_ml,
        posterior_xy=(grid.direction[3], grid.direction[4]),
        cut_off=touches_border(box, hu_zyx),
    )


def depth(mask_yx: Mask, pixel_yx: tuple[float, float]) -> Values:
    """Return, for the pixels of a mask, the distance of the nearest pixel outside, in mm; beyond the array all is outside."""
    depths = np.zeros(mask_yx.shape)
    for box in ndimage.find_objects(mask_yx.astype(np.uint8)):
        padded = np.pad(mask_yx[box], 1)
        depths[box] = ndimage.distance_transform_edt(padded, sampling=pixel_yx)[1:-1, 1:-1]
    return depths


def distance_to(mask_yx: Mask, pixel_yx: tuple[float, float]) -> Values:
    """Return the distance of every pixel from the nearest pixel of a mask, at least one, between their centres, in mm."""
    return np.asarray(ndimage.distance_transform_edt(~mask_yx, sampling=pixel_yx))


def _from_bone(hu_yx: npt.NDArray[np.int16], pixel_yx: tuple[float, float], constants: Constants) -> Values:
    bone = np.zeros(hu_yx.shape, bool)
    for region in regions(hu_yx >= constants.bone_hu, constants.bone_mm2 / (pixel_yx[0] * pixel_yx[1])):
        bone |= region
    return distance_to(bone, pixel_yx) if bone.any() else np.full(hu_yx.shape, np.inf)


def smooth(values_zyx: Values, pixel_yx: tuple[float, float], sigma_mm: float) -> Values:
    """Return values after a Gaussian in every slice."""
    y_mm, x_mm = pixel_yx
    return np.asarray(ndimage.gaussian_filter(values_zyx, (0, sigma_mm / y_mm, sigma_mm / x_mm), mode="nearest"))


def _smooth_inside(hu_zyx: Volume, mask_zyx: Mask, pixel_yx: tuple[float, float], sigma_mm: float) -> Values:
    weights = smooth(mask_zyx.astype(np.float64), pixel_yx, sigma_mm)
    values = smooth(np.where(mask_zyx, hu_zyx, 0.0), pixel_yx, sigma_mm)
    # Of equal HU the smoothed ones are equal, and of a mirrored hematoma the same.
    return np.where(mask_zyx, np.round(values / np.where(mask_zyx, weights, 1.0), DECIMALS), 0.0)


def regions(mask_yx: Mask, least_pixels: float) -> list[Mask]:
    """Return the connected regions of a mask that have at least so many pixels."""
    labels, count = ndimage.label(mask_yx, structure=EIGHT)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    return [labels == number for number in range(1, count + 1) if sizes[number] >= least_pixels]


def step_across(
    hu_yx: npt.NDArray[np.int16], low_yx: Mask, high_yx: Mask, pixel_yx: tuple[float, float], constants: Constants
) -> float | None:
    """Return the difference of density (HU) across the margin between two regions, of medians on either side near it.

    A margin that is not well defined has a small one. None where one of them has no pixel near the other.
    """
    (box,) = ndimage.find_objects((low_yx | high_yx).astype(np.uint8))
    hu_yx, low_yx, high_yx = hu_yx[box], low_yx[box], high_yx[box]
    bands = []
    for own, other in ((low_yx, high_yx), (high_yx, low_yx)):
        distance = distance_to(other, pixel_yx)
        bands.append(hu_yx[own & (distance > constants.near_mm) & (distance <= constants.far_mm)])
    low, high = bands
    return float(np.median(high) - np.median(low)) if len(low) and len(high) else None
