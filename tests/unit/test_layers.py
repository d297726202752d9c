"""Imports point down, and heavy libraries stay in their rooms."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "cvtbatch"
# From the ground up; a module imports from layers below, and within a layer from the left.
LAYERS = [
    ["errors"],
    ["contracts", "downloads", "geometry", "spec", "spill", "key_index", "plain_text", "manifest"],
    ["imaging", "synthesis", "radiomics", "embedding", "validation", "dlrn"],
    ["ingest", "store", "engine"],
    ["pipelines"],
    ["cli"],
]
# Within this layer none imports another.
SEPARATE = {"ingest", "store", "engine"}
ROOMS = {
    "dask": {"engine"},
    "distributed": {"engine"},
    "cryptography": {"engine"},
    "click": {"cli"},
    "rich": {"cli"},
    "deltalake": {"store"},
    "zarr": {"store"},
    "torch": {"embedding"},
    "torchvision": {"embedding"},
    "sklearn": {"dlrn", "validation"},
    "imblearn": {"dlrn"},
    "statsmodels": {"dlrn", "validation"},
    "matplotlib": {"embedding", "validation"},
    "jinja2": {"validation"},
    "prometheus_client": {"pipelines"},
    "pooch": {"downloads"},
}


class Private(NamedTuple):
    """A name that a library does not promise to keep, and that the package uses none the less.

    Attributes:
        name: where it is found in the library.
        used_in: module of the package.
        why: nothing public does.
        seen: versions that it works with; a lock of another one is refused until somebody has looked.
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
    # Until zarr.abc and zarr.buffer take their place.
    Private("zarr", "core.buffer.Buffer", "store/volumes.py", "", ("3.1.6",)),
    Private("zarr", "core.buffer.BufferPrototype", "store/volumes.py", "", ("3.1.6",)),
    Private("zarr", "core.buffer.default_buffer_prototype", "store/volumes.py", "", ("3.1.6",)),
    Private("zarr", "core.sync.sync", "store/volumes.py", "", ("3.1.6",)),
)
# Documented by their library, for all that their names say.
DOCUMENTED = {"os._exit", "sys._current_frames"}
MODULES = sorted(PACKAGE.rglob("*.py"))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _place(room: str) -> tuple[int, int]:
    return next((high, layer.index(room)) for high, layer in enumerate(LAYERS) if room in layer)


def test_every_room_has_a_layer() -> None:
    rooms = {_room(path) for path in MODULES} - {"__init__", "__main__"}
    assert rooms == {room for layer in LAYERS for room in layer}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_down_and_stay_in_their_rooms(path: Path) -> None:
    room = _room(path)
    if room in {"__init__", "__main__"}:
        return
    for name in _imports(path):
        top, _, rest = name.partition(".")
        assert room in ROOMS.get(top, {room}), f"{room} imports {name}"
        target = rest.partition(".")[0]
        if top != "cvtbatch" or target in {"", "__version__"} or target == room:
            continue
        assert _place(target) < _place(room), f"{room} imports {name}, which is not below it"
        assert not {room, target} <= SEPARATE, f"{room} imports {name}, beside it"


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
    imported = {name for name in _imports(path) if _is_private(name)}
    assert imported <= listed, (
        f"private names of libraries: name them in PRIVATE, or better use public ones: {imported - listed}"
    )
    attributes = [node for node in ast.walk(_tree(path)) if isinstance(node, ast.Attribute)]
    own = {node.attr for node in attributes if ast.unparse(node.value) in {"self", "cls"}}
    for node in attributes:
        if re.match("_[^_]", node.attr) and node.attr not in own:
            # Of a named tuple, all methods start so.
            assert ast.unparse(node) in DOCUMENTED or node.attr == "_replace", (
                f"line {node.lineno}: {ast.unparse(node)}"
            )


@pytest.mark.parametrize("private", PRIVATE, ids=lambda private: f"{private.library}.{private.name}")
def test_what_is_listed_as_private_is_used_and_was_seen_with_the_locked_version(private: Private) -> None:
    source = (PACKAGE / private.used_in).read_text(encoding="utf-8")
    assert re.search(rf"\b{private.name.rpartition('.')[2]}\b", source), "no longer used: take it off the list"
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    [locked] = re.findall(rf"^{private.library}==(\S+)", lock, re.MULTILINE)
    assert locked in private.seen, f"see whether {private.name} still does what it did, and name {locked}"


def test_help_loads_no_heavy_library() -> None:
    code = (
        "import sys, cvtbatch.cli as c\n"
        "heavy = {'dask', 'distributed', 'cryptography', 'torch', 'sklearn', 'imblearn', 'statsmodels', 'matplotlib', 'zarr',\n"
        "         'radiomics', 'SimpleITK', 'numba', 'highdicom'}\n"
        "try:\n    c.cli.main(['--help'], standalone_mode=False)\n"
        "finally:\n    print('LOADED', sorted(heavy & set(sys.modules)))\n"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "LOADED []" in output
    assert "extract" in output


def test_a_driver_loads_nothing_that_only_its_workers_need() -> None:
    """A fifth of a gigabyte, and seconds at the start of every command that looks at a store."""
    code = (
        "import sys, cvtbatch.pipelines.extraction.extract, cvtbatch.cli.extraction\n"
        "print(sorted({'SimpleITK', 'numba', 'pydicom', 'radiomics', 'pywt', 'scipy.ndimage', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_torch_waits_until_embeddings_are_asked_for() -> None:
    """Every command but one that embeds or tunes, and every pipeline, is imported without it."""
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for room in ("cli", "pipelines", "store", "engine", "dlrn", "validation")
        for path in sorted((PACKAGE / room).rglob("*.py"))
        if path.stem != "__init__"
    ]
    code = f"import importlib, sys\nfor name in {modules}: importlib.import_module(name)\nprint('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
