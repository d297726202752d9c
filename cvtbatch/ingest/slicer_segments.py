"""3D Slicer's segmentations (.seg.nrrd): named segments, in layers where they overlap.

The file's own origin and axes say where its voxels lie, also where they are cropped, as Slicer did by itself until 4.11:
`Segmentation_ReferenceImageExtentOffset` tells where within the segmented image that is, which counts where the image's slices
lie elsewhere (`mask_grids`). Format:
https://slicer.readthedocs.io/en/latest/developer_guide/modules/segmentations.html#segmentation-file-nrrd
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid
from cvtbatch.ingest.image_files import check_file
from cvtbatch.ingest.label_maps import grid_of
from cvtbatch.ingest.mask_grids import by_index, place_voxels
from cvtbatch.ingest.memory import Announce, announce_nothing
from cvtbatch.ingest.nrrd import read_nrrd_header
from cvtbatch.ingest.outlines import ImageSlices, Segment, SourceMask, choose_segment
from cvtbatch.ingest.source_files import require_readable
from cvtbatch.manifest import RoiSource

FORMAT = "Slicer segmentation"
OFFSET = "Segmentation_ReferenceImageExtentOffset"
Mask = npt.NDArray[np.uint8]


def lists_segments(pairs: Mapping[str, str]) -> bool:
    """Say whether the key/value pairs of an NRRD file describe segments."""
    return "Segment0_ID" in pairs or "Segment0_Name" in pairs


def list_segments(path: Path) -> tuple[Segment, ...]:
    """Return the segments that the header of an NRRD file lists; empty if it is no segmentation.

    Raises:
        InputError: the header is damaged.
        UnavailableError: the system cannot give its bytes now.
    """
    _, pairs = read_nrrd_header(path)
    return tuple(segment for segment, _ in _listed(pairs, 1, path)) if lists_segments(pairs) else ()


def read_segmentation(
    path: Path,
    roi: RoiSource,
    pairs: Mapping[str, str],
    image: Callable[[], ImageSlices],
    announce: Announce = announce_nothing,
) -> SourceMask:
    """Read one segment of a segmentation, by name or label.

    Args:
        pairs: the key/value pairs of the file.
        image: tells of the image that the outline belongs to.

    Raises:
        InputError: it cannot be read, or names no such segment, or that segment is empty.
    """
    check_file(path, announce)
    try:
        labels = sitk.ReadImage(str(path))
    except RuntimeError as error:
        require_readable(path)
        raise InputError(
            "unreadable_file", "the segmentation cannot be read: it is damaged or truncated", f"{path}: {error}"
        ) from None
    if labels.GetDimension() == 4 and labels.GetSize()[3] == 1:
        labels = labels[:, :, :, 0]
    if labels.GetDimension() != 3:
        what = f"{labels.GetDimension()} dimensions of size {labels.GetSize()}"
        raise InputError("not_a_volume", f"the segmentation has {what}, where a volume of layers has three", str(path))
    layers = labels.GetNumberOfComponentsPerPixel()
    listed = list(_listed(pairs, layers, path))
    segment, layer = listed[choose_segment([segment for segment, _ in listed], roi)]
    if not 0 <= layer < layers:
        raise InputError(
            "unreadable_file", f"the segment lies in layer {layer}, of which the file has {layers}: damaged", str(path)
        )
    values = sitk.GetArrayViewFromImage(labels)
    voxels = ((values if layers == 1 else values[..., layer]) == segment.number).astype(np.uint8)
    if not voxels.any():
        raise InputError("empty_mask", "the segment is empty: no voxel has its label", str(path))
    return _place(voxels, grid_of(labels), pairs, image())


def _place(voxels: Mask, grid: Grid, pairs: Mapping[str, str], image: ImageSlices) -> SourceMask:
    """Place a segment; what is a part of the image goes by index where all of it would."""
    stack = image.stack
    size, shape = (stack.columns, stack.rows, len(stack.positions_mm)), grid.size_xyz
    words = pairs.get(OFFSET, "").split()
    offset = [int(word) for word in words if word.isdecimal()]
    if len(offset) == 3 and shape != size and all(a + b <= n for a, b, n in zip(offset, shape, size, strict=True)):
        whole = np.zeros(size[::-1], np.uint8)
        whole[tuple(slice(a, a + b) for a, b in zip(offset[::-1], shape[::-1], strict=True))] = voxels
        x, y, z = grid.to_point(-np.array([offset], dtype=np.float64))[0].tolist()
        placed = by_index(whole, replace(grid, size_xyz=size, origin_mm=(x, y, z)), None, image, FORMAT)
        if placed is not None:
            return placed
    return place_voxels(voxels, grid, None, image, FORMAT)


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
