"""Studies of one patient that have the same timepoint in a manifest, found in two hashes a row that has one."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cvtbatch.key_index import hashed, key_array
from cvtbatch.manifest.case import Value
from cvtbatch.manifest.cells import NUMBER


class Timepoints:
    """What rows say of timepoints."""

    def __init__(self) -> None:
        self._said, self._cases = bytearray(), bytearray()
        self._rows: list[int] = []

    def add(self, values: Mapping[str, Sequence[Value]]) -> None:
        """Take in some rows, given by column."""
        columns = (values[name] for name in (NUMBER, "center", "patient", "case_id", "timepoint"))
        for number, center, patient, case_id, timepoint in zip(*columns, strict=True):
            if timepoint is not None:
                self._said += hashed((center, patient, timepoint))
                self._cases += hashed(case_id)
                self._rows.append(int(number or 0))

    def problems(self) -> Iterator[tuple[int, str]]:
        """Say, with the row, which rows have the timepoint of another study of their patient."""
        said, cases = key_array([bytes(self._said)]), key_array([bytes(self._cases)])
        order = np.argsort(said, kind="stable")
        same = (said[order][1:] == said[order][:-1]) & (cases[order][1:] != cases[order][:-1])
        for first, second in zip(order[:-1][same].tolist(), order[1:][same].tolist(), strict=True):
            row, other = self._rows[second], self._rows[first]
            yield (
                row,
                f"row {row}, column timepoint: that of row {other}, another study of this patient: number studies in their order, "
                "e.g. 0 and 1",
            )
