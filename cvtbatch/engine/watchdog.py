"""On a worker: ends the process when an item runs beyond its limit, after it has reported to the scheduler which item it was.

A thread looks at the clock. It cannot while native code holds the interpreter; for that there is a fallback without interpreter,
somewhat later: it ends the process and reports nothing, which the driver takes for a crash until the item runs alone.
"""

import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Worker

POLL_SECONDS = 0.2
# What the report may take before the process ends.
REPORT_SECONDS = 1.0
# How much later than the thread the fallback ends the process.
GRACE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class _Watched:
    worker: "Worker"
    topic: str
    number: int
    deadline: float


class Watchdog:
    """Watches the items that the threads of this process work on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[int, _Watched] = {}
        self._null = Path(os.devnull).open("w")  # noqa: SIM115 - as long as the process
        threading.Thread(target=self._watch, name="cvtbatch-watchdog", daemon=True).start()

    @contextmanager
    def limit(self, worker: "Worker", topic: str, number: int, limit_s: float | None) -> Iterator[None]:
        """Hold this thread's item to a limit; `topic` and `number` are what is reported to the scheduler."""
        if limit_s is None:
            yield
            return
        thread = threading.get_ident()
        with self._lock:
            self._watched[thread] = _Watched(worker, topic, number, time.monotonic() + limit_s)
            self._set_fallback()
        try:
            yield
        finally:
            with self._lock:
                del self._watched[thread]
                self._set_fallback()

    def _set_fallback(self) -> None:
        if not self._watched:
            faulthandler.cancel_dump_traceback_later()
            return
        first = min(watched.deadline for watched in self._watched.values())
        left_s = max(first - time.monotonic(), 0.0) + GRACE_SECONDS
        faulthandler.dump_traceback_later(left_s, exit=True, file=self._null)

    def _watch(self) -> None:
        while True:
            time.sleep(POLL_SECONDS)
            with self._lock:
                late = [
                    (thread, watched)
                    for thread, watched in self._watched.items()
                    if time.monotonic() > watched.deadline
                ]
            if late:
                frames = sys._current_frames()
                for thread, watched in late:
                    where = "".join(traceback.format_stack(frames[thread])) if thread in frames else ""
                    expired = {"worker": watched.worker.address, "number": watched.number, "where": where}
                    watched.worker.log_event(watched.topic, expired)
                time.sleep(REPORT_SECONDS)
                os.kill(os.getpid(), signal.SIGKILL)
