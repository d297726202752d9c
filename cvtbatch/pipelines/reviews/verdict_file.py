"""The verdicts that a review's pages export: a CSV file, read and checked row by row."""

import csv
import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.file_errors import why
from cvtbatch.plain_text import hidden_character
from cvtbatch.reviewing.verdicts import COMMENT_LENGTH, OF_CASES, OF_OUTLINES, Verdict

COLUMNS = ("case_key", "roi_key", "input_digest", "verdict", "comment", "reviewed_at")


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """A row of the file.

    Attributes:
        row: its number, 1 for the first below the header.
        roi_key: empty for a case without an outline.
        reviewed_at: UTC.
    """

    row: int
    case_key: str
    roi_key: str
    input_digest: str
    verdict: Verdict
    comment: str
    reviewed_at: datetime.datetime


def read_verdicts(path: Path) -> list[FileVerdict]:
    """Read a file of verdicts.

    Raises:
        InputError: there is no such file, or it is no UTF-8 CSV with these columns.
        ProblemsError: with every row that is none, its number and its column.
    """
    rows = list(_rows(path))
    problems = [f"row {row}: {problem}" for row, cells in rows for problem in _problems(cells)]
    seen: dict[tuple[str, str], int] = {}
    for row, cells in rows:
        key = cells["case_key"], cells["roi_key"]
        if first := seen.get(key):
            problems.append(f"row {row}: {cells['roi_key'] or cells['case_key']} has a verdict in row {first} already")
        seen.setdefault(key, row)
    if problems:
        raise ProblemsError.of("bad_review", f"review {path}", problems)
    return [_verdict(row, cells) for row, cells in rows]


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield number and cells of the rows that have a value.

    Raises:
        InputError: as `read_verdicts`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            lines = csv.reader(text, strict=True)
            header = next(lines, [])
            if sorted(header) != sorted(COLUMNS):
                raise InputError(
                    "bad_review",
                    f"review {path}: its columns are not {', '.join(COLUMNS)}: name the file that the review page saved",
                )
            for row, cells in enumerate(lines, 1):
                if any(cells):
                    yield row, dict(zip(header, [*cells, *[""] * len(header)], strict=False))
    except FileNotFoundError:
        raise InputError("no_review", f"there is no file {path}: name the one that the review page saved") from None
    except OSError as error:
        raise InputError("no_review", f"review {path} cannot be read: {why(error)}") from None
    except UnicodeDecodeError as error:
        raise InputError("bad_review", f"review {path} is no UTF-8 text: byte {error.start}") from None
    except csv.Error as error:
        raise InputError("bad_review", f"review {path} is no CSV file: {error}") from None


def _problems(cells: dict[str, str]) -> Iterator[str]:
    """Yield what is wrong with a row by itself."""
    word, comment = cells["verdict"], cells["comment"]
    allowed = OF_OUTLINES if cells["roi_key"] else OF_CASES
    if word not in allowed:
        of = "an outline" if cells["roi_key"] else "a case without an outline"
        yield f"verdict: {word!r} is none of {', '.join(allowed)}, which {of} can have"
    if len(comment) > COMMENT_LENGTH:
        yield f"comment: {len(comment)} characters, more than {COMMENT_LENGTH}"
    if hidden := hidden_character(comment):
        yield f"comment: holds {hidden}, which does not show"
    try:
        if datetime.datetime.fromisoformat(cells["reviewed_at"]).tzinfo is None:
            yield f"reviewed_at: {cells['reviewed_at']!r} has no time zone"
    except ValueError:
        yield f"reviewed_at: {cells['reviewed_at']!r} is no moment, e.g. 2026-01-31T09:30:00.000Z"


def _verdict(row: int, cells: dict[str, str]) -> FileVerdict:
    return FileVerdict(
        row,
        cells["case_key"],
        cells["roi_key"],
        cells["input_digest"],
        Verdict(cells["verdict"]),
        cells["comment"],
        datetime.datetime.fromisoformat(cells["reviewed_at"]).astimezone(datetime.UTC),
    )
