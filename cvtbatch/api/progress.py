"""How a run stands, in one line that is written again and again: in a notebook's cell, or at a terminal."""

import sys
import time
from collections.abc import Callable
from typing import Any

from cvtbatch.pipelines.extraction.report import Progress
from cvtbatch.plain_text import visible

# What each stage counts.
UNITS = {"extract": "cases", "outline": "volumes", "region": "cases", "embed": "outlines"}
BAR_CHARACTERS = 30
SECONDS_BETWEEN = 0.2


class ProgressLine:
    """Shows progress, a line for each stage; in neither a notebook nor a terminal, what is begun alone."""

    def __init__(self) -> None:
        self._write: Callable[[str], None] = _write_nowhere
        self._stage, self._shown = "", 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.stage != self._stage:
            # In a notebook, the first stage takes the place of what was begun before it.
            if self._stage or self._write is _write_nowhere:
                self._write = _writer()
            self._stage = progress.stage
        elif now - self._shown < SECONDS_BETWEEN and progress.done < progress.total:
            return
        self._shown = now
        self._write(line_of(progress))

    def step(self, begun: str) -> None:
        """Show what is begun before there is any progress: in a notebook in the cell's line, else on stderr."""
        if self._write is _write_nowhere and _in_notebook():
            self._write = _write_in_cell()
        if self._write is _write_nowhere:
            tell(begun)
        else:
            self._write(begun)


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
    if _in_notebook():
        return _write_in_cell()
    if sys.stderr is not None and sys.stderr.isatty():
        print(file=sys.stderr)
        return _write_at_terminal
    return _write_nowhere


def _in_notebook() -> bool:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


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
