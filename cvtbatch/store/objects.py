"""The objects of a store: written, read, listed and removed, in a folder as on object storage."""

import errno
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import obstore
from obstore.exceptions import AlreadyExistsError

from cvtbatch.errors import StorageError
from cvtbatch.file_errors import why
from cvtbatch.store.location import Location
from cvtbatch.store.storage_errors import storage_error, storage_errors

# What is created twice, and removed, before a store is written.
PROBE = "cvtbatch-store.json.probe"
FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of a store: its key below the root, its size in bytes, and when it was last written (UTC)."""

    key: str
    size: int
    modified: datetime


def holds_anything(location: Location) -> bool:
    """Say whether there is anything below the root but for what a probe left that was killed.

    Raises:
        StorageError: it cannot be looked at; kind "no_bucket" where there is no such bucket.
    """
    with storage_errors("looking for a store"):
        if location.scheme == "file":
            root = Path(location.path)
            return root.is_dir() and any(not path.name.startswith(PROBE) for path in root.iterdir())
        return any(not entry["path"].startswith(PROBE) for page in obstore.list(location.objects()) for entry in page)


def probe_writing(location: Location) -> None:
    """Make sure that what is there is not written over: commits of two runs rest on it, on a disk and on object storage.

    Raises:
        StorageError: nothing can be written; "no_hard_links"; "overwrites": a name that was taken was given again.
    """
    key = f"{PROBE}-{uuid.uuid4().hex}"
    with storage_errors("the store is not writable"):
        if location.scheme == "file":
            _make_folder(Path(location.path))
        objects = location.objects()
        try:
            for _ in range(2):
                obstore.put(objects, key, b"", mode="create", use_multipart=False)
        except AlreadyExistsError:
            return
        finally:
            with suppress(Exception):
                obstore.delete(objects, key)
    raise StorageError(
        "overwrites",
        "the object storage ignores the condition of a write (If-None-Match: *): of two runs one would overwrite what the other "
        "committed, and cases would be lost without a word; use a server that keeps to it, e.g. AWS S3 or Ceph, or a folder",
    )


def require_room(location: Location) -> None:
    """Refuse a folder that cannot be made where none is, or not be written; on object storage, only a write tells.

    Raises:
        StorageError: "store_not_writable".
    """
    if location.scheme != "file":
        return
    path = Path(location.path)
    place = next(folder for folder in (path, *path.parents) if os.path.lexists(folder))
    if not place.is_dir():
        raise _no_room(OSError(errno.EEXIST if place == path else errno.ENOTDIR, ""), path)
    if not os.access(place, os.W_OK | os.X_OK):
        raise _no_room(OSError(errno.EACCES, ""), path)


def _make_folder(path: Path) -> None:
    """Make the folder of a store.

    Raises:
        StorageError: "store_not_writable".
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise _no_room(error, path) from None


def _no_room(error: OSError, path: Path) -> StorageError:
    reason = f"the folder of the store cannot be made ({why(error)}), so that nothing can be written there"
    return StorageError("store_not_writable", f"{reason}: choose another place for it", str(path))


def put(location: Location, key: str, data: bytes) -> None:
    """Write one object, whole or not at all."""
    with storage_errors("writing to the store"):
        # Not in parts: an upload that is abandoned between them stays, and costs, where no listing shows it.
        obstore.put(location.objects(), key, data, use_multipart=False)


def get(location: Location, key: str) -> bytes:
    """Read one object.

    Raises:
        FileNotFoundError: there is no such object.
        StorageError: it cannot be read.
    """
    try:
        return bytes(obstore.get(location.objects(), key).bytes())
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise storage_error("reading from the store", error) from error
        raise
    except Exception as error:  # obstore raises its own kinds
        raise storage_error("reading from the store", error) from error


def get_listed(location: Location, key: str) -> bytes:
    """Read one object that `list_objects` named; obstore does not find what an interrupted write left half done.

    Raises:
        FileNotFoundError: there is no such object.
        StorageError: it cannot be read.
    """
    return Path(location.path, key).read_bytes() if location.scheme == "file" else get(location, key)


def get_tail(location: Location, key: str, length: int) -> tuple[bytes, int]:
    """Read the last bytes of one object, all of them if there are fewer, and return its size too.

    Raises:
        FileNotFoundError: there is no such object.
    """
    if location.scheme == "file":
        with Path(location.path, key).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - length))
            return file.read(), size
    found = obstore.get(location.objects(), key, options={"range": {"suffix": length}})
    return bytes(found.bytes()), int(found.meta["size"])


def get_ranges(location: Location, key: str, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
    """Read parts of one object, given by start and end; what lies beyond its end is left out.

    Raises:
        FileNotFoundError: there is no such object.
    """
    if not ranges:
        return []
    if location.scheme == "file":
        with Path(location.path, key).open("rb") as file:
            return [memoryview(_read_range(file, start, end)) for start, end in ranges]
    starts, ends = zip(*ranges, strict=True)
    return [memoryview(part) for part in obstore.get_ranges(location.objects(), key, starts=starts, ends=ends)]


def _read_range(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)


def holds(location: Location, key: str) -> bool:
    """Say whether there is an object.

    Raises:
        StorageError: it cannot be looked for.
    """
    with storage_errors("looking into the store"):
        try:
            obstore.head(location.objects(), key)
        except FileNotFoundError:
            return False
        return True


def list_objects(location: Location, prefix: str = "") -> Iterator[StoredObject]:
    """Yield every object below a prefix (a folder), also what an interrupted write left half done, which obstore leaves out.

    Raises:
        StorageError: the store cannot be listed.
    """
    with storage_errors("listing the store"):
        if location.scheme == "s3":
            for page in obstore.list(location.objects(), prefix or None):
                yield from (StoredObject(entry["path"], entry["size"], entry["last_modified"]) for entry in page)
            return
        for folder, _, names in os.walk(Path(location.path, prefix)):
            for name in names:
                path = Path(folder, name)
                # It may have been renamed or removed meanwhile.
                with suppress(FileNotFoundError):
                    status = path.stat()
                    key = path.relative_to(location.path).as_posix()
                    yield StoredObject(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def list_keys(location: Location, prefix: str) -> list[str]:
    """Return the keys of what `list_objects` yields, in order."""
    return sorted(entry.key for entry in list_objects(location, prefix))


def remove_objects(location: Location, keys: Sequence[str]) -> None:
    """Remove objects, and on a disk the groups' folders that this leaves empty; what is gone already is no error.

    Raises:
        StorageError: the store cannot be written.
    """
    with storage_errors("removing from the store"):
        if location.scheme == "s3":
            if keys:
                obstore.delete(location.objects(), list(keys))
            return
        root = Path(location.path)
        for key in keys:
            (root / key).unlink(missing_ok=True)
            for folder in (root / key).relative_to(root).parents:
                # Folders above a group are shared with groups that are being written.
                if ".zarr" not in folder.as_posix():
                    break
                with suppress(OSError):
                    (root / folder).rmdir()
