"""What a task costs, measured where it runs.

Memory and CPU time are those of the process: they are a task's own where a worker does one thing at a time, as ours do.
"""

import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cvtbatch.manifest import CompactPickle

# What a case goes through, in order; embeddings are tasks of their own, counted by outline.
STAGES = (
    *("read", "volume", "write", "mask", "outline", "region", "radiomics", "audit", "signs", "locations", "embedding"),
)


@dataclass(frozen=True, slots=True)
class Cost(CompactPickle):
    """What one task took.

    Attributes:
        seconds: wall time by stage; a stage within another counts for itself alone.
        cpu_s: time that the process was computing.
        peak_memory_bytes: largest resident memory of the process during the task; since its start, where the system cannot
            tell a part of its life.
        read_bytes: size of the source files that were read.
        written_bytes: size of the volumes and masks that were written.
    """

    seconds: Mapping[str, float]
    cpu_s: float
    peak_memory_bytes: int
    read_bytes: int = 0
    written_bytes: int = 0


class Meter:
    """Measures a task from here on."""

    def __init__(self) -> None:
        self.read_bytes = self.written_bytes = 0
        self._seconds: dict[str, float] = {}
        self._cpu_s = time.process_time()
        # Of each stage that is under way: what stages within it took.
        self._within: list[float] = []
        _forget_peak()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the block's time for a stage."""
        began = time.perf_counter()
        self._within.append(0.0)
        try:
            yield
        finally:
            took = time.perf_counter() - began
            own = took - self._within.pop()
            self._seconds[name] = self._seconds.get(name, 0.0) + own
            if self._within:
                self._within[-1] += took

    def cost(self) -> Cost:
        """Return what was measured until now."""
        cpu_s = time.process_time() - self._cpu_s
        return Cost(dict(self._seconds), cpu_s, peak_memory_bytes(), self.read_bytes, self.written_bytes)


def peak_memory_bytes() -> int:
    """Return the largest resident memory of this process, since its start or since the last task began in it."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _forget_peak() -> None:
    # proc(5): 5 resets the peak; a container may forbid it, and other systems have no such file.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
