"""Where the files of a DICOM series lie: a folder with all below it, an archive of one, or a single file."""

import gzip
import os
import stat
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from cvtbatch.errors import CvtbatchError, InputError
from cvtbatch.ingest.archives import MEMBER_LIMIT_BYTES, is_archive, read_members
from cvtbatch.ingest.dicom_headers import begins_as_dicom
from cvtbatch.ingest.fingerprint import list_files
from cvtbatch.ingest.members import GZIP_START, has_dicom_suffix, may_be_slice
from cvtbatch.ingest.skipped_files import LINK, SPECIAL, SYSTEM, Note, note_nothing
from cvtbatch.ingest.source_files import is_folder, open_source, refusal
from cvtbatch.ingest.streams import Unpacked, unpacked_start
from cvtbatch.manifest import is_missing

_START_BYTES = 4096
# Told the name of a compressed file that is damaged behind what was read of it, and what is to be raised for it.
Tell = Callable[[str, InputError], None]


def _raise(_: str, error: InputError) -> None:
    raise error


@dataclass(frozen=True, slots=True)
class Source:
    """A folder, an archive or a file; its files are opened one at a time, as often as they are asked for."""

    path: Path

    @property
    def kind(self) -> str:
        """What it is, for messages."""
        return "folder" if is_folder(self.path) else "archive" if is_archive(self.path) else "file"

    def files(
        self, names: Container[str] | None = None, note: Note = note_nothing, tell: Tell = _raise
    ) -> Iterator[tuple[str, BinaryIO]]:
        """Yield (name, open file) of every file, in a fixed order; with `names`, only those. Names are private.

        A DICOM file that gzip compressed is unpacked, where its name may be a slice's. An open file is good until the next one.

        Args:
            note: told what is passed over: links that lead nowhere, too.
            tell: told what is damaged behind what was read of it, before the next file comes.

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
            yield from _unpacked(name, file, tell)

    @staticmethod
    def _opened(names: "Iterator[str] | list[str]") -> Iterator[tuple[str, BinaryIO]]:
        for name in names:
            with open_source(name) as file:
                yield name, file


def _present(folder: Path, note: Note) -> Iterator[str]:
    """Yield the files of a folder that are there, all of them regular."""
    for name, look in list_files(str(folder)):
        if look is None:
            note(SYSTEM, name)
        elif isinstance(look, os.stat_result):
            if stat.S_ISREG(look.st_mode):
                yield name
            else:
                note(SPECIAL, name)
        elif is_missing(look):
            note(LINK, name)
        else:
            raise refusal(look, "a file or folder of the series cannot be looked at", name)


@contextmanager
def open_member(path: Path) -> Iterator[BinaryIO]:
    """Open a single file of a source, unpacked as `Source.files` does; raises what that does."""
    with open_source(path) as file:
        for _, member in _unpacked(str(path), file, _raise):
            yield member


def _unpacked(name: str, file: BinaryIO, tell: Tell) -> Iterator[tuple[str, BinaryIO]]:
    start = file.read(_START_BYTES)
    file.seek(0)
    if not _is_compressed_dicom(name, start):
        yield name, file
        return

    def refuse(error: Exception | None) -> CvtbatchError:
        if error is not None:
            return refusal(error, "a compressed file of the source is truncated or damaged", name)
        limit = MEMBER_LIMIT_BYTES >> 30
        return InputError("too_large", f"a compressed file of the source unpacks to more than {limit} GiB", name)

    with gzip.open(file) as stream:
        unpacked = Unpacked(stream, MEMBER_LIMIT_BYTES, refuse)
        yield name, cast(BinaryIO, unpacked)
        try:
            unpacked.finish()
        except InputError as error:
            tell(name, error)


def _is_compressed_dicom(name: str, start: bytes) -> bool:
    if not start.startswith(GZIP_START) or not may_be_slice(name):
        return False
    return has_dicom_suffix(name) or begins_as_dicom(unpacked_start(start, _START_BYTES))
