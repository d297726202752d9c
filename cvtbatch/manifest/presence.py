"""Which files of a manifest are not there, and whether whole folders of them are away, as those of a share that is not mounted are.

A file that is not there is the failure of its row. A folder that is away is not thousands of failures: nothing starts then.
"""

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
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


def is_missing(error: OSError) -> bool:
    """Say whether an error means that nothing is there, as behind a link that leads nowhere or in a circle."""
    return error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}


def is_absent(path: str) -> bool:
    """Say whether there is nothing at a path; what cannot be looked at, as behind a stale handle, may be there."""
    try:
        os.stat(path)  # noqa: PTH116 - a million times: pathlib costs threefold
    except OSError as error:
        return is_missing(error)
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
        # All that is not there; then folders that are gone, and those around them or around single files, which may hold others.
        self._all: Away | None = None
        self._gone: dict[str, Away] = {}
        self._around: dict[str, Away] = {}
        self._gone_above = lru_cache(maxsize=REMEMBERED)(_gone_above)

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
        folders = [os.path.dirname(self._whole_path(name)) for name in missing]  # noqa: PTH120
        if self._all is None:
            self._all = Away(folders[0], 0, number, missing[0])
        self._all.folder = os.path.commonpath([self._all.folder, *folders])
        self._all.rows += 1
        gone, around = dict[str, str](), dict[str, str]()
        for folder, name in zip(folders, missing, strict=True):
            if above := self._gone_above(folder):
                gone.setdefault(above, name)
            around.setdefault(os.path.dirname(above) if above else folder, name)  # noqa: PTH120
        for found, counts in ((gone, self._gone), (around, self._around)):
            for folder, name in found.items():
                if folder in counts:
                    counts[folder].rows += 1
                elif len(counts) < COUNTED_FOLDERS:
                    counts[folder] = Away(folder, 1, number, name)

    def away(self, names: Iterable[str]) -> tuple[Away, ...]:
        """Return the folders that are away, none within another: shares, or the one around all files where none is there.

        Args:
            names: of all files, relative to the base; asked for only where they matter.
        """
        gone = [found for found in self._gone.values() if self._is_share(found)]
        # Where all that is missing lies in one folder that is gone, that one says more than the folder around it.
        wider = [
            found
            for found in self._around.values()
            if self._is_share(found)
            and not any(_is_below(other.folder, found.folder) and other.rows == found.rows for other in gone)
        ]
        shares = _topmost([*gone, *self._empty_of(wider, names)])
        if self._all and not self._any_there and sum(found.rows for found in shares) < self._all.rows:
            return (self._all,)
        return tuple(shares)

    def _is_share(self, found: Away) -> bool:
        return found.rows >= SHARE_ROWS or (found.rows > 1 and 2 * found.rows >= self._rows)

    def _empty_of(self, folders: list[Away], names: Iterable[str]) -> list[Away]:
        """Return the folders below which none of the files is there."""
        for name in names if folders else ():
            path = self._whole_path(name)
            if any(_is_below(path, found.folder) for found in folders) and not is_absent(path):
                folders = [found for found in folders if not _is_below(path, found.folder)]
                if not folders:
                    break
        return folders

    def _whole_path(self, name: str) -> str:
        return os.path.abspath(self._path(name))  # noqa: PTH100


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


def _gone_above(folder: str) -> str:
    """Return the topmost of a folder and those above it that is not there or empty; empty if there is none."""
    gone = ""
    while is_absent(folder):
        gone, folder = folder, os.path.dirname(folder)  # noqa: PTH120
    try:
        with os.scandir(folder) as entries:
            return folder if next(entries, None) is None else gone
    except OSError:
        return gone


def _topmost(folders: Sequence[Away]) -> list[Away]:
    return [found for found in folders if not any(_is_below(found.folder, other.folder) for other in folders)]


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip(os.sep) + os.sep)
