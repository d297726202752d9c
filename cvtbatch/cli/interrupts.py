"""Ctrl-C and SIGTERM: an end that the user asked for is remembered, whoever swallows the exception, and comes in seconds.

The first asks for an end in order: what is done is committed. Whatever holds that up (a store that hangs, native code), the process
leaves after some seconds all the same; a second one has it leave at once. Nothing breaks by that: the store is made for kills.
"""

import multiprocessing
import os
import signal
import socket
import threading
import time
from typing import NoReturn

SIGNALS = {signal.SIGINT, signal.SIGTERM}
# From the first signal to the end at the latest: five seconds, less what starting to leave takes.
STOP_SECONDS = 3.5
# How often is looked for a signal that is held back.
POLL_SECONDS = 0.5
_LEFT = b"Left at once. What was committed is safe; the same command continues.\n"

# Set once the user has asked for an end: raised in a library's callback, a KeyboardInterrupt can vanish without a trace.
_interrupted = threading.Event()


def _interrupt(*_: object) -> NoReturn:
    _interrupted.set()
    raise KeyboardInterrupt


def watch_interrupts() -> None:
    """Turn SIGINT and SIGTERM into KeyboardInterrupt, once and for the whole process, and see to it that it ends."""
    for number in SIGNALS:
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
    count = 0
    while not count and not signal.sigpending() & SIGNALS:
        count = _count(reader, POLL_SECONDS)
    end = time.monotonic() + STOP_SECONDS
    while count < 2 and (left_s := end - time.monotonic()) > 0:
        count += _count(reader, left_s)
    for process in multiprocessing.active_children():
        process.kill()
    os.write(2, _LEFT)
    os._exit(1)


def _count(reader: socket.socket, wait_s: float) -> int:
    """Return how many of our signals the process is told of in that time, at most one; others are none of ours."""
    reader.settimeout(wait_s)
    try:
        return sum(number in SIGNALS for number in reader.recv(1))
    except TimeoutError:
        return 0


def raise_if_interrupted() -> None:
    """Raise the KeyboardInterrupt that the user asked for and somebody swallowed.

    Raises:
        KeyboardInterrupt: the user has asked for an end.
    """
    if _interrupted.is_set():
        raise KeyboardInterrupt
