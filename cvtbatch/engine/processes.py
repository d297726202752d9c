"""What every process of a cluster needs of its machine: one thread, a private scratch folder, signals at the right time."""

import fcntl
import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import resource_tracker, util
from pathlib import Path

from cvtbatch.errors import ResourceError
from cvtbatch.own_folders import no_scratch

# A worker process computes with one thread: more processes share a machine better than more threads share a case.
ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
        "ZARR_THREADING__MAX_WORKERS",
    ),
    "1",
)
SCRATCH_PREFIX = "cvtbatch-"
# Names the file by which worker processes say that they run their user's script again.
REPEATED_SCRIPT = "CVTBATCH_REPEATED_SCRIPT"
# Locked by the process that made the folder for as long as it lives.
SCRATCH_LOCK = "owner.lock"


def default_workers() -> int:
    """Return how many worker processes use this machine well: one a core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def open_scratch(parent: Path | None = None) -> Iterator[Path]:
    """Hold a folder of mode 0700 for what is written aside; those of processes that were killed are removed first.

    Args:
        parent: where it lies; by default in the machine's temporary folder.

    Raises:
        ResourceError: it cannot be made.
    """
    try:
        parent = parent or Path(tempfile.gettempdir())
    except OSError as error:
        raise no_scratch(error) from None
    for left in parent.glob(f"{SCRATCH_PREFIX}*"):
        # Its owner lives, or it is another user's.
        with suppress(OSError), (left / SCRATCH_LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
    with ExitStack() as stack:
        try:
            made = tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, dir=parent, ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(made))
            lock = stack.enter_context((folder / "new").open("w"))
            # Under its name only once it is locked: a process that starts at the same time would remove it.
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / "new").rename(folder / SCRATCH_LOCK)
        except OSError as error:
            raise no_scratch(error) from None
        yield folder


def check_shared_memory() -> None:
    """Make sure that this process can start others: what they wait for each other by lies in shared memory.

    Raises:
        ResourceError: "no_shared_memory".
    """
    try:
        # Of this kind one is made and its name removed, and no process that looks after it is started.
        multiprocessing.get_context("fork").Lock()
    except (OSError, ImportError) as error:
        raise ResourceError(
            "no_shared_memory",
            "worker processes need shared memory (/dev/shm), which is missing, full or read-only here: mount it (a tmpfs; for a "
            "container, --shm-size or a volume in memory), or run without workers (--workers 0)",
            str(error),
        ) from None


def leave_out_working_folder() -> None:
    """Have processes that this one starts import nothing out of the folder that it works in, for good.

    Python looks there first, until a process has been told the paths of the one that started it: a file `types.py` or `random.py`
    there would end it. By the option -P, which no program that a worker starts inherits, as it would a variable.
    """
    vars(util)["_args_from_interpreter_flags"] = lambda: [*subprocess._args_from_interpreter_flags(), "-P"]  # type: ignore[attr-defined]


def silence_dask() -> None:
    """Have Dask log nothing in this process, for good.

    Its own settings last no longer than a cluster, which still logs while it closes; lost connections are reported by us, and once.
    """
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def leave_repeated_script() -> None:
    """End this process where a worker is being started in it, and Python runs the user's script again for that.

    Without `if __name__ == "__main__":` the script would start workers of its own. Who started this one is told by a file.
    """
    told = os.environ.get(REPEATED_SCRIPT)
    # As multiprocessing itself finds it out.
    if told and getattr(multiprocessing.current_process(), "_inheriting", False):
        with suppress(OSError):
            Path(told).touch()
        os._exit(1)


def home_for_libraries() -> dict[str, str]:
    """Return what an environment lacks where this user has no home: libraries that ask for one as they load would not load.

    It is none in which anything can be kept.
    """
    try:
        Path.home()
    except RuntimeError:
        return {"HOME": os.devnull}
    return {}


@contextmanager
def worker_environment(repeated_script: Path) -> Iterator[None]:
    """Hold an environment that worker processes inherit before they import anything that counts its threads.

    Args:
        repeated_script: file that is there afterwards if `leave_repeated_script` ended one of them.
    """
    settings = {**ONE_THREAD, **home_for_libraries(), REPEATED_SCRIPT: str(repeated_script)}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _start_tracker() -> None:
    """Start Python's process that removes what others leave, if there is none: it need not complain of it.

    It passes over an interrupt by itself, but for a terminal that is closed.
    """
    sys.warnoptions.append("ignore:resource_tracker:UserWarning")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        resource_tracker.ensure_running()
    finally:
        if signal.SIGHUP not in before:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        sys.warnoptions.pop()


@contextmanager
def defer_interrupts() -> Iterator[None]:
    """Deliver an interrupt after the block, not in it.

    The cluster's threads start with these signals blocked, and so do the workers that they start, now and when one is lost: Ctrl-C
    reaches every process of the terminal, and the driver alone decides what it means.
    """
    # Its first start would unblock them again.
    _start_tracker()
    held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
