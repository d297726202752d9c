"""What the rows of an outline say of its stored mask, whoever drew it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cvtbatch.geometry import Grid, voxels_of
from cvtbatch.imaging import triage_mask
from cvtbatch.pipelines.extraction.case_result import Row


def mask_columns(
    mask_zyx: npt.NDArray[np.uint8],
    hu_zyx: npt.NDArray[np.int16],
    grid: Grid,
    source_volume_ml: float,
    flags: Sequence[str],
) -> Row:
    """Return what a `rois` row says of a stored mask, never empty: its measures, and what a reader should look at.

    Args:
        source_volume_ml: volume of the mask as drawn.
        flags: of its source.
    """
    triage = triage_mask(mask_zyx, hu_zyx, grid, source_volume_ml)
    voxels = voxels_of(mask_zyx)
    areas = np.bincount(voxels[0])
    largest = int(areas.argmax())
    return {
        "voxels": int(areas.sum()),
        "volume_ml": float(areas.sum()) * grid.voxel_ml,
        "source_volume_ml": source_volume_ml,
        "largest_slice": largest,
        "largest_slice_area_mm2": float(areas[largest]) * grid.spacing_mm[0] * grid.spacing_mm[1],
        "box_start_zyx": [int(index.min()) for index in voxels],
        "box_size_zyx": [int(np.ptp(index)) + 1 for index in voxels],
        "components": triage.components,
        "hu_p05": triage.hu_p05,
        "hu_p50": triage.hu_p50,
        "hu_p95": triage.hu_p95,
        "flags": [*flags, *triage.flags],
    }
