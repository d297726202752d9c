"""The columns that simpler models are fitted on: features, clinical values, and what describes outlines beside features."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.types

from cvtbatch import contracts
from cvtbatch.dlrn.arrays import Floats
from cvtbatch.errors import InputError
from cvtbatch.nearest import did_you_mean
from cvtbatch.pipelines.models.training_cohort import TrainingData
from cvtbatch.store import View

BOOKKEEPING = frozenset({"reading", "manifest_row", "sequence"})


def column_values(name: str, where: str, data: TrainingData, view: View) -> Floats:
    """Return a column of the cohort's rows as numbers: (n,), NaN where it is unknown.

    Args:
        name: of a feature, a clinical column of numbers, a column of a table that describes outlines, e.g. signs.black_hole_sign,
            or one of its words, e.g. locations.region=lobar, which is 1 where the column has it and 0 where it has another.
        where: the key of the job that names it.

    Raises:
        InputError: "no_such_column": there is no such column, or no row of it; "several_specs".
    """
    table, dot, column = name.partition(".")
    if dot and table in contracts.description_tables():
        return _described(table, column, where, data.cohort.keys, view)
    if name in data.cohort.radiomics_names:
        return data.cohort.radiomics[:, data.cohort.radiomics_names.index(name)]
    numbers = {
        known: values for known, values in data.clinical.items() if not any(isinstance(value, str) for value in values)
    }
    if name not in numbers:
        tables = " and ".join(f"{known}.COLUMN" for known in contracts.description_tables())
        raise InputError(
            "no_such_column",
            f"{where}: there is no column of numbers {name!r}; beside the features there are {', '.join(numbers)}, and {tables}",
        )
    return _numbers(numbers[name])


def _described(table: str, column: str, where: str, keys: Sequence[str], view: View) -> Floats:
    column, equals, word = column.partition("=")
    schema = contracts.table(table).arrow()
    kinds = {
        field.name: "words" if pyarrow.types.is_string(field.type) else "numbers"
        for field in schema
        if field.name not in BOOKKEEPING and not field.name.endswith(("_id", "_key", "_digest"))
        if pyarrow.types.is_string(field.type) or _is_number(field.type)
    }
    wanted = "words" if equals else "numbers"
    if kinds.get(column) != wanted:
        there = [name for name, kind in kinds.items() if kind == wanted]
        raise InputError(
            "no_such_column",
            f"{where}: table {table} has no column of {wanted} {column!r}; {did_you_mean(column, there)}it has {', '.join(there)}",
        )
    rows = view.described(table, ["roi_key", column])
    found: Mapping[str, object] = dict(zip(rows["roi_key"].to_pylist(), rows[column].to_pylist(), strict=True))
    if not found.keys() & set(keys):
        extract = f"cvtbatch extract MANIFEST --store STORE --set 'describe=[{table}]'"
        raise InputError("no_such_column", f"{where}: no outline of the cohort has a row of table {table}: {extract}")
    values = [found.get(key) for key in keys]
    return _numbers([None if value is None else value == word for value in values] if equals else values)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pyarrow.types.is_floating(kind) or pyarrow.types.is_integer(kind) or pyarrow.types.is_boolean(kind))


def _numbers(values: Sequence[object]) -> Floats:
    return np.array([np.nan if value is None else float(value) for value in values])  # type: ignore[arg-type]
