"""A location as the values of a row of table `locations`."""

from dataclasses import asdict

import numpy as np
import numpy.typing as npt

from cvtbatch.geometry import Grid
from cvtbatch.location.head import measure_head
from cvtbatch.location.hematoma import Distance, locate
from cvtbatch.location.rules import LocationRules

_NOT_THERE = {"nearest_mm": None, "centroid_mm": None}


def location_row(
    hu_zyx: npt.NDArray[np.int16], mask_zyx: npt.NDArray[np.uint8], grid: Grid, rules: LocationRules
) -> dict[str, object]:
    """Return where an outline lies, by column.

    Args:
        hu_zyx: HU of the stored volume; mask_zyx is not 0 in the outline, on the same grid, and never empty.

    Raises:
        InputError: as `measure_head`.
    """
    head = measure_head(hu_zyx, grid, rules)
    location, plane = locate(mask_zyx, head, rules), head.midplane
    return {
        "undetermined": list(location.undetermined),
        "side": location.side,
        "left_share": location.left_share,
        **_columns("midline", location.midline),
        **_columns("skull", location.skull),
        **_columns("ventricles", location.ventricles),
        "ventricles_ml": location.ventricles_ml,
        **_columns("vertex", location.vertex),
        "depth_share": location.depth_share,
        "deepest_share": location.deepest_share,
        "compartment": location.compartment,
        "region": location.region,
        "vertex_in_scan": head.vertex_mm is not None,
        "base_in_scan": head.base_in_scan,
        "midplane_yaw_deg": plane.yaw_deg,
        "midplane_roll_deg": plane.roll_deg,
        "midplane_roll_sd_deg": plane.roll_sd_deg,
        "midplane_residual_mm": plane.residual_mm,
        "midplane_symmetric_share": plane.symmetric_share,
    }


def _columns(name: str, distance: Distance | None) -> dict[str, float | None]:
    found = _NOT_THERE if distance is None else asdict(distance)
    return {f"{name}_mm": found["nearest_mm"], f"{name}_centroid_mm": found["centroid_mm"]}
