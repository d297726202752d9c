"""Files of an archive as their headers describe them: read one by one, kept as short texts, and read again from those."""

import io
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from cvtbatch.errors import InputError, UnavailableError
from cvtbatch.ingest.dicom_headers import CT_IMAGE_STORAGE, ENHANCED_CT, is_class
from cvtbatch.ingest.dicom_outlines import OUTLINE_CLASSES, NamedOutline, name_outline
from cvtbatch.ingest.header_scan import Identity, plain_identity, plain_slice, read_plain_header
from cvtbatch.ingest.listing import ListedFile, list_file
from cvtbatch.ingest.members import Content
from cvtbatch.ingest.slice_header import PixelFormat, SliceHeader
from cvtbatch.ingest.sources import Source, open_member
from cvtbatch.ingest.tags import bare_uid, quiet, read_text

_SLOWLY_READ = {*ENHANCED_CT, *OUTLINE_CLASSES}
_HEADER_FIELDS = tuple(field.name for field in fields(SliceHeader) if field.name not in {"file", "pixels"})
_PIXEL_FIELDS = tuple(field.name for field in fields(PixelFormat))
_header_values, _pixel_values = attrgetter(*_HEADER_FIELDS), attrgetter(*_PIXEL_FIELDS)
_IDENTITY_TAGS = ["PatientID", "StudyInstanceUID", "StudyDate", "StudyTime"]


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """A file of an archive, or a member of a packed one.

    Attributes:
        size, mtime_ns: of the file; of a packed archive, its own.
        outline: where it is a segmentation or a structure set.
    """

    listed: ListedFile
    size: int
    mtime_ns: int
    identity: Identity
    outline: NamedOutline | None = None


def scan_archive(path: str, size: int, mtime_ns: int) -> Iterator[ScannedFile]:
    """Yield what the headers of the members of a packed archive say; size and time are the archive's.

    Raises:
        InputError: it cannot be read.
        UnavailableError: the system cannot give it now.
    """
    for name, file in Source(Path(path)).files():
        yield _scan_slowly(name, file, size, mtime_ns)


def scan_file(path: str, size: int, mtime_ns: int) -> ScannedFile:
    """Return what a file's header says.

    Args:
        size, mtime_ns: as the file was looked at.

    Raises:
        UnavailableError: the system cannot give it now.
    """
    return _scan_plainly(path, size, mtime_ns) or _scan_unpacked(path, size, mtime_ns)


def scan_metadata(name: str, metadata: Mapping[str, Any]) -> ScannedFile:
    """Return what an archive tells of an instance in DICOM JSON (PS3.18 F.2), read as the header of a file without size and time.

    How its pixels are written is not told by every archive: then they count as uncompressed.
    """
    try:
        with quiet():
            dataset = pydicom.Dataset.from_json(dict(metadata), bulk_data_uri_handler=lambda *_: None)
            # Pixels are not asked for, and are there.
            dataset.add_new("PixelData", "OW", b"\0\0")
            syntax = read_text(dataset, "AvailableTransferSyntaxUID") or ExplicitVRLittleEndian
            dataset.file_meta = FileMetaDataset()
            dataset.file_meta.TransferSyntaxUID = UID(syntax)
            file = io.BytesIO()
            pydicom.dcmwrite(file, dataset, implicit_vr=False, little_endian=True, enforce_file_format=True)
    except Exception as error:  # pydicom raises many kinds on what is no DICOM JSON
        refusal = InputError("unreadable_file", "what the archive tells of an instance is no DICOM", f"{name}: {error}")
        return ScannedFile(ListedFile(name, True, error=refusal), 0, 0, Identity())
    file.seek(0)
    return _scan_slowly(name, file, 0, 0)


