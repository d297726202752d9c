"""Where work runs: nowhere else (inline), on worker processes of this machine, or on a scheduler that exists."""

import fcntl
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvtbatch.engine.settings import LOCAL_SETTINGS
from cvtbatch.errors import ResourceError

if TYPE_CHECKING:
    from distributed import Client

# A worker process computes with one thread: more processes share a machine better than more threads share a case.
ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    ),
    "1",
)
CONNECT_SECONDS = 30
SCRATCH_PREFIX = "cvtbatch-"
# Locked by the driver for as long as it lives.
SCRATCH_LOCK = "driver.lock"
START_SECONDS = 120
# Workers that own a GPU advertise it under this name, e.g. `dask worker ADDRESS --resources GPU=1`.
GPU = "GPU"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A connection to workers.

    Attributes:
        client: None where everything runs in this process.
        description: for people and the `runs` table; names no host.
        threads: that a library may use in each worker process; None for as many as it likes.
    """

    client: "Client | None"
    description: str
    threads: int | None


@contextmanager
def open_cluster(workers: int, scheduler: str | None = None, gpus: Sequence[str] = ()) -> Iterator[Cluster]:
    """Open what the work runs on, and close it again.

    Args:
        workers: processes on this machine; 0 for none but this one.
        scheduler: address of a scheduler that exists; `workers` is not used then.
        gpus: of this machine, as CUDA_VISIBLE_DEVICES names them; each is owned by one of the processes, which are at least as
            many.

    Raises:
        ResourceError: the scheduler cannot be reached or has no workers, or processes cannot be started.
    """
    if scheduler is not None:
        with _connect(scheduler) as client:
            yield Cluster(client, "scheduler", threads=1)
    elif workers == 0:
        yield Cluster(None, "inline", threads=None)
    else:
        workers = max(workers, len(gpus))
        with _start_local(workers, gpus) as client:
            description = f"{workers} local process{'es' if workers > 1 else ''}"
            yield Cluster(client, description, threads=max(1, (os.cpu_count() or 1) // workers))


@contextmanager
def _connect(address: str) -> "Iterator[Client]":
    from distributed import Client

    # A scheduler that goes away is told once, by us, and not by tracebacks of the connection.
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise ResourceError(
            "no_scheduler",
            f"no scheduler with workers answers at {address} within {CONNECT_SECONDS} s: start it, or use --workers",
            str(error),
        ) from None
    with client:
        yield client


@contextmanager
def _start_local(workers: int, gpus: Sequence[str]) -> "Iterator[Client]":
    import dask
    from distributed import Client, LocalCluster
    from distributed.system import MEMORY_LIMIT

    with open_scratch() as scratch, dask.config.set(LOCAL_SETTINGS):
        with _one_thread_each(), _interrupts_held_back():
            try:
                cluster = LocalCluster(
                    n_workers=0 if gpus else workers,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    # Two runs on one machine must not contend for a port.
                    dashboard_address="127.0.0.1:0",
                    local_directory=str(scratch),
                    silence_logs="CRITICAL",
                    env=ONE_THREAD,
                    memory_limit=MEMORY_LIMIT // workers,
                )
                if gpus:
                    cluster.worker_spec.update(_worker_specs(cluster.new_spec, workers, gpus))
                    cluster.scale(workers)
                    cluster.wait_for_workers(workers, timeout=START_SECONDS)
            except (OSError, RuntimeError, TimeoutError) as error:
                raise ResourceError(
                    "no_workers", f"{workers} worker processes could not be started on this machine", str(error)
                ) from None
        with cluster, Client(cluster, set_as_default=False) as client:
            yield client


def _worker_specs(spec: dict[str, Any], workers: int, gpus: Sequence[str]) -> dict[int, dict[str, Any]]:
    """Return what each worker process is started with: the first ones own a GPU each, and see no other."""
    specs = dict.fromkeys(range(workers), spec)
    for number, name in enumerate(gpus):
        owned = {"resources": {GPU: 1}, "env": {**ONE_THREAD, "CUDA_VISIBLE_DEVICES": name}}
        specs[number] = {**spec, "options": {**spec["options"], **owned}}
    return specs


@contextmanager
def open_scratch() -> Iterator[Path]:
    """Hold a folder for what workers write aside; those of drivers that were killed are removed first."""
    for left in Path(tempfile.gettempdir()).glob(f"{SCRATCH_PREFIX}*"):
        # Its driver lives, or it is another user's.
        with suppress(OSError), (left / SCRATCH_LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, ignore_cleanup_errors=True) as folder,
        Path(folder, SCRATCH_LOCK).open("w") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(folder)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Hold an environment that worker processes inherit before they import anything that counts its threads."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Deliver an interrupt after the block, not in it.

    The cluster's threads start with both signals blocked, and so do the workers that they start, now and after a death: Ctrl-C
    reaches every process of the terminal, and the driver alone decides what it means.
    """
    # Its first start would unblock them again.
    resource_tracker.ensure_running()
    held = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
