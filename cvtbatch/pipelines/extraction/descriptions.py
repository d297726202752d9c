"""What a job asks for beside features to describe outlines: each is a table, a kind of specification and a function of the room.

A function takes HU and mask on the stored grid, and the job's atlas, and returns the values of a row by column. Its room is loaded
on workers alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid
from cvtbatch.location.atlas_files import AtlasFiles, name_files
from cvtbatch.location.rules import LocationRules
from cvtbatch.pipelines.extraction.case_result import Row
from cvtbatch.pipelines.extraction.description_work import DescriptionWork
from cvtbatch.signs.constants import CONSTANTS
from cvtbatch.spec import LOCATIONS_REVISION, SIGNS_REVISION, Spec, description_spec

if TYPE_CHECKING:
    from cvtbatch.pipelines.shared.job import AtlasSection

Volume = npt.NDArray[np.int16]
Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Description:
    """Values that describe an outline.

    Attributes:
        settings: revision and constants, for the specification.
        describe: volume, mask, grid and atlas to the values of a row.
    """

    settings: Mapping[str, object]
    describe: Callable[[Volume, Mask, Grid, AtlasFiles | None], Row]


def _signs(hu_zyx: Volume, mask_zyx: Mask, grid: Grid, _atlas: AtlasFiles | None) -> Row:
    from cvtbatch.signs.signs import find_signs

    return find_signs(hu_zyx, mask_zyx, grid).to_row()


def _locations(hu_zyx: Volume, mask_zyx: Mask, grid: Grid, atlas: AtlasFiles | None) -> Row:
    from cvtbatch.location.rows import location_row

    return location_row(hu_zyx, mask_zyx, grid, LocationRules(), atlas)


DESCRIPTIONS: Mapping[str, Description] = {
    "signs": Description({"revision": SIGNS_REVISION, "constants": asdict(CONSTANTS)}, _signs),
    "locations": Description({"revision": LOCATIONS_REVISION, "rules": asdict(LocationRules())}, _locations),
}


def resolve_descriptions(
    tables: Sequence[str], atlas: "AtlasSection", volume: Spec
) -> tuple[tuple[DescriptionWork, ...], tuple[Spec, ...]]:
    """Return what a job asks for, of volumes of a specification, and the specifications of it.

    Raises:
        InputError: "bad_atlas": the job's atlas lacks a file, cannot be read, or is of no use.
    """
    files = _atlas_files(atlas, tables)
    works, specs = [], []
    for table in tables:
        own = files if table == "locations" else None
        settings = DESCRIPTIONS[table].settings
        spec = description_spec(volume, table, {**settings, "atlas": own.settings()} if own else settings)
        works.append(DescriptionWork(table, spec.spec_id, own))
        specs.append(spec)
    return tuple(works), tuple(specs)


def _atlas_files(atlas: "AtlasSection", tables: Sequence[str]) -> AtlasFiles | None:
    if atlas.template is None and atlas.labels is None:
        return None
    if atlas.template is None or atlas.labels is None:
        raise InputError("bad_atlas", "an atlas is two files: give both atlas.template and atlas.labels, or neither")
    if "locations" not in tables:
        raise InputError("bad_atlas", "an atlas serves locations alone: add locations to describe, or leave atlas out")
    files = name_files(*(str(Path(path).absolute()) for path in (atlas.template, atlas.labels)))
    from cvtbatch.location.template import load_atlas

    load_atlas(files)
    return files


def describe(work: DescriptionWork, hu_zyx: Volume, mask_zyx: Mask, grid: Grid) -> Row:
    """Return the values of a row of an outline, by column.

    Args:
        hu_zyx: of the stored volume; mask_zyx is not 0 in the outline.
    """
    return DESCRIPTIONS[work.table].describe(hu_zyx, mask_zyx, grid, work.atlas)
