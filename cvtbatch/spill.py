"""Rows on disk instead of in memory: Arrow record batches in a file without a name, which is gone when its process is."""

import tempfile
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pyarrow as pa

from cvtbatch.errors import ResourceError

# Below this size in bytes a file is not worth its disk.
KEPT_IN_MEMORY = 4 * 2**20


class Spill:
    """Record batches of one schema, written in turn, then read by number, as often as wanted.

    Raises:
        ResourceError: there is no room for them in the temporary folder.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self._count = 0
        with _room():
            self._file = tempfile.SpooledTemporaryFile(KEPT_IN_MEMORY)  # noqa: SIM115 - as long as its rows are wanted
            weakref.finalize(self, self._file.close)
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writer: pa.RecordBatchWriter | None = pa.ipc.new_file(self._file, schema, options=options)
        self._reader: pa.RecordBatchFileReader | None = None

    def append(self, rows: pa.RecordBatch) -> int:
        """Write rows, and return the number under which they are read."""
        assert self._writer is not None, "rows are written before any are read"
        with _room():
            self._writer.write_batch(rows)
        self._count += 1
        return self._count - 1

    def read(self, numbers: Iterable[int]) -> pa.Table:
        """Return the rows of some batches, in that order."""
        if self._writer is not None:
            with _room():
                self._writer.close()
            self._writer = None
            self._reader = pa.ipc.open_file(self._file)
        assert self._reader is not None
        return pa.Table.from_batches([self._reader.get_batch(number) for number in numbers], self.schema)


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResourceError(
            "no_scratch",
            "the temporary folder does not take what is held on disk while planning: make room there, or set TMPDIR",
            str(error),
        ) from None
