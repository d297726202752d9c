"""Label maps: a whole number a voxel, in NIfTI, NRRD or MetaImage, on any grid."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid
from cvtbatch.ingest.image_files import read_image_file
from cvtbatch.ingest.memory import Announce, announce_nothing
from cvtbatch.ingest.outlines import SourceMask
from cvtbatch.manifest import RoiSource


def read_label_map(path: Path, roi: RoiSource, announce: Announce = announce_nothing) -> SourceMask:
    """Read one label of a label map.

    Raises:
        InputError: it cannot be read, is empty, or holds several labels of which none is named.
    """
    image, file_format = read_image_file(path, announce)
    if roi.segment is not None:
        raise InputError(
            "no_such_segment",
            "the mask is a label map, whose labels have no names; use the column mask_label",
            str(path),
        )
    values = sitk.GetArrayViewFromImage(image)
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (values == np.rint(values)).all()):
        raise InputError("not_a_label_map", "the mask holds values that are no labels (whole numbers)", str(path))
    labels = [int(label) for label in np.unique(values[values != 0])]
    if not labels:
        raise InputError("empty_mask", "the mask is empty: no voxel differs from 0", str(path))
    shown = ", ".join(map(str, labels[:10]))
    if roi.mask_label is None and len(labels) > 1:
        raise InputError(
            "ambiguous_mask", f"the mask holds the labels {shown}; name one in the column mask_label", str(path)
        )
    label = labels[0] if roi.mask_label is None else roi.mask_label
    if label not in labels:
        raise InputError("empty_mask", f"the mask has no voxel of label {label}; it holds {shown}", str(path))
    return SourceMask((values == label).astype(np.uint8), grid_of(image), file_format)


def grid_of(image: sitk.Image) -> Grid:
    """Return where the voxels of an image lie."""
    return Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
