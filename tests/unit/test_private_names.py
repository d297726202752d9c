"""Names that libraries do not promise to keep are used where they are listed, and nowhere else."""

import ast
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.imports import MODULES, PACKAGE, imports_of, parse
from tests.support.paths import ROOT


class Private(NamedTuple):
    """A name that a library does not promise to keep, and that the package uses none the less.

    Attributes:
        name: where it is found in the library.
        used_in: module of the package.
        why: nothing public does.
        seen: versions that it works with; a lock, or a Python, of another one is refused until somebody has looked.
    """

    library: str
    name: str
    used_in: str
    why: str
    seen: tuple[str, ...]


PRIVATE = (
    Private(
        "distributed",
        "comm.core.CommClosedError",
        "engine/submission.py",
        "what a client raises whose scheduler went away: an OSError, as a function may raise for reasons of its own",
        ("2026.8.0",),
    ),
    Private(
        "distributed",
        "scheduler.heartbeat_interval",
        "engine/pool.py",
        "how often a worker tells that it lives, which grows with how many there are; silence is measured by it",
        ("2026.8.0",),
    ),
    Private(
        "distributed",
        "scheduler.WorkerState",
        "engine/scaling.py",
        "what a SchedulerPlugin's method is handed, for its annotation alone",
        ("2026.8.0",),
    ),
    Private(
        "distributed",
        "system.MEMORY_LIMIT",
        "engine/local.py",
        "what this machine, or its control group, has: LocalCluster shares it by cores, and we by workers",
        ("2026.8.0",),
    ),
    Private(
        "distributed",
        "Client.scheduler.identity",
        "engine/pool.py",
        "Client.scheduler_info waits for the answer, and gives an old one where none comes; its docstring names this call",
        ("2026.8.0",),
    ),
    Private(
        "distributed",
        "Client.scheduler.restart_workers",
        "engine/pool.py",
        "Client.restart_workers refuses workers without a nanny, and waits until they are back",
        ("2026.8.0",),
    ),
    Private(
        "distributed",
        "Nanny.scheduler.retire_workers",
        "engine/serving.py",
        "only Worker closes gracefully, and closes without a limit of time; a nanny's does not tell the scheduler",
        ("2026.8.0",),
    ),
    Private(
        "distributed",
        "SpecCluster.worker_spec",
        "engine/local.py",
        "LocalCluster starts all its workers alike; each GPU is owned by one of them",
        ("2026.8.0",),
    ),
    Private(
        "distributed",
        "Nanny.auto_restart",
        "engine/local.py",
        "closing a cluster waits for workers that are busy; they are ended, and must not come back",
        ("2026.8.0",),
    ),
    Private(
        "distributed",
        "Worker.memory_manager.memory_limit",
        "engine/memory.py",
        "a worker says nowhere else how much memory it may take",
        ("2026.8.0",),
    ),
    Private(
        "distributed",
        "Scheduler.services",
        "engine/serving.py",
        "the port of a dashboard that was left to choose one",
        ("2026.8.0",),
    ),
    Private(
        "numba",
        "np.arrayobj._empty_nd_impl",
        "compiled_arrays.py",
        "what numpy.empty is compiled of: compiled as a function of its own for every type, it is a sixth of a first compilation",
        ("0.68.1",),
    ),
    Private(
        "numba",
        "dispatcher._cache",
        "compiled_code.py",
        "what keeps and finds code of a loop: a disk that is full, or a file that was cut off, would end every case",
        ("0.68.1",),
    ),
    Private(
        "python",
        "subprocess._args_from_interpreter_flags",
        "engine/processes.py",
        "options of a process that multiprocessing starts: by a variable, programs that it starts would have them as well",
        ("3.11", "3.12", "3.13"),
    ),
    Private(
        "torch",
        "mkldnn_convolution",
        "outlining/network.py",
        "oneDNN's convolution, undocumented: conv3d takes another path, eight times slower, for tiles of few rows on one thread",
        ("2.15.0",),
    ),
)
# Documented by their library, for all that their names say.
DOCUMENTED = {"os._exit", "sys._current_frames", "made._getvalue"}


def _is_private(name: str) -> bool:
    """Return whether an imported name is one that its library does not promise to keep."""
    top, *parts = name.split(".")
    if any(part.startswith("_") and not part.startswith("__") for part in (top, *parts)):
        return top != "cvtbatch"
    # The one says so in its documentation, the other offers what is public at the top.
    return (top == "zarr" and parts[:1] == ["core"]) or (top == "distributed" and len(parts) > 1)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_private_names_of_libraries_are_listed(path: Path) -> None:
    used_in = path.relative_to(PACKAGE).as_posix()
    listed = {f"{private.library}.{private.name}" for private in PRIVATE if private.used_in == used_in}
    imported = {name for name in imports_of(path) if _is_private(name)}
    assert imported <= listed, (
        f"private names of libraries: name them in PRIVATE, or better use public ones: {imported - listed}"
    )
    attributes = [node for node in ast.walk(parse(path)) if isinstance(node, ast.Attribute)]
    own = {node.attr for node in attributes if ast.unparse(node.value) in {"self", "cls"}}
    for node in attributes:
        if re.match("_[^_]", node.attr) and node.attr not in own:
            named = {private.name for private in PRIVATE if private.used_in == used_in}
            # Of a named tuple, all methods start so.
            assert ast.unparse(node) in DOCUMENTED | named or node.attr == "_replace", (
                f"line {node.lineno}: {ast.unparse(node)}"
            )


@pytest.mark.parametrize("private", PRIVATE, ids=lambda private: f"{private.library}.{private.name}")
def test_what_is_listed_as_private_is_used_and_was_seen_with_the_locked_version(private: Private) -> None:
    source = (PACKAGE / private.used_in).read_text(encoding="utf-8")
    assert re.search(rf"\b{private.name.rpartition('.')[2]}\b", source), "no longer used: take it off the list"
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    [locked] = re.findall(rf"^{private.library}==(\S+)", lock, re.MULTILINE) or [
        f"{sys.version_info.major}.{sys.version_info.minor}"
    ]
    assert locked in private.seen, f"see whether {private.name} still does what it did, and name {locked}"
