"""Ids of one centre that differ by capitals, blanks or Unicode form alone, found in two hashes a row."""

import numpy as np

from cvtbatch.key_index import hashed, key_array
from cvtbatch.manifest.centers import folded


class TwinIds:
    """The ids of a column."""

    def __init__(self) -> None:
        self._alike, self._own = bytearray(), bytearray()
        self._rows: list[int] = []

    def add(self, row: int, center: str, name: str) -> None:
        """Take in the id of a row."""
        self._alike += hashed((center, folded(name)))
        self._own += hashed(name)
        self._rows.append(row)

    def pairs(self) -> list[tuple[int, int]]:
        """Return pairs of rows, the first one first, whose ids are twins."""
        alike, own = key_array([bytes(self._alike)]), key_array([bytes(self._own)])
        order = np.lexsort((own, alike))
        same = (alike[order][1:] == alike[order][:-1]) & (own[order][1:] != own[order][:-1])
        rows = np.array(self._rows, dtype=np.int64)[order]
        pairs = np.sort(np.stack([rows[:-1][same], rows[1:][same]], axis=1), axis=1)
        return sorted((first, second) for first, second in pairs.tolist())
