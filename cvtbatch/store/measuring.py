"""The current rows of a view, counted and digested table by table: what a snapshot records, and is compared to later."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.contracts import TableContract
from cvtbatch.store.content import Numbers, Vectors, table_digest
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
        keys = view.rows(name, list(dict.fromkeys([*contract.key, *(["case_key"] if without else [])])))
        if without is not None:
            others = pc.not_equal(keys["case_key"], without)
            keys, indices = keys.filter(others), indices.filter(others.combine_chunks())
        order = pc.sort_indices(keys, [(column, "ascending") for column in contract.key])
        indices = indices.take(order)
        for column in _spec_columns(contract):
            named.update(view.read(name, [column])[column].take(indices).drop_null().unique().to_pylist())
        schema = contract.arrow()
        columns = sorted(set(schema.names) - set(contract.bookkeeping))
        vectors = [column for column in columns if schema.field(column).type == VECTORS]
        ordered = keys.take(order) if vectors else None
        # What is not needed any more is not held beside the columns.
        del keys, order
        digest = table_digest(_in_groups(view, contract, columns, vectors, ordered, indices))
        tables[name] = FrozenTable(pin, len(indices), digest)
    return tables, tuple(sorted(named))


def _in_groups(
    view: View,
    contract: TableContract,
    columns: Sequence[str],
    vectors: Sequence[str],
    keys: pa.Table | None,
    indices: pa.Array,
) -> Iterator[pa.Table | Vectors | Numbers]:
    """Yield columns of some rows, in the order in which these are given; vectors and features by themselves, in parts.

    Args:
        keys: of the rows, where there are vectors.
    """
    name = contract.name
    for column in vectors if keys is not None else ():
        yield Vectors(column, VECTORS, partial(view.in_parts, name, column, keys))
    features = view.in_order(name, contract.features, indices) if contract.features else None
    if features is not None:
        whole = partial(view.column_groups, name, indices=indices)
        yield Numbers(contract.features, len(indices), features, whole)
    in_parts = {*vectors, *(contract.features if features is not None else ())}
    yield from view.column_groups(name, [column for column in columns if column not in in_parts], indices)


def _spec_columns(contract: TableContract) -> list[str]:
    return [column for column in SPEC_COLUMNS if column in contract.arrow().names]
