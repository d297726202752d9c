"""The current rows of a view, counted and digested table by table: what a snapshot records, and is compared to later."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.contracts import TableContract
from cvtbatch.store.content import Vectors, table_digest
from cvtbatch.store.reading import View
from cvtbatch.store.row_keys import SPEC_COLUMNS
from cvtbatch.store.tables import Pin

# The type of embeddings.
VECTORS = pa.list_(pa.float32())


@dataclass(frozen=True, slots=True)
class FrozenTable:
    """A table in a snapshot: where, and for content how many current rows it has there, and their digest."""

    pin: Pin
    rows: int = 0
    digest: str = ""


def measure(
    view: View, pins: Mapping[str, Pin], without: str | None = None
) -> tuple[dict[str, FrozenTable], tuple[str, ...]]:
    """Count and digest the current rows of a view, table by table, and collect the specifications that they name.

    Args:
        pins: the tables that are measured, and where each is; it is copied into the result.
        without: case_key of a case that is left out.
    """
    tables, named = {}, set[str]()
    for name, pin in pins.items():
        contract = view.contract(name)
        if contract.bookkeeping is None:
            tables[name] = FrozenTable(pin)
            continue
        indices = view.indices(name)
        keys = view.read(name, list(dict.fromkeys(["case_key", *contract.key, *_spec_columns(contract)]))).take(indices)
        if without is not None:
            others = pc.not_equal(keys["case_key"], without)
            keys, indices = keys.filter(others), indices.filter(others.combine_chunks())
        order = pc.sort_indices(keys, [(column, "ascending") for column in contract.key])
        keys, indices = keys.take(order), indices.take(order)
        for column in _spec_columns(contract):
            named.update(keys[column].drop_null().unique().to_pylist())
        columns = sorted(set(contract.arrow().names) - set(contract.bookkeeping))
        digest = table_digest(_in_groups(view, name, columns, keys, indices))
        tables[name] = FrozenTable(pin, len(indices), digest)
    return tables, tuple(sorted(named))


def _in_groups(
    view: View, name: str, columns: Sequence[str], keys: pa.Table, indices: pa.Array
) -> Iterator[pa.Table | Vectors]:
    """Yield columns of some rows, in the order in which they are given; vectors by themselves, in parts."""
    schema = view.contract(name).arrow()
    for vectors, group in groupby(columns, lambda column: schema.field(column).type == VECTORS):
        if vectors:
            for column in group:
                yield Vectors(column, VECTORS, partial(view.in_parts, name, column, keys))
        else:
            yield from view.column_groups(name, list(group), indices)


def _spec_columns(contract: TableContract) -> list[str]:
    return [column for column in SPEC_COLUMNS if column in contract.arrow().names]
