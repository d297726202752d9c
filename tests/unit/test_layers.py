"""Imports point down, and heavy libraries stay in their rooms."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "cvtbatch"
# From the ground up; a module imports from layers below, and within a layer from the left.
LAYERS = [
    ["errors"],
    ["contracts", "documents", "downloads", "geometry", "spec", "spill", "key_index", "plain_text", "manifest"],
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
    "dask_jobqueue": {"engine"},
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
MODULES = sorted(PACKAGE.rglob("*.py"))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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
