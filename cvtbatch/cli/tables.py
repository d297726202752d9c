"""Tables on the terminal."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cvtbatch.plain_text import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Columns of a table that goes to a file or a pipe.
FILE_WIDTH = 160


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a titled table to stdout; columns of numbers lean right.

    Where it is wider than the terminal, or than COLUMNS says, its columns go on below, the first beside them again.
    """
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = FILE_WIDTH
    console.print(f"\n{visible(title)}", style="bold")
    for number, places in enumerate(_blocks(console, header, rows)):
        if number:
            console.print()
        console.print(_part(header, rows, places))


def _blocks(console: "Console", header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[list[int]]:
    """Return the places of the columns that stand beside each other: as many as fit, the first among them."""
    blocks, unbounded = [[0]], console.options.update(max_width=sys.maxsize)
    for place in range(1, len(header)):
        wider = [*blocks[-1], place]
        if (
            len(blocks[-1]) == 1
            or console.measure(_part(header, rows, wider), options=unbounded).maximum <= console.width
        ):
            blocks[-1] = wider
        else:
            blocks.append([0, place])
    return blocks


def _part(header: Sequence[str], rows: Sequence[Sequence[object]], places: Sequence[int]) -> "Table":
    return to_table([header[place] for place in places], [[row[place] for place in places] for row in rows])


def to_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> "Table":
    """Return a table; cells that are wider than the terminal fold."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for index, name in enumerate(header):
        numbers = rows and all(isinstance(row[index], int | float) for row in rows)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(f"{value:,}" if isinstance(value, int | float) else visible(str(value))) for value in row))
    return table
