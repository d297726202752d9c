"""How a run stands, in one line that is written again and again: in a notebook's cell, or at a terminal."""

import sys
import time
from collections.abc import Callable
from typing import Any

from cvtbatch.pipelines.extraction.report import Progress
from cvtbatch.plain_text import visible

# What each stage counts.
UNITS = {"extract": "cases", "outline": "volumes", "embed": "outlines"}
BAR_CHARACTERS = 30
SECONDS_BETWEEN = 0.2


class ProgressLine:
    """Shows progress, a line for each stage; in neither a notebook nor a terminal, nothing."""

    def __init__(self) -> None:
        self._write: Callable[[str], None] = _write_nowhere
        self._stage, self._shown = "", 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.stage != self._stage:
            self._write, self._stage = _writer(), progress.stage
        elif now - self._shown < SECONDS_BETWEEN and progress.done < progress.total:
            return
        self._shown = now
        self._write(line_of(progress))


def line_of(progress: Progress) -> str:
    """Return a stage's progress in words, with a bar."""
    filled = BAR_CHARACTERS * progress.done // max(1, progress.total)
    bar = "#" * filled + "." * (BAR_CHARACTERS - filled)
    return (
        f"{progress.stage} [{bar}] {progress.done}/{progress.total} {UNITS[progress.stage]}, {progress.failed} failed"
    )


def tell(notice: str) -> None:
    """Print a notice of a run on stderr, with an escape for every character that does not show."""
    print(visible(notice), file=sys.stderr)


def _writer() -> Callable[[str], None]:
    """Return what shows a line in the place of the one before."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None and type(shell).__name__ == "ZMQInteractiveShell":
        return _write_in_cell()
    if sys.stderr is not None and sys.stderr.isatty():
        print(file=sys.stderr)
        return _write_at_terminal
    return _write_nowhere


def _write_nowhere(_: str) -> None:
    return


def _write_at_terminal(line: str) -> None:
    print(f"\r{line}", end="", file=sys.stderr, flush=True)


def _write_in_cell() -> Callable[[str], None]:
    display = sys.modules["IPython.display"]
    handle: Any = None

    def write(line: str) -> None:
        nonlocal handle
        shown = {"text/plain": line}
        if handle is None:
            handle = display.display(shown, raw=True, display_id=True)
        else:
            handle.update(shown, raw=True)

    return write
