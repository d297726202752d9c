"""Runs a function over many items: in this process, or on Dask workers. Knows nothing of images."""

from cvtbatch.engine.cluster import Cluster, open_cluster
from cvtbatch.engine.execution import Done, Lost, Outcome, run_inline
from cvtbatch.engine.submission import run_on_workers

__all__ = ["Cluster", "Done", "Lost", "Outcome", "open_cluster", "run_inline", "run_on_workers"]
