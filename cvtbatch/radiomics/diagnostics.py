"""What PyRadiomics tells of image and mask beside the features: the columns `diagnostics_Image-...` and `diagnostics_Mask-...`.

Source: PyRadiomics 3.0.1, `generalinfo.py`, and `featureextractor.execute` for which of them there are.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cvtbatch.errors import InputError
from cvtbatch.radiomics.box import RoiBox, cut_mask, grid_difference
from cvtbatch.radiomics.settings import Preparation

# By how much of a voxel a mask on another grid may reach beyond the image.
_REACH = 1e-3


@dataclass(frozen=True, slots=True)
class GivenRoi:
    """An image and a mask as they were handed over.

    Attributes:
        mask: uint32, of one channel.
        corrected: the mask on the image's grid, where it has another one.
    """

    image: sitk.Image
    mask: sitk.Image
    corrected: sitk.Image | None

    @property
    def used_mask(self) -> sitk.Image:
        """The mask on the image's grid."""
        return self.mask if self.corrected is None else self.corrected


def take_roi(image: sitk.Image, mask: sitk.Image, preparation: Preparation) -> GivenRoi:
    """Take image and mask as PyRadiomics does: one channel of the mask, and with `correctMask` on the image's grid.

    Raises:
        InputError: channel_absent; outside_image, the ROI of a mask that is to be corrected.
    """
    channels = mask.GetNumberOfComponentsPerPixel()
    if "vector" in mask.GetPixelIDTypeAsString():
        if preparation.label_channel >= channels:
            raise InputError(
                "channel_absent",
                f"label_channel is {preparation.label_channel}, and the mask has {channels} channels, from 0 on",
            )
        mask = sitk.VectorIndexSelectionCast(mask, preparation.label_channel)
    labels = sitk.Cast(mask, sitk.sitkUInt32)
    same = image.GetDimension() != 3 or labels.GetDimension() != 3 or not grid_difference(image, labels, preparation)
    if same or not preparation.correct_mask or preparation.resampled:
        return GivenRoi(image, labels, None)
    _require_inside(image, labels, preparation.label)
    return GivenRoi(image, labels, sitk.Resample(labels, image, sitk.Transform(), sitk.sitkNearestNeighbor))


def _require_inside(image: sitk.Image, mask: sitk.Image, label: int) -> None:
    lower, size = _bounding_box(mask, label)
    corners = [
        image.TransformPhysicalPointToContinuousIndex(mask.TransformContinuousIndexToPhysicalPoint(corner))
        for corner in ((lower - 0.5).tolist(), (lower + size - 0.5).tolist())
    ]
    below, above = np.min(corners, axis=0), np.max(corners, axis=0)
    if (below < -0.5 - _REACH).any() or (above > np.array(image.GetSize()) - 0.5 + _REACH).any():
        raise InputError("outside_image", "the mask is on another grid, and its ROI reaches beyond the image")


def _bounding_box(mask: sitk.Image, label: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return first voxel and size, (x, y, z)."""
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(mask)
    if label not in shape.GetLabels():
        raise InputError("label_absent", f"label {label} is absent from the mask; it holds {list(shape.GetLabels())}")
    found = np.array(shape.GetBoundingBox(label))
    return found[:3], found[3:]


def diagnose(given: GivenRoi, box: RoiBox, preparation: Preparation) -> dict[str, object]:
    """Return the diagnostics of an ROI whose box was cut, in PyRadiomics' order; triples are (x, y, z)."""
    label = preparation.label
    values = sitk.GetArrayViewFromImage(given.image).astype(np.float64)
    found = dict(_of_image("original", given.image, values, sitk.Hash(given.image)))
    found.update(_of_mask("original", given.mask, label, None, sitk.Hash(given.mask)))
    roi = cut_mask(given.used_mask, preparation)
    if preparation.resampled:
        found.update(_of_image("interpolated", roi, box.values))
        found.update(_of_mask("interpolated", roi, label, box.values))
    elif given.corrected is not None and not preparation.pre_crop:
        found.update(_of_mask("corrected", roi, label, box.values))
    if preparation.resegment_range is not None:
        kept = np.zeros(box.values.shape, np.int64)
        kept[box.index] = label
        resegmented = sitk.GetImageFromArray(kept)
        resegmented.CopyInformation(roi)
        found.update(_of_mask("resegmented", resegmented, label, box.values))
    return found


def _of_image(
    which: str, grid: sitk.Image, values: NDArray[np.float64], digest: str | None = None
) -> Iterator[tuple[str, object]]:
    prefix = f"diagnostics_Image-{which}"
    if digest is not None:
        yield f"{prefix}_Hash", digest
        yield f"{prefix}_Dimensionality", f"{grid.GetDimension()}D"
    yield f"{prefix}_Spacing", grid.GetSpacing()
    yield f"{prefix}_Size", grid.GetSize()
    yield from _statistics(prefix, values)


def _of_mask(
    which: str, mask: sitk.Image, label: int, values: NDArray[np.float64] | None, digest: str | None = None
) -> Iterator[tuple[str, object]]:
    prefix = f"diagnostics_Mask-{which}"
    if digest is not None:
        yield f"{prefix}_Hash", digest
    inside = sitk.GetArrayViewFromImage(mask) == label
    parts = sitk.ConnectedComponentImageFilter()
    parts.FullyConnectedOn()
    parts.Execute(mask == label)
    lower, size = _bounding_box(mask, label)
    centre = tuple(float(np.mean(axis)) for axis in np.nonzero(inside)[::-1])
    yield f"{prefix}_Spacing", mask.GetSpacing()
    yield f"{prefix}_Size", mask.GetSize()
    yield f"{prefix}_BoundingBox", (*lower.tolist(), *size.tolist())
    yield f"{prefix}_VoxelNum", int(np.count_nonzero(inside))
    yield f"{prefix}_VolumeNum", parts.GetObjectCount()
    yield f"{prefix}_CenterOfMassIndex", centre
    yield f"{prefix}_CenterOfMass", mask.TransformContinuousIndexToPhysicalPoint(centre)
    if values is not None:
        yield from _statistics(prefix, values[inside])


def _statistics(prefix: str, values: NDArray[np.float64]) -> Iterator[tuple[str, object]]:
    for name, value in (("Mean", values.mean()), ("Minimum", values.min()), ("Maximum", values.max())):
        yield f"{prefix}_{name}", float(value)
