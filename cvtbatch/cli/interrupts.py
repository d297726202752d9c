"""Ctrl-C, SIGTERM, a terminal that is closed: that the user asked for an end is remembered, whoever swallows the exception.

The first asks for an end in order: what is done is committed. Whatever holds that up (a store that hangs, native code), the process
leaves after some seconds all the same; a second one has it leave at once. Nothing breaks by that: the store is made for kills.
The exit code is then 128 and the signal's number, as shells give it: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP (a
terminal that is closed), which is passed over where whoever starts the process wants that (nohup).
"""

import multiprocessing
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from typing import NoReturn

SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
# From the first signal to the end at the latest: five seconds, less what starting to leave takes.
STOP_SECONDS = 3.5
# How often is looked for a signal that is held back.
POLL_SECONDS = 0.5
_SAFE = b"What was committed is safe; the same command continues.\n"

# Kept once the user has asked for an end: raised in a library's callback, a KeyboardInterrupt can vanish without a trace.
_asked: list[int] = []


def _interrupt(number: int, _: object) -> NoReturn:
    _asked.append(number)
    raise KeyboardInterrupt


def exit_code() -> int:
    """Return the exit code of an end that the user has asked for; 0 where nobody has."""
    return 128 + _asked[0] if _asked else 0


def watch_interrupts() -> None:
    """Turn those signals into KeyboardInterrupt, once and for the whole process, and see to it that it ends."""
    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    # Python runs its handlers between two steps of the main thread, which may be in native code; this socket is told at once.
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    # A signal is for the main thread alone, which may hold it back.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    threading.Thread(target=_leave_when_due, args=(reader, writer), name="cvtbatch-interrupts", daemon=True).start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_when_due(reader: socket.socket, writer: socket.socket) -> None:
    """Leave some seconds after the first signal, or at the second; `writer` is held, so that it stays open."""
    first, count = 0, 0
    while not first:
        first = _next(reader, POLL_SECONDS)
        count = int(first > 0)
        first = first or next(iter(signal.sigpending() & SIGNALS), 0)
    end = time.monotonic() + STOP_SECONDS
    while count < 2 and (left_s := end - time.monotonic()) > 0:
        # A shell tells its jobs that the terminal is closed, after the system has.
        count += _next(reader, left_s) not in {0, signal.SIGHUP}
    for process in multiprocessing.active_children():
        process.kill()
    late = f"Interrupted. It did not end by itself within {STOP_SECONDS:g} s, and was left. ".encode()
    with suppress(OSError):
        os.write(2, (b"Left at once. " if count > 1 else late) + _SAFE)
    os._exit(128 + first)


def _next(reader: socket.socket, wait_s: float) -> int:
    """Return the number of the signal that the process is told of in that time; 0 for none, or none of ours."""
    reader.settimeout(wait_s)
    try:
        return next((number for number in reader.recv(1) if number in SIGNALS), 0)
    except TimeoutError:
        return 0


def raise_if_interrupted() -> None:
    """Raise the KeyboardInterrupt that the user asked for and somebody swallowed.

    Raises:
        KeyboardInterrupt: the user has asked for an end.
    """
    if _asked:
        raise KeyboardInterrupt
