"""What a job asks for beside features to describe outlines: each is a table, a kind of specification and a function of the room.

A function takes HU and mask on the stored grid and returns the values of a row by column. Its room is loaded on workers alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from cvtbatch.geometry import Grid
from cvtbatch.location.rules import LocationRules
from cvtbatch.pipelines.extraction.case_plan import DescriptionWork
from cvtbatch.pipelines.extraction.case_result import Row
from cvtbatch.signs.constants import CONSTANTS
from cvtbatch.spec import LOCATIONS_REVISION, SIGNS_REVISION, Spec, description_spec

Volume = npt.NDArray[np.int16]
Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Description:
    """Values that describe an outline.

    Attributes:
        settings: revision and constants, for the specification.
        describe: volume, mask and grid to the values of a row.
    """

    settings: Mapping[str, object]
    describe: Callable[[Volume, Mask, Grid], Row]


def _signs(hu_zyx: Volume, mask_zyx: Mask, grid: Grid) -> Row:
    from cvtbatch.signs.signs import find_signs

    return find_signs(hu_zyx, mask_zyx, grid).to_row()


def _locations(hu_zyx: Volume, mask_zyx: Mask, grid: Grid) -> Row:
    from cvtbatch.location.rows import location_row

    return location_row(hu_zyx, mask_zyx, grid, LocationRules())


DESCRIPTIONS: Mapping[str, Description] = {
    "signs": Description({"revision": SIGNS_REVISION, "constants": asdict(CONSTANTS)}, _signs),
    "locations": Description({"revision": LOCATIONS_REVISION, "rules": asdict(LocationRules())}, _locations),
}


def resolve_descriptions(tables: Sequence[str], volume: Spec) -> tuple[tuple[DescriptionWork, ...], tuple[Spec, ...]]:
    """Return what a job asks for, of volumes of a specification, and the specifications of it."""
    specs = tuple(description_spec(volume, table, DESCRIPTIONS[table].settings) for table in tables)
    return tuple(DescriptionWork(spec.kind, spec.spec_id) for spec in specs), specs


def describe(table: str, hu_zyx: Volume, mask_zyx: Mask, grid: Grid) -> Row:
    """Return the values of a table's row of an outline, by column.

    Args:
        hu_zyx: of the stored volume; mask_zyx is not 0 in the outline.
    """
    return DESCRIPTIONS[table].describe(hu_zyx, mask_zyx, grid)
