"""Which workers a scheduler lets go when somebody asks it for fewer.

Kubernetes' Dask operator scales one group of a cluster and asks the scheduler, which knows no groups, who may go. A worker with a
GPU is idle for as long as cases are read, would go first, and would not be brought back: its group still has the size it was given.
"""

from typing import TYPE_CHECKING

from distributed import SchedulerPlugin

from cvtbatch.engine.settings import GPU

if TYPE_CHECKING:
    from distributed import Scheduler
    from distributed.scheduler import WorkerState


class KeepGpuWorkers(SchedulerPlugin):
    """Offers workers without a GPU alone."""

    def valid_workers_downscaling(self, scheduler: "Scheduler", workers: "list[WorkerState]") -> "list[WorkerState]":
        """Return those of the workers that may go."""
        return [worker for worker in workers if GPU not in worker.resources]
