"""Files of sources as the system gives them: a disk, share or server that fails is told apart from bytes that are damaged.

Libraries turn what the system reports into errors of their own, or pass over it: `zipfile` takes a file that cannot be read for
no zip. So a failing read raises, at the lowest level, what none of them catches.
"""

import errno
import io
import os
import stat
from pathlib import Path
from typing import BinaryIO, cast

from cvtbatch.errors import SOURCE_UNAVAILABLE, CvtbatchError, InputError, UnavailableError
from cvtbatch.manifest import MISSING_FILE, is_missing

# What the system reports of a file whose bytes nobody has seen: the medium, the way to it, or the right to read it.
_PASSING = {
    getattr(errno, name)
    for name in (
        *("EIO", "EREMOTEIO", "EBADMSG", "EUCLEAN", "ENXIO", "ENODEV", "ENOMEDIUM", "ESTALE", "ENOLINK", "EREMCHG"),
        *(
            "ETIMEDOUT",
            "ETIME",
            "ECONNRESET",
            "ECONNREFUSED",
            "ECONNABORTED",
            "ENOTCONN",
            "ESHUTDOWN",
            "EPIPE",
            "EPROTO",
        ),
        *("EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ENETRESET", "ENONET", "ECOMM"),
        *("EAGAIN", "EBUSY", "EINTR", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "ENOLCK", "EDQUOT"),
        *("EACCES", "EPERM", "ENOKEY", "EKEYEXPIRED", "EKEYREVOKED", "EKEYREJECTED"),
    )
    if hasattr(errno, name)
}


def refusal(error: Exception, message: str, path: str | Path) -> CvtbatchError:
    """Return what an error means that was raised while a file was read.

    Args:
        message: what is wrong where the system reports no fault of its own: then it is the bytes.
    """
    if isinstance(error, CvtbatchError):
        return error
    if isinstance(error, OSError) and error.errno is not None and error.errno in _PASSING:
        return UnavailableError(
            SOURCE_UNAVAILABLE,
            f"a file of the source cannot be read now ({os.strerror(error.errno)}): mend the disk, the share, the server or the "
            "permission; the next run tries again by itself",
            f"{path}: {error}",
        )
    if isinstance(error, OSError) and is_missing(error):
        return InputError(MISSING_FILE, "a file of the source is not there", f"{path}: {error}")
    return InputError("unreadable_file", message, f"{path}: {error}")


class _SourceFile(io.FileIO):
    """A file whose failing reads raise what no library catches."""

    def readinto(self, buffer: "bytearray | memoryview") -> int | None:  # type: ignore[override]
        try:
            return super().readinto(buffer)
        except OSError as error:
            raise self._refusal(error) from None

    def readall(self) -> bytes:
        try:
            return super().readall()
        except OSError as error:
            raise self._refusal(error) from None

    def _refusal(self, error: OSError) -> CvtbatchError:
        return refusal(error, "a file of the source cannot be read", str(self.name))


def open_source(path: str | Path) -> BinaryIO:
    """Open a file of a source to be read.

    Raises, and so does every read:
        UnavailableError: `source_unavailable`, the system cannot give its bytes now.
        InputError: `missing_file`, it is not there.
    """
    try:
        return cast(BinaryIO, io.BufferedReader(_SourceFile(path)))
    except OSError as error:
        raise refusal(error, "a file of the source cannot be opened", path) from None


def descriptor_of(file: BinaryIO) -> int | None:
    """Return the descriptor of a file that `open_source` opened; None of anything that is made of another file's bytes."""
    raw = getattr(file, "raw", None)
    return raw.fileno() if isinstance(raw, _SourceFile) else None


def is_folder(path: Path) -> bool:
    """Say whether a folder is there.

    Raises:
        UnavailableError: that cannot be told now.
    """
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        if is_missing(error):
            return False
        raise refusal(error, "the source cannot be looked at", path) from None


def require_readable(path: Path) -> None:
    """Read a file to its end: where a library has failed on it, that tells a failing disk from damage.

    Raises:
        see `open_source`.
    """
    with open_source(path) as file:
        while file.read(1 << 20):
            pass
