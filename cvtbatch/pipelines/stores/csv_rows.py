"""Rows of a table as a CSV can hold them: no lists, and no text that a spreadsheet takes for a formula."""

import json
from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.plain_text import FORMULA_START

EMBEDDING = "embedding"


def embedding_column(place: int) -> str:
    """Return the name of one number of an embedding."""
    return f"emb_{place:04d}"


def with_embedding_columns(rows: pa.Table) -> tuple[pa.Table, int]:
    """Return rows with a column for each number of their embeddings, and how many these are; null where there is none."""
    if EMBEDDING not in rows.column_names:
        return rows, 0
    lists = rows[EMBEDDING]
    length = pc.max(pc.list_value_length(lists)).as_py() or 0
    before = rows.column_names.index(EMBEDDING)
    columns = {embedding_column(place): pc.list_element(lists, place) for place in range(length)}
    named = dict(zip(rows.column_names, rows.columns, strict=True))
    names = [*rows.column_names[:before], *columns, *rows.column_names[before + 1 :]]
    return pa.table({name: columns[name] if name in columns else named[name] for name in names}), length


def without_lists(rows: pa.Table) -> pa.Table:
    """Return rows whose lists are JSON texts."""
    for index, field in enumerate(rows.schema):
        if pa.types.is_list(field.type):
            texts = [None if value is None else json.dumps(value) for value in rows[field.name].to_pylist()]
            rows = rows.set_column(index, field.name, pa.array(texts, pa.string()))
    return rows


def without_formulas(rows: pa.Table, ids: Collection[str]) -> tuple[pa.Table, int]:
    """Return rows whose texts no spreadsheet takes for formulas, and how many ids, which stay as they are, it may take for one."""
    formulas = 0
    for index, field in enumerate(rows.schema):
        if not pa.types.is_string(field.type):
            continue
        texts = rows[field.name]
        found = pc.fill_null(pc.match_substring_regex(texts, FORMULA_START), False)
        if field.name in ids:
            formulas += pc.sum(found).as_py() or 0
        elif pc.any(found).as_py():
            texts = pc.if_else(found, pc.binary_join_element_wise("'", texts, ""), texts)
            rows = rows.set_column(index, field.name, texts)
    return rows, formulas
