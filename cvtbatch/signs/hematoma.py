"""The hematoma of an outline, as its signs are looked for: cut out of the volume."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid, Triple, voxels_of
from cvtbatch.imaging.triage import touches_border

Mask = npt.NDArray[np.bool_]
Volume = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Hematoma:
    """An outline with its surroundings.

    Attributes:
        hu_zyx: int16, the outline's box and what lies around it.
        outline_zyx: what the outline holds of it.
        spacing_mm: of the voxels, x, y, z.
        voxel_ml: volume of one.
        cut_off: the outline touches the end of what was scanned.
    """

    hu_zyx: Volume
    outline_zyx: Mask
    spacing_mm: Triple
    voxel_ml: float
    cut_off: bool

    @property
    def largest_slice(self) -> int:
        """The slice in which the outline has most pixels, the first of several."""
        return int(self.outline_zyx.sum(axis=(1, 2)).argmax())


def cut_hematoma(hu_zyx: Volume, mask_zyx: npt.NDArray[np.uint8], grid: Grid, around_mm: float) -> Hematoma:
    """Cut the hematoma of an outline out of a volume.

    Args:
        around_mm: how much of its slices is kept around the outline.

    Raises:
        InputError: "empty_mask".
    """
    inside = mask_zyx != 0
    if not inside.any():
        raise InputError("empty_mask", "the outline has no voxel inside")
    box = tuple(slice(int(index.min()), int(index.max()) + 1) for index in voxels_of(inside))
    x_mm, y_mm, _ = grid.spacing_mm
    more_y, more_x = int(np.ceil(around_mm / y_mm)), int(np.ceil(around_mm / x_mm))
    z, y, x = box
    kept = (z, slice(max(0, y.start - more_y), y.stop + more_y), slice(max(0, x.start - more_x), x.stop + more_x))
    return Hematoma(hu_zyx[kept], inside[kept], grid.spacing_mm, grid.voxel_ml, touches_border(box, hu_zyx))
