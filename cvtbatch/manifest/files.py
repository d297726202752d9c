"""The bytes of a manifest as text cells, some thousand rows at a time."""

import csv
import hashlib
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cvtbatch.errors import InputError
from cvtbatch.manifest.problems import Problems

ROWS_TOGETHER = 8192
# Other programs fill the line up with empty cells.
# What the csv module says, in words.
_BROKEN = {
    "field larger than field limit": 'a cell is longer than any value; perhaps a text in quotes has no end: look for a single "',
    "unexpected end of data": 'a text in quotes has no end: look for a single "',
}
# What is named as a manifest by mistake.
_WORKBOOKS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
_IMAGES = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".dcm")
_SEPARATOR = re.compile(r"sep=(.),*", re.IGNORECASE | re.DOTALL)
Cells = Sequence[str]


@dataclass(frozen=True, slots=True)
class TextRows:
    """Some rows of a manifest, those without any value left out.

    Attributes:
        numbers: of the rows, 1 for the first below the header.
        columns: cells without blanks around them, column by column in the order of the header.
    """

    numbers: Sequence[int]
    columns: Sequence[Cells]

    def filled(self) -> "TextRows":
        """Return the rows that have a value."""
        kept = [index for index, cells in enumerate(zip(*self.columns, strict=True)) if any(cells)]
        if len(kept) == len(self.numbers):
            return self
        return TextRows(
            [self.numbers[index] for index in kept], [[cells[index] for index in kept] for cells in self.columns]
        )


def file_digest(path: Path) -> str:
    """Return `spec.digest` of a file's bytes, without holding them."""
    with path.open("rb") as file:
        hasher = hashlib.sha256(os.fstat(file.fileno()).st_size.to_bytes(8, "little"))
        while block := file.read(2**20):
            hasher.update(block)
    return hasher.hexdigest()


def refuse_manifest(out: Path) -> None:
    """Refuse to write over a manifest: it may be days of somebody's work.

    Raises:
        InputError: "cannot_write".
    """
    if not out.is_file():
        return
    try:
        columns = read_csv(out, Problems())[0] if out.suffix == ".csv" else pq.read_schema(out).names
    except (InputError, OSError, pa.ArrowInvalid):
        return
    if {"center", "case_id", "image"} <= set(columns):
        raise InputError("cannot_write", f"--out {out} is a manifest, which nothing writes over: name another file")


def read_csv(path: Path, uneven: Problems) -> tuple[list[str], Iterator[TextRows]]:
    """Return the header of a UTF-8 CSV file, and its rows as they are asked for.

    A first line `sep=,`, which Excel writes and hides, is no header. Cells beyond the header's last name may be empty or absent.

    Args:
        uneven: gets the rows that have other numbers of cells than the header, which are left out.

    Raises, with the rows too:
        InputError: it is no CSV file.
    """
    rows = _csv_rows(path)
    header = next(rows, [])
    if separator := _SEPARATOR.fullmatch(",".join(header)):
        if separator[1] != ",":
            raise _other_separator(path, separator[1])
        header = next(rows, [])
    _check_csv_header(header, path)
    header = [name.strip() for name in header]
    return header, _csv_batches(rows, header, uneven)


def _csv_rows(path: Path) -> Iterator[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            yield from csv.reader(text, strict=True)
    except UnicodeDecodeError:
        if other := _other_kind(path):
            raise InputError("manifest_not_csv", f"manifest {path} is {other}") from None
        raise InputError(
            "manifest_not_csv",
            f"manifest {path}: line {_first_undecodable(path)} is no UTF-8 text, perhaps Latin-1: save it as 'CSV UTF-8', or: "
            f"iconv -f latin1 -t utf-8 {path} > NEW",
        ) from None
    except csv.Error as error:
        raise _no_csv(path, _BROKEN.get(str(error).partition(" (")[0], str(error))) from None


def _other_kind(path: Path) -> str:
    """Say what a file is that is no text, by its name or its first bytes, and what to do; empty where neither tells."""
    with path.open("rb") as file:
        start = file.read(132)
    if path.suffix in _WORKBOOKS or start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return "a workbook or an archive, not a CSV file: save the table as 'CSV UTF-8'"
    if path.name.endswith(_IMAGES) or start[128:] == b"DICM":
        return (
            "an image, and a manifest is a table that names images: cvtbatch index FOLDER --out manifest.csv makes one"
        )
    return "no text: a manifest is a CSV or Parquet file" if b"\0" in start else ""


def _first_undecodable(path: Path) -> int:
    """Return the number of the first line that is no UTF-8; a decoder counts from where its block begins."""
    with path.open("rb") as file:
        return next((number for number, line in enumerate(file, 1) if not _is_utf8(line)), 0)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _check_csv_header(header: Cells, path: Path) -> None:
    if len(header) == 1 and (separator := next((mark for mark in ";\t|" if mark in header[0]), "")):
        raise _other_separator(path, separator)
    if not header:
        raise _no_csv(path, "it is empty")
    if any("\0" in cell for cell in header):
        raise _no_csv(path, "it holds binary data")


def _csv_batches(rows: Iterator[list[str]], header: Cells, uneven: Problems) -> Iterator[TextRows]:
    width, first = len(header), 1
    named = max((place for place, name in enumerate(header, 1) if name), default=width)
    while lines := list(islice(rows, ROWS_TOGETHER)):
        for number, line in enumerate(lines, first):
            if line and (len(line) < named or any(map(str.strip, line[width:]))):
                uneven.add(number, f"row {number}: {len(line)} cells, where the header has {width}")
                # As an empty one, which is passed over.
                line.clear()
            line += [""] * (width - len(line))
        numbers = range(first, first + len(lines))
        yield TextRows(numbers, [[line[index].strip() for line in lines] for index in range(width)]).filled()
        first += len(lines)


def _other_separator(path: Path, mark: str) -> InputError:
    return InputError(
        "manifest_not_csv",
        f"manifest {path}: its cells are separated by {mark!r}, not by ',': save it as CSV with commas (LibreOffice: Save As, Edit "
        "filter settings, field delimiter ,)",
    )


def _no_csv(path: Path, why: str) -> InputError:
    return InputError("manifest_not_csv", f"manifest {path} is not a CSV file in UTF-8: {why}")


def read_parquet(path: Path) -> tuple[list[str], Iterator[TextRows]]:
    """Return the columns of a Parquet file, and its rows as they are asked for.

    Raises, with the rows too:
        InputError: it is no Parquet file.
    """
    try:
        table = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise _no_parquet(path, error) from None
    return list(table.schema_arrow.names), _parquet_batches(table, path)


def _parquet_batches(table: pq.ParquetFile, path: Path) -> Iterator[TextRows]:
    first = 1
    try:
        with table:
            for batch in table.iter_batches(ROWS_TOGETHER):
                columns = [[_to_text(value) for value in column.to_pylist()] for column in batch.columns]
                yield TextRows(range(first, first + batch.num_rows), columns).filled()
                first += batch.num_rows
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        raise _no_parquet(path, error) from None


def _to_text(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and abs(value) >= 2**53:
        # Its last digits are lost: as such it is no id (`cells`).
        return f"{value:.16E}"
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    return (value.decode() if isinstance(value, bytes) else str(value)).strip()


def _no_parquet(path: Path, error: Exception) -> InputError:
    return InputError(
        "manifest_not_parquet", f"manifest {path} is not a Parquet file, or not a whole one: write it anew ({error})"
    )
