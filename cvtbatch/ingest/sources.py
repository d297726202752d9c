"""Where the files of a DICOM series lie: a folder with all below it, an archive of one, or a single file."""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cvtbatch.errors import InputError
from cvtbatch.ingest.archives import is_archive, read_members
from cvtbatch.ingest.fingerprint import list_files


@dataclass(frozen=True, slots=True)
class Source:
    """A folder, an archive or a file; its files are opened one at a time, as often as they are asked for."""

    path: Path

    @property
    def kind(self) -> str:
        """What it is, for messages."""
        return "folder" if self.path.is_dir() else "archive" if is_archive(self.path) else "file"

    def files(self, names: Container[str] | None = None) -> Iterator[tuple[str, BinaryIO]]:
        """Yield (name, open file) of every file, in a fixed order; with `names`, only those. Names are private.

        Raises:
            InputError: the source or a part of it cannot be read.
        """
        if self.kind == "archive":
            yield from read_members(self.path, names)
        elif self.kind == "file":
            with _opened(self.path) as file:
                yield str(self.path), file
        else:
            yield from self._folder(names)

    def _folder(self, names: Container[str] | None) -> Iterator[tuple[str, BinaryIO]]:
        for name, stat in list_files(str(self.path)):
            path = Path(name)
            if stat is None and path.is_dir():
                raise InputError("unreadable_file", "a folder of the series cannot be listed", name)
            if stat is None or not path.is_file() or (names is not None and name not in names):
                continue
            with _opened(path) as file:
                yield name, file


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError("unreadable_file", "a file of the series cannot be opened", f"{path}: {error}") from None
