"""The folders of an archive, each with the files that lie in it, in a fixed order, as they are met."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cvtbatch.ingest.archives import ARCHIVE_SUFFIXES
from cvtbatch.ingest.fingerprint import list_files
from cvtbatch.ingest.skipped_files import LINK, SPECIAL, SYSTEM
from cvtbatch.manifest import is_missing


@dataclass(frozen=True, slots=True)
class FileLook:
    """A file as the system lists it."""

    name: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, or a packed archive, which is a folder of its own.

    Attributes:
        path: below the root, with `/`; empty for the root itself.
        files: that lie in it, not in folders below; of a packed archive, itself, under an empty name.
        notes: reason and path below the root of what is passed over unopened.
        unavailable: paths below the root of what the system cannot give now.
    """

    path: str
    is_archive: bool = False
    files: list[FileLook] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    unavailable: list[str] = field(default_factory=list)


def walk(root: Path) -> Iterator[Folder]:
    """Yield every folder below a root in which files lie, and every packed archive, each when all of it is known."""
    top = str(root)
    last, folder = top, Folder("")
    opened = {"": folder}
    for path, look in list_files(top):
        where = os.path.dirname(path)  # noqa: PTH120 - millions of times
        if where != last:
            last, relative = where, where[len(top) + 1 :]
            for other in [other for other in opened if not _lies_in(relative, other)]:
                yield opened.pop(other)
            folder = opened.setdefault(relative, Folder(relative))
        own = path[len(top) + 1 :]
        if look is None:
            folder.notes.append((SYSTEM, own))
        elif isinstance(look, OSError):
            if is_missing(look):
                folder.notes.append((LINK, own))
            else:
                folder.unavailable.append(own)
        elif not stat.S_ISREG(look.st_mode):
            folder.notes.append((SPECIAL, own))
        else:
            folder.files.append(FileLook(path[len(where) + 1 :], look.st_size, look.st_mtime_ns))
            if path.lower().endswith(ARCHIVE_SUFFIXES):
                yield Folder(own, True, [FileLook("", look.st_size, look.st_mtime_ns)])
    yield from (folder for folder in opened.values() if folder.files or folder.notes or folder.unavailable)


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or not folder or path.startswith(f"{folder}/")
