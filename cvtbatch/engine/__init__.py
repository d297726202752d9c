"""Runs a function over many items: in this process, or on Dask workers. Knows nothing of images."""

from cvtbatch.engine.cluster import Cluster, open_cluster
from cvtbatch.engine.execution import Done, Lost, Outcome, run_inline
from cvtbatch.engine.places import External, Local, Place, Slurm, read_place
from cvtbatch.engine.processes import default_workers
from cvtbatch.engine.settings import GPU
from cvtbatch.engine.submission import places, run_on_workers

__all__ = [
    "GPU",
    "Cluster",
    "Done",
    "External",
    "Local",
    "Lost",
    "Outcome",
    "Place",
    "Slurm",
    "default_workers",
    "open_cluster",
    "places",
    "read_place",
    "run_inline",
    "run_on_workers",
]
