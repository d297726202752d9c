"""Size and surface of an outline.

* ABC/2: Kothari et al., Stroke 1996;27:1304: A is the largest diameter of the largest slice, B the diameter at 90 degrees to it,
  and C counts slices by their area, in the largest slice's: more than 75 % are one slice, 25 % to 75 % half a slice, less none.
* Irregularity: the hematoma irregularity index, BMC Neurology 2022 ("3D slicer-based calculation of hematoma irregularity index
  ..."): sqrt(S / pi) / 2 by the cube root of 3 V / 4 pi, times 100. S and V are those of PyRadiomics' mesh, so that it is
  100 / sqrt(sphericity). Steps of thick slices are part of the surface: a ball on 5 mm slices has more than 100.

A diameter is the largest distance of two points of the outline's pixels, their corners included; B is the outline's whole width
perpendicular to A, and of several diameters of one length that with the largest B counts.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cvtbatch.radiomics.shape import surface_and_volume
from cvtbatch.signs.constants import Constants
from cvtbatch.signs.hematoma import Hematoma, Mask

# Lengths that differ by no more than round-off are equal.
ROUND_OFF_MM = 1e-6


@dataclass(frozen=True, slots=True)
class Geometry:
    """Measures of an outline, under the names of their columns in table `signs`."""

    volume_ml: float
    largest_slice_area_mm2: float
    largest_slice_diameter_mm: float
    perpendicular_diameter_mm: float
    abc2_slices: float
    abc2_ml: float
    irregularity_index: float


def measure_geometry(hematoma: Hematoma, constants: Constants) -> Geometry:
    """Measure an outline."""
    x_mm, y_mm, z_mm = hematoma.spacing_mm
    areas = hematoma.outline_zyx.sum(axis=(1, 2))
    a_mm, b_mm = diameters(hematoma.outline_zyx[hematoma.largest_slice], x_mm, y_mm)
    shares = areas / areas.max()
    whole, half = shares > constants.whole_slice_share, shares >= constants.half_slice_share
    slices = float(np.where(whole, 1.0, np.where(half, 0.5, 0.0)).sum())
    return Geometry(
        volume_ml=int(areas.sum()) * hematoma.voxel_ml,
        largest_slice_area_mm2=int(areas.max()) * x_mm * y_mm,
        largest_slice_diameter_mm=a_mm,
        perpendicular_diameter_mm=b_mm,
        abc2_slices=slices,
        abc2_ml=a_mm * b_mm * slices * z_mm / 2 / 1000,
        irregularity_index=_irregularity(hematoma),
    )


def diameters(mask_yx: Mask, x_mm: float, y_mm: float) -> tuple[float, float]:
    """Return the largest diameter of some pixels, at least one, and their width perpendicular to it, in mm."""
    points = corners(mask_yx) * (x_mm, y_mm)
    offsets = points[:, None] - points[None]
    lengths = np.hypot(offsets[..., 0], offsets[..., 1])
    longest = float(lengths.max())
    ends = np.argwhere(np.triu(lengths >= longest - ROUND_OFF_MM))
    along = offsets[ends[:, 0], ends[:, 1]] / longest
    across = points @ np.stack([-along[:, 1], along[:, 0]])
    return longest, float(np.ptp(across, axis=0).max())


def corners(mask_yx: Mask) -> npt.NDArray[np.float64]:
    """Return the corners (n, 2), x y in pixels, of the first and the last pixel of every row: none other can end a diameter."""
    rows = np.flatnonzero(mask_yx.any(axis=1))
    first = mask_yx[rows].argmax(axis=1)
    last = mask_yx.shape[1] - mask_yx[rows, ::-1].argmax(axis=1)
    points = [np.stack([ends, rows + below], axis=1) for ends in (first, last) for below in (0, 1)]
    return np.unique(np.concatenate(points), axis=0).astype(np.float64)


def _irregularity(hematoma: Hematoma) -> float:
    """Return the hematoma irregularity index; the mesh is that of the outline's box, as PyRadiomics makes it."""
    (box,) = ndimage.find_objects(hematoma.outline_zyx.astype(np.uint8))
    inside = np.ascontiguousarray(np.pad(hematoma.outline_zyx[box], 1), dtype=np.uint8)
    surface_mm2, volume_mm3 = surface_and_volume(inside, np.array(hematoma.spacing_mm[::-1]))
    return 100 * (math.sqrt(surface_mm2 / math.pi) / 2) / math.cbrt(3 * volume_mm3 / (4 * math.pi))
