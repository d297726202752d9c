"""A stored case read again from its source: the image, which the store must know, and every outline.

What a person drew is read from its file; an outline that was found, or whose file the manifest names no more, is the stored mask.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cvtbatch.errors import FormatError
from cvtbatch.geometry import Grid, SliceStack
from cvtbatch.ingest import ImageSlices, SourceVolume, read_mask, read_volume
from cvtbatch.manifest import Case
from cvtbatch.pipelines.shared.archive_images import case_at_hand
from cvtbatch.store import FeatureStore, StoredArray

Row = Mapping[str, Any]
VOLUME_COLUMNS = (
    *("case_key", "center", "case_id", "volume_spec_id", "image_digest", "path", "checksum", "sequence"),
    *("size_xyz", "spacing_mm", "origin_mm", "direction"),
)
ROI_COLUMNS = (
    *("roi_key", "case_key", "roi", "reader", "reading", "outline_spec_id", "volume_spec_id"),
    *("mask_digest", "path", "checksum", "volume_ml"),
)


@dataclass(frozen=True, slots=True)
class SourceOutline:
    """An outline and where its voxels lie.

    Attributes:
        taken_from: its file, or the stored mask.
        volume_ml: there.
    """

    row: Row
    voxels_zyx: npt.NDArray[np.uint8]
    place: Grid | SliceStack
    taken_from: Literal["file", "store"]
    volume_ml: float


def read_stored_image(case: Case, volume: Row) -> SourceVolume:
    """Read a case's image.

    Args:
        volume: its row in the store.

    Raises:
        InputError: it cannot be read.
        UnavailableError: it cannot be read now.
        FormatError: `source_changed`: it is not what was stored.
    """
    with case_at_hand(case) as here:
        source = read_volume(here)
    if source.image_digest() != volume["image_digest"]:
        raise _changed("image", case.manifest_row, case.image)
    return source


def read_outlines(
    store: FeatureStore, case: Case, volume: Row, source: SourceVolume, rows: list[Row]
) -> list[SourceOutline]:
    """Return a case's outlines of some rows of `rois`, each where it was drawn or found.

    Raises:
        InputError: a file cannot be read or placed.
        FormatError: `source_changed` if a file is not what was stored; a stored array is missing or damaged.
    """
    drawn = {roi.roi_key: roi for roi in case.masked_rois()}
    grid = stored_grid_of(volume)
    outlines = []
    for row in rows:
        roi = drawn.get(row["roi_key"])
        if roi is None or row["outline_spec_id"] is not None:
            outlines.append(SourceOutline(row, stored_mask(store, row), grid, "store", row["volume_ml"]))
            continue
        mask = read_mask(roi, lambda: ImageSlices.of(source))
        if mask.mask_digest() != row["mask_digest"]:
            raise _changed("mask", roi.manifest_row, roi.mask or "")
        outlines.append(SourceOutline(row, mask.voxels_zyx, mask.place, "file", mask.volume_ml))
    return outlines


def stored_grid_of(volume: Row) -> Grid:
    """Return the grid of a stored volume."""
    return Grid(*(tuple(volume[name]) for name in ("size_xyz", "spacing_mm", "origin_mm", "direction")))


def stored_mask(store: FeatureStore, row: Row) -> npt.NDArray[np.uint8]:
    """Return the stored mask of a row of `rois`."""
    return np.asarray(store.read_array(StoredArray(row["path"], row["checksum"])), dtype=np.uint8)


def _changed(what: str, manifest_row: int, path: str) -> FormatError:
    return FormatError(
        "source_changed",
        f"the {what} of manifest row {manifest_row} is not the one that was stored; name the manifest from which the store was "
        "extracted, or extract this one again with --verify-inputs",
        path,
    )
