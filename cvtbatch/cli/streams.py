"""What becomes of a command whose output nobody reads, as in `cvtbatch ... | head`: it ends without a word, or goes on.

What is printed on stdout is what the command is for: it ends, as Unix tools do, with the exit code that a shell gives for SIGPIPE.
What is told on stderr stands beside the work, which goes on without it; so do commands that run until they are asked to end.
"""

import io
import os
import sys

UNREAD = 128 + 13


class StdoutClosed(BaseException):
    """Nobody reads what is printed; no Exception, since libraries pass over those of files that cannot be written."""


class _Stream(io.FileIO):
    """A standard stream; once its reader is gone, what is written goes nowhere.

    Attributes:
        ends: whether the first write that nobody reads raises StdoutClosed.
    """

    def __init__(self, number: int, ends: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self.ends = ends

    def write(self, data: object) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if self.ends:
                raise StdoutClosed from None
            return super().write(data)  # type: ignore[arg-type]


def watch_streams() -> None:
    """Have stdout end the process when nobody reads it, and stderr be silent then; where they are the process's own."""
    if sys.stdout is sys.__stdout__ and sys.stdout is not None:
        sys.stdout = _opened(sys.stdout, ends=True)
    if sys.stderr is sys.__stderr__ and sys.stderr is not None:
        sys.stderr = _opened(sys.stderr, ends=False)


def go_on_unread() -> None:
    """Have the process go on when nobody reads its stdout."""
    stream = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(stream, _Stream):
        stream.ends = False


def _opened(before: io.TextIOWrapper, ends: bool) -> io.TextIOWrapper:
    before.flush()
    buffer = io.BufferedWriter(_Stream(before.fileno(), ends))
    return io.TextIOWrapper(
        buffer,
        before.encoding,
        before.errors,
        line_buffering=before.line_buffering,
        write_through=before.write_through,
    )
