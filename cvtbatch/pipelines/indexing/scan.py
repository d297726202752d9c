"""The headers of every file of an archive: read on the workers of a cluster, kept by the driver, and never read twice."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from cvtbatch import engine
from cvtbatch.engine import Cluster, Done
from cvtbatch.errors import SOURCE_UNAVAILABLE, InputError, ResourceError, UnavailableError
from cvtbatch.ingest.dicom_headers import is_other_object
from cvtbatch.ingest.header_scan import Identity
from cvtbatch.ingest.listing import ListedFile
from cvtbatch.ingest.members import has_dicom_suffix
from cvtbatch.ingest.scanned_files import ScannedFile, pack, scan_archive, scan_file, unpack
from cvtbatch.pipelines.indexing.folder_walk import FileLook, Folder, walk
from cvtbatch.pipelines.indexing.header_cache import HeaderCache, Part
from cvtbatch.pipelines.shared.unfinished import why_undone

# Files of one task: some hundredths of a second where they lie near, seconds on a slow share.
FILES_TOGETHER = 250
# How often what was read is written to the disk.
KEEP_SECONDS = 2.0
# Kinds of what may be otherwise in the next run: such files are read again.
_PASSING = frozenset({SOURCE_UNAVAILABLE, "worker_killed", "too_large"})


@dataclass(frozen=True, slots=True)
class ScanTask:
    """Files of a folder whose headers are to be read."""

    number: int
    prefix: str
    is_archive: bool
    files: tuple[FileLook, ...]


@dataclass(slots=True)
class ScanCount:
    """How far a scan is: files that were found, that are known, and that were read."""

    found: int = 0
    known: int = 0
    read: int = 0
    refused: int = 0


@dataclass(slots=True)
class _Open:
    """A folder of which files are being read."""

    folder: Folder
    tasks: int = 0
    whole: bool = True


def prefix_of(root: Path, path: str, *, is_archive: bool) -> str:
    """Return what names of a folder's files begin with; those of a packed archive are its own."""
    return "" if is_archive else f"{root}/{path}/" if path else f"{root}/"


def scan(
    root: Path, cache: HeaderCache, cluster: Cluster, on_batch: Callable[[ScanCount, str, Iterable[Part]], None]
) -> ScanCount:
    """Read the headers of all files below a root that are not known, and keep them.

    Args:
        on_batch: told how far the scan is, a folder's path, and what was read of it; may raise.
    """
    count, opened = ScanCount(), dict[int, _Open]()
    kept_at = time.monotonic()
    for outcome in engine.run(cluster, scan_task, _tasks(root, cache, count, opened)):
        task = outcome.item
        parts = (
            outcome.result
            if isinstance(outcome, Done)
            else to_parts([_lost(task, file, why_undone(outcome, "this folder")) for file in task.files], task)
        )
        cache.add(task.number, parts)
        count.read += len(task.files)
        count.refused += sum(sum(part.refused.values()) for part in parts)
        entry = opened[task.number]
        entry.tasks -= 1
        entry.whole &= isinstance(outcome, Done) and not any(_PASSING.intersection(part.refused) for part in parts)
        if not entry.tasks:
            if entry.whole:
                cache.complete(task.number, entry.folder)
            del opened[task.number]
        on_batch(count, entry.folder.path, parts)
        if time.monotonic() - kept_at > KEEP_SECONDS:
            cache.keep()
            kept_at = time.monotonic()
    cache.keep()
    return count


def _tasks(root: Path, cache: HeaderCache, count: ScanCount, opened: dict[int, _Open]) -> Iterator[ScanTask]:
    for folder in walk(root):
        number, same = cache.enter(folder)
        count.found += len(folder.files)
        if same:
            count.known += len(folder.files)
            continue
        prefix = prefix_of(root, folder.path, is_archive=folder.is_archive)
        if folder.is_archive:
            prefix, unread = f"{root}/{folder.path}", folder.files
            cache.take_out(number)
        else:
            unread = _unread(cache, number, prefix, folder)
            count.known += len(folder.files) - len(unread)
        batches = list(_batched(unread))
        if not batches:
            cache.complete(number, folder)
            continue
        opened[number] = _Open(folder, len(batches))
        for files in batches:
            yield ScanTask(number, prefix, folder.is_archive, files)


def _batched(files: Iterable[FileLook]) -> Iterator[tuple[FileLook, ...]]:
    files = iter(files)
    while batch := tuple(islice(files, FILES_TOGETHER)):
        yield batch


def _unread(cache: HeaderCache, number: int, prefix: str, folder: Folder) -> list[FileLook]:
    """Return the files of a folder that are not known as they are now; of those that are known the others are forgotten."""
    there = {prefix + file.name: file for file in folder.files}
    known: dict[str, ScannedFile] = {}
    for packed in cache.take_out(number):
        for file in unpack(packed, prefix):
            look, error = there.get(file.listed.name), file.listed.error
            if look is None or (file.size, file.mtime_ns) != (look.size, look.mtime_ns):
                continue
            if error is None or error.kind not in _PASSING:
                known[file.listed.name] = file
    cache.add(number, to_parts(known.values(), ScanTask(number, prefix, False, ())))
    return [look for name, look in there.items() if name not in known]


def _lost(task: ScanTask, file: FileLook, why: ResourceError) -> ScannedFile:
    path = task.prefix + file.name
    return refused_file(path, file, InputError(why.kind, why.message, path))


def scan_task(task: ScanTask) -> tuple[Part, ...]:
    """Read the headers of some files of a folder; return them by study. What cannot be read is one of them."""
    found: list[ScannedFile] = []
    for file in task.files:
        path = task.prefix + file.name
        try:
            if task.is_archive:
                found.extend(scan_archive(path, file.size, file.mtime_ns))
            else:
                found.append(scan_file(path, file.size, file.mtime_ns))
        except UnavailableError as error:
            found.append(refused_file(path, file, InputError(error.kind, error.message, error.private)))
        except InputError as error:
            found.append(refused_file(path, file, error))
    return to_parts(found, task)


def refused_file(path: str, file: FileLook, error: InputError) -> ScannedFile:
    """Return a file of which nothing can be read."""
    return ScannedFile(ListedFile(path, True, error=error), file.size, file.mtime_ns, Identity())


def refusal_of(file: ListedFile) -> InputError | None:
    """Return why a file that may be a slice cannot be read."""
    if file.error is not None:
        return None if is_other_object(file.class_uid) else file.error
    if file.is_dicom or not has_dicom_suffix(file.name):
        return None
    return InputError("unreadable_file", "a file that is called as DICOM files are is none: damaged, or another file")


def to_parts(files: Iterable[ScannedFile], task: ScanTask) -> tuple[Part, ...]:
    """Return files of a folder by study."""
    prefix = "" if task.is_archive else task.prefix
    groups: dict[tuple[str, str] | None, list[ScannedFile]] = {}
    for file in files:
        listed, identity = file.listed, file.identity
        is_readable = listed.is_dicom and listed.error is None
        key = (identity.patient_id, identity.study_uid) if is_readable else None
        groups.setdefault(key, []).append(file)
    parts = []
    for key, group in groups.items():
        refused = Counter(error.kind for file in group if (error := refusal_of(file.listed)) is not None)
        series = Counter(header.series_uid for file in group for header in file.listed.headers)
        outlines = sum(file.outline is not None for file in group)
        patient_id, study_uid = key or (None, None)
        parts.append(
            Part(patient_id, study_uid, len(group), dict(refused), dict(series), outlines, pack(group, prefix))
        )
    return tuple(parts)
