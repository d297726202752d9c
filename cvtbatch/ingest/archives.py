"""Zip and tar archives as sources: their members one at a time, of which that is in memory what was asked for.

Nothing is extracted to disk, so a member's name leads nowhere; it only serves to tell members apart. What an archive claims to
hold is bounded before memory is taken, and every member is read to its end, where its checksum is.
"""

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Container, Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import BinaryIO, cast

from cvtbatch.errors import InputError
from cvtbatch.ingest.fingerprint import PASSED_OVER
from cvtbatch.ingest.skipped_files import SYSTEM, Note
from cvtbatch.ingest.source_files import open_source
from cvtbatch.ingest.streams import Unpacked

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
# Limits on what is unpacked: a study of several thin series stays below the one, a multi-frame object below the other.
ARCHIVE_LIMIT_BYTES = 4 << 30
MEMBER_LIMIT_BYTES = 1 << 30
MEMBER_LIMIT = 100_000
_ENCRYPTED = 0x1
_CHUNK_BYTES, _PADDING_CHUNKS = 1 << 20, 64
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    NotImplementedError,
    ValueError,
    RuntimeError,
)


def is_archive(path: Path) -> bool:
    """Say whether a file's name is that of an archive which is read."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def read_members(path: Path, names: Container[str] | None, note: Note) -> Iterator[tuple[str, BinaryIO]]:
    """Yield the files of an archive, in its order, as (name, open file); with `names`, only those.

    Args:
        note: told why a member is passed over.

    Raises:
        InputError: the archive is damaged, encrypted, too large, or holds what is no file.
        UnavailableError: the system cannot give it now.
    """
    with open_source(path) as file:
        is_zip = path.name.lower().endswith(".zip")
        members = _zip_members(path, file, names, note) if is_zip else _tar_members(path, file, names, note)
        while True:
            # Only the archive's own reading is guarded: what the caller does with a member has errors of its own.
            try:
                member = next(members, None)
            except _DAMAGE as error:
                raise _damaged(path, error) from None
            if member is None:
                return
            yield member


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        "damaged_archive", "the archive is truncated, damaged or of a kind that is not read", f"{path}: {error}"
    )


def _member(path: Path, stream: BufferedIOBase, size: int) -> Unpacked:
    """Return a member as a file; `size` is what the archive says of it."""

    def refuse(error: Exception | None) -> Exception:
        if error is None:
            return _damaged(path, EOFError("a member is longer than the archive says"))
        return _damaged(path, error) if isinstance(error, _DAMAGE) else error

    return Unpacked(stream, size, refuse)


def _zip_members(
    path: Path, file: BinaryIO, names: Container[str] | None, note: Note
) -> Iterator[tuple[str, BinaryIO]]:
    with zipfile.ZipFile(file) as archive:
        files = [info for info in archive.infolist() if not info.is_dir()]
        _check_amount(path, len(files), sum(info.file_size for info in files))
        for number, info in enumerate(files):
            name = f"{number}:{info.filename}"
            if _is_passed_over(info.filename):
                note(SYSTEM, name)
                continue
            if names is not None and name not in names:
                continue
            if info.flag_bits & _ENCRYPTED:
                raise InputError("encrypted_archive", "the archive is encrypted; pack it without a password", str(path))
            _check_member(path, info.file_size)
            with archive.open(info) as stream:
                member = _member(path, cast(BufferedIOBase, stream), info.file_size)
                yield name, cast(BinaryIO, member)
                if member.finish() != info.file_size:
                    raise EOFError("a member ends early")


def _tar_members(
    path: Path, file: BinaryIO, names: Container[str] | None, note: Note
) -> Iterator[tuple[str, BinaryIO]]:
    with (
        _tar_stream(path, file) as stream,
        tarfile.open(fileobj=cast(BinaryIO, _Bounded(stream, path)), mode="r:") as archive,
    ):
        total = 0
        for number, info in enumerate(archive):
            if info.isdir():
                continue
            if not info.isreg() or info.issparse():
                raise InputError(
                    "unsafe_archive",
                    "the archive holds a link, a device or a sparse file; pack the files themselves",
                    str(path),
                )
            total += info.size
            _check_amount(path, number, total)
            _check_member(path, info.size)
            name = f"{number}:{info.name}"
            if _is_passed_over(info.name):
                note(SYSTEM, name)
                continue
            if names is not None and name not in names:
                continue
            inside = archive.extractfile(info)
            if inside is None:
                raise EOFError("a member has no bytes")
            member = _member(path, cast(BufferedIOBase, inside), info.size)
            yield name, cast(BinaryIO, member)
            if member.finish() != info.size:
                raise EOFError("a member ends early")
        # A tar that is cut between two members reads as a shorter one: only the two blocks of zeros at its end tell.
        stream.seek(archive.offset)
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise EOFError("the end of the archive is missing")
        # What follows is padding; reading it has a compressed archive checked against its checksum.
        padding = sum(len(stream.read(_CHUNK_BYTES)) for _ in range(_PADDING_CHUNKS))
        if padding == _CHUNK_BYTES * _PADDING_CHUNKS:
            raise EOFError("the archive goes on after its end")


def _tar_stream(path: Path, file: BinaryIO) -> BinaryIO:
    name = path.name.lower()
    if name.endswith("gz"):
        return cast(BinaryIO, gzip.open(file))
    if name.endswith("bz2"):
        return cast(BinaryIO, bz2.open(file))
    return cast(BinaryIO, lzma.open(file)) if name.endswith("xz") else file


class _Bounded:
    """A stream that refuses to read too much at once: the extended headers of a tar are read whole, whatever size they claim."""

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self._stream, self._path = stream, path

    def read(self, size: int) -> bytes:
        _check_member(self._path, size)
        return self._stream.read(size)

    def seek(self, offset: int) -> int:
        return self._stream.seek(offset)

    def tell(self) -> int:
        return self._stream.tell()


def _is_passed_over(name: str) -> bool:
    return any(part.startswith(PASSED_OVER) for part in name.replace("\\", "/").split("/"))


def _check_amount(path: Path, members: int, total_bytes: int) -> None:
    if members > MEMBER_LIMIT:
        raise InputError(
            "archive_too_large", f"the archive holds {members} files; the limit is {MEMBER_LIMIT}", str(path)
        )
    if total_bytes > ARCHIVE_LIMIT_BYTES:
        raise InputError(
            "archive_too_large",
            f"the archive unpacks to {total_bytes / 2**30:.1f} GiB; the limit is {ARCHIVE_LIMIT_BYTES >> 30} GiB: "
            "pack one study an archive",
            str(path),
        )


def _check_member(path: Path, size: int) -> None:
    if size > MEMBER_LIMIT_BYTES:
        raise InputError(
            "archive_too_large",
            f"a file of the archive unpacks to {size / 2**30:.1f} GiB; the limit is {MEMBER_LIMIT_BYTES >> 30} GiB",
            str(path),
        )
