"""Blood by its attenuation alone: for demonstrations, and beside another method. No outline for inference.

On clear blood this is nearly as good as a network; where there is none it finds some all the same, along the skull and its base,
in vessels and in calcium: 3 to 15 ml in a head without a bleed.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cvtbatch.geometry import Triple
from cvtbatch.imaging.distances import within
from cvtbatch.outlining.head import BloodMap, Head
from cvtbatch.outlining.skull import Mask, Volume

# Fresh blood against the brain (below 40) and calcium.
WINDOW_HU = (45.0, 100.0)
# Standard deviation of the smoothing within a slice: against noise, not against edges.
SMOOTHING_MM = 0.7
# What has no room for a ball of this radius is no blood: the skull's blurred edge, vessels, the falx.
OPENING_MM = 2.5


class Threshold:
    """The window of attenuation, as a `Method`."""

    device = "cpu"

    def find(self, heads: Sequence[Head]) -> list[BloodMap]:
        """Return what is blood in each head."""
        return [BloodMap(blood_by_threshold(head.hu_zyx, head.inside.mask_zyx, _zyx(head))) for head in heads]


def settings() -> dict[str, object]:
    """Return what moves a voxel of these outlines."""
    return {"window_hu": list(WINDOW_HU), "smoothing_mm": SMOOTHING_MM, "opening_mm": OPENING_MM}


def _zyx(head: Head) -> Triple:
    x_mm, y_mm, z_mm = head.grid.spacing_mm
    return z_mm, y_mm, x_mm


def blood_by_threshold(hu_zyx: Volume, inside_zyx: Mask, spacing_mm: Triple) -> Mask:
    """Return the voxels inside the skull that are as dense as blood, opened; not one part yet (`blood.blood_parts`).

    Args:
        hu_zyx: HU, on a grid with right angles.
        inside_zyx: of its shape (`skull.find_inside`).
        spacing_mm: distance of neighbours along z, y and x.
    """
    blood = np.zeros(hu_zyx.shape, dtype=np.bool_)
    boxes = ndimage.find_objects(inside_zyx.astype(np.uint8))
    if not boxes:
        return blood
    box = boxes[0]
    sigmas = (0.0, SMOOTHING_MM / spacing_mm[1], SMOOTHING_MM / spacing_mm[2])
    smooth = _smooth_within(hu_zyx[box].astype(np.float32), inside_zyx[box], sigmas)
    low, high = WINDOW_HU
    blood[box] = _opened(inside_zyx[box] & (smooth >= low) & (smooth <= high), spacing_mm)
    return blood


def _smooth_within(
    hu_zyx: npt.NDArray[np.float32], inside_zyx: Mask, sigmas: tuple[float, float, float]
) -> npt.NDArray[np.float32]:
    """Return HU smoothed over the inside alone, so that bone does not shine into the brain beside it."""
    weights = ndimage.gaussian_filter(inside_zyx.astype(np.float32), sigmas)
    sums = ndimage.gaussian_filter(np.where(inside_zyx, hu_zyx, np.float32(0)), sigmas)
    return np.asarray(sums / np.maximum(weights, np.float32(1e-6)))


def _opened(mask: Mask, spacing_mm: Triple) -> Mask:
    """Return what a ball of OPENING_MM covers that fits into a mask; beyond the box there is none of it."""
    padded = np.pad(mask, 1)
    kept = ~within(~padded, OPENING_MM, spacing_mm)
    return within(kept, OPENING_MM, spacing_mm)[1:-1, 1:-1, 1:-1]
