"""Image and mask on another spacing, around the ROI.

PyRadiomics resamples with ITK, whose B-spline first filters the whole volume. Here only what lies near the ROI is filtered: the
filter forgets a voxel by a factor of 0.27 with each step, so that the coefficients near the ROI have the same bits. They are laid
into an empty volume of the old size, since a gray level may hang on the last bit of a point's coordinates too.

Source: PyRadiomics 3.0.1, `imageoperations.resampleImage`, for an image and a mask on one grid; ITK 5.4,
`itkBSplineDecompositionImageFilter.hxx` and `itkBSplineResampleImageFunction.h`.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cvtbatch.errors import InputError
from cvtbatch.radiomics.settings import Preparation

# Voxels around those that a new voxel lies between: as many steps of the filter leave nothing of what is cut off (0.27 ** 70).
MARGIN = 70


@dataclass(frozen=True, slots=True)
class ResampledGrid:
    """A grid of another spacing around the ROI, parallel to the old one; all axes are (x, y, z).

    Attributes:
        origin_mm: its first voxel, LPS.
        start, stop: the part of the old grid of which the interpolation is made.
    """

    spacing_mm: NDArray[np.float64]
    origin_mm: tuple[float, ...]
    size: list[int]
    interpolator: str
    start: NDArray[np.int64]
    stop: NDArray[np.int64]

    def resample_image(self, values: NDArray[np.float64], ct: sitk.Image, pixel_id: int) -> NDArray[np.float64]:
        """Interpolate (z, y, x) values of the old grid from `start` to `stop`; `ct` has the old grid.

        Args:
            pixel_id: SimpleITK's, of what comes out: to integers ITK truncates.

        Raises:
            InputError: box_too_thin.
        """
        part = sitk.GetImageFromArray(values)
        interpolator = getattr(sitk, self.interpolator)
        if interpolator == sitk.sitkBSpline:
            check_spline_size(ct)
            part, interpolator = sitk.BSplineDecomposition(part), sitk.sitkBSplineResampler
        whole = sitk.ConstantPad(part, self.start.tolist(), (np.array(ct.GetSize()) - self.stop).tolist(), 0.0)
        whole.CopyInformation(ct)
        resample = self._filter(ct, interpolator)
        resample.SetOutputPixelType(pixel_id)
        return np.asarray(sitk.GetArrayFromImage(resample.Execute(whole)), np.float64)

    def resample_mask(self, mask: sitk.Image) -> sitk.Image:
        """Take the label of the nearest voxel."""
        resampled: sitk.Image = self._filter(mask, sitk.sitkNearestNeighbor).Execute(sitk.Cast(mask, sitk.sitkUInt32))
        return resampled

    def _filter(self, old: sitk.Image, interpolator: int) -> sitk.ResampleImageFilter:
        found = sitk.ResampleImageFilter()
        found.SetOutputSpacing(self.spacing_mm)
        found.SetOutputDirection(old.GetDirection())
        found.SetSize(self.size)
        found.SetOutputOrigin(self.origin_mm)
        found.SetInterpolator(interpolator)
        return found


def check_spline_size(ct: sitk.Image) -> None:
    """Refuse an axis of two voxels: along it ITK's B-spline reads what lies beside the volume in memory.

    Raises:
        InputError: box_too_thin.
    """
    if 2 in ct.GetSize():
        size = " x ".join(str(n) for n in ct.GetSize())
        raise InputError(
            "box_too_thin", f"the volume has {size} voxels; sitkBSpline needs 1, or 3 or more, along each axis"
        )


def lay_resampled_grid(
    mask: sitk.Image, first: NDArray[np.int64], count: NDArray[np.int64], preparation: Preparation
) -> ResampledGrid | None:
    """Return the grid that is asked for, or None where it is the mask's own.

    An axis keeps its spacing where 0 is asked for, and where the ROI is one voxel thick.

    Args:
        first, count: first voxel and size of the ROI's bounding box, (x, y, z).
    """
    old, size = np.array(mask.GetSpacing()), np.array(mask.GetSize())
    new = np.array(preparation.resampled_spacing_mm)
    new = np.where(new == 0, old, new)
    new = np.where(count != 1, new, old)
    if np.allclose(old, new):
        return None
    ratio = old / new
    lower = np.floor((first - 0.5) * ratio - preparation.pad_distance)
    upper = np.ceil((first + count - 0.5) * ratio + preparation.pad_distance)
    last = np.ceil(size * ratio) - 1
    lower = np.where(lower < 0, 0, lower)
    upper = np.where(upper > last, last, upper)
    origin = np.array(0.5 * (new - old) / old) + lower / ratio
    return ResampledGrid(
        spacing_mm=new,
        origin_mm=mask.TransformContinuousIndexToPhysicalPoint(origin),
        size=np.array(upper - lower + 1, dtype="int").tolist(),
        interpolator=str(preparation.interpolator),
        start=np.maximum(np.floor(origin) - MARGIN, 0).astype(np.int64),
        stop=np.minimum(np.ceil(origin + (upper - lower) / ratio) + 1 + MARGIN, size).astype(np.int64),
    )
