"""Columns by which rows of tables are told apart, chosen and found again; and rows by what some columns say together."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch import contracts
from cvtbatch.contracts import TableContract

VOLUME_KEYS = ("volume_spec_id", "image_digest")
INPUT_KEYS = ("roi_key", "volume_spec_id", "input_digest")
PARENT_KEYS = ("parent_roi_key", "volume_spec_id", "parent_digest")
SPEC_KINDS = ("volume", "outline", "region", "radiomics", "embedding", *contracts.description_tables())
SPEC_COLUMNS = tuple(f"{kind}_spec_id" for kind in SPEC_KINDS)
# The one rule of what is an outline, and no region that was derived of one: of rows of `rois` and of features.
REGION = "region"
IS_OUTLINE = pc.field(REGION).is_null()
# Rows of `embeddings` that stand for all slices of their outline. What embeds all slices, or all but the largest, appends the
# smallest one's with them at once; versions before it appended all slices at once.
IS_LARGEST = pc.field("is_largest")
STANDS_FOR_ALL = pc.field("is_smallest") | (IS_LARGEST & pc.field("is_smallest").is_null())
# Columns, beside its key, that decide whether a row is current and selected.
DECIDING = (
    *("case_key", "image_digest", "input_digest", "parent_roi_key", "parent_digest", "center", "roi", REGION),
    *(*SPEC_COLUMNS, "scope", "resolved"),
)


def among(rows: pa.Table, others: pa.Table, columns: Sequence[str]) -> pa.ChunkedArray:
    """Say which rows have, in some columns, the values of one of the other rows."""
    return pc.is_in(joined(rows, columns), value_set=joined(others, columns).combine_chunks())


def joined(rows: pa.Table, columns: Sequence[str]) -> pa.ChunkedArray:
    """Return some text columns as one, which is equal where all of them are."""
    return pc.binary_join_element_wise(*(rows[column] for column in columns), "\n")


def as_text(rows: pa.Table, columns: Sequence[str]) -> pa.Array:
    """Return some columns as one text each row, which is equal where all of them are."""
    texts = pa.table([rows[column].cast(pa.string()) for column in columns], list(columns))
    return joined(texts, columns).combine_chunks()


def deciding(contract: TableContract) -> list[str]:
    """Return the columns of a table that decide which of its rows are current and selected."""
    here = {field.name for field in contract.fields}
    return list(dict.fromkeys([*contract.key, *(column for column in DECIDING if column in here), "sequence"]))


def spec_column(kind: str) -> str:
    """Return the column of specifications of a kind."""
    return f"{kind}_spec_id"
