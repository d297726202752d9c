"""A ball of 26 ml on several reconstructions of one study, and what is measured of its outlines."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom

from cvtbatch.geometry import SliceStack, stored_grid
from cvtbatch.imaging import place_mask
from cvtbatch.ingest import ImageSlices, SourceMask
from tests.support.mask_files import Ball

SPACING = (0.5, 0.5, 5.0)
RADIUS, CENTER = 18.38, np.array([4.3, -7.9, 41.7])
BALL_ML = 4 / 3 * np.pi * RADIUS**3 / 1000
OTHER = "1.2.5"
IMAGE_PIXEL_MM, OTHER_PIXEL_MM = (0.7, 0.6), (0.8, 0.75)


def reconstruction(step: float, offset: float = 0.0, pixel_mm: tuple[float, float] = IMAGE_PIXEL_MM) -> Ball:
    """A ball of 26 ml on axial slices a step apart, one of which lies at z = offset x step; about 46 x 46 mm in the plane."""
    depths = np.arange(-1 if step > 1 else -4, 80 / step) * step + offset * step
    positions = tuple((-19.0, -31.0, z) for z in depths.tolist())
    axes = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    columns, rows = (round(46 / length) for length in pixel_mm)
    return Ball(SliceStack(columns, rows, pixel_mm, *axes, positions), CENTER, RADIUS)


def image_file(stack: SliceStack) -> ImageSlices:
    """An image that knows of no UIDs, as of a NIfTI file; nothing verifies tilted slices."""
    return ImageSlices(stack, None, None, unverified=bool(stack.shifts_mm().any()))


def stored(mask: SourceMask, stack: SliceStack) -> tuple[float, np.ndarray]:
    """Volume in ml and centroid in mm of a mask on the stored grid."""
    grid = stored_grid(stack, SPACING)
    placed = place_mask(mask.voxels_zyx, mask.place, grid)
    index = np.argwhere(placed)[:, ::-1].astype(float)
    return placed.sum() * 0.5 * 0.5 * 5 / 1000, grid.to_point(index).mean(axis=0)


def drawn_ml(drawn: Ball, step: float) -> float:
    """The volume of a ball's voxels, a step thick."""
    return float(drawn.mask().sum() * np.prod(drawn.stack.pixel_mm) * step / 1000)


def contours_ml(circles: Sequence[np.ndarray], step: float) -> float:
    """The volume of contours in planes of one z, a step thick, by the shoelace formula."""
    areas = [abs(np.sum(p[:, 0] * np.roll(p[:, 1], -1) - p[:, 1] * np.roll(p[:, 0], -1))) / 2 for p in circles]
    return float(sum(areas) * step / 1000)


def restated(path: Path, thickness: float | None, spacing: float | None) -> Path:
    """Change what a segmentation states of its planes."""
    dataset = pydicom.dcmread(path)
    item = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    for name, value in (("SliceThickness", thickness), ("SpacingBetweenSlices", spacing)):
        if value is not None:
            setattr(item, name, value)
        elif name in item:
            delattr(item, name)
    dataset.save_as(path)
    return path
