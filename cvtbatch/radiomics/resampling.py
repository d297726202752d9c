"""Image and mask on another spacing, cut to the ROI and a margin.

Source: PyRadiomics 3.0.1, `imageoperations.resampleImage`, for an image and a mask on one grid: the same calls on the same numbers,
since a gray level hangs on the last bit wherever new voxels fall between old ones.
"""

import numpy as np
import SimpleITK as sitk

from cvtbatch.radiomics.settings import Preparation


def resample(image: sitk.Image, mask: sitk.Image, preparation: Preparation) -> tuple[sitk.Image, sitk.Image]:
    """Return image and mask around the ROI on the spacing that is asked for.

    An axis keeps its spacing where 0 is asked for, and where the ROI is one voxel thick.

    Args:
        image: float64, normalised if it is to be.
        mask: uint32, with the ROI's label, on the image's grid.
    """
    old = np.array(mask.GetSpacing())
    new = np.array(preparation.resampled_spacing_mm)
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.Execute(mask)
    box = np.array(statistics.GetBoundingBox(preparation.label))
    first, count = box[:3], box[3:]
    new = np.where(new == 0, old, new)
    new = np.where(count != 1, new, old)
    if np.allclose(np.array(image.GetSpacing()), new):
        start = np.maximum(first - preparation.pad_distance, 0)
        stop = np.minimum(first + count + preparation.pad_distance, mask.GetSize())
        crop = tuple(slice(int(low), int(high)) for low, high in zip(start, stop, strict=True))
        return image[crop], mask[crop]
    ratio = old / new
    lower = np.floor((first - 0.5) * ratio - preparation.pad_distance)
    upper = np.ceil((first + count - 0.5) * ratio + preparation.pad_distance)
    last = np.ceil(np.array(mask.GetSize()) * ratio) - 1
    lower = np.where(lower < 0, 0, lower)
    upper = np.where(upper > last, last, upper)
    origin = np.array(0.5 * (new - old) / old) + lower / ratio
    grid = sitk.ResampleImageFilter()
    grid.SetOutputSpacing(new)
    grid.SetOutputDirection(np.array(mask.GetDirection()))
    grid.SetSize(np.array(upper - lower + 1, dtype="int").tolist())
    grid.SetOutputOrigin(mask.TransformContinuousIndexToPhysicalPoint(origin))
    grid.SetOutputPixelType(image.GetPixelID())
    grid.SetInterpolator(getattr(sitk, str(preparation.interpolator)))
    resampled = grid.Execute(image)
    grid.SetOutputPixelType(mask.GetPixelID())
    grid.SetInterpolator(sitk.sitkNearestNeighbor)
    return resampled, grid.Execute(mask)
