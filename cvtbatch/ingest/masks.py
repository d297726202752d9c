"""A hematoma's outline as it comes from an archive: one label of a label map."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.ingest.image_files import read_image_file
from cvtbatch.manifest import RoiSource
from cvtbatch.spec import digest


@dataclass(frozen=True, slots=True)
class SourceMask:
    """A decoded outline; `image` is uint8, 1 in the ROI, on a grid of its own."""

    image: sitk.Image

    @property
    def volume_ml(self) -> float:
        """Volume as drawn."""
        voxels = int(np.count_nonzero(sitk.GetArrayViewFromImage(self.image)))
        return voxels * float(np.prod(self.image.GetSpacing())) / 1000

    def mask_digest(self) -> str:
        """Return the hash of voxels and geometry."""
        image = self.image
        geometry = np.array([*image.GetSpacing(), *image.GetOrigin(), *image.GetDirection()], dtype="<f8")
        voxels = sitk.GetArrayFromImage(image)
        return digest("mask", f"{voxels.shape}", voxels.tobytes(), geometry.tobytes())


def read_mask(roi: RoiSource) -> SourceMask:
    """Read an outline; `roi.mask` must not be None.

    Raises:
        InputError: it cannot be read, is empty, or holds several labels of which none is named.
    """
    path = Path(roi.mask or "")
    if (
        path.is_dir()
        or path.suffix.lower() in {".dcm", ""}
        or path.name.lower().endswith(".seg.nrrd")
        or roi.segment is not None
    ):
        raise InputError(
            "unsupported_mask",
            "outlines are read from label maps (NIfTI, NRRD, MetaImage); export the segmentation as one",
            str(path),
        )
    image, _ = read_image_file(path)
    values = sitk.GetArrayViewFromImage(image)
    if not np.isfinite(values).all() or (values != np.rint(values)).any():
        raise InputError("not_a_label_map", "the mask holds values that are no labels (whole numbers)", str(path))
    labels = [int(label) for label in np.unique(values) if label != 0]
    if not labels:
        raise InputError("empty_mask", "the mask is empty: no voxel differs from 0", str(path))
    if roi.mask_label is None and len(labels) > 1:
        shown = ", ".join(map(str, labels[:10]))
        raise InputError(
            "ambiguous_mask", f"the mask holds the labels {shown}; name one in the column mask_label", str(path)
        )
    label = labels[0] if roi.mask_label is None else roi.mask_label
    if label not in labels:
        shown = ", ".join(map(str, labels[:10]))
        raise InputError("empty_mask", f"the mask has no voxel of label {label}; it holds {shown}", str(path))
    return SourceMask(sitk.Cast(sitk.Equal(image, float(label)), sitk.sitkUInt8))
