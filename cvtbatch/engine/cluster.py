"""Where work runs: nowhere else (inline), on processes of this machine, on a scheduler that exists, or on jobs of Slurm."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cvtbatch.engine.cluster_file import ClusterConfig, ExternalScheduler, LocalWorkers
from cvtbatch.engine.compilation import compilation_told, follow_workers
from cvtbatch.extras import installed, require

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True, slots=True)
class Cluster:
    """A connection to workers.

    Attributes:
        client: None where everything runs in this process.
        description: for people and the `runs` table; names no host.
        threads: that a library may use in each worker process; None for as many as it likes.
        dashboard: where Dask's dashboard is, if this process serves one.
    """

    client: "Client | None"
    description: str
    threads: int | None
    dashboard: str | None = None

    @property
    def inline(self) -> bool:
        """Whether everything runs in this process."""
        return self.client is None

    def slots(self, resource: str | None = None) -> int:
        """Return how many items can run at once: the threads of all workers, or what they advertise of a resource.

        This process has one, and advertises nothing.
        """
        if self.client is None:
            return 1 if resource is None else 0
        if resource is None:
            return sum(self.client.nthreads().values())
        workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
        return sum(int(worker["resources"].get(resource, 0)) for worker in workers)


@contextmanager
def open_cluster(
    config: ClusterConfig | int, gpus: Sequence[str] = (), on_notice: Callable[[str], None] = lambda _: None
) -> Iterator[Cluster]:
    """Open what the work runs on, and close it again.

    Args:
        config: a number is that of processes on this machine; 0 for none but this one.
        gpus: of this machine, as CUDA_VISIBLE_DEVICES names them; local processes own one each.
        on_notice: called with what is waited for, where that may take long, and with what is compiled.

    Raises:
        InputError: a connection beyond this machine would not be encrypted, or certificates cannot be used.
        ResourceError: the scheduler cannot be reached or has no workers, or workers cannot be started; or the extra `cluster` is
            not here.
    """
    if isinstance(config, int):
        config = LocalWorkers(config)
    if isinstance(config, LocalWorkers):
        with _open_local(config, gpus if config.gpus else (), on_notice) as cluster:
            yield cluster
    elif isinstance(config, ExternalScheduler):
        from cvtbatch.engine.connection import connect

        with connect(config, on_notice) as client:
            follow_workers(client, on_notice, elsewhere=True)
            yield Cluster(client, config.description, threads=1)
    else:
        require("a cluster on Slurm needs", "cryptography")
        from cvtbatch.engine.slurm import start_jobs

        with start_jobs(config, on_notice) as (client, dashboard):
            follow_workers(client, on_notice, elsewhere=True)
            yield Cluster(client, config.description, threads=1, dashboard=dashboard if installed("bokeh") else None)


@contextmanager
def _open_local(config: LocalWorkers, gpus: Sequence[str], on_notice: Callable[[str], None]) -> Iterator[Cluster]:
    if config.workers == 0:
        with compilation_told(on_notice):
            yield Cluster(None, "inline", threads=None)
        return
    from cvtbatch.engine.local import start_local

    with start_local(config, gpus) as client:
        follow_workers(client, on_notice, elsewhere=False)
        workers = max(config.workers, len(gpus))
        yield Cluster(
            client,
            f"{workers} local process{'es' if workers > 1 else ''}",
            threads=max(1, (os.cpu_count() or 1) // workers),
            dashboard=client.dashboard_link if config.dashboard and installed("bokeh") else None,
        )
