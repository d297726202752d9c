"""A manifest that is added to: what stands in a cell of the file stays, whatever a person made of it.

Rows keep every byte but where an empty cell of theirs gets a value; new columns stand behind the others, with empty cells.
"""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.file_errors import why
from cvtbatch.manifest.files import read_csv
from cvtbatch.manifest.problems import Problems
from cvtbatch.whole_files import written_whole

Row = Mapping[str, str]
_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class KeptRow:
    """A row of the file: its cells by column, its bytes, and values for cells that are empty."""

    cells: Row
    written: bytes
    new: Row = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """A manifest as it stands.

    Attributes:
        head: the bytes up to the first row.
        columns: empty where there is no file.
    """

    columns: tuple[str, ...]
    head: bytes
    rows: tuple[KeptRow, ...]

    @property
    def line_end(self) -> bytes:
        return b"\r\n" if b"\r\n" in self.head else b"\n"


def read_manifest_file(path: Path) -> ManifestFile:
    """Read the manifest that is to be added to; one without columns where there is no file.

    Raises:
        InputError: it is no CSV file with commas in UTF-8, to which rows could be added as they are.
        ProblemsError: rows have other numbers of cells than the header.
    """
    if path.suffix.lower() != ".csv":
        raise InputError("cannot_write", f"a manifest is written as CSV: name --out with .csv, not {path.name!r}")
    if not path.exists():
        return ManifestFile((), b"", ())
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError("cannot_write", f"--out cannot be read: {why(error)}", str(path)) from None
    if not content.strip():
        return ManifestFile((), b"", ())
    # Read as a manifest is, so that what is refused there is refused here, in the same words.
    uneven = Problems()
    columns, batches = read_csv(path, uneven)
    for _ in batches:
        pass
    if uneven.count:
        raise ProblemsError.of(
            "bad_manifest", f"manifest {path}", [problem.text for problem in uneven.found], uneven.count
        )
    return _split(content, tuple(columns))


def _split(content: bytes, columns: tuple[str, ...]) -> ManifestFile:
    lines = content.splitlines(keepends=True)
    first = 1 if lines[0].removeprefix(_MARK).lower().startswith(b"sep=") else 0
    texts = (line.decode("utf-8-sig" if place == 0 else "utf-8") for place, line in enumerate(lines))
    reader = csv.reader(texts, strict=True)
    for _ in range(first + 1):
        next(reader)
    done, rows = reader.line_num, []
    head = b"".join(lines[:done])
    for cells in reader:
        written = b"".join(lines[done : reader.line_num])
        done = reader.line_num
        padded = [cell.strip() for cell in cells] + [""] * (len(columns) - len(cells))
        rows.append(KeptRow(dict(zip(columns, padded, strict=False)), written))
    return ManifestFile(columns, head, tuple(rows))


def write_manifest_file(
    path: Path,
    there: ManifestFile,
    kept: Sequence[KeptRow],
    columns: Sequence[str],
    added: Sequence[Row],
    extending: Sequence[str] = (),
) -> None:
    """Write rows that are there, and others behind them, under the header that is there or else these columns.

    Args:
        extending: columns that the header gets where it lacks them and a row has a value.

    Raises:
        InputError: "cannot_write"; "missing_columns", the header that is there lacks a column in which an added row has a value.
    """
    own, more = there.columns, list[str]()
    if own:
        given = [*added, *(row.new for row in kept)]
        lacking = [name for name in columns if name not in own and any(row.get(name) for row in given)]
        more = [name for name in lacking if name in extending]
        lacking = [name for name in lacking if name not in more]
        if needed := [name for name in lacking if not name.startswith("x_")]:
            raise InputError(
                "missing_columns",
                f"--out has no column {', '.join(needed)}, which new rows need: add it to the header, with empty cells below, or "
                "give --out a new file",
                str(path),
            )
        if more:
            own = own[: max(place for place, name in enumerate(own, 1) if name)]
        columns = [*own, *more]
    end = there.line_end
    head = _wider_head(there, len(own), more) if more else there.head
    parts = [head or _line(columns, end), *(_kept_line(row, own, more) for row in kept)]
    if added and not parts[-1].endswith((b"\n", b"\r")):
        parts.append(end)
    parts += [_line([row.get(name, "") for name in columns], end) for row in added]
    try:
        with written_whole(path) as aside:
            aside.write_bytes(b"".join(parts))
    except OSError as error:
        raise InputError("cannot_write", f"--out cannot be written: {why(error)}", str(path)) from None


def _wider_head(there: ManifestFile, width: int, more: Sequence[str]) -> bytes:
    body = there.head.rstrip(b"\r\n")
    if not body.replace(b" ", b"").endswith(b"," * (len(there.columns) - width)):
        raise InputError("missing_columns", "the header of --out ends in columns without a name: delete them")
    return body.rstrip(b", ") + _line(["", *more], there.head[len(body) :])


def _kept_line(row: KeptRow, own: Sequence[str], more: Sequence[str]) -> bytes:
    """Return the bytes of a row with its new values; the cells that it has keep theirs unless one of them is filled."""
    if not (row.new or more):
        return row.written
    cells = next(csv.reader(io.StringIO(row.written.decode("utf-8"), newline=""), strict=True), [])
    if not cells:
        return row.written
    body = row.written.rstrip(b"\r\n")
    end = row.written[len(body) :]
    behind = [row.new.get(name, "") for name in more]
    if len(cells) <= len(own) and row.new.keys().isdisjoint(own):
        return body + _line(["", *[""] * (len(own) - len(cells)), *behind], end)
    cells = [*cells, *[""] * len(own)][: len(own)]
    cells = [cell if cell.strip() else row.new.get(name, cell) for name, cell in zip(own, cells, strict=True)]
    return _line([*cells, *behind], end)


def _line(cells: Sequence[str], end: bytes) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator=os.fsdecode(end)).writerow(cells)
    return text.getvalue().encode()
