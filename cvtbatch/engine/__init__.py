"""Runs a function over many items: in this process, or on Dask workers. Knows nothing of images."""

from cvtbatch.engine.cluster import Cluster, open_cluster
from cvtbatch.engine.cluster_file import External, Local, Place, Slurm, read_place
from cvtbatch.engine.execution import run
from cvtbatch.engine.memory import NeedsMemory, require_memory
from cvtbatch.engine.outcome import Done, Expired, Lost, Outcome, TooLarge, Undone
from cvtbatch.engine.processes import default_workers
from cvtbatch.engine.settings import GPU

__all__ = [
    "GPU",
    "Cluster",
    "Done",
    "Expired",
    "External",
    "Local",
    "Lost",
    "NeedsMemory",
    "Outcome",
    "Place",
    "Slurm",
    "TooLarge",
    "Undone",
    "default_workers",
    "open_cluster",
    "read_place",
    "require_memory",
    "run",
]
