"""What Dask has each worker process do before it takes work (`distributed.worker.preload`)."""

import gc
import sys

from cvtbatch.engine.memory import keep_pages
from cvtbatch.lean_arrow import leave_pandas_out

# New objects before Python looks for those that nothing holds, 700 by default: modules that are loaded are nothing else.
_NEW_OBJECTS = 10_000


def dask_setup(_: object) -> None:
    """Begin a worker."""
    gc.set_threshold(_NEW_OBJECTS)
    leave_pandas_out()
    keep_pages()
    # pydicom asks whether there is a gdcm. It may end its process, and decodes in one of its own (`ingest/jpeg.py`).
    sys.modules["gdcm"] = None  # type: ignore[assignment]
