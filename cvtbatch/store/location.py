"""Where a store lies, and the errors of reaching it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import obstore
from obstore.store import LocalStore

from cvtbatch.errors import CvtbatchError, StorageError

# Delta Lake's paths are URLs; these characters do not survive the way there and back.
UNUSABLE = "%[]{}\\^`|"


@dataclass(frozen=True, slots=True)
class Location:
    """The root of a store on a file system; `path` is absolute."""

    path: str

    @classmethod
    def of(cls, url: str) -> "Location":
        """Parse a path or a file:// URL.

        Raises:
            StorageError: another kind of URL, or a path that the table library cannot hold.
        """
        scheme, separator, rest = url.partition("://")
        if separator and scheme != "file":
            raise StorageError(
                "unknown_store_url", f"a store lies in a folder or under a file:// URL; {scheme}:// is not known"
            )
        path = str(Path(unquote(rest) if separator else url).absolute())
        if found := [character for character in UNUSABLE if character in path]:
            raise StorageError("unusable_path", f"the path of a store must not hold {' or '.join(found)}: {path}")
        return cls(path)

    def objects(self) -> LocalStore:
        """Return the root's objects, by key relative to it."""
        return LocalStore(self.path, mkdir=True)

    def table_uri(self, name: str) -> str:
        """Return where a Delta table lies."""
        return str(Path(self.path) / "tables" / name)

    def exists(self) -> bool:
        """Say whether there is anything under the root."""
        root = Path(self.path)
        return root.is_dir() and any(root.iterdir())


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Turn whatever the storage libraries raise while `doing` into a `StorageError` that says what to do."""
    try:
        yield
    except CvtbatchError:
        raise
    except Exception as error:  # obstore, deltalake, pyarrow and zarr each raise their own kinds
        text = str(error)
        full = "No space left" in text or "os error 28" in text or "StorageFull" in text
        kind, advice = (
            ("store_full", "the disk of the store is full: make room and run again, nothing committed is lost")
            if full
            else (
                "store_failed",
                "the store cannot be reached or is damaged: mend it and run again",
            )
        )
        raise StorageError(kind, f"{doing}: {advice}", f"{type(error).__name__}: {text}") from error


def put(location: Location, key: str, data: bytes) -> None:
    """Write one object, whole or not at all."""
    with storage_errors("writing to the store"):
        obstore.put(location.objects(), key, data)


def get(location: Location, key: str) -> bytes:
    """Read one object.

    Raises:
        FileNotFoundError: there is no such object.
        StorageError: it cannot be read.
    """
    try:
        return bytes(obstore.get(location.objects(), key).bytes())
    except FileNotFoundError:
        raise
    except Exception as error:  # obstore raises its own kinds
        raise StorageError(
            "store_failed", "reading from the store failed", f"{type(error).__name__}: {error}"
        ) from error
