"""Figures that tests found, printed as tables when all have run, whichever worker ran them."""

from collections.abc import Callable, Iterable, Iterator

import pytest

PROPERTY = "figure"
Record = Callable[[str, object], None]


def record_figure(record_property: Record, table: str, row: str, column: str, value: str) -> None:
    """Keep a value for a table; called by a test with pytest's fixture `record_property`."""
    record_property(PROPERTY, [table, row, column, value])


def figure_tables(reports: Iterable[pytest.TestReport]) -> Iterator[tuple[str, list[str]]]:
    """Yield the title and the lines of every table."""
    tables: dict[str, dict[tuple[str, str], str]] = {}
    for report in reports:
        for name, figure in report.user_properties:
            if name == PROPERTY:
                table, row, column, value = figure
                tables.setdefault(table, {})[row, column] = value
    for table, cells in sorted(tables.items()):
        rows, columns = (sorted({key[axis] for key in cells}) for axis in (0, 1))
        lines = [["", *columns], *([row, *(cells.get((row, column), "") for column in columns)] for row in rows)]
        widths = [max(len(line[place]) for line in lines) for place in range(len(columns) + 1)]
        yield table, ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
