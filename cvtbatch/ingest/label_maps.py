"""Label maps: a whole number a voxel, in NIfTI, NRRD or MetaImage, on any grid."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from cvtbatch.counts import counted
from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid, box_of
from cvtbatch.ingest.image_files import read_image_file
from cvtbatch.ingest.mask_grids import place_voxels, require_place
from cvtbatch.ingest.memory import Announce, announce_nothing
from cvtbatch.ingest.outlines import ImageSlices, SourceMask
from cvtbatch.manifest import RoiSource

# A value of a float label map is the whole number that lies so near, 0 too.
LABEL_TOLERANCE = 1e-3
# How many values of a file a message shows.
SHOWN = 10
Values = npt.NDArray[np.number]


def read_label_map(
    path: Path, roi: RoiSource, image: Callable[[], ImageSlices], announce: Announce = announce_nothing
) -> SourceMask:
    """Read one label of a label map.

    Args:
        image: tells of the image that the outline belongs to.

    Raises:
        InputError: it cannot be read, is empty, holds several labels of which none is named, or none at all.
    """
    if roi.segment is not None:
        raise InputError(
            "no_such_segment",
            "the mask is a label map, whose labels have no names; use the column mask_label",
            str(path),
        )
    file = read_image_file(path, announce)
    voxels = _voxels_of_label(sitk.GetArrayViewFromImage(file.image), roi.mask_label, path)
    grid, slices = grid_of(file.image), image()
    if not file.is_placed:
        require_place("mask", grid, slices)
    return place_voxels(voxels, grid, file.other, slices, file.file_format)


def _voxels_of_label(values: Values, wanted: int | None, path: Path) -> npt.NDArray[np.uint8]:
    """Return 1 where a map has the label that the manifest names, or its only one."""
    box = box_of(values != 0)
    part = values[box]
    found = np.unique(part[part != 0])
    if values.dtype.kind == "f":
        found = found[np.abs(found) > LABEL_TOLERANCE]  # nor NaN
    labels, low, high = _labels(found, path)
    if not len(labels):
        raise InputError("empty_mask", "the mask is empty: no voxel differs from 0", str(path))
    shown = ", ".join(str(int(label)) for label in labels[:SHOWN])
    if wanted is None and labels[0] < 0 and len(labels) > SHOWN:
        raise InputError(
            "not_a_label_map",
            f"the mask holds {len(labels)} values from {labels[0]:g} to {labels[-1]:g}, as an image in HU does: name the outline "
            "of the hematoma, 1 inside and 0 outside; perhaps image and mask changed places",
            str(path),
        )
    if wanted is None and len(labels) > 1:
        raise InputError(
            "ambiguous_mask", f"the mask holds the labels {shown}; name one in the column mask_label", str(path)
        )
    chosen = np.flatnonzero(labels == wanted) if wanted is not None else np.array([0])
    if not len(chosen):
        raise InputError("empty_mask", f"the mask has no voxel of label {wanted}; it holds {shown}", str(path))
    if labels[chosen[0]] < 0:
        raise InputError(
            "not_a_label_map",
            f"the mask holds the value {labels[chosen[0]]:g}, and labels are above 0; save 1 inside and 0 outside",
            str(path),
        )
    voxels = np.zeros(values.shape, dtype=np.uint8)
    voxels[box] = (part >= low[chosen[0]]) & (part <= high[chosen[0]])
    return voxels


def _labels(found: Values, path: Path) -> tuple[Values, Values, Values]:
    """Return the labels that stand for the values of a map, in order, and the least and the largest value of each.

    Whole numbers are labels, in a float map up to LABEL_TOLERANCE. One value above the background is a mask, whatever it is.

    Args:
        found: the map's values but NaN and those within LABEL_TOLERANCE of 0, the background, in order.
    """
    if found.dtype.kind != "f":
        return found, found, found
    if np.isfinite(found).all():
        whole = np.rint(found)
        near = np.abs(found - whole) <= LABEL_TOLERANCE
        if len(found) == 1 and found[0] > 0 and not near[0]:
            return np.array([1]), found, found
        if near.all():
            labels = np.unique(whole)
            first, end = np.searchsorted(whole, labels), np.searchsorted(whole, labels, side="right")
            return labels, found[first], found[end - 1]
    chosen = found[np.unique(np.linspace(0, len(found) - 1, SHOWN).astype(int))]
    shown = f"{counted(len(found), 'value')} beside 0, such as " + ", ".join(
        f"{value:.{4 if abs(value) < 100 else 8}g}" for value in chosen
    )
    kind = "a probability map" if found[0] >= 0 and found[-1] <= 1 else "an image, or an interpolated map"
    raise InputError(
        "not_a_label_map",
        f"the mask holds values that are no labels (whole numbers): {shown}; it may be {kind}; "
        "choose a threshold, and save 1 inside and 0 outside",
        str(path),
    )


def grid_of(image: sitk.Image) -> Grid:
    """Return where the voxels of an image lie."""
    return Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
