"""What a file of a source may be that is no DICOM: a slice that was lost or damaged, or something else that lies beside a series.

At the end of a series nothing but such a file tells that a slice is lost, so what may be one is never passed over. The rule:

1. A name with a DICOM suffix is a slice's, also where the suffix of another compression or of an unfinished download follows; the
   name of a file that gzip compressed is that without its suffix. A name with any other suffix, a hidden one, or one of
   FOREIGN_NAMES is not.
2. A name without a suffix, or with a number for one, may be a slice's if it holds a digit, as names of slices do; where no name of
   the source's DICOM files has one, any name may be. Such a file is a damaged slice if it is empty, or binary and not of another
   format by its first bytes, or, whatever it holds, if it is named as the DICOM files are but for its numbers. What gzip
   compressed is another format, unless DICOM is in it.
3. A file that is not there has no bytes to go by: its name decides.
"""

import re
from collections.abc import Collection
from enum import StrEnum
from pathlib import PurePath

DICOM_SUFFIXES = {".dcm", ".dicom", ".ima"}
GZIP_SUFFIX = ".gz"
GZIP_START = b"\x1f\x8b\x08"
_WRAPPED = {".bz2", ".xz", ".zst", ".lz4", ".z", ".part", ".partial", ".filepart", ".crdownload", ".tmp"}
# In capitals; what viewers, writers of discs and package tools put beside series under names without a suffix.
FOREIGN_NAMES = {
    *(
        "DICOMDIR",
        "LOCKFILE",
        "LOCK",
        "INDEX",
        "VERSION",
        "README",
        "LICENSE",
        "LICENCE",
        "COPYING",
        "AUTORUN",
        "CHANGES",
    ),
    *("MANIFEST", "CONTENTS", "CHECKSUMS", "MD5SUM", "MD5SUMS", "SHA1SUMS", "SHA256SUMS", "THUMBS", "DESKTOP", "CVS"),
}
_FOREIGN_STARTS = (
    *(GZIP_START, b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"%PDF", b"PK\3\4", b"Rar!", b"7z\xbc\xaf"),
    *(b"\x7fELF", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe", b"SQLite format 3", b"\xd0\xcf\x11\xe0"),
)
START_BYTES = 1024
_NUMBER = r"[0-9a-f]*[0-9][0-9a-f]*"


class Content(StrEnum):
    """What a file that is no DICOM holds, as far as its first bytes tell."""

    EMPTY = "empty"
    BINARY = "binary"
    OTHER = "text or another format"


def content_of(start: bytes) -> Content:
    """Return what a file holds that begins with these START_BYTES."""
    if not start:
        return Content.EMPTY
    return Content.BINARY if b"\0" in start and not start.startswith(_FOREIGN_STARTS) else Content.OTHER


def may_be_slice(name: str, neighbours: Collection[str] = ()) -> bool:
    """Say whether a name may be a slice's.

    Args:
        neighbours: names of the source's DICOM files; where there are none, a digit is not asked for.
    """
    path = _without_gzip(name)
    suffix = path.suffix.lower()
    if path.name.startswith((".", "_")):
        return False
    if _says_dicom(path):
        return True
    if (suffix and not suffix[1:].isdigit()) or path.name.upper() in FOREIGN_NAMES:
        return False
    return _has_digit(path.name) or not any(_has_digit(PurePath(other).name) for other in neighbours)


def may_be_damaged_slice(name: str, content: Content, neighbours: Collection[str] = ()) -> bool:
    """Say whether a file that is no DICOM may be a slice that was damaged."""
    if not may_be_slice(name, neighbours):
        return False
    if content != Content.OTHER or _says_dicom(_without_gzip(name)):
        return True
    return _shape(name) in {_shape(other) for other in neighbours}


def has_dicom_suffix(name: str) -> bool:
    """Say whether a name, without the suffix of gzip, has one of DICOM."""
    return _without_gzip(name).suffix.lower() in DICOM_SUFFIXES


def _without_gzip(name: str) -> PurePath:
    path = PurePath(name)
    return PurePath(path.stem) if path.suffix.lower() == GZIP_SUFFIX else path


def _says_dicom(path: PurePath) -> bool:
    inner = PurePath(path.stem) if path.suffix.lower() in _WRAPPED else path
    return inner.suffix.lower() in DICOM_SUFFIXES


def _shape(name: str) -> str:
    """Return a name with one sign for all its numbers, hexadecimal ones too, and for every row of them that dots part."""
    return re.sub(rf"{_NUMBER}(\.{_NUMBER})*", "#", _without_gzip(name).name.lower())


def _has_digit(name: str) -> bool:
    return any(character.isdigit() for character in name)
