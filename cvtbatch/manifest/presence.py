"""Which files of a manifest are not there, and whether whole folders of them are away, as those of a share that is not mounted are.

A file that is not there is the failure of its row. A folder that is away is not thousands of failures: nothing starts then.
"""

import errno
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path

from cvtbatch.errors import InputError
from cvtbatch.manifest.case import Value

# Kind of the failure of a row whose file is not there.
MISSING_FILE = "missing_file"
# Threads that look whether files are there; what they wait for is the file system.
THREADS = 8
COLUMNS = ("image", "mask")
# A folder that is away counts as a share, no longer as failures of its rows, with so many rows, or half of all and more than one.
SHARE_ROWS = 100
# Folders that are counted: where many thousands of cases miss a folder each, no share is.
COUNTED_FOLDERS = 10_000
NAMED_FOLDERS = 3
REMEMBERED = 4096


def is_absent(path: str) -> bool:
    """Say whether there is nothing at a path; what cannot be looked at, as behind a stale handle, may be there."""
    try:
        os.stat(path)  # noqa: PTH116 - a million times: pathlib costs threefold
    except OSError as error:
        return error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}
    except ValueError:
        return True
    return False


@dataclass(slots=True)
class Away:
    """A folder below which nothing is of what a manifest names there.

    Attributes:
        rows: that name something below it.
        first_row: the first of them.
        first: what it names.
    """

    folder: str
    rows: int
    first_row: int
    first: str

    def __str__(self) -> str:
        return f"{self.folder}: {self.rows} row{'s' if self.rows > 1 else ''}, first row {self.first_row} with {self.first!r}"


class Presence:
    """What of a manifest's files is there, counted row by row; memory does not grow with the rows.

    Args:
        base: the manifest's folder.
    """

    def __init__(self, base: Path) -> None:
        self._base = str(base)
        self._rows = 0
        self._any_there = False
        # Of everything that is not there.
        self._all: Away | None = None
        self._folders: dict[str, Away] = {}
        self._away_from = lru_cache(maxsize=REMEMBERED)(_away_from)

    def look(
        self, numbers: Sequence[Value], files: Mapping[str, Sequence[Value]], threads: ThreadPoolExecutor
    ) -> set[str]:
        """Count rows, and return the names of the files that are not there.

        Args:
            numbers: of the rows.
            files: names by column, relative to the base.
        """
        names = sorted({name for column in COLUMNS for name in files[column] if isinstance(name, str)})

        def absent(start: int) -> list[str]:
            return [name for name in names[start::THREADS] if is_absent(self._path(name))]

        found = set(chain.from_iterable(threads.map(absent, range(THREADS))))
        self._any_there |= len(found) < len(names)
        self._rows += len(numbers)
        if found:
            for number, *row in zip(numbers, *(files[column] for column in COLUMNS), strict=True):
                if missing := [str(name) for name in row if name in found]:
                    self._count(int(number or 0), missing)
        return found

    def _path(self, name: str) -> str:
        return os.path.join(self._base, name)  # noqa: PTH118

    def _count(self, number: int, missing: Sequence[str]) -> None:
        folders = [os.path.dirname(os.path.abspath(self._path(name))) for name in missing]  # noqa: PTH100, PTH120
        if self._all is None:
            self._all = Away(folders[0], 0, number, missing[0])
        self._all.folder = os.path.commonpath([self._all.folder, *folders])
        self._all.rows += 1
        away: dict[str, str] = {}
        for folder, name in zip(map(self._away_from, folders), missing, strict=True):
            away.setdefault(folder, name)
        for folder, name in away.items():
            if folder in self._folders:
                self._folders[folder].rows += 1
            elif folder and len(self._folders) < COUNTED_FOLDERS:
                self._folders[folder] = Away(folder, 1, number, name)

    def away(self) -> tuple[Away, ...]:
        """Return the folders that are away: shares, or the one that holds all files where none is there."""
        shares = [
            found
            for found in self._folders.values()
            if found.rows >= SHARE_ROWS or (found.rows > 1 and 2 * found.rows >= self._rows)
        ]
        if self._all and not self._any_there and sum(found.rows for found in shares) < self._all.rows:
            return (self._all,)
        return tuple(shares)


def require_folders(away: Sequence[Away]) -> None:
    """Refuse to start where folders are away.

    Raises:
        InputError: "sources_away".
    """
    if not away:
        return
    where = "a folder" if len(away) == 1 else f"each of {len(away)} folders"
    more = [f"and {len(away) - NAMED_FOLDERS} more"] if len(away) > NAMED_FOLDERS else []
    raise InputError(
        "sources_away",
        f"nothing is there of what the manifest names below {where}: mount the share, mend the paths, or take the rows out; "
        "nothing was started",
        "; ".join([*map(str, away[:NAMED_FOLDERS]), *more]),
    )


def _away_from(folder: str) -> str:
    """Return the topmost of a folder and those above it that is not there or empty; empty if there is none."""
    away = ""
    while is_absent(folder):
        away, folder = folder, os.path.dirname(folder)  # noqa: PTH120
    try:
        with os.scandir(folder) as entries:
            return folder if next(entries, None) is None else away
    except OSError:
        return away
