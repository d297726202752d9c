"""Where a store lies, and the errors of reaching it: the one module that knows a folder from object storage.

Object storage is S3 and what speaks like it. Endpoint, region and credentials come from the usual AWS variables of the process
(`AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`), never from a job or a task,
so that no secret is stored or sent. Three libraries talk to it (obstore for objects, deltalake for logs, pyarrow for columns), and
all three are given one reading of that environment and one bound on retries.
"""

import ipaddress
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

import obstore
from obstore.store import LocalStore, S3Store

from cvtbatch.errors import CvtbatchError, StorageError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

# Delta Lake's paths are URLs; these characters do not survive the way there and back.
UNUSABLE = "%[]{}\\^`|"
# On S3 the table library looks for its checkpoints under a name encoded twice; of these characters the code is the character.
S3_NAME = re.compile(r"[A-Za-z0-9._~-]+")
# A request that fails is sent again, with growing pauses: some seconds of outage are bridged, and no more than this is waited.
MAX_RETRIES = 8
FIRST_PAUSE_SECONDS = 0.25
RETRY_SECONDS = 30
CONNECT_SECONDS = 5
REQUEST_SECONDS = 60


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
            else _s3_objects(self.path, S3Access.of_environment())
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

        return fs.LocalFileSystem() if self.scheme == "file" else _s3_filesystem(S3Access.of_environment())

    def data_path(self, uri: str) -> str:
        """Return the path, in `filesystem`, of a file that a table names; Delta gives them as URLs."""
        return unquote(uri).removeprefix("s3://")

    def exists(self) -> bool:
        """Say whether there is anything under the root.

        Raises:
            StorageError: it cannot be looked at; kind "no_bucket" where there is no such bucket.
        """
        if self.scheme == "file":
            root = Path(self.path)
            return root.is_dir() and any(root.iterdir())
        with storage_errors("looking for a store"):
            return any(True for page in obstore.list(self.objects()) for _ in page)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of a store: its key below the root, its size in bytes, and when it was last written."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class S3Access:
    """How to reach object storage, but for the credentials: those the libraries take from the environment themselves."""

    endpoint: str
    region: str
    allow_http: bool

    @classmethod
    def of_environment(cls) -> "S3Access":
        """Read the AWS variables.

        Raises:
            StorageError: the endpoint would carry voxels and credentials in the clear to another machine.
        """
        values = os.environ
        endpoint = values.get("AWS_ENDPOINT_URL_S3") or values.get("AWS_ENDPOINT_URL") or values.get("AWS_ENDPOINT", "")
        region = values.get("AWS_REGION") or values.get("AWS_DEFAULT_REGION") or "us-east-1"
        told = values.get("AWS_ALLOW_HTTP", "").lower() in {"1", "true", "yes"}
        if endpoint.startswith("http://") and not told and not _is_loopback(urlsplit(endpoint).hostname or ""):
            raise StorageError(
                "plain_http",
                "the endpoint of the object storage is plain http on another machine: images would travel in the clear; "
                "use https, or set AWS_ALLOW_HTTP=true",
                endpoint,
            )
        return cls(endpoint, region, endpoint.startswith("http://"))

    def table_options(self) -> dict[str, str]:
        options = {
            "aws_region": self.region,
            "aws_allow_http": str(self.allow_http).lower(),
            # Two writers of one version: the second is refused.
            "aws_conditional_put": "etag",
            "connect_timeout": f"{CONNECT_SECONDS}s",
            "timeout": f"{REQUEST_SECONDS}s",
            "max_retries": str(MAX_RETRIES),
            "retry_timeout": f"{RETRY_SECONDS}s",
            "backoff_config.init_backoff": f"{FIRST_PAUSE_SECONDS * 1000:.0f}ms",
        }
        return {**options, "aws_endpoint_url": self.endpoint} if self.endpoint else options


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@cache
def _s3_objects(path: str, access: S3Access) -> S3Store:
    bucket, _, prefix = path.partition("/")
    return S3Store(
        bucket,
        prefix=prefix or None,
        config={"region": access.region, **({"endpoint": access.endpoint} if access.endpoint else {})},
        client_options={
            "allow_http": access.allow_http,
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "timeout": timedelta(seconds=REQUEST_SECONDS),
        },
        retry_config={
            "max_retries": MAX_RETRIES,
            "retry_timeout": timedelta(seconds=RETRY_SECONDS),
            "backoff": {"init_backoff": timedelta(seconds=FIRST_PAUSE_SECONDS)},
        },
    )


@cache
def _s3_filesystem(access: S3Access) -> "FileSystem":
    from pyarrow import fs

    return fs.S3FileSystem(
        region=access.region,
        endpoint_override=access.endpoint or None,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=REQUEST_SECONDS,
        # Its pauses grow faster.
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=MAX_RETRIES // 2),
    )


# What the libraries say, and what it means: words of a foreign text, our kind, and what to do.
_MEANINGS = (
    (
        ("No space left", "os error 28", "StorageFull"),
        "store_full",
        "the disk of the store is full: make room and run again, nothing committed is lost",
    ),
    (("NoSuchBucket",), "no_bucket", "there is no such bucket: create it, or mend the URL of the store"),
    (
        ("169.254.169.254", "NoCredentials", "CredentialsNotLoaded"),
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
    (("",), "store_failed", "the store cannot be reached or is damaged: mend it and run again"),
)


def storage_error(doing: str, error: Exception) -> StorageError:
    """Return what an exception of a storage library, raised while `doing`, means to the user."""
    # What follows is the same once more, as Rust prints it.
    text = str(error).partition("\n\nDebug source:")[0]
    kind, advice = next((kind, advice) for words, kind, advice in _MEANINGS if any(word in text for word in words))
    return StorageError(kind, f"{doing}: {advice}", f"{type(error).__name__}: {text}")


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Turn whatever the storage libraries raise while `doing` into a `StorageError` that says what to do."""
    try:
        yield
    except CvtbatchError:
        raise
    except Exception as error:  # obstore, deltalake, pyarrow and zarr each raise their own kinds
        raise storage_error(doing, error) from error


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
