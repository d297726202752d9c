"""Clinical values of cases as arrays: from a table's columns, whose types are the manifest's, or texts of its x_ columns."""

import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from cvtbatch import contracts
from cvtbatch.dlrn.arrays import Floats, Texts
from cvtbatch.dlrn.clinical_terms import ClinicalColumns, ClinicalTerm, is_yes_or_no, levels_of, names_of
from cvtbatch.errors import InputError


def read_columns(terms: Sequence[ClinicalTerm], table: pa.Table) -> ClinicalColumns:
    """Return the columns that some terms are made of.

    Raises:
        InputError: "bad_column": it holds neither numbers nor texts; "bad_value": neither 0 nor 1 where the manifest has no other.
    """
    return {
        name: texts_of(table, name) if levels_of(terms, name) else numbers_or_texts_of(table, name)
        for name in names_of(terms)
    }


def numbers_of(table: pa.Table, name: str) -> Floats:
    """Return a column as float64 with NaN for null: (n,).

    Raises:
        InputError: "bad_column".
    """
    try:
        values: Floats = table[name].cast(pa.float64()).to_numpy()
    except pa.ArrowException:
        raise InputError("bad_column", f"column {name} holds {table[name].type}, not numbers") from None
    return values


def numbers_or_texts_of(table: pa.Table, name: str) -> Floats:
    """Return a column of numbers, or of texts that are read as such, NaN for what is none: (n,).

    Raises:
        InputError: "bad_column" or "bad_value".
    """
    if pa.types.is_string(table[name].type) or pa.types.is_large_string(table[name].type):
        return np.array([to_number(text) for text in table[name].to_pylist()], np.float64)
    values = numbers_of(table, name)
    wrong = ~(np.isin(values, (0.0, 1.0)) | np.isnan(values))
    if is_yes_or_no(name) and wrong.any():
        raise InputError("bad_value", f"column {name} holds {values[wrong][0]:g}; it is 0, 1 or empty")
    return values


def values_of(table: pa.Table, name: str) -> Floats | Texts:
    """Return a column for a fit (n,): numbers, or a category, which is a column of texts that are not all finite numbers.

    Raises:
        InputError: "bad_column" or "bad_value".
    """
    kind = table[name].type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return numbers_or_texts_of(table, name)
    texts = texts_of(table, name)
    numbers = np.array([to_number(text) for text in texts], np.float64)
    known = np.array([text is not None for text in texts], np.bool_)
    return numbers if known.any() and not np.isnan(numbers[known]).any() else texts


def texts_of(table: pa.Table, name: str) -> Texts:
    """Return a category's values, None where unknown: (n,).

    Raises:
        InputError: "bad_column".
    """
    kind = table[name].type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise InputError("bad_column", f"column {name} holds {kind}, not texts")
    return to_texts(table[name].to_pylist())


def to_texts(values: Sequence[str | None]) -> Texts:
    """Return texts as an array, None for what software writes for an empty cell: (n,)."""
    found = np.empty(len(values), np.object_)
    for place, value in enumerate(values):
        found[place] = None if value is None or value.casefold() in contracts.empty_words() else value
    return found


def to_number(text: str | None) -> float:
    """Return the finite number that a text is, or NaN."""
    try:
        value = float(text or "")
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
