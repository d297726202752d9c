"""The ventricles as attenuation shows them: fluid, deep inside the skull, near the midsagittal plane.

The rule. Where the mean over about `smooth_mm` in the plane of a slice is within `fluid_hu` is fluid. Of it counts what lies at
least `ventricle_depth_mm` below the inner surface of the skull, which leaves out sulci and what lies on the base, at most
`ventricle_side_mm` from the midsagittal plane, which leaves out the Sylvian fissures, and in gaps of at least `least_gap_mm`, which
leaves out the fissure between the hemispheres. Its connected parts (corners included) of at least `least_part_ml` that come within
`ventricle_midline_mm` of the plane are ventricles, if they are `least_ventricles_ml` together.

The rule knows no anatomy. Wide cisterns around the midbrain count too; a slit of a third ventricle does not, nor does a ventricle
full of blood; an old defect of the brain that opens into a ventricle counts with it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cvtbatch.geometry import Box, Grid, Vector
from cvtbatch.location.field import DepthField
from cvtbatch.location.midplane import Midplane
from cvtbatch.location.rules import LocationRules
from cvtbatch.location.surface import Mask

Volume = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Ventricles:
    """Fluid near the middle of the brain.

    Attributes:
        parts_zyx: number of the part of each voxel of `box`, 0 outside of all.
        box: of the volume.
    """

    parts_zyx: npt.NDArray[np.int32]
    box: Box

    def without(self, outline_zyx: Mask) -> Mask:
        """Return the parts that do not lie in an outline for the most part, of the volume's shape: fluid in it is no ventricle."""
        block = outline_zyx[self.box]
        own = np.bincount(self.parts_zyx[block], minlength=self.parts_zyx.max() + 1)
        kept = 2 * own <= np.bincount(self.parts_zyx.ravel())
        kept[0] = False
        found = np.zeros(outline_zyx.shape, dtype=np.bool_)
        found[self.box] = kept[self.parts_zyx] & ~block
        return found


def find_ventricles(
    hu_zyx: Volume, field: DepthField, midplane: Midplane, grid: Grid, rules: LocationRules
) -> Ventricles | None:
    """Find the ventricles, None where nothing keeps to the rule."""
    box = _deep_box(field, rules.ventricle_depth_mm, hu_zyx.shape)
    if box is None:
        return None
    away = _left_mm(box, midplane, grid)
    fluid = _fluid(hu_zyx[box], grid, rules)
    fluid &= (field.in_box(box) >= rules.ventricle_depth_mm) & (np.abs(away) <= rules.ventricle_side_mm)
    fluid = ndimage.binary_opening(fluid, _disc(rules.least_gap_mm / 2, grid))
    parts, count = ndimage.label(fluid, structure=np.ones((3, 3, 3)))
    sizes_ml = np.bincount(parts.ravel(), minlength=count + 1) * grid.voxel_ml
    central = np.bincount(parts[np.abs(away) <= rules.ventricle_midline_mm], minlength=count + 1) > 0
    kept = central & (sizes_ml >= rules.least_part_ml)
    kept[0] = False
    if sizes_ml[kept].sum() < rules.least_ventricles_ml:
        return None
    return Ventricles(np.where(kept[parts], parts, 0), box)


def _deep_box(field: DepthField, depth_mm: float, shape: tuple[int, ...]) -> Box | None:
    """Return the box of what lies so deep, None if nothing does."""
    places = np.argwhere(field.values[0] >= depth_mm) * field.step_zyx + field.first_zyx
    if len(places) == 0:
        return None
    low, high = places.min(axis=0) - field.step_zyx, places.max(axis=0) + field.step_zyx + 1
    z, y, x = (slice(max(0, int(a)), min(size, int(b))) for a, b, size in zip(low, high, shape, strict=True))
    return z, y, x


def _left_mm(box: Box, midplane: Midplane, grid: Grid) -> Vector:
    """Return how far the voxels of a box lie left of the plane, (z, y, x)."""
    slope = (np.array(midplane.normal) @ grid.axes()) * grid.spacing_mm
    z, y, x = (np.arange(part.start, part.stop) * along for part, along in zip(box, slope[::-1], strict=True))
    return np.asarray(z[:, None, None] + y[:, None] + x - midplane.offset_mm)


def _fluid(hu_zyx: Volume, grid: Grid, rules: LocationRules) -> Mask:
    size = [1, *(max(1, 2 * round(rules.smooth_mm / mm / 2 - 0.5) + 1) for mm in grid.spacing_mm[1::-1])]
    means = ndimage.uniform_filter(hu_zyx.astype(np.float32), size)
    low, high = rules.fluid_hu
    return np.asarray((means >= low) & (means <= high))


def _disc(radius_mm: float, grid: Grid) -> Mask:
    """Return the voxels of a slice within a radius of one, (1, y, x)."""
    x_mm, y_mm, _ = grid.spacing_mm
    y, x = (np.arange(-int(radius_mm / mm), int(radius_mm / mm) + 1) * mm for mm in (y_mm, x_mm))
    return np.asarray(np.hypot(y[:, None], x) <= radius_mm + 1e-6)[None]
