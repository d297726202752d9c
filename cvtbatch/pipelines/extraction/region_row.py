"""What the rows of a region say of it: what became of it, in `regions`, and its mask, in `rois`."""

import numpy as np
import numpy.typing as npt

from cvtbatch.geometry import Grid
from cvtbatch.pipelines.extraction.case_result import Row, roi_identity
from cvtbatch.pipelines.extraction.region_plan import Parent, RegionInput, RegionTask
from cvtbatch.pipelines.extraction.roi_row import mask_columns
from cvtbatch.regions.masks import NoRegion, Region

CUT = "rim_cut"
# Less than this share of a ring is a rim of another kind.
LEAST_SHARE = 0.5


def region_row(task: RegionTask, outline: Parent, region: RegionInput, found: Region | NoRegion) -> Row:
    """Return the `regions` row of a region, without book-keeping."""
    cut = found.cut
    return {
        **roi_identity(task.case, region.source),
        "region": region.region.rule.name,
        "region_spec_id": region.region.region_spec_id,
        "volume_spec_id": task.work.volume_spec_id,
        "parent_roi_key": outline.roi_key,
        "parent_digest": outline.input_digest,
        "input_digest": region.input_digest,
        "state": "derived" if isinstance(found, Region) else "empty",
        "reason": found.reason if isinstance(found, NoRegion) else None,
        "ring_voxels": cut.ring if cut else None,
        "beyond_volume": cut.beyond_volume if cut else None,
        "outside_skull": cut.outside_skull if cut else None,
        "outside_window": cut.outside_window if cut else None,
        "share_left": cut.share_left if cut else None,
    }


def region_mask_columns(found: Region, hu_zyx: npt.NDArray[np.int16], grid: Grid) -> Row:
    """Return what a `rois` row says of a region's mask; the flags of outlines, which are about blood, are none of a region's."""
    mask_zyx = found.mask_zyx.astype(np.uint8)
    volume_ml = float(np.count_nonzero(mask_zyx)) * grid.voxel_ml
    flags = [CUT] if found.cut is not None and found.cut.share_left < LEAST_SHARE else []
    return {**mask_columns(mask_zyx, hu_zyx, grid, volume_ml, ()), "flags": flags}
