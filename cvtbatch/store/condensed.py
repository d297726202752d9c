"""Rows of a table reduced to what decides whether they are current: fingerprints of columns that are compared together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cvtbatch.store.fingerprints import Fingerprints, fingerprints

Key = tuple[str, ...]
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
    def of(
        cls, batches: Iterable[pa.RecordBatch], schema: pa.Schema, keys: Sequence[Key], others: Sequence[str]
    ) -> "Condensed":
        """Reduce rows, none of which is in memory once the next ones are taken.

        Args:
            schema: that they have the columns of.
        """
        schema = pa.schema([schema.field(name) for name in others])
        count, parts, rest = 0, {key: [np.empty((0, 2), np.uint64)] for key in keys}, []
        for batch in batches:
            count += batch.num_rows
            rest.append(batch.select(schema.names))
            for key, found in parts.items():
                found.append(fingerprints([batch], key))
        by_key = {key: np.concatenate(parts.pop(key)) for key in keys}
        return cls(count, by_key, pa.Table.from_batches(rest, schema))

    def take(self, places: Places) -> "Condensed":
        """Return some of the rows."""
        if len(places) == self.count:
            return self
        keys = {key: of_rows[places] for key, of_rows in self.keys.items()}
        return Condensed(len(places), keys, self.others.take(pa.array(places)))
