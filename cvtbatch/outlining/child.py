"""A program as a child process: with a time limit, its last words, and an end of all that it started."""

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cvtbatch.outlining import guard

# What is kept of all that it writes.
TAIL_BYTES = 4096
_CHUNK = 1 << 16
# How often it is seen whether the guard lives, should others hold its output open.
LOOK_S = 0.5
# How long the guard may take to end; it gives processes `guard.DEATH_S` to die.
STOP_S = 2 * guard.DEATH_S


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    Attributes:
        exit_code: as shells give it (`guard`); None if its time was up.
        tail: the end of what it wrote to standard output and standard error.
    """

    exit_code: int | None
    tail: str


def run_child(command: Sequence[str], folder: Path, limit_s: float) -> Ended:
    """Run a program to its end or to its time's, and end every process that it started, however this function is left.

    A guard process (`guard`) sees to that, and if this process is killed it also removes the folder.

    Args:
        command: program and arguments; no shell reads them.
        folder: the program's working folder, and what it takes for the machine's temporary one.

    Raises:
        OSError: no process can be started.
    """
    arguments = [sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), str(folder), *command]
    with subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
        start_new_session=True,
    ) as process:
        try:
            tail = _listen(process, time.monotonic() + limit_s)
            ended = process.poll() is not None
        finally:
            _stop(process)
    return Ended(process.returncode if ended else None, tail.decode(errors="replace"))


def _listen(process: subprocess.Popen[bytes], end: float) -> bytes:
    """Return the end of what a process writes until it ends or its time is up."""
    output: IO[bytes] | None = process.stdout
    assert output is not None
    tail = b""
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while (left := end - time.monotonic()) > 0:
            if not selector.select(min(left, LOOK_S)):
                if process.poll() is not None:
                    break
                continue
            part = os.read(output.fileno(), _CHUNK)
            if not part:
                process.wait()
                break
            tail = (tail + part)[-TAIL_BYTES:]
    return tail


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
