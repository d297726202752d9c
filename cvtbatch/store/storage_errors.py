"""What the storage libraries raise, by what it means to the user: damaged, full, refused, out of reach."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from cvtbatch.errors import CvtbatchError, FormatError, StorageError

DAMAGED, DEBUG = "store_damaged", "\n\nDebug source:"
# What the libraries say of a file that they could not get, whatever it holds: a server, or a system call that failed. A file that
# is not there has the number 2; one that is shorter than its log says has no such range.
UNREACHED = (
    r"^(?!.*(?:[Rr]ange|416)).*(External: |Generic \w+ error|AWS Error|HTTP|status code|after \d+ retries"
    r"|(?i:os error|errno) (?!2\b)\d+)"
)
# Names of files say nothing of what is wrong with them.
FILE_NAMES = re.compile(r"[^\s\"']*\.(parquet|json)\b[^\s\"']*")
# Some texts are written for a terminal.
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# What the libraries say, and what it means: expressions found in a foreign text, our kind, and what to do. A quota is a disk too.
_MEANINGS = (
    (
        ("No space left", "StorageFull", "Disk quota exceeded", r"(?i)(os error|errno) (28|122)\b"),
        "store_full",
        "the disk of the store is full: make room and run again, nothing committed is lost",
    ),
    (
        (r"(?i)(os error|errno) 27\b",),
        "store_full",
        "a file of the store would be larger than files may be here: raise the limit (ulimit -f), or put the store on another file "
        "system, and run again, nothing committed is lost",
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
    (
        (r"(?i)(os error|errno) (23|24)\b",),
        "store_failed",
        "the system lets this process open no more files: raise the limit (ulimit -n) and run again, nothing committed is lost",
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
    text = " ".join(_COLOURS.sub("", f"{type(error).__name__}: {str(error).partition(DEBUG)[0]}").split())
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
