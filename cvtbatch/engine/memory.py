"""What memory this process may still take, and the exception for needing more."""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cvtbatch.engine.settings import TERMINATE_SHARE

if TYPE_CHECKING:
    from distributed import Worker


# What is freed stays with the process: blocks up to the largest that the C library can keep, and so much at the end of its heap.
# `require_memory` gives it all back before it refuses an item.
LARGEST_KEPT_BYTES = 32 << 20
KEPT_BYTES = 256 << 20
# Of both versions of control groups, as a container sees its own.
_GROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


class NeedsMemory(Exception):
    """Raised by a function before it begins an item that this process cannot hold.

    Attributes:
        needed_bytes: what the item takes, beside what the process has already.
    """

    def __init__(self, needed_bytes: int) -> None:
        super().__init__(needed_bytes)
        self.needed_bytes = needed_bytes


def require_memory(needed_bytes: int) -> None:
    """Begin an item of that size only if this process may take so much.

    Raises:
        NeedsMemory: it may not.
    """
    if needed_bytes > memory_left_bytes():
        # Former items may have left pages that the process holds and does not use.
        gc.collect()
        _give_pages_back()
        if needed_bytes > memory_left_bytes():
            raise NeedsMemory(needed_bytes)


def memory_left_bytes() -> int:
    """Return what this process may still take: of its worker's limit, or where there is none of what the machine has free."""
    import psutil

    worker = this_worker()
    limit_bytes = memory_limit_bytes(worker)
    held_bytes = int(psutil.Process().memory_info().rss)
    if worker is not None and limit_bytes:
        # Its threads share the limit.
        return int((TERMINATE_SHARE * limit_bytes - held_bytes) / worker.state.nthreads)
    return min([int(psutil.virtual_memory().available), *(limit - held_bytes for limit in _group_limits())])


def _group_limits() -> Iterator[int]:
    """Yield what this process's control group may take (bytes), as a container's; there is none by default."""
    for path in _GROUP_LIMITS:
        # There is none, or it says "max".
        with suppress(OSError, ValueError):
            yield int(path.read_text())


def limit_needed_bytes(needed_bytes: int) -> int:
    """Return the memory limit under which a worker like this one could take so much."""
    import psutil

    worker = this_worker()
    threads = worker.state.nthreads if worker is not None else 1
    return int((needed_bytes * threads + psutil.Process().memory_info().rss) / TERMINATE_SHARE)


def memory_limit_bytes(worker: "Worker | None") -> int:
    """Return a worker's memory limit in bytes; 0 if it has none."""
    return int(worker.memory_manager.memory_limit or 0) if worker is not None else 0


def this_worker() -> "Worker | None":
    """Return the worker that runs this task; None outside of one."""
    if "distributed" not in sys.modules:
        return None
    from distributed import get_worker

    try:
        return get_worker()
    except ValueError:
        return None


def _give_pages_back() -> None:
    """Have the C library return what was freed to the system, where it has such a call."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
