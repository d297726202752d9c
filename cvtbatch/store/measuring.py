"""The current rows of a view, counted and digested table by table: what a snapshot records, and is compared to later."""

from collections.abc import Iterator, Mapping
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
        pins: the tables that are measured, and where each is, which is copied into the result; in an order in which tables can be
            looked at beside writers, a row before what it stands on. They are measured from the last one on: so what decides on
            rows of a table, and their keys, are read in one go, before others ask on which of its rows theirs stand.
        without: case_key of a case that is left out.
    """
    tables, named = {}, set[str]()
    for name, pin in reversed([*pins.items()]):
        contract = view.contract(name)
        if contract.bookkeeping is None:
            tables[name] = FrozenTable(pin)
            continue
        order = _by_key(view, contract, without)
        groups = _in_groups(view, contract, order)
        digest = table_digest(_noting_specs(groups, order, named), order)
        tables[name] = FrozenTable(pin, len(order), digest)
    return tables, tuple(sorted(named))


def _by_key(view: View, contract: TableContract, without: str | None) -> pa.Array:
    """Return which rows of a table are current, in the order of their keys; arguments as for `measure`."""
    keys = view.condensed(
        contract.name, [], list(dict.fromkeys([*contract.key, *(["case_key"] if without else [])]))
    ).others
    indices = view.indices(contract.name)
    if without is not None:
        others = pc.not_equal(keys["case_key"], without)
        keys, indices = keys.filter(others), indices.filter(others.combine_chunks())
    return indices.take(pc.sort_indices(keys, [(column, "ascending") for column in contract.key]))


def _noting_specs(
    groups: Iterator[pa.Table | Vectors | Numbers], order: pa.Array, named: set[str]
) -> Iterator[pa.Table | Vectors | Numbers]:
    """Hand groups of columns on, and note the specifications that rows name."""
    for group in groups:
        if isinstance(group, pa.Table):
            for column in set(SPEC_COLUMNS).intersection(group.column_names):
                named.update(group[column].take(order).drop_null().unique().to_pylist())
        yield group


def _in_groups(view: View, contract: TableContract, order: pa.Array) -> Iterator[pa.Table | Vectors | Numbers]:
    """Yield the columns that are content: of all rows in stored order, or, vectors and features, of those in an order alone."""
    name, schema = contract.name, contract.arrow()
    columns = sorted(set(schema.names) - set(contract.bookkeeping or ()))
    vectors = [column for column in columns if schema.field(column).type == VECTORS]
    keys = view.read(name, list(contract.key)).take(order) if vectors else None
    for column in vectors if keys is not None else ():
        yield Vectors(column, VECTORS, partial(view.in_parts, name, column, keys))
    features = view.in_order(name, contract.features, order) if contract.features else None
    if features is not None:
        yield Numbers(contract.features, len(order), features, partial(view.in_groups, name))
    in_parts = {*vectors, *(contract.features if features is not None else ())}
    yield from view.in_groups(name, [column for column in columns if column not in in_parts])
