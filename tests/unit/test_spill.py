import gc
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest

from cvtbatch.errors import ResourceError
from cvtbatch.spill import KEPT_IN_MEMORY, Spill

SCHEMA = pa.schema([("value", pa.int64())])


def batch(first: int, count: int = 3) -> pa.RecordBatch:
    return pa.record_batch([pa.array(range(first, first + count))], SCHEMA)


def test_batches_are_read_by_number_in_any_order_and_often() -> None:
    spill = Spill(SCHEMA)
    assert [spill.append(batch(first)) for first in (0, 10, 20)] == [0, 1, 2]
    for _ in range(2):
        assert spill.read([2, 0])["value"].to_pylist() == [20, 21, 22, 0, 1, 2]
    assert spill.read([]).num_rows == 0


def test_what_is_large_lies_on_disk_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    spill = Spill(SCHEMA)
    rows = KEPT_IN_MEMORY // 8
    for first in range(0, 4 * rows, rows):
        spill.append(batch(first, rows))
    assert spill._file._rolled
    assert list(tmp_path.iterdir()) == []
    assert spill.read([3])["value"][0].as_py() == 3 * rows
    del spill
    gc.collect()


def test_a_full_disk_is_said() -> None:
    spill = Spill(SCHEMA)

    class Full:
        def write_batch(self, rows: pa.RecordBatch) -> None:
            raise OSError(28, "No space left on device")

    spill._writer = Full()
    with pytest.raises(ResourceError, match="set TMPDIR"):
        spill.append(batch(0))
