"""What is wrong with a manifest: all of it counted, and as much in words as anybody reads."""

from collections.abc import Iterable
from dataclasses import dataclass

# A wrong column of a million rows is a million problems.
IN_WORDS = 1000


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A problem.

    Attributes:
        row: 1 for the first below the header; 0 where it is of none.
        kind: of the error where there is no other.
        text: what is wrong, beginning with row and column.
    """

    row: int
    kind: str
    text: str


class Problems:
    """Problems of one sort, in the order in which they were found.

    Args:
        kind: of each.

    Attributes:
        found: the first of them.
        count: of all.
        rows: that have one.
    """

    def __init__(self, kind: str = "bad_manifest") -> None:
        self.kind = kind
        self.found: list[RowProblem] = []
        self.count = 0
        self.rows: set[int] = set()

    def add(self, row: int, text: str) -> None:
        if len(self.found) < IN_WORDS:
            self.found.append(RowProblem(row, self.kind, text))
        self.count += 1
        self.rows.add(row)

    def extend(self, problems: Iterable[tuple[int, str]]) -> None:
        """Add problems, given as row and text."""
        for row, text in problems:
            self.add(row, text)
