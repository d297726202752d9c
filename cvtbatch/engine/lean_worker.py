"""What Dask has each worker process do before it takes work (`distributed.worker.preload`)."""

import gc
import sys
from typing import TYPE_CHECKING

from cvtbatch.engine.compilation import tell_driver
from cvtbatch.engine.memory import KEPT_BYTES, LARGEST_KEPT_BYTES
from cvtbatch.kept_pages import keep_pages
from cvtbatch.lean_arrow import leave_pandas_out

if TYPE_CHECKING:
    from distributed import Worker

# New objects before Python looks for those that nothing holds, 700 by default: modules that are loaded are nothing else.
_NEW_OBJECTS = 10_000


def dask_setup(worker: "Worker") -> None:
    """Begin a worker."""
    gc.set_threshold(_NEW_OBJECTS)
    leave_pandas_out()
    keep_pages(LARGEST_KEPT_BYTES, KEPT_BYTES)
    tell_driver(worker)
    # pydicom asks whether there is a gdcm. It may end its process, and decodes in one of its own (`ingest/jpeg.py`).
    sys.modules["gdcm"] = None  # type: ignore[assignment]