def _scan_plainly(path: str, size: int, mtime_ns: int) -> ScannedFile | None:
    """Return what a plainly written file is; None where only the slow way can tell, as of every failure."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        header = read_plain_header(descriptor, os.fstat(descriptor).st_size)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    found = None if header is None else plain_identity(header)
    if header is None or found is None:
        return None
    class_uid, identity = found
    if class_uid == CT_IMAGE_STORAGE:
        slice_header = plain_slice(path, header)
        if slice_header is None:
            return None
        return ScannedFile(ListedFile(path, True, (slice_header,)), size, mtime_ns, identity)
    if class_uid in _SLOWLY_READ or not is_class(class_uid):
        return None
    return ScannedFile(ListedFile(path, True, class_uid=class_uid), size, mtime_ns, identity)


def _scan_unpacked(path: str, size: int, mtime_ns: int) -> ScannedFile:
    scanned = None
    try:
        with open_member(Path(path)) as file:
            scanned = _scan_slowly(path, file, size, mtime_ns)
    except InputError as error:
        # A compressed file is damaged behind its header, or all of it.
        headers = () if scanned is None else scanned.listed.headers
        series_uid = headers[0].series_uid if headers else None
        identity = Identity() if scanned is None else scanned.identity
        return ScannedFile(ListedFile(path, True, (), None, series_uid, error), size, mtime_ns, identity)
    return scanned


def _scan_slowly(name: str, file: BinaryIO, size: int, mtime_ns: int) -> ScannedFile:
    listed = list_file(name, file)
    if not listed.is_dicom:
        return ScannedFile(listed, size, mtime_ns, Identity())
    outline = name_outline(file) if listed.class_uid in OUTLINE_CLASSES and listed.error is None else None
    return ScannedFile(listed, size, mtime_ns, _read_identity(file), outline)


def _read_identity(file: BinaryIO) -> Identity:
    file.seek(0)
    with quiet():
        try:
            dataset = pydicom.dcmread(file, specific_tags=list(_IDENTITY_TAGS), stop_before_pixels=True, force=True)
        except UnavailableError:
            raise
        except Exception:  # pydicom raises many kinds on damaged files
            return Identity()
        patient_id, study_uid, date, time = (read_text(dataset, tag) or "" for tag in _IDENTITY_TAGS)
        return Identity(patient_id, bare_uid(study_uid), date + time)


def pack(files: Sequence[ScannedFile], folder: str) -> bytes:
    """Return files as compressed text; names are kept from below their folder on."""
    return zlib.compress(json.dumps([_to_values(file, folder) for file in files]).encode("ascii"), 1)


def unpack(packed: bytes, folder: str) -> list[ScannedFile]:
    """Return the files of `pack`, as of a folder that may have moved."""
    return [_from_values(values, folder) for values in json.loads(zlib.decompress(packed))]


def _to_values(file: ScannedFile, folder: str) -> list[object]:
    listed, error, outline = file.listed, file.listed.error, file.outline
    return [
        listed.name.removeprefix(folder),
        [file.size, file.mtime_ns, file.identity.patient_id, file.identity.study_uid, file.identity.study_time],
        [listed.is_dicom, listed.class_uid, listed.series_uid, listed.content],
        None if error is None else [error.kind, error.message, error.private.replace(folder, "")],
        None if outline is None else [outline.object, outline.series, outline.segments, outline.producer],
        [[_header_values(header), _pixel_values(header.pixels)] for header in listed.headers],
    ]


def _from_values(values: Any, folder: str) -> ScannedFile:
    name, (size, mtime_ns, *identity), listed, error, outline, headers = values
    path = folder + name
    is_dicom, class_uid, series_uid, content = listed
    return ScannedFile(
        ListedFile(
            path,
            is_dicom,
            tuple(_to_header(path, *header) for header in headers),
            class_uid,
            series_uid,
            None if error is None else _refusal(_Kept(*error)),
            None if content is None else Content(content),
        ),
        size,
        mtime_ns,
        Identity(*identity),
        None if outline is None else NamedOutline(outline[0], tuple(outline[1]), tuple(outline[2]), outline[3]),
    )


class _Kept(NamedTuple):
    """An error as it is kept."""

    kind: str
    message: str
    private: str


def _refusal(kept: _Kept) -> InputError:
    return InputError(kept.kind, kept.message, kept.private)


def _to_header(path: str, header: Any, pixels: Any) -> SliceHeader:
    by_name = dict(zip(_HEADER_FIELDS, map(_frozen, header), strict=True))
    return SliceHeader(file=path, pixels=PixelFormat(*map(_frozen, pixels)), **by_name)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
