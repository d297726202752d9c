"""The cheap identity of a source: what planning compares, so that an archive is not decoded to learn that nothing changed."""

import os
from collections.abc import Iterator

from cvtbatch.errors import InputError
from cvtbatch.manifest import Case, RoiSource
from cvtbatch.spec import canonical_json, digest


def _entries(path: str) -> Iterator[tuple[str, int, int]]:
    """Yield (name below the folder, size, mtime in ns) of a file or of every file in a folder."""
    if not os.path.isdir(path):  # noqa: PTH112 - planning stats every file of the archive; pathlib costs threefold
        stat = os.stat(path)  # noqa: PTH116
        yield "", stat.st_size, stat.st_mtime_ns
        return
    folders = [path]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    folders.append(entry.path)
                else:
                    stat = entry.stat()
                    yield entry.path[len(path) :], stat.st_size, stat.st_mtime_ns


def _fingerprint(path: str, selectors: dict[str, str | int | bool | None]) -> str:
    try:
        files = sorted(_entries(path))
    except OSError as error:
        raise InputError("unreadable_file", f"a source file cannot be read: {error.strerror}", path) from None
    return digest(canonical_json(files), canonical_json(selectors))[:32]


def image_fingerprint(case: Case) -> str:
    """Return the identity of a case's image: its files' names, sizes and times, and what the manifest selects in them.

    Raises:
        InputError: a file or folder cannot be listed.
    """
    return _fingerprint(case.image, {"series_uid": case.series_uid, "allow_gaps": case.allow_gaps})


def mask_fingerprint(roi: RoiSource) -> str:
    """Return the identity of an outline's source; `roi.mask` must not be None.

    Raises:
        InputError: the file cannot be listed.
    """
    return _fingerprint(roi.mask or "", {"mask_label": roi.mask_label, "segment": roi.segment})
