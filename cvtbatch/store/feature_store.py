"""A feature store: its current rows, or those of a snapshot, its volumes and masks, and its weights."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.errors import FormatError
from cvtbatch.geometry import Grid
from cvtbatch.manifest import Reading
from cvtbatch.store.objects import get, holds, put
from cvtbatch.store.opened import OpenedStore
from cvtbatch.store.reading import View
from cvtbatch.store.snapshots import read_snapshot
from cvtbatch.store.volumes import StoredArray, read_array, read_slices, write_array
from cvtbatch.store.wide import PRIMARY, wide_rows


class FeatureStore(OpenedStore):
    """An existing store.

    Args:
        url: a folder, a file:// URL, or s3://BUCKET/PREFIX.

    Raises:
        StorageError: there is no store.
        FormatError: its format is newer than this version of cvtbatch knows.
    """

    def at(self, snapshot: str | None) -> View:
        """Return the rows as a snapshot froze them, or as they are now.

        Raises:
            InputError: there is no such snapshot.
        """
        return self.view() if snapshot is None else read_snapshot(self, snapshot).view(self)

    def rois(self, snapshot: str | None = None) -> pa.Table:
        """Return the current outlines: the newest row of each, where it lies on the case's current volume."""
        return self.at(snapshot).rows("rois")

    def radiomics(
        self,
        *,
        snapshot: str | None = None,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
        spec: str | Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the current radiomics rows of one specification: those whose input the current outline names.

        The input is the newest that could be read; a live failure says that a later one could not. Fields of features carry
        `feature_class`, `image_type` and, where it is sure, `unit`.

        Args:
            snapshot: name of a snapshot; by default the rows as they are now.
            columns: what to read, and all that is read from storage but for keys; all of them by default.
            where: filter, e.g. `pc.field("center") == "A"`.
            spec: specifications, as `cvtbatch spec list` shows them, to which the rows are restricted.

        Raises:
            InputError: the rows are of several specifications, which do not mix; there is no such snapshot, column or
                specification.
        """
        return self.at(snapshot).radiomics(columns, where, spec)

    def embeddings(
        self,
        *,
        snapshot: str | None = None,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
        spec: str | Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the current embeddings of one specification, a row a slice; arguments and errors as for `radiomics`."""
        return self.at(snapshot).embeddings(columns, where, spec)

    def wide(
        self,
        *,
        snapshot: str | None = None,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
        spec: str | Sequence[str] | None = None,
        primary_reader: str = PRIMARY.reader,
        primary_reading: int = PRIMARY.number,
    ) -> pa.Table:
        """Return clinical values, radiomics and the largest slice's embedding, one row a primary ROI that has features.

        Clinical values and embedding are null where there are none. Arguments and errors as for `radiomics`; `spec` may name a
        radiomics and an embedding specification.

        Args:
            primary_reader: whose outline counts.
            primary_reading: which of that reader's outlines.
        """
        return wide_rows(self.at(snapshot), columns, where, spec, Reading(primary_reader, primary_reading))

    def runs(self) -> pa.Table:
        """Return the runs as they stand, newest first."""
        return self.table("runs").current().sort_by([("sequence", "descending")])

    def failures(self, snapshot: str | None = None) -> pa.Table:
        """Return the live failures: those whose key has not succeeded since; audits, where they are about current values."""
        return self.at(snapshot).rows("failures")

    def current(self, name: str) -> pa.Table:
        """Return the current rows of any table, those of all specifications."""
        return self.at(None).rows(name)

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
        return read_slices(self.location, stored, indices)


def weights_key(sha256: str) -> str:
    """Return where weights lie below the store's root."""
    return f"weights/{sha256}.safetensors"
