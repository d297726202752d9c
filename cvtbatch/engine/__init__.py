"""Runs a function over many items: in this process, or on Dask workers. Knows nothing of images."""

from cvtbatch.engine.cluster import GPU, Cluster, open_cluster
from cvtbatch.engine.execution import Done, Lost, Outcome, run_inline
from cvtbatch.engine.submission import places, run_on_workers

__all__ = ["GPU", "Cluster", "Done", "Lost", "Outcome", "open_cluster", "places", "run_inline", "run_on_workers"]
