"""The rows of a table that a writer knows of: enough of each key's newest to tell which rows are new."""

import datetime
from array import array
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from cvtbatch.contracts import TableContract
from cvtbatch.key_index import KeyIndex, hashed, key_array
from cvtbatch.store.arrow_rows import Row


class KnownRows:
    """The state of every key's newest row, up to a sequence.

    Attributes:
        sequence: rows up to it are known.
        columns: of the table that tell of keys and states, and `sequence`.
    """

    def __init__(self, contract: TableContract) -> None:
        self.sequence = 0
        self.columns = list(dict.fromkeys([*contract.key, *contract.state, "sequence"]))
        self._contract, self._states = contract, KeyIndex()

    def learn(self, batches: Iterable[pa.RecordBatch], sequence: int) -> None:
        """Remember rows with these columns, in whatever order they come: all up to `sequence` that are not known yet."""
        keys, states, sequences = bytearray(), array("Q"), array("q")
        for batch in batches:
            rows = batch.to_pylist()
            keys += b"".join(map(self._key, rows))
            states.extend(map(self._state, rows))
            sequences.extend(row["sequence"] for row in rows)
        order = np.argsort(np.array(sequences), kind="stable")
        self._states.add(key_array([bytes(keys)])[order], np.array(states, np.uint64)[order])
        # Else the allocator keeps what small pieces of many batches were in.
        pa.default_memory_pool().release_unused()
        self.sequence = sequence

    def fresh(self, rows: Sequence[Row]) -> tuple[list[Row], dict[bytes, int]]:
        """Return the rows to append, one a key, the last, and their states by key."""
        last = {self._key(row): row for row in rows}
        states = {key: self._state(row) for key, row in last.items()}
        known, found = self._states.find(list(states))
        fresh = [
            key
            for (key, state), before, there in zip(states.items(), known.tolist(), found.tolist(), strict=True)
            if not there or before != state
        ]
        return [last[key] for key in fresh], {key: states[key] for key in fresh}

    def add(self, states: Mapping[bytes, int], sequence: int) -> None:
        """Remember what `fresh` returned, once it is committed under a sequence."""
        self._states.update(states)
        self.sequence = sequence

    def _key(self, row: Row) -> bytes:
        return hashed([row.get(name) for name in self._contract.key])

    def _state(self, row: Row) -> int:
        """Return a number that tells states of one key apart; a key that has one row for ever has one state."""
        state = self._contract.state
        return int.from_bytes(hashed([_plain(row.get(name)) for name in state])[:8], "little") if state else 0


def _plain(value: object) -> object:
    """Return a value whose `repr` says it alone: that of a moment names the library of its time zone too."""
    return value.isoformat() if isinstance(value, datetime.datetime) else value
