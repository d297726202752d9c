"""Where a store lies: a folder, or a bucket and prefix of object storage."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from obstore.store import LocalStore, S3Store

from cvtbatch.errors import StorageError
from cvtbatch.store.s3 import S3Access, s3_filesystem, s3_objects

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

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
            folder = Path(unquote(rest) if separator else url).absolute()
            # The table library takes .. out of its URLs, and would name other paths than ours.
            path = str(folder.resolve() if ".." in folder.parts else folder)
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
