"""Worker processes of this machine, on loopback alone."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import dask
from distributed import Client, LocalCluster
from distributed.system import MEMORY_LIMIT

from cvtbatch.engine.processes import (
    ONE_THREAD,
    check_shared_memory,
    defer_interrupts,
    leave_out_working_folder,
    open_scratch,
    silence_dask,
    worker_environment,
)
from cvtbatch.engine.settings import GPU, LOCAL_SETTINGS
from cvtbatch.errors import InputError, ResourceError

if TYPE_CHECKING:
    from cvtbatch.engine.cluster_file import LocalWorkers

START_SECONDS = 120
_NO_GUARD = (
    "workers import the script that starts them, and this one starts workers when it is imported: put what it does below a line "
    '`if __name__ == "__main__":`, or work without workers (workers=0)'
)


@contextmanager
def start_local(config: "LocalWorkers", gpus: Sequence[str]) -> Iterator[Client]:
    """Hold worker processes and a client of them.

    Args:
        gpus: of this machine, as CUDA_VISIBLE_DEVICES names them; each is owned by one of the processes, which are at least as
            many.

    Raises:
        InputError: "no_main_guard", the script that starts them would do so in each of them.
        ResourceError: processes cannot be started; "no_shared_memory": for want of that.
    """
    silence_dask()
    leave_out_working_folder()
    check_shared_memory()
    workers = max(config.workers, len(gpus))
    memory = MEMORY_LIMIT // workers if config.memory_bytes is None else config.memory_bytes
    with (
        open_scratch() as scratch,
        dask.config.set({**LOCAL_SETTINGS, "temporary-directory": str(scratch)}),
        ExitStack() as stack,
    ):
        # An interrupt that was held back comes at the end of this block: by then, all that it must end is on the stack.
        repeated = scratch / "repeated"
        with worker_environment(repeated), defer_interrupts():
            try:
                cluster = stack.enter_context(
                    LocalCluster(
                        n_workers=0 if gpus else workers,
                        threads_per_worker=1,
                        processes=True,
                        host="127.0.0.1",
                        # Two runs on one machine must not contend for a port.
                        dashboard_address="127.0.0.1:0",
                        scheduler_kwargs={"dashboard": config.dashboard},
                        local_directory=str(scratch),
                        silence_logs="CRITICAL",
                        env=ONE_THREAD,
                        memory_limit=memory,
                    )
                )
                if gpus:
                    cluster.worker_spec.update(_worker_specs(cluster.new_spec, workers, gpus))
                    cluster.scale(workers)
                    cluster.wait_for_workers(workers, timeout=START_SECONDS)
            except (OSError, RuntimeError, TimeoutError) as error:
                if repeated.exists():
                    raise InputError("no_main_guard", _NO_GUARD) from None
                raise ResourceError(
                    "no_workers",
                    f"{workers} worker processes could not be started on this machine: start fewer, or work without (--workers 0)",
                    str(error),
                ) from None
            client = stack.enter_context(Client(cluster, set_as_default=False))
            stack.callback(_end_workers, cluster)
        yield client


def _end_workers(cluster: LocalCluster) -> None:
    """End the worker processes, whatever they do: Dask would wait for those that are busy."""
    for nanny in cluster.workers.values():
        nanny.auto_restart = False
        if nanny.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(nanny.pid, signal.SIGKILL)


def _worker_specs(spec: dict[str, Any], workers: int, gpus: Sequence[str]) -> dict[int, dict[str, Any]]:
    """Return what each worker process is started with: the first ones own a GPU each, and see no other."""
    specs = dict.fromkeys(range(workers), spec)
    for number, name in enumerate(gpus):
        owned = {"resources": {GPU: 1}, "env": {**ONE_THREAD, "CUDA_VISIBLE_DEVICES": name}}
        specs[number] = {**spec, "options": {**spec["options"], **owned}}
    return specs
