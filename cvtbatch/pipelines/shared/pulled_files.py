"""Where pulled instances lie: OUT/STUDY/SERIES/INSTANCE.dcm, each name a hash of its UID.

The files are the record of what was pulled: one that has its name is whole, since it took it when it was. Names tell nothing of a
patient, and are the same whoever pulls, from wherever; files do, and lie as they came.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath

from cvtbatch.errors import InputError
from cvtbatch.file_errors import why
from cvtbatch.pacs.archive import Series
from cvtbatch.pacs.instances import read_instance
from cvtbatch.spec import digest
from cvtbatch.whole_files import written_whole

_DIGITS = 20


def study_folder(study_uid: str) -> PurePath:
    """Return the folder of a study below that of the pull."""
    return PurePath(digest(study_uid)[:_DIGITS])


def folder_of(series: Series) -> PurePath:
    """Return the folder of a series below that of the pull."""
    return study_folder(series.study_uid) / digest(series.uid)[:_DIGITS]


@dataclass(frozen=True, slots=True)
class PulledFiles:
    """The folder of a pull."""

    out: Path

    def has(self, series: Series, sop_uid: str) -> bool:
        """Say whether an instance is there and whole; of one that is there its header is read."""
        try:
            with self._path(series, sop_uid).open("rb") as file:
                return read_instance(file).sop_uid == sop_uid
        except (OSError, InputError):
            return False

    def write(self, series: Series, sop_uid: str, content: bytes) -> None:
        """Put an instance where it belongs.

        Raises:
            InputError: "cannot_write".
        """
        path = self._path(series, sop_uid)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as aside:
                aside.write_bytes(content)
        except OSError as error:
            raise _cannot_write(self.out, error) from None

    def _path(self, series: Series, sop_uid: str) -> Path:
        return self.out / folder_of(series) / f"{digest(sop_uid)[:_DIGITS]}.dcm"


@contextmanager
def opened_folder(out: Path) -> Iterator[PulledFiles]:
    """Make the folder of a pull, if it is not there, and keep other pulls on this machine out of it while the block lasts.

    Raises:
        InputError: "cannot_write"; "folder_in_use": another process pulls into it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _cannot_write(out, error) from None
    try:
        _lock(descriptor, out)
        yield PulledFiles(out)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, out: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            "folder_in_use", "another process pulls into this folder: wait for it, or name another", str(out)
        ) from None
    except OSError:  # some network drives have no locks of folders
        return


def _cannot_write(out: Path, error: OSError) -> InputError:
    return InputError("cannot_write", f"the folder for what is fetched cannot be written: {why(error)}", str(out))
