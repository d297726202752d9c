"""Tables as hospitals' software saves them: text with commas, semicolons or tabs between the cells, in one of three encodings."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.file_errors import why

SEPARATORS = (",", ";", "\t")
# A workbook is a zip, an old one an OLE file.
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class HospitalTable:
    """A table as text.

    Attributes:
        header: names of the columns, without blanks around them.
        numbers: of the rows, 1 for the first below the header, those without any value left out.
        rows: cells without blanks around them, each row as long as the header.
    """

    header: tuple[str, ...]
    numbers: tuple[int, ...]
    rows: tuple[tuple[str, ...], ...]

    def column(self, name: str) -> tuple[str, ...]:
        """Return the cells of a column."""
        place = self.header.index(name)
        return tuple(row[place] for row in self.rows)


def read_hospital_table(path: Path, what: str) -> HospitalTable:
    """Read a table: UTF-8 with or without a byte order mark, UTF-16 with one, or Windows-1252; the header tells the separator.

    Args:
        what: the table is, for messages, e.g. "the clinical table".

    Raises:
        InputError: "no_table", there is no such file; "bad_table", it is a workbook, or no table of text.
        ProblemsError: "bad_table", rows have other numbers of cells than the header.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError("no_table", f"{what} cannot be read: {why(error)}", str(path)) from None
    if content.startswith(_WORKBOOKS):
        raise _bad(what, path, "it is a workbook of Excel or LibreOffice: save it as 'CSV UTF-8'")
    text = _decode(content, what, path)
    first = text.partition("\n")[0].strip("\r")
    if first.lower().startswith("sep=") and len(first) == 5:
        text, separator = text.partition("\n")[2], first[4]
    else:
        separator = max(SEPARATORS, key=first.count)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise _bad(what, path, f"it is no CSV: {error}") from None
    if not lines or not any(cell.strip() for cell in lines[0]):
        raise _bad(what, path, "it has no header row")
    return _table(lines, what, path)


def _decode(content: bytes, what: str, path: Path) -> str:
    encodings = ("utf-16",) if content.startswith(_UTF_16) else ("utf-8-sig", "cp1252")
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise _bad(what, path, "it holds binary data, or text in an encoding that is not told: save it as 'CSV UTF-8'")


def _table(lines: Sequence[Sequence[str]], what: str, path: Path) -> HospitalTable:
    header = [name.strip() for name in lines[0]]
    while header and not header[-1]:
        header.pop()
    numbers, rows, uneven = [], [], []
    for number, line in enumerate(lines[1:], 1):
        cells = [cell.strip() for cell in line]
        if not any(cells):
            continue
        if len(cells) < len(header) or any(cells[len(header) :]):
            uneven.append(f"row {number}: {len(cells)} cells, where the header has {len(header)}")
            continue
        numbers.append(number)
        rows.append(tuple(cells[: len(header)]))
    doubled = [name for name in dict.fromkeys(header) if header.count(name) > 1]
    uneven += [f"column {name!r} stands {header.count(name)} times" for name in doubled]
    if uneven:
        raise ProblemsError.of("bad_table", f"{what} {path}", uneven)
    return HospitalTable(tuple(header), tuple(numbers), tuple(rows))


def _bad(what: str, path: Path, why: str) -> InputError:
    return InputError("bad_table", f"{what} cannot be used: {why}", str(path))
