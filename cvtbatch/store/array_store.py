"""Volumes, masks and weights of a store: what workers take of it, and nothing of its tables is loaded."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

import cvtbatch
from cvtbatch import contracts
from cvtbatch.errors import FormatError, InputError, StorageError
from cvtbatch.geometry import Grid
from cvtbatch.store.location import Location
from cvtbatch.store.objects import get, holds, holds_anything, put
from cvtbatch.store.stored_array import StoredArray

FORMAT_VERSION = 1
FORMAT_FILE = "cvtbatch-store.json"

FILLED = "name the folder that `cvtbatch extract --store` has filled"


class ArrayStore:
    """An existing store.

    Args:
        url: a folder, a file:// URL, or s3://BUCKET/PREFIX.

    Raises:
        InputError: this is no path.
        StorageError: there is no store.
        FormatError: its format is newer than this version of cvtbatch knows.
    """

    def __init__(self, url: str | Path) -> None:
        if not isinstance(url, str | Path):
            raise InputError("bad_argument", f"a store is named by its path or URL, not by a {type(url).__name__}")
        self.location = Location.of(str(url))
        self.format_version = read_format(self.location)

    def write_volume(self, hu_zyx: npt.NDArray[np.int16], grid: Grid) -> StoredArray:
        """Write a volume; it exists once a `volumes` row names it."""
        from cvtbatch.store.volumes import write_array

        return write_array(self.location, hu_zyx, grid, "volume")

    def write_mask(self, mask_zyx: npt.NDArray[np.uint8], grid: Grid) -> StoredArray:
        """Write a mask; it exists once a `rois` row names it."""
        from cvtbatch.store.volumes import write_array

        return write_array(self.location, mask_zyx, grid, "mask")

    def read_array(self, stored: StoredArray) -> npt.NDArray[np.int16] | npt.NDArray[np.uint8]:
        """Read a volume or mask (z, y, x) and verify its checksum.

        Raises:
            FormatError: it is missing or damaged.
        """
        from cvtbatch.store.volumes import read_array

        return read_array(self.location, stored)

    def write_weights(self, sha256: str, data: bytes) -> None:
        """Keep the weights of a backbone, a safetensors file, under the digest of their tensors; once, whoever comes again."""
        key = weights_key(sha256)
        if not holds(self.location, key):
            put(self.location, key, data)

    def read_weights(self, sha256: str) -> bytes:
        """Read the weights that are kept under a digest.

        Raises:
            FormatError: there are none.
        """
        try:
            return get(self.location, weights_key(sha256))
        except FileNotFoundError:
            raise FormatError("weights_missing", f"the store has no weights {sha256[:12]}") from None

    def read_slices(self, stored: StoredArray, indices: Sequence[int]) -> npt.NDArray[np.int16] | npt.NDArray[np.uint8]:
        """Read some slices (n, y, x) of a volume or mask, and no more of it than they need; each slice's checksum is verified.

        Args:
            indices: slices in the order in which they are wanted.

        Raises:
            FormatError: it is missing, a slice is damaged, or there is no such slice.
        """
        from cvtbatch.store.volumes import read_slices

        return read_slices(self.location, stored, indices)


def weights_key(sha256: str) -> str:
    """Return where weights lie below the store's root."""
    return f"weights/{sha256}.safetensors"


def written_format(creator: str) -> bytes:
    """Return what a store's format file holds that this version writes, or another one of the same format."""
    document = {"format": "cvtbatch-store", "format_version": FORMAT_VERSION, "created_by": creator}
    return (json.dumps(document, indent=2) + "\n").encode()


def read_format(location: Location, otherwise: str = FILLED) -> int:
    """Return the store's format version.

    Args:
        otherwise: what to do where something else lies.

    Raises:
        StorageError: kind "no_store" where a store may be created, "not_a_store" where something else lies.
        FormatError: it is newer, or the file is damaged.
    """
    if not holds_anything(location):
        raise StorageError(
            "no_store", f"there is no store at {location.url}; cvtbatch extract MANIFEST --store STORE makes one"
        )
    try:
        text = get(location, FORMAT_FILE)
        document = json.loads(text)
    except FileNotFoundError:
        raise StorageError(
            "not_a_store", f"{location.url} holds files but no {FORMAT_FILE}: it is no store; {otherwise}"
        ) from None
    except ValueError:
        raise FormatError("store_damaged", f"{FORMAT_FILE} of the store is no JSON") from None
    version = document.get("format_version") if isinstance(document, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise FormatError(
            "store_too_new",
            f"the store has format version {version}; cvtbatch {cvtbatch.__version__} knows versions "
            f"up to {FORMAT_VERSION}: use a newer cvtbatch",
        )
    # A validator's import takes a sixth of a command's start, so it looks only at what no version wrote.
    known = isinstance(document, dict) and text == written_format(str(document.get("created_by")))
    if not known and (problems := contracts.problems_of(document, "store.json")):
        raise FormatError("store_damaged", f"{FORMAT_FILE} of the store: {'; '.join(problems)}")
    return int(document["format_version"])
