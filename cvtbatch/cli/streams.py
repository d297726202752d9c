"""What becomes of a command whose output nobody reads, as in `cvtbatch ... | head`: it ends without a word, or goes on.

What is printed on stdout is what the command is for: it ends, as Unix tools do, with the exit code that a shell gives for SIGPIPE.
What is told on stderr stands beside the work, which goes on without it; so do commands that run until they are asked to end. A
terminal that is gone is such a reader. Where stdout is a file that takes no more, the command ends with an error instead.
"""

import errno
import io
import os
import sys

from cvtbatch.file_errors import why

UNREAD = 128 + 13


class StdoutClosed(BaseException):
    """Nobody reads what is printed; no Exception, since libraries pass over those of files that cannot be written."""


class StdoutLost(BaseException):
    """What is printed goes into a file that does not take it, for the reason that is the exception's text."""


class _Stream(io.FileIO):
    """A standard stream; once its reader is gone, or its file takes no more, what is written goes nowhere.

    Attributes:
        ends: whether the first write that does not arrive raises StdoutClosed or StdoutLost.
    """

    def __init__(self, number: int, ends: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self.ends = ends

    def write(self, data: object) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if self.ends:
                # A terminal that is gone says EIO.
                raise (StdoutClosed() if error.errno in {errno.EPIPE, errno.EIO} else StdoutLost(why(error))) from None
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
