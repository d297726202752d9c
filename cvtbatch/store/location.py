"""Where a store lies, and the errors of reaching it: the one module that knows a folder from object storage."""

import errno
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore, S3Store

from cvtbatch.errors import CvtbatchError, FormatError, StorageError
from cvtbatch.store.s3 import S3Access, s3_filesystem, s3_objects

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

# What is created twice, and removed, before a store is written.
PROBE = "cvtbatch-store.json.probe"
FULL = {errno.ENOSPC, errno.EDQUOT}
# Delta Lake's paths are URLs; these characters do not survive the way there and back.
UNUSABLE = "%[]{}\\^`|"
# On S3 the table library looks for its checkpoints under a name encoded twice; of these characters the code is the character.
S3_NAME = re.compile(r"[A-Za-z0-9._~-]+")


@dataclass(frozen=True, slots=True)
class Location:
    """The root of a store.

    Attributes:
        path: an absolute folder, or bucket/prefix.
        scheme: what `path` is: "file" or "s3".
    """

    path: str
    scheme: Literal["file", "s3"] = "file"

    @classmethod
    def of(cls, url: str) -> "Location":
        """Parse a path, a file:// URL or s3://BUCKET/PREFIX.

        Raises:
            StorageError: another kind of URL, or a path that the table library cannot hold.
        """
        scheme, separator, rest = url.partition("://")
        if not separator or scheme == "file":
            path = str(Path(unquote(rest) if separator else url).absolute())
            if found := [character for character in UNUSABLE if character in path]:
                raise StorageError("unusable_path", f"the path of a store must not hold {' or '.join(found)}: {path}")
            return cls(path)
        if scheme != "s3":
            raise StorageError(
                "unknown_store_url",
                f"a store lies in a folder, under a file:// URL or under s3://BUCKET/PREFIX; {scheme}:// is not known",
            )
        path = rest.rstrip("/")
        if not all(S3_NAME.fullmatch(part) and part not in {".", ".."} for part in path.split("/")):
            raise StorageError(
                "unusable_path", f"{url} is not s3://BUCKET/PREFIX with parts of letters, digits and . _ ~ - alone"
            )
        return cls(path, "s3")

    @property
    def url(self) -> str:
        """The location as `of` takes it."""
        return self.path if self.scheme == "file" else f"s3://{self.path}"

    def objects(self) -> LocalStore | S3Store:
        """Return the root's objects, by key relative to it."""
        return (
            LocalStore(self.path, mkdir=True)
            if self.scheme == "file"
            else s3_objects(self.path, S3Access.of_environment())
        )

    def table_uri(self, name: str) -> str:
        """Return where a Delta table lies."""
        return f"{self.url}/tables/{name}"

    def table_options(self) -> dict[str, str] | None:
        """Return the options that the table library needs to get there."""
        return None if self.scheme == "file" else S3Access.of_environment().table_options()

    def filesystem(self) -> "FileSystem":
        """Return the file system in which `data_path` finds the tables' files."""
        from pyarrow import fs

        return fs.LocalFileSystem() if self.scheme == "file" else s3_filesystem(S3Access.of_environment())

    def data_path(self, uri: str) -> str:
        """Return the path, in `filesystem`, of a file that a table names; Delta gives them as URLs."""
        return unquote(uri).removeprefix("s3://")

    def exists(self) -> bool:
        """Say whether there is anything under the root but for what a probe left that was killed.

        Raises:
            StorageError: it cannot be looked at; kind "no_bucket" where there is no such bucket.
        """
        with storage_errors("looking for a store"):
            if self.scheme == "file":
                root = Path(self.path)
                return root.is_dir() and any(not path.name.startswith(PROBE) for path in root.iterdir())
            return any(not entry["path"].startswith(PROBE) for page in obstore.list(self.objects()) for entry in page)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of a store: its key below the root, its size in bytes, and when it was last written."""

    key: str
    size: int
    modified: datetime


DAMAGED, DEBUG = "store_damaged", "\n\nDebug source:"
# What the libraries say of a file that they could not get, whatever it holds: a server, or a system call that failed. A file that
# is not there has the number 2; one that is shorter than its log says has no such range.
UNREACHED = (
    r"^(?!.*(?:[Rr]ange|416)).*(External: |Generic \w+ error|AWS Error|HTTP|status code|after \d+ retries"
    r"|(?i:os error|errno) (?!2\b)\d+)"
)
# Names of files say nothing of what is wrong with them.
FILE_NAMES = re.compile(r"[^\s\"']*\.(parquet|json)\b[^\s\"']*")
# What the libraries say, and what it means: expressions found in a foreign text, our kind, and what to do. A quota is a disk too.
_MEANINGS = (
    (
        ("No space left", "StorageFull", "Disk quota exceeded", r"(?i)(os error|errno) (28|122)\b"),
        "store_full",
        "the disk of the store is full: make room and run again, nothing committed is lost",
    ),
    (
        # object_store and Delta's log give a whole file its name by a link, which fails where the name is taken.
        (r"Unable to rename file.*os error (1|22|31|38|95)\b",),
        "no_hard_links",
        "the file system of the store has no hard links (exFAT, many FUSE and SMB mounts have none), and without them two runs "
        "would overwrite each other's commits: put the store on a local disk, on NFS or Lustre, or on S3",
    ),
    (("NoSuchBucket",), "no_bucket", "there is no such bucket: create it, or mend the URL of the store"),
    (
        (r"169\.254\.169\.254", "NoCredentials", "CredentialsNotLoaded"),
        "no_credentials",
        "no credentials for the object storage: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    (
        (
            "403 Forbidden",
            "401 Unauthorized",
            "AccessDenied",
            "ACCESS_DENIED",
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
        ),
        "store_denied",
        "the object storage refuses these credentials: check the AWS variables and the rights to the bucket",
    ),
    (
        ("error sending request", "NETWORK_CONNECTION", "timed out"),
        "store_unreachable",
        "the object storage does not answer: check AWS_ENDPOINT_URL and the network, and run again",
    ),
    (
        ("501 Not Implemented", "<Code>NotImplemented"),
        "not_implemented",
        "the object storage does not know what a store needs of it (conditional writes): use a server that does, e.g. AWS S3 or "
        "Ceph, or a folder",
    ),
    (
        (r"(?i)(os error|errno) 30\b",),
        "store_not_writable",
        "the file system is read-only: choose another place for the store",
    ),
    (
        (r"(?i)(os error|errno) (1|13)\b",),
        "store_denied",
        "the file system refuses it: check the rights to the store's folder, or choose another",
    ),
    ((UNREACHED,), "store_failed", "the store cannot be reached: mend that and run again, nothing committed is lost"),
    (
        (
            r"^(ArrowInvalid|FileNotFoundError|ArrowNotImplementedError): (?!Function)",
            r"^DeltaError: .*(Json error|Invalid JSON|commit files|Parquet|thrift|checkpoint)",
            # Of OSErrors, those of pyarrow's reader of Parquet.
            r"^OSError: .*(?i:thrift|page|stream|corrupt|flatbuffer|IPC|dictionary|parquet|codec|column|level|metadata)",
        ),
        DAMAGED,
        "a file of the store is gone, or its bytes are not what was written: put it back from a copy of the store",
    ),
    (("",), "store_failed", "the store cannot be reached or is damaged: mend it and run again"),
)


def storage_error(doing: str, error: Exception) -> StorageError | FormatError:
    """Return what an exception of a storage library, raised while `doing`, means to the user."""
    # What follows is the same once more, as Rust prints it.
    text = f"{type(error).__name__}: {str(error).partition(DEBUG)[0]}"
    told = FILE_NAMES.sub("a file", text)
    kind, advice = next(
        (kind, advice) for words, kind, advice in _MEANINGS if any(re.search(word, told, re.DOTALL) for word in words)
    )
    return (FormatError if kind == DAMAGED else StorageError)(kind, f"{doing}: {advice}", text)


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Turn whatever the storage libraries raise while `doing` into an error that says what to do.

    Raises:
        StorageError: the store cannot be read or written.
        FormatError: "store_damaged": what was read is not what was written.
    """
    try:
        yield
    except CvtbatchError:
        raise
    except Exception as error:  # obstore, deltalake, pyarrow and zarr each raise their own kinds
        raise storage_error(doing, error) from error


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
        raise StorageError(
            "store_not_writable",
            "the folder of the store cannot be made, so that nothing can be written there: choose another place for it",
            f"{type(error).__name__}: {error}",
        ) from None


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


def get_tail(location: Location, key: str, length: int) -> tuple[bytes, int]:
    """Read the last bytes of one object, all of them if there are fewer, and return its size too.

    Raises:
        FileNotFoundError: there is no such object.
    """
    found = obstore.get(location.objects(), key, options={"range": {"suffix": length}})
    return bytes(found.bytes()), int(found.meta["size"])


def get_ranges(location: Location, key: str, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
    """Read parts of one object, given by start and end; what lies beyond its end is left out.

    Raises:
        FileNotFoundError: there is no such object.
    """
    if not ranges:
        return []
    starts, ends = zip(*ranges, strict=True)
    return [memoryview(part) for part in obstore.get_ranges(location.objects(), key, starts=starts, ends=ends)]


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
