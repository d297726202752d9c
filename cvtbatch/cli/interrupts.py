"""Ctrl-C and SIGTERM: an end that the user asked for is remembered, whoever swallows the exception."""

import signal
import threading
from typing import NoReturn

# Set once the user has asked for an end: raised in a library's callback, a KeyboardInterrupt can vanish without a trace.
_interrupted = threading.Event()


def _interrupt(*_: object) -> NoReturn:
    _interrupted.set()
    raise KeyboardInterrupt


def watch_interrupts() -> None:
    """Turn SIGINT and SIGTERM into KeyboardInterrupt, once and for the whole process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)


def raise_if_interrupted() -> None:
    """Raise the KeyboardInterrupt that the user asked for and somebody swallowed.

    Raises:
        KeyboardInterrupt: the user has asked for an end.
    """
    if _interrupted.is_set():
        raise KeyboardInterrupt
