"""All signs and measures of one outline.

A sign that cannot be told is None, and why is said: where the outline touches the end of what was scanned, a sign that is not found
may lie beyond it; some need more of a hematoma than there is.
"""

from dataclasses import asdict, dataclass, fields

import numpy as np
import numpy.typing as npt

from cvtbatch.geometry import Grid
from cvtbatch.signs.constants import CONSTANTS, Constants
from cvtbatch.signs.density import Density, HypodenseRegions, find_hypodense_regions, measure_density
from cvtbatch.signs.geometry import ROUND_OFF_MM, Geometry, measure_geometry
from cvtbatch.signs.hematoma import Hematoma, cut_hematoma
from cvtbatch.signs.margin import Margin, look_at_margin
from cvtbatch.signs.two_regions import AXIAL, TwoRegions, find_two_regions

CUT_OFF = "the outline touches the end of what was scanned, beyond which it may be"


@dataclass(frozen=True, slots=True)
class HematomaSigns:
    """Signs and geometry of a hematoma.

    Attributes:
        cut_off: the outline touches the end of what was scanned.
        undetermined: values that are None, and why.
        hypodense, two_regions: None where the hematoma is too small for them.
        signs: by column of table `signs`; None where a sign cannot be told.
    """

    cut_off: bool
    undetermined: tuple[str, ...]
    geometry: Geometry
    density: Density
    hypodense: HypodenseRegions | None
    two_regions: TwoRegions | None
    margin: Margin
    signs: dict[str, bool | None]

    def to_row(self) -> dict[str, object]:
        """Return the values by column of table `signs`."""
        row: dict[str, object] = {"cut_off": self.cut_off, "undetermined": list(self.undetermined)}
        row |= {field.name: None for kind in (HypodenseRegions, TwoRegions) for field in fields(kind)}
        for group in (self.geometry, self.density, self.hypodense, self.two_regions, self.margin):
            row |= {} if group is None else asdict(group)
        return {**row, **self.signs}


def find_signs(
    hu_zyx: npt.NDArray[np.int16], mask_zyx: npt.NDArray[np.uint8], grid: Grid, constants: Constants = CONSTANTS
) -> HematomaSigns:
    """Return the signs and the geometry of the hematoma in an outline.

    Args:
        hu_zyx: HU of the volume.
        mask_zyx: not 0 in the outline, on the same grid.

    Raises:
        InputError: "empty_mask".
    """
    hematoma = cut_hematoma(hu_zyx, mask_zyx, grid, constants)
    density = measure_density(hematoma)
    hypodense, two_regions = find_hypodense_regions(hematoma, constants), find_two_regions(hematoma, constants)
    margin = look_at_margin(hematoma, constants)
    found = {
        **_of_margin(margin, constants),
        **_of_hypodense(hypodense, hematoma, constants),
        **_of_two_regions(two_regions, hematoma, constants),
    }
    signs, undetermined = dict[str, bool | None](), list[str]()
    for name, verdict in found.items():
        told = CUT_OFF if verdict is False and hematoma.cut_off else verdict
        signs[name] = None if isinstance(told, str) else told
        undetermined += [f"{name}: {told}"] if isinstance(told, str) else []
    if density.density_cv is None:
        undetermined.append("density_cv: the mean is not above 0 HU")
    return HematomaSigns(
        cut_off=hematoma.cut_off,
        undetermined=tuple(undetermined),
        geometry=measure_geometry(hematoma, constants),
        density=density,
        hypodense=hypodense,
        two_regions=two_regions,
        margin=margin,
        signs=signs,
    )


# A verdict, or why there is none.
Verdict = bool | str


def _of_margin(margin: Margin, constants: Constants) -> dict[str, Verdict]:
    irregular = margin.margin_irregularities
    return {
        "satellite_sign": margin.satellites > 0,
        "island_sign": margin.islands_separate >= constants.islands_separate or margin.islands >= constants.islands,
        "irregular_shape": (
            irregular >= constants.irregularities
            if irregular is not None
            else f"no slice of the hematoma has {constants.least_slice_mm2:g} mm2"
        ),
    }


def _of_hypodense(found: HypodenseRegions | None, hematoma: Hematoma, constants: Constants) -> dict[str, Verdict]:
    names = ("heterogeneous_density", "black_hole_sign", "swirl_sign")
    if found is None:
        return dict.fromkeys(names, f"nothing lies more than {constants.margin_mm:g} mm inside the outline")
    z_mm = hematoma.spacing_mm[2]
    needed_mm = max(constants.swirl_length_mm, constants.swirl_slices * z_mm) - ROUND_OFF_MM
    thick_mm = int(hematoma.filled_zyx.any(axis=(1, 2)).sum()) * z_mm
    return {
        "heterogeneous_density": found.hypodense_foci >= constants.heterogeneous_foci,
        "black_hole_sign": found.black_holes > 0,
        "swirl_sign": (
            found.swirl_length_mm >= needed_mm
            if thick_mm >= needed_mm
            else f"the hematoma is {thick_mm:g} mm thick, and {needed_mm:g} mm are needed"
        ),
    }


def _of_two_regions(found: TwoRegions | None, hematoma: Hematoma, constants: Constants) -> dict[str, Verdict]:
    if found is None:
        reason = f"no slice of the hematoma has {constants.least_slice_mm2:g} mm2 inside its margin"
        return dict.fromkeys(("blend_sign", "fluid_level"), reason)
    blend, level = found.blend_difference_hu, found.fluid_level_difference_hu
    is_level = (
        level is not None
        and level >= constants.level_hu
        and (found.fluid_level_agreement or 0.0) >= constants.level_share
    )
    axial = float(np.hypot(*hematoma.posterior_xy)) >= AXIAL
    return {
        "blend_sign": blend is not None and blend >= constants.blend_hu,
        "fluid_level": is_level if axial else "the slices are not axial",
    }
