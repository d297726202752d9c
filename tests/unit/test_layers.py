"""Imports point down and never in a circle, heavy libraries stay in their rooms, and files are short."""

from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.imports import MODULES, PACKAGE, imports_of
from tests.support.paths import ROOT
from tests.support.schedule import COMPUTING, WAITING

# From the ground up; a module imports from layers below, and within a layer from the left.
LAYERS = [
    ["errors"],
    [
        "counts",
        "nearest",
        "compiled_code",
        "compiled_arrays",
        "contracts",
        "documents",
        "downloads",
        "extras",
        "file_errors",
        "geometry",
        "spec",
        "spill",
        "key_index",
        "kept_pages",
        "lean_arrow",
        "library_versions",
        "own_folders",
        "plain_text",
        "run_id",
        "whole_files",
        "manifest",
    ],
    [
        "imaging",
        "synthesis",
        "radiomics",
        "embedding",
        "outlining",
        "location",
        "regions",
        "signs",
        "followup",
        "reporting",
        "reviewing",
        "validation",
        "dlrn",
    ],
    ["ingest", "store", "engine", "dicom_results", "pacs"],
    ["pipelines"],
    ["api", "cli"],
]
# Within this layer none imports another.
SEPARATE = {"ingest", "store", "engine", "dicom_results", "pacs"}
ROOMS = {
    "dask": {"engine"},
    "distributed": {"engine"},
    "cryptography": {"engine"},
    "click": {"cli"},
    "rich": {"cli"},
    "deltalake": {"store"},
    "zarr": {"store"},
    "torch": {"embedding", "outlining"},
    "torchvision": {"embedding"},
    "timm": {"embedding"},
    "sklearn": {"dlrn", "validation"},
    "imblearn": {"dlrn"},
    "statsmodels": {"dlrn", "validation"},
    "matplotlib": {"embedding", "validation"},
    "jinja2": {"reporting"},
    "prometheus_client": {"pipelines"},
    "nibabel": {"ingest"},
    "pooch": {"downloads"},
    "highdicom": {"dicom_results"},
    "pynetdicom": {"pacs"},
    "requests": {"pacs"},
}
# Within pipelines: the floor of each room, from the ground up; rooms of one floor do not import each other.
FLOORS = {
    "shared": 0,
    "archive": 1,
    "extraction": 1,
    "indexing": 1,
    "reviews": 1,
    "stores": 1,
    "models": 2,
    "results": 2,
    "centers": 3,
    "cases": 4,
    "serving": 4,
}
MOST_LINES = 400


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def _graph() -> dict[str, frozenset[str]]:
    """Return for each module of the package the modules of the package that it imports.

    The package itself is its version to all of them; what it offers to users stands above, and loads when it is used.
    """
    names = {_name(path): path for path in MODULES}

    def module_of(imported: str) -> str:
        while imported and imported not in names:
            imported = imported.rpartition(".")[0]
        return imported

    return {
        name: frozenset(module_of(imported) for imported in imports_of(path)) - {"", name}
        for name, path in names.items()
        if name != PACKAGE.name
    }


def _circles(graph: dict[str, frozenset[str]]) -> set[tuple[str, ...]]:
    """Return the circles of a graph, until none is left once an arrow of each is taken away."""
    graph, found = dict(graph), set()
    while True:
        try:
            TopologicalSorter({name: sorted(imported) for name, imported in graph.items()}).prepare()
        except CycleError as error:
            circle = error.args[1]
            found.add(tuple(sorted(name.removeprefix("cvtbatch.") for name in set(circle))))
            graph[circle[1]] = graph[circle[1]] - {circle[0]}
        else:
            return found


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _place(room: str) -> tuple[int, int]:
    return next((high, layer.index(room)) for high, layer in enumerate(LAYERS) if room in layer)


def test_every_room_has_a_layer() -> None:
    rooms = {_room(path) for path in MODULES} - {"__init__", "__main__"}
    assert rooms == {room for layer in LAYERS for room in layer}
    assert {path.parent.name for path in PACKAGE.glob("pipelines/*/*.py")} == set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_down_and_stay_in_their_rooms(path: Path) -> None:
    room = _room(path)
    if room in {"__init__", "__main__"}:
        return
    for name in imports_of(path):
        top, _, rest = name.partition(".")
        assert room in ROOMS.get(top, {room}), f"{room} imports {name}"
        target = rest.partition(".")[0]
        if top != "cvtbatch" or target in {"", "__version__"} or target == room:
            continue
        assert _place(target) < _place(room), f"{room} imports {name}, which is not below it"
        assert not {room, target} <= SEPARATE, f"{room} imports {name}, beside it"


def test_pipelines_import_from_floors_below_alone() -> None:
    for name, imported in _graph().items():
        room = name.removeprefix("cvtbatch.pipelines.").partition(".")[0]
        for target in imported:
            other = target.removeprefix("cvtbatch.pipelines.").partition(".")[0]
            if room in FLOORS and other in FLOORS and room != other:
                assert FLOORS[other] < FLOORS[room], f"{name} imports {target}, which is not on a floor below"


def test_no_imports_go_in_a_circle() -> None:
    assert _circles({"a": frozenset("bd"), "b": frozenset("c"), "c": frozenset("a"), "d": frozenset("a")}) == {
        ("a", "b", "c"),
        ("a", "d"),
    }
    assert _circles(_graph()) == set()


def test_no_file_is_long() -> None:
    lines = {path: path.read_bytes().count(b"\n") for path in (*MODULES, *(ROOT / "tests").rglob("*.py"))}
    assert [path.relative_to(ROOT).as_posix() for path, count in lines.items() if count > MOST_LINES] == []


def test_rooms_of_unit_tests_are_those_of_the_package() -> None:
    unit = ROOT / "tests" / "unit"
    rooms = {path.parent.relative_to(unit) for path in unit.rglob("*.py")}
    assert rooms <= {path.parent.relative_to(PACKAGE) for path in MODULES}


def test_files_that_start_first_are_there() -> None:
    assert [name for name in (*WAITING, *COMPUTING) if not (ROOT / name).is_file()] == []
