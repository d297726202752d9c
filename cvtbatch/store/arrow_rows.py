"""Rows as Arrow tables: values by column, and where a row has features, these as one vector.

A row of features is some twenty texts and numbers, and a thousand numbers and more. As Python objects these cost a coordinator more
than all else that it does; as a vector they go from the worker that computed them into the columns of a file as they are.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from cvtbatch.contracts import TableContract
from cvtbatch.errors import InternalError

Row = Mapping[str, object]
# Under which a row has all features of its table's contract, in order: a vector of float64 in the place of a value by column each.
FEATURES = "features"


def to_arrow(rows: Sequence[Row], contract: TableContract, sequence: int) -> pa.Table:
    """Return rows, at least one, in the columns of a contract; what a row lacks is null, and a NaN among features stays NaN.

    Args:
        rows: all of them with their features as a vector, or none.

    Raises:
        InternalError: "incomplete_row": a row has another number of features than its table, or only some rows have vectors, as of
            workers of several versions.
    """
    schema = contract.arrow()
    numbered = [{**row, "sequence": sequence} for row in rows]
    if len({FEATURES in row for row in rows}) > 1:
        raise InternalError(
            "incomplete_row",
            f"rows of table {contract.name} come with and without a vector of features: workers have several versions of cvtbatch",
        )
    if FEATURES not in rows[0]:
        return pa.Table.from_pylist(numbered, schema)
    leading = pa.Table.from_pylist(numbered, pa.schema([schema.field(i) for i in range(contract.key_field_count())]))
    vectors = [np.asarray(row[FEATURES], np.float64) for row in rows]
    if any(vector.shape != (len(contract.features),) for vector in vectors):
        raise InternalError(
            "incomplete_row", f"a row of table {contract.name} has not {len(contract.features)} features"
        )
    values = pa.array(np.stack(vectors, axis=1).ravel(), pa.float64(), from_pandas=False)
    columns = [values.slice(place * len(rows), len(rows)) for place in range(len(contract.features))]
    return pa.table([*leading.columns, *columns], schema)
