"""Runs a program, and leaves no process that it started: when it ends, when it is told to stop, when its own parent dies.

A script of its own, with the standard library alone, so that it starts in milliseconds and outlives a worker that is killed. What
the program's processes leave behind becomes the guard's own children (PR_SET_CHILD_SUBREAPER, prctl(2)), in whatever group or
session it is, so that it is found.

Usage: guard.py PARENT FOLDER PROGRAM [ARGUMENT ...]. PARENT is the process that started it; when that one dies, FOLDER is removed
with all that is in it. SIGTERM stops it. It ends with the program's exit code, as shells give it: 128 and the signal's number of a
program that was killed, 127 where there is no such program, 126 where it cannot be run.
"""

import ctypes
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

NOT_FOUND, NOT_RUNNABLE, KILLED_BY = 127, 126, 128
# How often it looks whether its parent lives.
LOOK_S = 0.2
# How long processes may take to die; one that waits for a disk or a device may not.
DEATH_S = 10.0
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_HEARD = signal.SIGCHLD, signal.SIGTERM


def main(parent: int, folder: Path, command: list[str]) -> int:
    """Run a command to its end, or to its parent's, and return its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, _HEARD)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    child = os.fork()
    if child == 0:
        _become(command)
    code = None
    while code is None and os.getppid() == parent:
        heard = signal.sigtimedwait(_HEARD, LOOK_S)
        if heard is not None and heard.si_signo == signal.SIGTERM:
            break
        code = _reap().get(child)
    _kill_all()
    if os.getppid() != parent:
        shutil.rmtree(folder, ignore_errors=True)
    if code is None:
        return KILLED_BY + signal.SIGKILL
    return code if code >= 0 else KILLED_BY - code


def _become(command: list[str]) -> NoReturn:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUNNABLE)


def _reap() -> dict[int, int]:
    """Return the exit codes of the children that have ended."""
    codes = {}
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            codes[ended[0]] = os.waitstatus_to_exitcode(ended[1])
    return codes


def _kill_all() -> None:
    """Kill children until there are none: those of each that dies become our own."""
    end = time.monotonic() + DEATH_S
    while time.monotonic() < end:
        children = list(_children())
        if not children:
            return
        for child in children:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
        _reap()


def _children() -> Iterator[int]:
    own = str(os.getpid())
    for process in Path("/proc").iterdir():
        # "PID (NAME) STATE PARENT ...", and a name may hold brackets (proc(5)).
        with suppress(OSError):
            if (
                process.name.isdecimal()
                and (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[1] == own
            ):
                yield int(process.name)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


if __name__ == "__main__":
    os._exit(main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
