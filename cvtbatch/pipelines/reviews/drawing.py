"""A case drawn on a worker: its slices, its outlines in them, and their HU."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cvtbatch.errors import FormatError
from cvtbatch.imaging import as_radiologists_look, head_window
from cvtbatch.pipelines.reviews.worklist import StoredCase, StoredMask
from cvtbatch.reviewing.histogram import Histogram, count_hu
from cvtbatch.reviewing.pictures import outlines_png, slice_jpeg
from cvtbatch.reviewing.slices import slices_of_head, slices_of_outline
from cvtbatch.store import FeatureStore


@dataclass(frozen=True, slots=True)
class DrawTask:
    """A case for a worker, which reads its voxels."""

    store_url: str
    stored: StoredCase


@dataclass(frozen=True, slots=True)
class DrawnSlice:
    """A slice as JPEG, and the outlines in it as PNG; None where none is in it."""

    index: int
    jpeg: bytes
    png: bytes | None


@dataclass(frozen=True, slots=True)
class DrawnCase:
    """What a page shows of a case's voxels.

    Attributes:
        depth: slices of the volume.
        histograms: of its outlines, in order.
        problem: kind of the error for which nothing is there; empty if none.
    """

    slices: tuple[DrawnSlice, ...]
    depth: int
    histograms: tuple[Histogram, ...]
    problem: str


@lru_cache(maxsize=1)
def _store(url: str) -> FeatureStore:
    return FeatureStore(url)


def draw_case(task: DrawTask) -> DrawnCase:
    """Draw a case; one whose voxels are missing or damaged has a problem instead of pictures.

    Raises:
        StorageError: the store cannot be read.
    """
    store, stored = _store(task.store_url), task.stored
    try:
        hu_zyx = store.read_array(stored.volume).astype(np.int16)
        masks = [store.read_array(mask.array).astype(np.uint8) for mask in stored.masks]
    except FormatError as error:
        return DrawnCase((), 0, (), error.kind)
    histograms = tuple(count_hu(hu_zyx[mask > 0]) for mask in masks)
    indices = _indices(hu_zyx, stored.masks)
    hu_nyx = as_radiologists_look(hu_zyx[indices], stored.direction)
    masks_nyx = [as_radiologists_look(mask[indices], stored.direction) for mask in masks]
    # One window for all slices of a case, so that they can be compared.
    covered = np.zeros(hu_nyx.shape[1:], np.uint8)
    for mask_nyx in masks_nyx:
        covered |= mask_nyx.any(axis=0)
    window = head_window(hu_nyx.max(axis=0), covered, stored.spacing_xy_mm)
    slices = [
        DrawnSlice(index, slice_jpeg(hu_nyx[place], window), outlines_png([mask[place] for mask in masks_nyx], window))
        for place, index in enumerate(indices)
    ]
    return DrawnCase(tuple(slices), len(hu_zyx), histograms, "")


def _indices(hu_zyx: npt.NDArray[np.int16], masks: Sequence[StoredMask]) -> list[int]:
    """Return the slices to show: of each ROI, whoever outlined it, or of the head where there is no outline."""
    if not masks:
        return list(slices_of_head(hu_zyx))
    shown: set[int] = set()
    for roi in {mask.roi for mask in masks}:
        own = [mask for mask in masks if mask.roi == roi]
        first, last = min(mask.first for mask in own), max(mask.last for mask in own)
        shown.update(slices_of_outline(first, last, own[0].largest, len(hu_zyx)))
    return sorted(shown)
