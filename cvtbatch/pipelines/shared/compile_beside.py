"""Processes that compile beside a first case, where nothing is compiled yet: whoever waits, waits for what its cores take together.

A loop is compiled by one process, and whoever calls it meanwhile waits for that one and loads it (`compiled_code`).
"""

import os
import subprocess
import sys
from contextlib import suppress
from functools import cache

from cvtbatch.compiled_code import CASE_LOOPS, claim, kept_loops
from cvtbatch.engine import default_workers, memory_left_bytes

# A case's work has no more parts that take long.
_MOST_PROCESSES = 4
_PROCESS_BYTES = 400 << 20
# Of the memory that is left.
_SHARE = 0.25
_COMMAND = [sys.executable, "-P", "-m", "cvtbatch.pipelines.shared.compile_ahead", "--parts"]
_started: list["subprocess.Popen[bytes]"] = []


@cache
def compile_beside() -> None:
    """Have other processes compile what a case takes, unless most of it is compiled for this user, or others are at it.

    They end by themselves after some seconds, also without this one. What goes wrong in them is left to it: it compiles what is not
    there when it calls it.
    """
    others = default_workers() - 1
    if others == 0 or kept_loops() > CASE_LOOPS // 2:
        return
    processes = min(others, _MOST_PROCESSES, int(_SHARE * memory_left_bytes() / _PROCESS_BYTES))
    beside = claim("beside")
    if beside is None:
        return
    # No more processes may be started.
    with suppress(OSError):
        _started.extend(_start(beside) for _ in range(processes))
    os.close(beside)


def _start(beside: int) -> "subprocess.Popen[bytes]":
    nowhere = subprocess.DEVNULL
    # An interrupt is for the run alone: they are of another session.
    return subprocess.Popen(
        _COMMAND, stdin=nowhere, stdout=nowhere, stderr=nowhere, pass_fds=[beside], start_new_session=True
    )


def await_compiled() -> None:
    """Wait for the processes that this one has started."""
    for process in _started:
        process.wait()
