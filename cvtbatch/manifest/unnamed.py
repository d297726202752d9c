"""Columns without a name: what spreadsheets and pandas leave in a file, which holds nothing of a case. Pure."""

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile

from cvtbatch import contracts
from cvtbatch.manifest.files import TextRows
from cvtbatch.manifest.problems import Problems

# How pandas reads an empty header, again and again of the same file.
_UNNAMED = re.compile(r"(Unnamed: \d+(\.\d+)*)?")
# How it writes an index to Parquet.
_INDEX = re.compile(r"__index_level_\d+__")
_ROW_NUMBER = re.compile(r"\d+")


def leave_out_unnamed(
    header: Sequence[str], batches: Iterator[TextRows], problems: Problems
) -> tuple[list[str], Iterator[TextRows]]:
    """Return the columns that have a name, and their rows, those without any value left out.

    A column without a name is empty throughout; where it stands before all others, it may hold the row numbers of a pandas index.

    Args:
        problems: gets the cells that break this.
    """
    unnamed = [place for place, name in enumerate(header) if _UNNAMED.fullmatch(name)]
    named = [place for place, name in enumerate(header) if not _UNNAMED.fullmatch(name) and not _INDEX.fullmatch(name)]
    if len(named) == len(header):
        return list(header), batches
    leading = len(list(takewhile(_UNNAMED.fullmatch, header)))
    return [header[place] for place in named], _named(batches, named, unnamed, leading, problems)


def _named(
    batches: Iterator[TextRows], named: Sequence[int], unnamed: Sequence[int], leading: int, problems: Problems
) -> Iterator[TextRows]:
    for batch in batches:
        for place in unnamed:
            for number, cell in zip(batch.numbers, batch.columns[place], strict=True):
                if cell and not (place < leading and _ROW_NUMBER.fullmatch(cell)):
                    problems.add(
                        number,
                        f"row {number}, cell {place + 1}: {cell!r} stands in a column without a name: empty the cell, "
                        f"or name the column; columns of your own begin with {contracts.pass_through_prefix()!r}",
                    )
        yield TextRows(batch.numbers, [batch.columns[place] for place in named]).filled()
