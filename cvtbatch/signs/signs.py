"""All signs and measures of one outline."""

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from cvtbatch.geometry import Grid
from cvtbatch.signs.constants import CONSTANTS, Constants
from cvtbatch.signs.density import Density, measure_density
from cvtbatch.signs.geometry import Geometry, measure_geometry
from cvtbatch.signs.hematoma import cut_hematoma


@dataclass(frozen=True, slots=True)
class HematomaSigns:
    """Signs and geometry of a hematoma.

    Attributes:
        cut_off: the outline touches the end of what was scanned.
        undetermined: values that are None, and why.
    """

    cut_off: bool
    undetermined: tuple[str, ...]
    geometry: Geometry
    density: Density

    def to_row(self) -> dict[str, object]:
        """Return the values by column of table `signs`."""
        groups = (self.geometry, self.density)
        values = {name: value for group in groups for name, value in asdict(group).items()}
        return {"cut_off": self.cut_off, "undetermined": list(self.undetermined), **values}


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
    hematoma = cut_hematoma(hu_zyx, mask_zyx, grid, 0.0)
    density = measure_density(hematoma)
    undetermined = [] if density.density_cv is not None else [f"density_cv: the mean is {density.mean_hu:.0f} HU"]
    return HematomaSigns(
        cut_off=hematoma.cut_off,
        undetermined=tuple(undetermined),
        geometry=measure_geometry(hematoma, constants),
        density=density,
    )
