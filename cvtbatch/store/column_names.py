"""Columns that are asked of a table: whether it has them, and which other table has one."""

from collections.abc import Collection, Sequence

from cvtbatch import contracts
from cvtbatch.errors import InputError
from cvtbatch.nearest import nearest

# Tables that `FeatureStore` reads under a name of their own, the likeliest first.
_READ_BY_NAME = ("cases", "rois", "radiomics", "embeddings", "scores", *contracts.description_tables())
_KEYS = ("roi_key", "case_key")


def check_columns(columns: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """Return the asked columns, all of them by default.

    Raises:
        InputError: there is no such column.
    """
    if isinstance(columns, str):
        raise InputError("no_such_column", f"columns is a list of names, not a text: write [{columns!r}]")
    there = set(known)
    unknown = [name for name in columns or () if name not in there]
    if unknown:
        table = table_of(unknown[0])
        [near] = nearest(unknown[0], known, cutoff=0.0)
        told = f"table {table} has it" if table else f"the nearest one is {near}"
        raise InputError("no_such_column", f"there is no column {unknown[0]!r} here; {told}")
    return list(known if columns is None else columns)


def table_of(name: str) -> str:
    """Return the table of the store that has a column, the likeliest of several; empty where none has it."""
    others = (table for table in contracts.table_names() if table not in _READ_BY_NAME)
    return next((table for table in (*_READ_BY_NAME, *others) if name in _columns(table)), "")


def told_where(name: str, here: Collection[str]) -> str:
    """Say which table has a column, and how rows that lack it are filtered by it; empty where no table has it.

    Args:
        here: the columns of these rows.
    """
    table = table_of(name)
    if not table:
        return ""
    read = f"store.{table}()" if table in _READ_BY_NAME else f"store.current({table!r})"
    beside = " and store.wide()" if name in {*contracts.clinical_columns(), *contracts.feature_names()} else ""
    told = f"{name} is a column of table {table}: {read}{beside} {'have' if beside else 'has'} it"
    key = next((key for key in _KEYS if key in here and key in _columns(table)), "")
    if key:
        told += (
            f'; filter there, and here by the rows found: where=pc.field("{key}").isin(found["{key}"].combine_chunks())'
        )
    return told


def _columns(table: str) -> frozenset[str]:
    return frozenset(field.name for field in contracts.table(table).fields)
