"""A store's rows in portions of cases, so that each can be looked at as if it were the whole, and memory holds one of them.

Tables lie in the order in which runs appended, and a million cases in thousands of files: looking for some cases in all of them,
over and over, takes longer than going through each table once and laying its rows down by portion.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch import contracts
from cvtbatch.contracts import TableContract
from cvtbatch.spill import Spill
from cvtbatch.store.reading import View
from cvtbatch.store.row_keys import deciding
from cvtbatch.store.tables import Pin

# Rows of a table that are held until each portion's are written together.
HELD_ROWS = 2**14
Result = TypeVar("Result")
# Return the portion of each row, by centre and case id; -1 for those that are left out.
PortionOf = Callable[[Sequence[tuple[str, str]]], npt.NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is needed of a table: its columns beside those that decide what is current, and which rows."""

    columns: tuple[str, ...]
    where: pc.Expression | None = None


class Portions:
    """Rows of some tables on disk, sorted into portions; read from a view of the store, a row before what it stands on."""

    def __init__(self, view: View, wanted: Mapping[str, Wanted], portion_of: PortionOf) -> None:
        self._contracts = {name: view.contract(name) for name in (*contracts.table_names(), *wanted)}
        self._spills: dict[str, Spill] = {}
        self._batches: dict[str, dict[int, list[int]]] = {}
        for name, what in wanted.items():
            contract = view.contract(name)
            columns = list(dict.fromkeys([*deciding(contract), *what.columns]))
            schema = contract.arrow()
            self._spills[name] = Spill(pa.schema([schema.field(column) for column in columns]))
            self._batches[name] = {}
            rows = view.stream(
                name, [*columns, *(extra for extra in ("center", "case_id") if extra not in columns)], what.where
            )
            self._sort(name, rows, portion_of)

    def _sort(self, name: str, rows: Iterator[pa.RecordBatch], portion_of: PortionOf) -> None:
        """Lay the rows of a table down by portion."""
        held: dict[int, list[pa.RecordBatch]] = {}
        count = 0
        for batch in rows:
            cases = zip(batch["center"].to_pylist(), batch["case_id"].to_pylist(), strict=True)
            for number, part in _parts(batch.select(self._spills[name].schema.names), portion_of(list(cases))):
                held.setdefault(number, []).append(part)
                count += part.num_rows
            if count > HELD_ROWS:
                self._write(name, held)
                held, count = {}, 0
                # Else the allocator keeps what small pieces of many batches were in.
                pa.default_memory_pool().release_unused()
        self._write(name, held)

    def _write(self, name: str, held: Mapping[int, Sequence[pa.RecordBatch]]) -> None:
        spill = self._spills[name]
        for number, parts in held.items():
            [rows] = pa.Table.from_batches(parts, spill.schema).combine_chunks().to_batches()
            self._batches[name].setdefault(number, []).append(spill.append(rows))

    def view(self, number: int) -> View:
        """Return the rows of one portion, as if the store held no others; tables that were not wanted are empty."""
        held = {name: spill.read(self._batches[name].get(number, [])) for name, spill in self._spills.items()}
        return View(
            {
                name: _Held(contract, held[name] if name in held else contract.arrow().empty_table())
                for name, contract in self._contracts.items()
            }
        )


@dataclass(frozen=True, slots=True)
class _Held:
    """Rows in memory, as a table of the store."""

    contract: TableContract
    rows: pa.Table

    def pin(self) -> Pin:
        return Pin(0, 0)

    def read(
        self,
        columns: Sequence[str] | None,
        where: pc.Expression | None,
        pin: Pin | None,
        roi_keys: pa.Array | None = None,
    ) -> pa.Table:
        rows = self.rows if where is None else self.rows.filter(where)
        rows = rows if roi_keys is None else rows.filter(pc.field("roi_key").isin(roi_keys))
        return rows if columns is None else rows.select(list(columns))

    def stream(
        self, columns: Sequence[str], where: pc.Expression | None, pin: Pin | None, run_ids: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        rows = self.read(columns, where, pin)
        return iter((rows if run_ids is None else rows.filter(pc.field("run_id").isin(run_ids))).to_batches())

    def reduced(
        self, columns: Sequence[str], where: pc.Expression | None, pin: Pin | None, work: Callable[[pa.Table], Result]
    ) -> Iterator[Result]:
        return iter([work(self.read(columns, where, pin))])

    def in_groups(self, columns: Sequence[str], pin: Pin, most_bytes: int) -> Iterator[pa.Table]:
        return iter([self.rows.select(list(columns))])

    def in_order(
        self, columns: Sequence[str], places: npt.NDArray[np.int64], pin: Pin, most_bytes: int
    ) -> Iterator[pa.Table]:
        return iter([self.rows.select(list(columns)).take(pa.array(places))])


def _parts(batch: pa.RecordBatch, numbers: npt.NDArray[np.int64]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the rows of every portion in a batch, and its number; those numbered -1 are left out."""
    order = np.argsort(numbers, kind="stable")
    present, starts = np.unique(numbers[order], return_index=True)
    ends = np.append(starts[1:], len(order))
    for number, start, end in zip(present.tolist(), starts.tolist(), ends.tolist(), strict=True):
        if number >= 0:
            yield number, batch.take(order[start:end])
