"""Everything that lies in a source: its CT slices, what was passed over and why, and what cannot be read."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import BinaryIO

from cvtbatch.counts import counted
from cvtbatch.errors import InputError
from cvtbatch.ingest.dicom_headers import is_other_object, read_headers, read_identity
from cvtbatch.ingest.header_scan import plain_slice, read_plain_header
from cvtbatch.ingest.members import (
    START_BYTES,
    Content,
    content_of,
    may_be_damaged_slice,
    may_be_slice,
)
from cvtbatch.ingest.skipped_files import LINK, OTHER_SERIES, PassedOver, name_class, name_file
from cvtbatch.ingest.slice_header import SliceHeader
from cvtbatch.ingest.source_files import descriptor_of
from cvtbatch.ingest.sources import Source

# Of files that are not there, how many are named.
_SHOWN = 20
NO_RESTS: Mapping[str, InputError] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Damaged:
    """A DICOM file that cannot be read, which names its series."""

    series_uid: str
    error: InputError


@dataclass(frozen=True, slots=True)
class Listing:
    """What was found in a source.

    Attributes:
        headers: every CT slice.
        damaged: files of series that other files of the source belong to, too.
    """

    headers: tuple[SliceHeader, ...]
    damaged: tuple[Damaged, ...]
    passed_over: PassedOver

    def beside(self, series_uid: str) -> PassedOver:
        """Return what was passed over beside a series.

        Raises:
            InputError: a damaged file is of this series.
        """
        for damaged in self.damaged:
            if damaged.series_uid == series_uid:
                raise damaged.error
        return PassedOver(+Counter({**self.passed_over.counts, OTHER_SERIES: len(self.damaged)}))


@dataclass(frozen=True, slots=True)
class ListedFile:
    """What the header of one file of a source gave.

    Attributes:
        is_dicom: whether it is DICOM, damaged or not.
        headers: its CT slices; none of another object.
        class_uid: of a DICOM object that has none.
        series_uid: of a damaged one, as far as it can be read.
        error: why it cannot be read.
        content: of what is no DICOM.
    """

    name: str
    is_dicom: bool
    headers: tuple[SliceHeader, ...] = ()
    class_uid: str | None = None
    series_uid: str | None = None
    error: InputError | None = None
    content: Content | None = None


def list_file(name: str, file: BinaryIO) -> ListedFile:
    """Read the header of a file of a source.

    Raises:
        UnavailableError: the system cannot give it now.
    """
    try:
        found = read_headers(name, file)
    except InputError as error:
        class_uid, series_uid = read_identity(file)
        return ListedFile(name, True, (), class_uid, series_uid, error)
    if found is None:
        return ListedFile(name, False, content=_content(file))
    return ListedFile(name, True, tuple(found), None if found else read_identity(file)[0])


def list_series(source: Source) -> Listing:
    """Return what a source holds; other DICOM objects and files that are no slices are passed over.

    Raises:
        InputError: a file that may be a slice is damaged or not there, and no series is known that it belongs to.
        UnavailableError: the system cannot give a file now.
    """
    notes: list[tuple[str, str]] = []
    rests: dict[str, InputError] = {}
    found = source.files(note=lambda reason, name: notes.append((reason, name)), tell=rests.__setitem__)
    return assemble([_list_plainly(name, file) or list_file(name, file) for name, file in found], notes, rests)


def _list_plainly(name: str, file: BinaryIO) -> ListedFile | None:
    """Return a CT slice that is written plainly; None where only the slow way can tell, as of every failure.

    Nested items are stepped over: damage inside one, of which nothing is read, is no failure here.
    """
    descriptor = descriptor_of(file)
    if descriptor is None:
        return None
    try:
        header = read_plain_header(descriptor, os.fstat(descriptor).st_size)
    except OSError:
        return None
    found = None if header is None else plain_slice(name, header)
    return None if found is None else ListedFile(name, True, (found,))


def assemble(
    files: Sequence[ListedFile], notes: Sequence[tuple[str, str]], rests: Mapping[str, InputError] = NO_RESTS
) -> Listing:
    """Return what a source holds, of its files' headers.

    Args:
        notes: reason and name of what was passed over unopened.
        rests: by name, what is damaged behind its header.

    Raises:
        InputError: as `list_series` does.
    """
    counts = Counter(reason for reason, _ in notes)
    names = [file.name for file in files if file.is_dicom]
    headers = [header for file in files for header in file.headers]
    others = [(file.name, file.content) for file in files if file.content is not None]
    unreadable: list[tuple[str | None, InputError]] = []
    for file in files:
        if file.error is not None and not is_other_object(file.class_uid):
            unreadable.append((file.series_uid, file.error))
        elif file.is_dicom and not file.headers:
            counts[name_class(file.class_uid)] += 1
    require_there([name for reason, name in notes if reason == LINK], names)
    # What is damaged behind its header is told of when the header was read.
    unreadable += dict.fromkeys((header.series_uid, rests[header.file]) for header in headers if header.file in rests)
    unreadable += [(None, rests[name]) for name, _ in others if name in rests]
    headers = [header for header in headers if header.file not in rests]
    counts.update(_require_foreign([found for found in others if found[0] not in rests], names))
    known = {header.series_uid for header in headers}
    damaged = []
    for series_uid, refusal in unreadable:
        if series_uid is None or series_uid not in known:
            raise refusal
        damaged.append(Damaged(series_uid, refusal))
    return Listing(tuple(headers), tuple(damaged), PassedOver(+counts))


def _content(file: BinaryIO) -> Content:
    file.seek(0)
    return content_of(file.read(START_BYTES))


def require_there(missing: Iterable[str], names: Collection[str]) -> None:
    """Refuse a source of which something that may be a DICOM file is not there.

    Args:
        names: of the source's DICOM files.

    Raises:
        InputError: `missing_members`.
    """
    lost = [name for name in missing if may_be_slice(name, names)]
    if lost:
        raise InputError(
            "missing_members",
            f"{counted(len(lost), 'file of the source is', 'files of the source are')} not there: links lead nowhere, and what "
            "they stand for may be slices or outlines; fetch them (git-annex: `git annex get`, DataLad: `datalad get`), or remove "
            "the links",
            ", ".join(lost[:_SHOWN]),
        )


def _require_foreign(others: Iterable[tuple[str, Content]], names: list[str]) -> list[str]:
    """Refuse a source in which a file that is no DICOM may be a damaged slice; return what the files are."""
    kinds = []
    for name, content in others:
        if may_be_damaged_slice(name, content, names):
            raise InputError("unreadable_file", "a file of the series is not DICOM: damaged or empty", name)
        kinds.append(name_file(name))
    return kinds
