"""Masks of a worker in the store: written once, and anew where the one that is there is damaged."""

import numpy as np
import numpy.typing as npt

from cvtbatch.errors import FormatError
from cvtbatch.geometry import Grid
from cvtbatch.pipelines.extraction.known_case import KnownRoi
from cvtbatch.pipelines.extraction.task_cost import Meter
from cvtbatch.store import ArrayStore, StoredArray


def is_whole(store: ArrayStore, stored: StoredArray) -> bool:
    """Say whether a stored array can be read as it was written."""
    try:
        store.read_array(stored)
    except FormatError:
        return False
    return True


def store_mask(
    store: ArrayStore,
    meter: Meter,
    mask_zyx: npt.NDArray[np.uint8],
    grid: Grid,
    input_digest: str,
    known: KnownRoi | None,
) -> tuple[StoredArray, int]:
    """Return where a mask stands, written unless it is there whole, and its generation: the next one where it was damaged.

    Args:
        input_digest: of image and mask.
        known: what the store has under the mask's key; None for nothing.
    """
    same = known is not None and known.input_digest == input_digest
    if known is not None and same and is_whole(store, known.stored):
        return known.stored, known.generation
    with meter.stage("write"):
        stored = store.write_mask(mask_zyx, grid)
    meter.written_bytes += stored.size_bytes
    return stored, known.generation + 1 if known is not None and same else 0
