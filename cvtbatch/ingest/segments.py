"""3D Slicer's segmentations (.seg.nrrd): named segments, in layers where they overlap.

The file's own origin and axes say where its voxels lie, also where they are cropped: `Segmentation_ReferenceImageExtentOffset` only
tells where within the segmented image that is. Format:
https://slicer.readthedocs.io/en/latest/developer_guide/modules/segmentations.html#segmentation-file-nrrd
"""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.ingest.image_files import check_file
from cvtbatch.ingest.label_maps import grid_of
from cvtbatch.ingest.memory import Announce, announce_nothing
from cvtbatch.ingest.outlines import Segment, SourceMask, choose_segment
from cvtbatch.ingest.source_files import require_readable
from cvtbatch.manifest import RoiSource


def lists_segments(pairs: Mapping[str, str]) -> bool:
    """Say whether the key/value pairs of an NRRD file describe segments."""
    return "Segment0_ID" in pairs or "Segment0_Name" in pairs


def read_segmentation(
    path: Path, roi: RoiSource, pairs: Mapping[str, str], announce: Announce = announce_nothing
) -> SourceMask:
    """Read one segment of a segmentation, by name or label.

    Args:
        pairs: the key/value pairs of the file.

    Raises:
        InputError: it cannot be read, or names no such segment, or that segment is empty.
    """
    check_file(path, announce)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        require_readable(path)
        raise InputError(
            "unreadable_file", "the segmentation cannot be read: it is damaged or truncated", f"{path}: {error}"
        ) from None
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3:
        what = f"{image.GetDimension()} dimensions of size {image.GetSize()}"
        raise InputError("not_a_volume", f"the segmentation has {what}, where a volume of layers has three", str(path))
    layers = image.GetNumberOfComponentsPerPixel()
    listed = list(_listed(pairs, layers, path))
    segment, layer = listed[choose_segment([segment for segment, _ in listed], roi)]
    if not 0 <= layer < layers:
        raise InputError(
            "unreadable_file", f"the segment lies in layer {layer}, of which the file has {layers}: damaged", str(path)
        )
    values = sitk.GetArrayViewFromImage(image)
    voxels = ((values if layers == 1 else values[..., layer]) == segment.number).astype(np.uint8)
    if not voxels.any():
        raise InputError("empty_mask", "the segment is empty: no voxel has its label", str(path))
    return SourceMask(voxels, grid_of(image), "Slicer segmentation")


def _listed(pairs: Mapping[str, str], layers: int, path: Path) -> Iterator[tuple[Segment, int]]:
    """Yield the segments and their layers. Files from before shared layers name neither: there each segment is a layer of ones."""
    for index in itertools.count():
        fields = {
            field: pairs[key].strip()
            for field in ("ID", "Name", "LabelValue", "Layer")
            if (key := f"Segment{index}_{field}") in pairs
        }
        if not fields:
            return
        try:
            label = int(fields.get("LabelValue", 1))
            layer = int(fields.get("Layer", index if layers > 1 else 0))
        except ValueError:
            raise InputError(
                "unreadable_file", "a segment's label or layer is no whole number: damaged", str(path)
            ) from None
        yield Segment(label, fields.get("Name", fields.get("ID", ""))), layer
