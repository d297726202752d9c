"""Rows of a table reduced to what decides whether they are current: fingerprints of columns that are compared together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cvtbatch.store.fingerprints import ROWS_TOGETHER, Fingerprints, Key, fingerprints_by

# Of a stack; most stores have no more.
ROWS_AT_FIRST = 2**21

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Condensed:
    """Some rows of a table.

    Attributes:
        keys: their fingerprints, by the columns that these are of.
        others: columns that are looked at by themselves.
    """

    count: int
    keys: Mapping[Key, Fingerprints]
    others: pa.Table

    @classmethod
    def of(cls, rows: pa.Table, keys: Sequence[Key], others: Sequence[str]) -> "Condensed":
        """Reduce rows."""
        found = [fingerprints_by(batch, keys) for batch in rows.to_batches(ROWS_TOGETHER) if batch.num_rows]
        by_key = {key: _together([of_batch[key] for of_batch in found]) for key in keys}
        return cls(rows.num_rows, by_key, rows.select(list(others)))

    @classmethod
    def joined(cls, parts: Iterable["Condensed"], keys: Sequence[Key], others: pa.Schema) -> "Condensed":
        """Join rows that were reduced part by part."""
        count, stacks, rest = 0, {key: _Stack() for key in keys}, [others.empty_table()]
        for part in parts:
            count += part.count
            rest.append(part.others)
            for key in keys:
                stacks[key].add(part.keys[key])
        by_key = {key: stack.whole() for key, stack in stacks.items()}
        # Else the allocator keeps what the columns and small pieces of many batches were in.
        pa.default_memory_pool().release_unused()
        return cls(count, by_key, pa.concat_tables(rest))

    def select(self, keys: Sequence[Key], others: Sequence[str]) -> "Condensed":
        """Return some of what is said of the rows."""
        return Condensed(self.count, {key: self.keys[key] for key in keys}, self.others.select(list(others)))

    def take(self, places: Places) -> "Condensed":
        """Return some of the rows."""
        if len(places) == self.count:
            return self
        keys = {key: of_rows[places] for key, of_rows in self.keys.items()}
        return Condensed(len(places), keys, self.others.take(pa.array(places)))


def _together(parts: Sequence[Fingerprints]) -> Fingerprints:
    """Return fingerprints as one array, which those of a single part are already."""
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty((0, 2), np.uint64), *parts])


class _Stack:
    """Fingerprints that come part by part, in one array of twice the size whenever it is full: pieces would be in memory twice at
    the end. It is a new one each time, of which NumPy asks the system for large pages; one that grows in place has small ones."""

    def __init__(self) -> None:
        # What is not written to is no memory yet.
        self._rows, self._count = np.empty((ROWS_AT_FIRST, 2), np.uint64), 0

    def add(self, part: Fingerprints) -> None:
        end = self._count + len(part)
        if end > len(self._rows):
            grown = np.empty((max(end, 2 * len(self._rows)), 2), np.uint64)
            grown[: self._count] = self._rows[: self._count]
            self._rows = grown
        self._rows[self._count : end] = part
        self._count = end

    def whole(self) -> Fingerprints:
        """Return all of them."""
        return self._rows[: self._count]
