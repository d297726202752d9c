"""Where the files of a DICOM series lie: a folder with all below it, an archive of one, or a single file."""

import gzip
import os
import stat
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from cvtbatch.errors import CvtbatchError, InputError
from cvtbatch.ingest.archives import MEMBER_LIMIT_BYTES, is_archive, read_members
from cvtbatch.ingest.fingerprint import list_files
from cvtbatch.ingest.members import may_be_slice
from cvtbatch.ingest.passed_over import SPECIAL, SYSTEM, Note, note_nothing
from cvtbatch.ingest.source_files import is_folder, is_missing, open_source, refusal
from cvtbatch.ingest.streams import Unpacked

_GZIP_START = b"\x1f\x8b\x08"


@dataclass(frozen=True, slots=True)
class Source:
    """A folder, an archive or a file; its files are opened one at a time, as often as they are asked for."""

    path: Path

    @property
    def kind(self) -> str:
        """What it is, for messages."""
        return "folder" if is_folder(self.path) else "archive" if is_archive(self.path) else "file"

    def files(self, names: Container[str] | None = None, note: Note = note_nothing) -> Iterator[tuple[str, BinaryIO]]:
        """Yield (name, open file) of every file, in a fixed order; with `names`, only those. Names are private.

        A file that was compressed by gzip, and whose name may be a slice's, is unpacked. An open file is good until the next one.

        Raises:
            InputError: the source or a part of it cannot be read.
            UnavailableError: the system cannot give it now.
        """
        if self.kind == "archive":
            files = read_members(self.path, names, note)
        elif self.kind == "file":
            files = self._opened([str(self.path)])
        else:
            files = self._opened(name for name in _present(self.path, note) if names is None or name in names)
        for name, file in files:
            yield from _unpacked(name, file)

    def missing(self) -> list[str]:
        """Return the names in a folder behind which nothing is: links that lead nowhere."""
        looks = list_files(str(self.path)) if self.kind == "folder" else ()
        return [name for name, look in looks if isinstance(look, OSError) and is_missing(look)]

    @staticmethod
    def _opened(names: "Iterator[str] | list[str]") -> Iterator[tuple[str, BinaryIO]]:
        for name in names:
            with open_source(name) as file:
                yield name, file


def _present(folder: Path, note: Note) -> Iterator[str]:
    """Yield the files of a folder that are there, all of them regular."""
    for name, look in list_files(str(folder)):
        if look is None:
            note(SYSTEM)
        elif isinstance(look, os.stat_result):
            if stat.S_ISREG(look.st_mode):
                yield name
            else:
                note(SPECIAL)
        elif not is_missing(look):
            raise refusal(look, "a file or folder of the series cannot be looked at", name)


def _unpacked(name: str, file: BinaryIO) -> Iterator[tuple[str, BinaryIO]]:
    start = file.read(len(_GZIP_START))
    file.seek(0)
    if start != _GZIP_START or not may_be_slice(name):
        yield name, file
        return

    def refuse(error: Exception | None) -> CvtbatchError:
        if error is not None:
            return refusal(error, "a compressed file of the series is truncated or damaged", name)
        limit = MEMBER_LIMIT_BYTES >> 30
        return InputError("too_large", f"a compressed file of the series unpacks to more than {limit} GiB", name)

    with gzip.open(file) as stream:
        unpacked = Unpacked(cast(BinaryIO, stream), MEMBER_LIMIT_BYTES, refuse)
        yield name, cast(BinaryIO, unpacked)
        unpacked.finish()
