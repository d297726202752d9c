"""Rows of a manifest that are alike in one thing and differ in another, found in two hashes a row."""

from array import array

import numpy as np

from cvtbatch.key_index import hashed, key_array


class RowPairs:
    """What rows say of both."""

    def __init__(self) -> None:
        self._alike, self._own = bytearray(), bytearray()
        self._rows = array("q")

    def add(self, row: int, alike: object, own: object) -> None:
        """Take in a row.

        Args:
            alike: in what rows are sought that are equal, and `own`, in which they differ: values with a faithful `repr`.
        """
        self._alike += hashed(alike)
        self._own += hashed(own)
        self._rows.append(row)

    def found(self) -> list[tuple[int, int]]:
        """Return pairs of rows, in each the first row first; of more than two alike rows, those beside one another."""
        alike, own = key_array([bytes(self._alike)]), key_array([bytes(self._own)])
        order = np.lexsort((own, alike))
        same = (alike[order][1:] == alike[order][:-1]) & (own[order][1:] != own[order][:-1])
        rows = np.array(self._rows)[order]
        pairs = np.sort(np.stack([rows[:-1][same], rows[1:][same]], axis=1), axis=1)
        return sorted((first, second) for first, second in pairs.tolist())
