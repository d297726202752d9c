"""The files of a source, and its cheap identity: what planning compares, so that an archive is not decoded to learn nothing."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from cvtbatch.errors import InputError
from cvtbatch.manifest import MISSING_FILE, Case, RoiSource, is_absent
from cvtbatch.spec import canonical_json, digest

# Beginnings of names that file managers, network drives and version control leave behind; what lies there is no file of a series.
# DataLad's `.git` holds the very files that the links beside it lead to.
PASSED_OVER = (
    *("._", ".AppleDouble", "__MACOSX", ".DS_Store", ".fseventsd", ".Spotlight-", ".Trash", ".nfs"),
    *("@eaDir", "#recycle", "@Recycle", "@Recently-Snapshot", ".@__thumb", ".snapshot", ".git", ".datalad"),
    *("$RECYCLE.BIN", "System Volume Information", "lost+found"),
)
# Raised when some sources are read otherwise than before: of whatever lies in a store the next run reads the source once more, and
# computes anew what came out different; what did not keeps its digest, its rows and its specification.
READING_REVISION = 4
# What can be told of a name in a folder: its stat, or why there is none; None where it is passed over and not looked at.
Look = os.stat_result | OSError | None


def list_files(folder: str) -> Iterator[tuple[str, Look]]:
    """Yield every file below a folder, as its path and what a look at it gave; of a folder that cannot be listed, itself.

    Links to folders are followed, but for those to a folder that is listed already, or in which the listed one lies: links in a
    circle have an end.
    """
    yield from _Listing(folder).files(folder)


class _Listing:
    """A walk that enters no folder a second time by way of a link. Numbers of folders are trusted only where there are links."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._entered: set[tuple[int, int]] = set()
        self._linked: set[tuple[int, int]] = set()

    def files(self, folder: str) -> Iterator[tuple[str, Look]]:
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            yield folder, error
            return
        for entry in entries:
            if entry.name.startswith(PASSED_OVER):
                yield entry.path, None
                continue
            try:
                look = entry.stat()
                is_folder = stat.S_ISDIR(look.st_mode)
                enters = is_folder and self._enters(look, link=entry.is_symlink())
            except OSError as error:
                yield entry.path, error
                continue
            if enters:
                yield from self.files(entry.path)
            elif not is_folder:
                yield entry.path, look

    def _enters(self, look: os.stat_result, *, link: bool) -> bool:
        identity = look.st_dev, look.st_ino
        if link:
            if identity in self._entered or identity in self._around():
                return False
            self._linked.add(identity)
        elif identity in self._linked:
            return False
        self._entered.add(identity)
        return True

    def _around(self) -> set[tuple[int, int]]:
        """Return the listed folder and those in which it lies."""
        root = Path(self._root).resolve()
        looks = (place.stat() for place in (root, *root.parents))
        return {(look.st_dev, look.st_ino) for look in looks}


def _look(path: str, entry: str, selectors: dict[str, str | int | bool | None]) -> tuple[str, int]:
    """Return the hash of a source's files, of what the manifest says of it and of how it is read, and the files' size in bytes.

    `entry` is its path in the manifest.
    """
    parts, size = [], 0
    for name, look in _files_of(path):
        if look is None:
            continue
        looks = b"\0unlistable"
        if isinstance(look, os.stat_result):
            looks = b"\0%d %d" % (look.st_size, look.st_mtime_ns)
            size += look.st_size
        # A name is bytes, not text: some archives were written by systems of another encoding.
        parts.append(os.fsencode(name[len(path) :]) + looks)
    return _identity(entry, selectors, parts), size


def _identity(entry: str, selectors: Mapping[str, str | int | bool | None], parts: Iterable[bytes]) -> str:
    return digest(f"reading {READING_REVISION}", entry, canonical_json(selectors), *parts)[:32]


def _files_of(path: str) -> Iterator[tuple[str, Look]]:
    # Planning stats every file of the archive; pathlib costs threefold.
    if os.path.isdir(path):  # noqa: PTH112
        yield from list_files(path)
        return
    try:
        yield path, os.stat(path)  # noqa: PTH116
    except OSError as error:
        yield path, error


def source_bytes(path: str) -> int:
    """Return the size of a source's files; what cannot be looked at counts as nothing."""
    return sum(look.st_size for _, look in _files_of(path) if isinstance(look, os.stat_result))


def image_fingerprint(case: Case) -> str:
    """Return the identity of a case's image: its files' names, sizes and times, and what the manifest says of it."""
    return look_at_image(case)[0]


def look_at_image(case: Case) -> tuple[str, int]:
    """Return the identity of a case's image, and the size of its files in bytes."""
    return _look(case.image, case.image_entry, _image_selectors(case))


def archive_fingerprint(case: Case, sop_uids: Iterable[str]) -> str:
    """Return the identity of a case's image that lies in an archive: its instances, and what the manifest says of it."""
    return _identity(case.image_entry, _image_selectors(case), (uid.encode() for uid in sorted(sop_uids)))


def _image_selectors(case: Case) -> dict[str, str | int | bool | None]:
    return {"series_uid": case.series_uid, "allow_gaps": case.allow_gaps}


def mask_fingerprint(roi: RoiSource) -> str:
    """Return the identity of an outline's source; `roi.mask` must not be None."""
    return look_at_mask(roi)[0]


def look_at_mask(roi: RoiSource) -> tuple[str, int]:
    """Return the identity of an outline's source, and the size of its files in bytes; `roi.mask` must not be None."""
    selectors: dict[str, str | int | bool | None] = {"mask_label": roi.mask_label, "segment": roi.segment}
    return _look(roi.mask or "", roi.mask_entry, selectors)


def require_source(path: str, column: str) -> None:
    """Refuse a source that is not there.

    Args:
        column: of the manifest, that names it.

    Raises:
        InputError: `missing_file`.
    """
    if is_absent(path):
        windows = "; it holds backslashes, by which Windows parts folders: write /" if "\\" in path else ""
        raise InputError(
            MISSING_FILE,
            f"there is no file or folder at the path in column {column}, seen from where it is read: put it there, or mend "
            f"the path; the next run tries again{windows}",
            f"{path}{', a link that leads nowhere' if os.path.islink(path) else ''}",  # noqa: PTH114 - takes any name
        )
