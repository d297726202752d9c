"""The labels of an atlas that a hematoma lies in: a brain's template, which the user names, is laid over the inside of the skull.

The transform is affine and maximises mutual information (Mattes et al., IEEE Trans Med Imaging 2003;22:120-128; SimpleITK's), from
coarse to fine. It begins with both brains' middles on one another, at one size, turned as the midsagittal plane is: how far a
head is nodded is what is left to find. One thread and a fixed seed give the same transform at each run.

How well it fits is told by what inside and template have in common (Dice) and by the information. A fit that misses `least_overlap`
or `stretches`, or does not come to an end, gives no labels, nor does a scan of a part of the brain. The labels are then asked for
at every voxel of the outline, nearest neighbour. A hematoma pushes brain aside, which no affine transform follows, and an atlas is
of other brains: a label is a guess. A template whose axes are not what its file says fits as well as one that is right.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from cvtbatch.geometry import Vector, box_of, voxels_of
from cvtbatch.imaging.resampling import to_image
from cvtbatch.location.head import MeasuredHead
from cvtbatch.location.rules import LocationRules
from cvtbatch.location.surface import Mask
from cvtbatch.location.template import Atlas

Volume = np.ndarray[tuple[int, ...], np.dtype[np.int16]]


@dataclass(frozen=True, slots=True)
class Registration:
    """An atlas over a head.

    Attributes:
        matrix, shift: template's LPS mm of a point of the head are matrix @ point + shift, (3, 3) and (3,).
        overlap: Dice of the inside of the skull and the template's brain.
        information: mutual information of both, in nats.
    """

    matrix: Vector
    shift: Vector
    overlap: float
    information: float


@dataclass(frozen=True, slots=True)
class AtlasLabels:
    """What an atlas says of an outline.

    Attributes:
        labels, shares: those that lie in the outline, 0 outside all regions, and their shares of it, the largest first.
    """

    labels: tuple[int, ...]
    shares: tuple[float, ...]

    @property
    def label(self) -> int | None:
        """The region with the largest share; None where the outline lies outside all."""
        return next((label for label in self.labels if label != 0), None)


def register_atlas(hu_zyx: Volume, head: MeasuredHead, atlas: Atlas, rules: LocationRules) -> Registration | str:
    """Lay an atlas over a head; where it does not fit, return why.

    Args:
        hu_zyx: of the head.
    """
    if head.vertex_mm is None or not head.base_in_scan:
        return "the scan does not show the whole brain"
    fixed = _brain_image(hu_zyx, head, rules)
    begin = _begin(fixed, head, atlas)
    method = _method(rules)
    method.SetInitialTransform(begin, inPlace=True)
    try:
        with _single_thread():
            method.Execute(fixed, atlas.template)
    except RuntimeError:
        return "the registration does not come to an end"
    matrix = np.reshape(begin.GetMatrix(), (3, 3))
    middle = np.array(begin.GetCenter())
    stretches = np.linalg.svd(matrix, compute_uv=False)
    low, high = rules.stretches
    if stretches.min() < low or stretches.max() > high or np.linalg.det(matrix) <= 0:
        found = f"{stretches.min():.2f} to {stretches.max():.2f}"
        return f"the registration stretches the head by {found}; {low} to {high} are plausible"
    placed = sitk.Resample(atlas.template, fixed, begin, sitk.sitkLinear, 0.0)
    overlap = _dice(sitk.GetArrayViewFromImage(fixed) > 0, sitk.GetArrayViewFromImage(placed) > atlas.least)
    if overlap < rules.least_overlap:
        return f"brain and template overlap by {overlap:.2f}, and by {rules.least_overlap} where they fit"
    shift = np.array(begin.GetTranslation()) + middle - matrix @ middle
    return Registration(matrix, shift, overlap, -float(method.GetMetricValue()))


def find_labels(outline_zyx: Mask, head: MeasuredHead, atlas: Atlas, registration: Registration) -> AtlasLabels:
    """Return the labels of an outline's voxels.

    Args:
        outline_zyx: never empty.
    """
    indices = np.stack(voxels_of(outline_zyx)[::-1], axis=1).astype(np.float64)
    points = head.grid.to_point(indices) @ registration.matrix.T + registration.shift
    labels, counts = np.unique(atlas.labels_at(points), return_counts=True)
    order = np.lexsort((labels, -counts))
    shares = counts[order] / counts.sum()
    return AtlasLabels(tuple(labels[order].tolist()), tuple(shares.tolist()))


def _brain_image(hu_zyx: Volume, head: MeasuredHead, rules: LocationRules) -> sitk.Image:
    """Return the soft tissue inside the skull, from 1, at about `atlas_mm`, and 0 around it."""
    low, high = rules.atlas_window_hu
    inside = head.inside_zyx
    tissue = np.where(inside, np.clip(hu_zyx, low, high) - (low - 1), 0).astype(np.float32)
    image = to_image(tissue, head.grid)
    z, y, x = box_of(inside, (2, 2, 2))
    sizes = [part.stop - part.start for part in (x, y, z)]
    region = sitk.RegionOfInterest(image, _clipped(sizes, (x, y, z), image), [x.start, y.start, z.start])
    blocks = [max(1, round(rules.atlas_mm / mm)) for mm in head.grid.spacing_mm]
    brain: sitk.Image = sitk.BinShrink(region, blocks)
    return brain


def _clipped(sizes: list[int], parts: tuple[slice, slice, slice], image: sitk.Image) -> list[int]:
    return [min(size, whole - part.start) for size, part, whole in zip(sizes, parts, image.GetSize(), strict=True)]


def _begin(fixed: sitk.Image, head: MeasuredHead, atlas: Atlas) -> sitk.AffineTransform:
    """Return the transform with the middles on one another, at one size, turned as the midsagittal plane is."""
    brain = sitk.GetArrayFromImage(fixed) > 0
    indices = np.stack(voxels_of(brain)[::-1], axis=1).mean(axis=0)
    middle = np.array(fixed.TransformContinuousIndexToPhysicalPoint(indices.tolist()))
    volume_ml = np.count_nonzero(brain) * float(np.prod(fixed.GetSpacing())) / 1000
    left, up = np.array(head.midplane.normal), head.up
    # Rows: the template's left, back and up in the head.
    turn = np.stack([left, np.cross(up, left), up])
    transform = sitk.AffineTransform(3)
    transform.SetCenter(middle.tolist())
    transform.SetMatrix((turn * (atlas.brain_ml / volume_ml) ** (1 / 3)).ravel().tolist())
    transform.SetTranslation((np.array(atlas.middle_mm) - middle).tolist())
    return transform


@contextmanager
def _single_thread() -> Iterator[None]:
    """Have ITK use one thread: sums of several differ in their last bits from run to run."""
    threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def _method(rules: LocationRules) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(numberOfHistogramBins=rules.atlas_bins)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(rules.atlas_sampled_share, rules.atlas_seed)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0, minStep=1e-3, numberOfIterations=rules.atlas_steps, relaxationFactor=0.6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([rules.atlas_mm, 0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    return method


def _dice(one: Mask, other: Mask) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))
