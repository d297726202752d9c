"""A feature store: opened, created, and read as current rows."""

import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import obstore
import pyarrow as pa
import pyarrow.compute as pc

import cvtbatch
from cvtbatch import contracts
from cvtbatch.errors import FormatError, StorageError
from cvtbatch.geometry import Grid
from cvtbatch.store.location import Location, get, put, storage_errors
from cvtbatch.store.tables import Table
from cvtbatch.store.volumes import StoredArray, read_array, read_slices, write_array

FORMAT_VERSION = 1
FORMAT_FILE = "cvtbatch-store.json"
VOLUME_KEYS = ("volume_spec_id", "image_digest")


class FeatureStore:
    """An existing store.

    Args:
        url: a folder, a file:// URL, or s3://BUCKET/PREFIX.

    Raises:
        StorageError: there is no store.
        FormatError: its format is newer than this version of cvtbatch knows.
    """

    def __init__(self, url: str) -> None:
        self.location = Location.of(url)
        self.format_version = _read_format(self.location)
        self._tables = {name: Table(self.location, contracts.table(name)) for name in contracts.table_names()}

    @classmethod
    def open_for_writing(cls, url: str) -> "FeatureStore":
        """Open a store, creating it where there is none.

        Raises:
            StorageError: it cannot be written, or the folder holds other things.
            FormatError: as for the class.
        """
        location = Location.of(url)
        try:
            _read_format(location)
        except StorageError as error:
            if error.kind != "no_store":
                raise
            document = {
                "format": "cvtbatch-store",
                "format_version": FORMAT_VERSION,
                "created_by": f"cvtbatch {cvtbatch.__version__}",
            }
            put(location, FORMAT_FILE, (json.dumps(document, indent=2) + "\n").encode())
        with storage_errors("the store is not writable"):
            probe = f"{FORMAT_FILE}.probe"
            obstore.put(location.objects(), probe, b"")
            obstore.delete(location.objects(), probe)
        store = cls(url)
        for table in store._tables.values():
            table.create()
        return store

    def table(self, name: str) -> Table:
        """Return a table; `name` is one of `contracts.table_names()`."""
        return self._tables[name]

    def rois(self) -> pa.Table:
        """Return the current outlines: the newest row of each, where it lies on the case's current volume."""
        rois, volumes = self.table("rois").current(), self.table("volumes").current(["case_key", *VOLUME_KEYS])
        return rois.filter(_among(rois, volumes, ["case_key", *VOLUME_KEYS]))

    def radiomics(self, columns: Sequence[str] | None = None, where: pc.Expression | None = None) -> pa.Table:
        """Return the current radiomics rows: those whose input the current outline names, one for each specification.

        The input is the newest that could be read; a live failure says that a later one could not.

        Args:
            columns: what to read; all of them by default.
            where: filter, e.g. `pc.field("center") == "A"`.
        """
        keys = ["roi_key", "volume_spec_id", "input_digest"]
        wanted = list(columns) if columns is not None else contracts.table("radiomics").arrow().names
        rows = self.table("radiomics").read(list(dict.fromkeys([*wanted, *keys])), where)
        return rows.filter(_among(rows, self.rois(), keys)).select(wanted)

    def runs(self) -> pa.Table:
        """Return the runs as they stand, newest first."""
        return self.table("runs").current().sort_by([("sequence", "descending")])

    def failures(self) -> pa.Table:
        """Return the live failures: those whose key has not succeeded since; audits, where they are about current values."""
        events = self.table("failures").current()
        keys = ["roi_key", "input_digest"]
        counts = pc.or_(pc.equal(events["scope"], "extraction"), _among(events, self.rois(), keys))
        return events.filter(pc.and_(pc.invert(events["resolved"]), counts))

    def current(self, name: str) -> pa.Table:
        """Return the current rows of any table."""
        own = {"rois": self.rois, "radiomics": self.radiomics, "failures": self.failures}
        return own[name]() if name in own else self.table(name).current()

    def write_volume(self, hu_zyx: npt.NDArray[np.int16], grid: Grid) -> StoredArray:
        """Write a volume; it exists once a `volumes` row names it."""
        return write_array(self.location, hu_zyx, grid, "volume")

    def write_mask(self, mask_zyx: npt.NDArray[np.uint8], grid: Grid) -> StoredArray:
        """Write a mask; it exists once a `rois` row names it."""
        return write_array(self.location, mask_zyx, grid, "mask")

    def read_array(self, stored: StoredArray) -> npt.NDArray[np.int16] | npt.NDArray[np.uint8]:
        """Read a volume or mask (z, y, x) and verify its checksum.

        Raises:
            FormatError: it is missing or damaged.
        """
        return read_array(self.location, stored)

    def read_slices(self, stored: StoredArray, indices: Sequence[int]) -> npt.NDArray[np.int16] | npt.NDArray[np.uint8]:
        """Read some slices (n, y, x) of a volume or mask, and no more of it than they need; each slice's checksum is verified.

        Args:
            indices: slices in the order in which they are wanted.

        Raises:
            FormatError: it is missing, a slice is damaged, or there is no such slice.
        """
        return read_slices(self.location, stored, indices)


def _among(rows: pa.Table, others: pa.Table, columns: Sequence[str]) -> pa.ChunkedArray:
    """Say which rows have, in some columns, the values of one of the other rows."""
    names, known = (
        pc.binary_join_element_wise(*(table[column] for column in columns), "\n") for table in (rows, others)
    )
    return pc.is_in(names, value_set=known.combine_chunks())


def _read_format(location: Location) -> int:
    """Return the store's format version.

    Raises:
        StorageError: kind "no_store" where a store may be created, "not_a_store" where something else lies.
        FormatError: it is newer, or the file is damaged.
    """
    if not location.exists():
        raise StorageError("no_store", f"there is no store at {location.url}")
    try:
        document = json.loads(get(location, FORMAT_FILE))
    except FileNotFoundError:
        raise StorageError(
            "not_a_store", f"{location.url} holds files but no {FORMAT_FILE}: it is no store; choose an empty folder"
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
    problems = contracts.problems_of(document, "store.json")
    if problems:
        raise FormatError("store_damaged", f"{FORMAT_FILE} of the store: {'; '.join(problems)}")
    return int(document["format_version"])
