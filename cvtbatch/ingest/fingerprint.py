"""The files of a source, and its cheap identity: what planning compares, so that an archive is not decoded to learn nothing."""

import os
from collections.abc import Iterator

from cvtbatch.errors import InputError
from cvtbatch.manifest import MISSING_FILE, Case, RoiSource, is_absent
from cvtbatch.spec import canonical_json, digest

# Left behind by file managers; no file of a series.
PASSED_OVER = ("._", "__MACOSX", ".DS_Store")


def list_files(folder: str) -> Iterator[tuple[str, os.stat_result | None]]:
    """Yield every file below a folder, as its path and its stat; None where it cannot be told, as of a folder that is closed.

    Folders that are links are not entered.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        yield folder, None
        return
    for entry in entries:
        if entry.name.startswith(PASSED_OVER):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from list_files(entry.path)
            continue
        try:
            yield entry.path, entry.stat()
        except OSError:
            yield entry.path, None


def _look(path: str, entry: str, selectors: dict[str, str | int | bool | None]) -> tuple[str, int]:
    """Return the hash of a source's files and of what the manifest says of it, and their size in bytes.

    `entry` is its path in the manifest.
    """
    if os.path.isdir(path):  # noqa: PTH112 - planning stats every file of the archive; pathlib costs threefold
        files = list_files(path)
    else:
        try:
            files = iter([(path, os.stat(path))])  # noqa: PTH116
        except OSError:
            files = iter([(path, None)])
    parts, size = [], 0
    for name, stat in files:
        size += stat.st_size if stat else 0
        looks = b"\0%d %d" % (stat.st_size, stat.st_mtime_ns) if stat else b"\0unlistable"
        # A name is bytes, not text: some archives were written by systems of another encoding.
        parts.append(os.fsencode(name[len(path) :]) + looks)
    return digest(entry, canonical_json(selectors), *parts)[:32], size


def source_bytes(path: str) -> int:
    """Return the size of a source's files; what cannot be looked at counts as nothing."""
    if os.path.isdir(path):  # noqa: PTH112
        return sum(stat.st_size for _, stat in list_files(path) if stat)
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return 0


def image_fingerprint(case: Case) -> str:
    """Return the identity of a case's image: its files' names, sizes and times, and what the manifest says of it."""
    return look_at_image(case)[0]


def look_at_image(case: Case) -> tuple[str, int]:
    """Return the identity of a case's image, and the size of its files in bytes."""
    return _look(case.image, case.image_entry, {"series_uid": case.series_uid, "allow_gaps": case.allow_gaps})


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
        raise InputError(
            MISSING_FILE,
            f"there is no file or folder at the path in column {column}, seen from where it is read: put it there, or mend "
            "the path; the next run tries again",
            f"{path}{', a link that leads nowhere' if os.path.islink(path) else ''}",  # noqa: PTH114 - takes any name
        )
