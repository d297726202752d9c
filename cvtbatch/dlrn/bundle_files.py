"""A bundle's files as bytes: read from a folder or a tar, and written there. Nothing is trusted, and nothing is unpacked.

What is read is bounded before it is read, so that a bundle from elsewhere takes no more memory than a real one could.
"""

import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from cvtbatch.errors import FormatError, InputError
from cvtbatch.file_errors import why
from cvtbatch.whole_files import written_whole

DOCUMENT, ARRAYS, GOLDEN, SELECTION = "bundle.json", "arrays.safetensors", "golden.parquet", "selection.parquet"
FILES = (ARRAYS, GOLDEN, SELECTION)
# Tens of times what the largest model takes: 10,000 trees, 100,000 images of training, 2,048 components.
MOST_BYTES = {DOCUMENT: 16 << 20, ARRAYS: 256 << 20, GOLDEN: 64 << 20, SELECTION: 64 << 20}
# Of a tar: its own files, and what a file manager may have put beside them.
MOST_MEMBERS = 256
_WRITTEN = "name the folder or the tar that `cvtbatch fit --out` has written"


def read_files(path: Path) -> dict[str, bytes]:
    """Return the files of a bundle by name, as they are.

    Args:
        path: its folder, or a tar of it, in which they may lie in a folder.

    Raises:
        InputError: "no_bundle".
        FormatError: "bundle_damaged": a file is larger than any bundle's, or the tar holds more than a bundle, or a link.
    """
    if not path.exists():
        raise InputError("no_bundle", f"there is no bundle {path}: {_WRITTEN}")
    try:
        files = _read_folder(path) if path.is_dir() else _read_tar(path)
    except (OSError, tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(
            "no_bundle", f"bundle {path} is neither a folder nor a tar that can be read; {_WRITTEN}", str(error)
        ) from None
    if DOCUMENT not in files:
        raise InputError("no_bundle", f"{path} holds no {DOCUMENT}: it is no bundle; {_WRITTEN}")
    return files


def _read_folder(path: Path) -> dict[str, bytes]:
    files = {}
    for name, most in MOST_BYTES.items():
        if (path / name).is_file():
            with (path / name).open("rb") as file:
                files[name] = file.read(most + 1)
            _check_size(name, len(files[name]))
    return files


def _read_tar(path: Path) -> dict[str, bytes]:
    if path.exists() and not path.is_file():
        raise OSError("it is no file")
    files: dict[str, bytes] = {}
    with tarfile.open(path, "r:") as tar:
        # Member by member: a list of all would be read before it could be found too long.
        for _ in range(MOST_MEMBERS + 1):
            member = tar.next()
            if member is None:
                return files
            name = PurePosixPath(member.name).name
            if name in MOST_BYTES and not member.isdir():
                _check_member(member, files)
                files[name] = _content(tar, member)
    raise FormatError("bundle_damaged", f"the tar holds more than {MOST_MEMBERS} files: it is no tar of a bundle")


def _check_member(member: tarfile.TarInfo, known: Mapping[str, bytes]) -> None:
    """Refuse what no tar of a bundle's folder has, and what unpacked by hand would land elsewhere."""
    place = PurePosixPath(member.name)
    if not member.isreg() or member.issparse():
        raise FormatError("bundle_damaged", f"{place.name} in the tar is a link or another thing that is no plain file")
    if place.is_absolute() or ".." in place.parts:
        raise FormatError("bundle_damaged", f"{place.name} in the tar would be unpacked outside its folder")
    if place.name in known:
        raise FormatError("bundle_damaged", f"{place.name} is in the tar twice: which one counts cannot be told")
    _check_size(place.name, member.size)


def _check_size(name: str, size: int) -> None:
    if not 0 <= size <= MOST_BYTES[name]:
        raise FormatError("bundle_damaged", f"{name} is larger than {MOST_BYTES[name] >> 20} MB: no bundle's is")


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return b"" if file is None else file.read()


def write_files(out: Path, contents: Mapping[str, bytes]) -> None:
    """Write a bundle's files, all or none.

    Args:
        out: a new folder, or a new file that ends in .tar.

    Raises:
        InputError: there is something at `out`, or it cannot be written.
    """
    if out.exists():
        raise InputError("bundle_exists", f"--out {out}: there is something already; choose a new name")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(out, folder=True) as aside:
            _WRITERS[out.suffix == ".tar"](aside, contents)
    except OSError as error:
        raise InputError("cannot_write", f"--out {out} cannot be written: {why(error)}") from None


def _write_folder(path: Path, contents: Mapping[str, bytes]) -> None:
    path.mkdir()
    for name, data in contents.items():
        (path / name).write_bytes(data)


def _write_tar(path: Path, contents: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in contents.items():
            # A TarInfo of its own has no owner and no time.
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


_WRITERS: dict[bool, Callable[[Path, Mapping[str, bytes]], None]] = {False: _write_folder, True: _write_tar}
