"""What the rows of an outline say of its stored mask, whoever drew it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cvtbatch.geometry import Grid
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
    areas = mask_zyx.sum(axis=(1, 2), dtype=np.int64)
    inside = [np.flatnonzero(mask_zyx.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    largest = int(areas.argmax())
    return {
        "voxels": int(areas.sum()),
        "volume_ml": float(areas.sum()) * grid.voxel_ml,
        "source_volume_ml": source_volume_ml,
        "largest_slice": largest,
        "largest_slice_area_mm2": float(areas[largest]) * grid.spacing_mm[0] * grid.spacing_mm[1],
        "box_start_zyx": [int(index[0]) for index in inside],
        "box_size_zyx": [int(index[-1] - index[0] + 1) for index in inside],
        "components": triage.components,
        "hu_p05": triage.hu_p05,
        "hu_p50": triage.hu_p50,
        "hu_p95": triage.hu_p95,
        "flags": [*flags, *triage.flags],
    }
