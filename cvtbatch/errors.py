"""The exception tree, grouped by what the handler does.

Every error carries a stable `kind` (a word that scripts and the `failures` table rely on; `schemas/failure_kinds.json` lists
them), a message that may be stored and shared, and optionally a `private` text (full paths, texts of foreign exceptions) that goes
to the terminal and the user's own log alone: hospital paths and file names can identify a patient. All errors survive pickling,
since workers raise them too.
"""

import errno
import os
from collections.abc import Sequence
from typing import Self

# What a loader of libraries, and Python itself, say where memory or another thread is refused.
_REFUSED = ("failed to map segment", "cannot allocate memory", "can't start new thread")
# A source that cannot be read now, whatever it holds; and the kinds of failures that the next run tries again by itself.
SOURCE_UNAVAILABLE = "source_unavailable"
PASSING_KINDS = frozenset({SOURCE_UNAVAILABLE})


class CvtbatchError(Exception):
    """Base of every error that cvtbatch raises on purpose.

    Args:
        kind: stable snake_case word, e.g. "empty_mask".
        message: what is wrong, with the offending value, and what to do; free of paths and identities.
        private: what only the user in front of the terminal may see.
    """

    def __init__(self, kind: str, message: str, private: str = "") -> None:
        super().__init__(kind, message, private)
        self.kind = kind
        self.message = message
        self.private = private

    def __str__(self) -> str:
        return f"{self.message} [{self.private}]" if self.private else self.message


class InputError(CvtbatchError):
    """What the user handed over cannot be used: mend the file, the value or the setting."""


class ProblemsError(InputError):
    """An input file with every problem that was found in it, not just the first.

    `private` holds one problem a line; where there are very many, the first ones, and how many more there are.
    """

    @classmethod
    def of(cls, kind: str, what: str, problems: Sequence[str], count: int | None = None, advice: str = "") -> Self:
        """Build the error for a file described by `what`.

        Args:
            problems: not empty; all of them, or the first.
            count: of all of them.
            advice: how to be rid of them all, if there is a way.
        """
        count = len(problems) if count is None else count
        more = [f"... and {count - len(problems)} more"] if count > len(problems) else []
        told = f"{what} has {count} problem{'s' if count > 1 else ''}{f'; {advice}' if advice else ''}"
        return cls(kind, told, "\n".join([*problems, *more]))

    def __str__(self) -> str:
        return f"{self.message}:\n" + "\n".join(f"  {line}" for line in self.private.splitlines())


class StorageError(CvtbatchError):
    """The store cannot be read or written now: mend the disk or the network and run again."""


class FormatError(CvtbatchError):
    """A store or an artifact of a format that this version does not know, or whose bytes are not what was recorded."""


class UnavailableError(CvtbatchError):
    """A source cannot be read now, whatever it holds: mend disk, share or server; the next run tries again by itself.

    Attributes:
        wait_s: seconds for which a server asks before it is asked again.
    """

    wait_s: float = 0.0


class ResourceError(CvtbatchError):
    """Memory, time or a machine gave out: run again, with more of it or fewer workers."""


class InternalError(CvtbatchError):
    """A defect of cvtbatch itself."""


def lacks_memory(error: Exception) -> bool:
    """Say whether a foreign exception means that the system refused memory, or a thread, for which there would be no memory."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM
    told = str(error)
    if "static TLS" in told:
        return False
    return isinstance(error, MemoryError) or (
        isinstance(error, ImportError | RuntimeError | OSError)
        and any(words in told.lower() for words in _REFUSED)
        and not _may_not_run(told.partition(":")[0])
    )


def _may_not_run(library: str) -> bool:
    """Say whether a file lies where no programs are run (noexec), which a loader tells as it tells want of memory."""
    try:
        return bool(os.statvfs(library).f_flag & os.ST_NOEXEC)
    except (OSError, ValueError):
        return False
