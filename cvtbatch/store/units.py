"""Units of columns, as Arrow tables of the store say or name them."""

import itertools

import pyarrow as pa

from cvtbatch import contracts
from cvtbatch.errors import InputError


def units(rows: pa.Table) -> dict[str, str]:
    """Return the unit of each column of rows that has one, e.g. {"volume_ml": "ml", "original_shape_MeshVolume": "mm3"}.

    A feature has one where it is sure: means and percentiles are in HU only where voxels were not normalised. A DataFrame keeps
    no units: take them from the table before, `frame.attrs["units"] = cvtbatch.units(table)`.

    Args:
        rows: of a `FeatureStore`, e.g. `store.rois()` or `store.wide()`.

    Raises:
        InputError: "bad_argument": this is no Arrow table.
    """
    if not isinstance(rows, pa.Table):
        raise InputError(
            "bad_argument",
            f"units are those of an Arrow table, e.g. store.rois() before its to_pandas(), not of a {type(rows).__name__}",
        )
    tables = (contracts.table(name).fields for name in contracts.table_names())
    fields = itertools.chain(contracts.view("pairs").fields, *tables)
    known = {field.name: field.unit for field in fields if field.unit}
    said = {field.name: (field.metadata or {}).get(b"unit", b"").decode() for field in rows.schema}
    return {name: unit for name in said if (unit := said[name] or known.get(name, ""))}
