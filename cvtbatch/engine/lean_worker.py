"""What Dask has each worker process do before it takes work (`distributed.worker.preload`)."""

from cvtbatch.engine.memory import keep_pages
from cvtbatch.lean_arrow import leave_pandas_out


def dask_setup(_: object) -> None:
    """Begin a worker."""
    leave_pandas_out()
    keep_pages()
