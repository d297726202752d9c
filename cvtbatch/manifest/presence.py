"""Which files of a manifest are not there, and whether whole folders of them are away, as those of a share that is not mounted are.

A file that is not there is the failure of its row. Where the folder of half of all cases is away, or cannot be looked at, that
is not thousands of failures: nothing starts then.
"""

import errno
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path

from cvtbatch.counts import counted
from cvtbatch.errors import InputError
from cvtbatch.manifest.archive_images import in_archive
from cvtbatch.manifest.case import Value

# Kind of the failure of a row whose file is not there.
MISSING_FILE = "missing_file"
# Threads that look whether files are there; what they wait for is the file system.
THREADS = 8
COLUMNS = ("image", "mask")
# Folders that are counted: where many thousands of cases miss a folder each, no share is.
COUNTED_FOLDERS = 10_000
NAMED_FOLDERS = 3
REMEMBERED = 4096


def is_missing(error: OSError) -> bool:
    """Say whether an error means that nothing is there, as behind a link that leads nowhere or in a circle."""
    return error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}


def is_absent(path: str) -> bool:
    """Say whether there is nothing at a path; what cannot be looked at, behind a stale handle or in an archive, may be there."""
    if in_archive(path):
        return False
    try:
        os.stat(path)  # noqa: PTH116 - a million times: pathlib costs threefold
    except OSError as error:
        return is_missing(error)
    except ValueError:
        return True
    return False


def _can_be_looked_at(path: str) -> bool:
    try:
        os.stat(path)  # noqa: PTH116 - as above
    except (OSError, ValueError):
        return False
    return True


@dataclass(slots=True)
class Away:
    """A folder below which nothing is of what a manifest names there, or can be looked at.

    Attributes:
        count: of the rows, in the end of the cases, that name something below it.
        first_row: the first of them.
        first: what it names.
    """

    folder: str
    count: int
    first_row: int
    first: str

    def __str__(self) -> str:
        return f"{self.folder}: {counted(self.count, 'case')}, first row {self.first_row} with {self.first!r}"


class Presence:
    """What of a manifest's files is there, counted row by row; memory does not grow with the rows until folders are away.

    Args:
        base: the manifest's folder.
    """

    def __init__(self, base: Path) -> None:
        self._base = str(base)
        self._any_there = False
        # All that is not seen; then folders that are gone, and those around them or around single files, which may hold others.
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
        named = {name for column in COLUMNS for name in files[column] if isinstance(name, str)}
        names = sorted(name for name in named if not in_archive(name))

        def unseen(start: int) -> list[tuple[str, bool]]:
            paths = ((name, self._path(name)) for name in names[start::THREADS])
            return [(name, is_absent(path)) for name, path in paths if not _can_be_looked_at(path)]

        found = dict(chain.from_iterable(threads.map(unseen, range(THREADS))))
        self._any_there |= len(found) < len(names)
        if found:
            for number, *row in zip(numbers, *(files[column] for column in COLUMNS), strict=True):
                if missing := [str(name) for name in row if name in found]:
                    self._count(int(number or 0), missing)
        return {name for name, absent in found.items() if absent}

    def _path(self, name: str) -> str:
        return os.path.join(self._base, name)  # noqa: PTH118

    def _count(self, number: int, missing: Sequence[str]) -> None:
        folders = [os.path.dirname(self._whole_path(name)) for name in missing]  # noqa: PTH120
        if self._all is None:
            self._all = Away(folders[0], 0, number, missing[0])
        self._all.folder = os.path.commonpath([self._all.folder, *folders])
        self._all.count += 1
        gone, around = dict[str, str](), dict[str, str]()
        for folder, name in zip(folders, missing, strict=True):
            if above := self._gone_above(folder):
                gone.setdefault(above, name)
            around.setdefault(os.path.dirname(above) if above else folder, name)  # noqa: PTH120
        for found, counts in ((gone, self._gone), (around, self._around)):
            for folder, name in found.items():
                if folder in counts:
                    counts[folder].count += 1
                elif len(counts) < COUNTED_FOLDERS:
                    counts[folder] = Away(folder, 1, number, name)

    def away(self, cases: int, named: Callable[[], Iterable[tuple[int, str]]]) -> tuple[Away, ...]:
        """Return the folders that are away, none within another: shares, or the one around all files where none is there.

        Args:
            cases: how many there are.
            named: all files, as the number of a case and a name relative to the base; asked for only where they matter.
        """

        def is_share(found: Away) -> bool:
            return found.count > 1 and 2 * found.count >= cases

        # A case has a row or more, so that no share is passed over here.
        gone = [found for found in self._gone.values() if is_share(found)]
        # Where all that is missing lies in one folder that is gone, that one says more than the folder around it.
        wider = [
            found
            for found in self._around.values()
            if is_share(found)
            and not any(_is_below(other.folder, found.folder) and other.count == found.count for other in gone)
        ]
        folders = _topmost(gone) + [found for found in wider if found.folder not in self._gone]
        shares = _topmost([found for found in self._in_cases(folders, cases, named) if is_share(found)])
        if self._all and not self._any_there and sum(found.count for found in shares) < cases:
            return (replace(self._all, count=cases),)
        return tuple(shares)

    def _in_cases(self, folders: list[Away], cases: int, named: Callable[[], Iterable[tuple[int, str]]]) -> list[Away]:
        """Return the folders below which none of the files is there, with the number of their cases."""
        seen = {found.folder: bytearray(cases) for found in folders}
        for case, name in named() if folders else ():
            if in_archive(name):
                continue
            path = self._whole_path(name)
            above = [folder for folder in seen if _is_below(path, folder)]
            if any(folder not in self._gone for folder in above) and _can_be_looked_at(path):
                for folder in above:
                    del seen[folder]
                continue
            for folder in above:
                seen[folder][case] = 1
        return [replace(found, count=sum(seen[found.folder])) for found in folders if found.folder in seen]

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
        f"nothing is there of what the manifest names below {where}: mount the share, mend paths or permissions, or take the rows "
        "out; nothing was started",
        "; ".join([*map(str, away[:NAMED_FOLDERS]), *more]),
    )


def _gone_above(folder: str) -> str:
    """Return the topmost of a folder and those above it that is not there, empty or closed; empty if there is none."""
    gone = ""
    # The dot is in the folder: one that is closed, or whose mount is stale, does not let it be looked at.
    while not _can_be_looked_at(os.path.join(folder, ".")):  # noqa: PTH118
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
