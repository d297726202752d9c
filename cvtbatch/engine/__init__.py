"""Runs a function over many items: in this process, or on Dask workers. Knows nothing of images."""

from cvtbatch.engine.cluster import Cluster, open_cluster
from cvtbatch.engine.cluster_file import ClusterConfig, ExternalScheduler, LocalWorkers, SlurmJobs, read_cluster_file
from cvtbatch.engine.compilation import compilation_told
from cvtbatch.engine.execution import run
from cvtbatch.engine.memory import NeedsMemory, memory_left_bytes, require_memory
from cvtbatch.engine.outcome import Done, Expired, Lost, Outcome, TooLarge, Undone
from cvtbatch.engine.processes import default_workers, leave_repeated_script
from cvtbatch.engine.settings import GPU

__all__ = [
    "GPU",
    "Cluster",
    "ClusterConfig",
    "Done",
    "Expired",
    "ExternalScheduler",
    "LocalWorkers",
    "Lost",
    "NeedsMemory",
    "Outcome",
    "SlurmJobs",
    "TooLarge",
    "Undone",
    "compilation_told",
    "default_workers",
    "leave_repeated_script",
    "memory_left_bytes",
    "open_cluster",
    "read_cluster_file",
    "require_memory",
    "run",
]
