"""Runs a function over many items: in this process, or on Dask workers. Knows nothing of images."""

from cvtbatch.engine.cluster import GPU, Cluster, open_cluster
from cvtbatch.engine.execution import Done, Expired, Lost, Outcome, TooLarge, Undone, run_inline
from cvtbatch.engine.memory import NeedsMemory, require_memory
from cvtbatch.engine.submission import places, run_on_workers

__all__ = [
    "GPU",
    "Cluster",
    "Done",
    "Expired",
    "Lost",
    "NeedsMemory",
    "Outcome",
    "TooLarge",
    "Undone",
    "open_cluster",
    "places",
    "require_memory",
    "run_inline",
    "run_on_workers",
]
