"""A location as the values of a row of table `locations`."""

from dataclasses import asdict

import numpy as np
import numpy.typing as npt

from cvtbatch.geometry import Grid
from cvtbatch.location.atlas import find_labels, register_atlas
from cvtbatch.location.atlas_files import AtlasFiles
from cvtbatch.location.head import MeasuredHead, measure_head
from cvtbatch.location.hematoma import Distance, locate
from cvtbatch.location.rules import LocationRules
from cvtbatch.location.template import load_atlas

_BY_ATLAS = ("atlas_label", "atlas_labels", "atlas_shares", "atlas_overlap", "atlas_information")
_NOT_THERE = {"nearest_mm": None, "centroid_mm": None}


def location_row(
    hu_zyx: npt.NDArray[np.int16],
    mask_zyx: npt.NDArray[np.uint8],
    grid: Grid,
    rules: LocationRules,
    atlas: AtlasFiles | None = None,
) -> dict[str, object]:
    """Return where an outline lies, by column.

    Args:
        hu_zyx: HU of the stored volume; mask_zyx is not 0 in the outline, on the same grid.

    Raises:
        InputError: as `measure_head`, `locate` and `load_atlas`.
    """
    head = measure_head(hu_zyx, grid, rules)
    location, plane = locate(mask_zyx, head, rules), head.midplane
    by_atlas, why = _by_atlas(hu_zyx, mask_zyx, head, rules, atlas)
    return {
        "undetermined": [*location.undetermined, *why],
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
        **by_atlas,
    }


def _columns(name: str, distance: Distance | None) -> dict[str, float | None]:
    found = _NOT_THERE if distance is None else asdict(distance)
    return {f"{name}_mm": found["nearest_mm"], f"{name}_centroid_mm": found["centroid_mm"]}


def _by_atlas(
    hu_zyx: npt.NDArray[np.int16],
    mask_zyx: npt.NDArray[np.uint8],
    head: MeasuredHead,
    rules: LocationRules,
    files: AtlasFiles | None,
) -> tuple[dict[str, object], list[str]]:
    """Return the atlas's columns, and why they are null although there is one."""
    if files is None:
        return dict.fromkeys(_BY_ATLAS), []
    atlas = load_atlas(files)
    fit = register_atlas(hu_zyx, head, atlas, rules)
    if isinstance(fit, str):
        return dict.fromkeys(_BY_ATLAS), [f"atlas_label: {fit}"]
    found = find_labels(mask_zyx != 0, head, atlas, fit)
    values = (found.label, list(found.labels), list(found.shares), fit.overlap, fit.information)
    why = [] if found.label is not None else ["atlas_label: the outline lies outside all regions"]
    return dict(zip(_BY_ATLAS, values, strict=True)), why
