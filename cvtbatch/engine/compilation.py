"""How far the loops are compiled that a first case waits for: told by whoever compiles, once on each machine.

A worker tells its driver by an event of Dask's, if `cvtbatch worker` or a run started it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cvtbatch.compiled_code import CASE_LOOPS, kept_loops, tell_compiled, why_not_kept

if TYPE_CHECKING:
    from distributed import Client, Worker

# A line whenever so much time has passed, beside the first and the last.
LINE_SECONDS = 5.0
_TOPIC = "cvtbatch-compiled"
_HERE = ""


class CompilationLines:
    """Makes lines of how far each machine is.

    Args:
        tell: called with each line.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._told_at: dict[str, float] = {}
        self._told_reasons: set[str] = set()

    def __call__(self, kept: int, not_kept: str | None, machine: str = _HERE) -> None:
        """Take how many loops are kept on a machine, and why others are not.

        What is compiled beyond a case's loops takes no time to speak of.
        """
        where = f" at {machine}" if machine else ""
        if not_kept is not None:
            if machine not in self._told_reasons:
                self._told_reasons.add(machine)
                self._tell(f"compiled loops cannot be kept{where}, and each process compiles its own: {not_kept}")
            return
        now = time.monotonic()
        due = now - self._told_at.get(machine, -LINE_SECONDS) >= LINE_SECONDS
        if kept > CASE_LOOPS or (kept < CASE_LOOPS and not due):
            return
        self._told_at[machine] = now
        self._tell(f"compiling, once for this user and version{where}: {kept} of up to {CASE_LOOPS} loops")


@contextmanager
def compilation_told(tell: Callable[[str], None]) -> Iterator[None]:
    """Tell what this process compiles."""
    lines = CompilationLines(tell)
    tell_compiled(lambda: lines(kept_loops(), why_not_kept()))
    try:
        yield
    finally:
        tell_compiled(None)


def tell_driver(worker: "Worker") -> None:
    """Have a worker process tell its driver what it compiles."""

    def tell() -> None:
        worker.log_event(_TOPIC, {"worker": worker.address, "kept": kept_loops(), "not_kept": why_not_kept()})

    tell_compiled(tell)


def follow_workers(client: "Client", tell: Callable[[str], None], elsewhere: bool) -> None:
    """Tell what workers compile, for as long as there is a client.

    Args:
        elsewhere: they may be on other machines, which are named.
    """
    lines = CompilationLines(tell)

    def on_event(event: tuple[float, dict[str, Any]]) -> None:
        _, told = event
        machine = str(told["worker"]).rpartition("//")[2].rpartition(":")[0]
        lines(told["kept"], told["not_kept"], machine if elsewhere else _HERE)

    client.subscribe_topic(_TOPIC, on_event)
