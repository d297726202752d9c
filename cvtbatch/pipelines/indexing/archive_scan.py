"""The headers of the series of an archive that are wanted, by DICOMweb (QIDO-RS, and the metadata of WADO-RS): no pixel is fetched.

A series stands where a folder does: its address below that of the archive, its instances in the place of files. One of which the
list of instances is as it was is not asked for again.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from cvtbatch.errors import InputError
from cvtbatch.ingest.scanned_files import ScannedFile, scan_metadata
from cvtbatch.pacs.addresses import Dicomweb, Dimse
from cvtbatch.pacs.archive import REFUSED, Series
from cvtbatch.pacs.dicomweb_archive import DicomwebArchive
from cvtbatch.pacs.retries import Retries
from cvtbatch.pipelines.indexing.folder_walk import FileLook, Folder
from cvtbatch.pipelines.indexing.header_cache import HeaderCache, Part
from cvtbatch.pipelines.indexing.scan import KEEP_SECONDS, ScanCount, ScanTask, prefix_of, refused_file, to_parts
from cvtbatch.pipelines.shared.pull_selection import Selection, find_studies, images_and_outlines

_SOP_UID = "00080018"


@dataclass(frozen=True, slots=True)
class ArchiveSource:
    """Series of an archive that are to be indexed."""

    address: Dicomweb
    selection: Selection

    @property
    def root(self) -> Path:
        """What stands for the archive where a folder would: no folder has such a path."""
        return Path("/", str(self.address))

    def address_of(self, path: Path) -> str:
        """Return the address of the series, or of the study, that lies at a path below the root."""
        return "/".join([str(self.address), *path.relative_to(self.root).parts[:4]])


def require_dicomweb(address: Dicomweb | Dimse, selection: Selection) -> ArchiveSource:
    """Return an archive that tells headers.

    Raises:
        InputError: "bad_pacs_address".
    """
    if isinstance(address, Dimse):
        raise InputError(
            "bad_pacs_address",
            "by DIMSE an archive tells no headers of slices: `cvtbatch pull` its studies into a folder, and index that, or name "
            "its dicomweb+https:// address",
        )
    return ArchiveSource(address, selection)


def scan_series(
    source: ArchiveSource, cache: HeaderCache, on_batch: Callable[[ScanCount, str, Iterable[Part]], None]
) -> ScanCount:
    """Ask for the headers of all instances that are not known, and keep them.

    Args:
        on_batch: told how far the scan is, where a series lies, and what was read of it; may raise.

    Raises:
        InputError: the archive does not let us in, cannot be trusted, or is none.
        UnavailableError: it is away; what was read is kept.
    """
    count, kept_at = ScanCount(), time.monotonic()
    with closing(DicomwebArchive(source.address, Retries())) as archive:
        for study in find_studies(archive, source.selection):
            path = f"studies/{study.uid}"
            try:
                images, outlines = images_and_outlines(source.selection, study, archive.series(study.uid))
            except InputError as error:
                on_batch(count, path, _refused(error, path, source.root, cache, count))
                continue
            for series in (*images, *outlines):
                path = f"studies/{series.study_uid}/series/{series.uid}"
                try:
                    folder = Folder(path, files=[FileLook(uid, 0, 0) for uid in archive.instances(series)])
                    parts = _parts(archive, series, folder, source.root, cache, count)
                except InputError as error:
                    parts = _refused(error, path, source.root, cache, count)
                on_batch(count, path, parts)
                if time.monotonic() - kept_at > KEEP_SECONDS:
                    cache.keep()
                    kept_at = time.monotonic()
    cache.keep()
    return count


def _parts(
    archive: DicomwebArchive, series: Series, folder: Folder, root: Path, cache: HeaderCache, count: ScanCount
) -> tuple[Part, ...]:
    """Have a series known, and return what was read of it now."""
    number, same = cache.enter(folder)
    count.found += len(folder.files)
    if same:
        count.known += len(folder.files)
        return ()
    cache.take_out(number)
    prefix = prefix_of(root, folder.path, is_archive=False)
    found = _headers(archive, series, prefix)
    if {file.listed.name for file in found} == {prefix + file.name for file in folder.files}:
        cache.complete(number, folder)
    else:
        # Of which the archive does not tell all, nothing can be chosen; the next run asks again.
        cache.enter(replace(folder, unavailable=[folder.path]))
    parts = to_parts(found, ScanTask(number, prefix, False, ()))
    cache.add(number, parts)
    count.read += len(folder.files)
    count.refused += sum(sum(part.refused.values()) for part in parts)
    return parts


def _refused(error: InputError, path: str, root: Path, cache: HeaderCache, count: ScanCount) -> tuple[Part, ...]:
    """Have a study or a series known as what the archive refuses: it is told, and the next run asks again.

    Raises:
        InputError: the archive refuses everything.
    """
    if error.kind != REFUSED:
        raise error
    number, _ = cache.enter(Folder(path, unavailable=[path]))
    cache.take_out(number)
    task = ScanTask(number, prefix_of(root, path, is_archive=False), False, ())
    parts = to_parts([refused_file(task.prefix, FileLook("", 0, 0), error)], task)
    cache.add(number, parts)
    count.refused += 1
    return parts


def _headers(archive: DicomwebArchive, series: Series, prefix: str) -> list[ScannedFile]:
    found = archive.metadata(series)
    return [scan_metadata(prefix + uid, row) for row in found for uid in row.get(_SOP_UID, {}).get("Value", ())]
