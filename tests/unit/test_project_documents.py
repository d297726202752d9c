"""What the documents of the project say of it is true: paths, layers, numbers, versions."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import cvtbatch
from cvtbatch import contracts
from cvtbatch.embedding.architectures import ENTRY_POINTS
from tests.support.paths import ROOT
from tests.unit.test_layers import FLOORS, LAYERS

FOLDERS = ("cvtbatch", "tests", "schemas", "jobs", "deploy", "docs", ".github")
TEXTS = {".py", ".pyi", ".md", ".yml", ".yaml", ".json", ".csv", ".j2", ".js", ".css", ".toml", ".service", ".R"}
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md")))
    if path.name != "CHANGELOG.md"  # tells of what was
)
# Names of profiles and of the contract's file, which stand in users' job files, stores and bundles.
IDENTIFIERS = re.compile(r"\b(cvt-|onekey-|features_)\d{4}\b")


def _text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def _written() -> Iterator[Path]:
    """Yield the texts of the project, but for contracts, and for what earlier versions and other programs wrote."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            parts = path.relative_to(ROOT).parts
            if path.suffix in TEXTS and parts[0] != "schemas" and not {"compat", "golden"} & set(parts[:-1]):
                yield path
    yield from (path for path in sorted(ROOT.iterdir()) if path.suffix in TEXTS or path.name == "Makefile")
    yield from sorted((ROOT / "tests" / "golden").glob("*.py"))


def _named_paths(document: str) -> set[str]:
    """Return what a document names, in code or as the target of a link, as a file or a folder of the checkout."""
    text = _text(document)
    words = {word for code in re.findall(r"`([^`\n]+)`", text) for word in code.split()}
    first = tuple(f"{folder}/" for folder in FOLDERS)
    rooms = tuple(f"{path.name}/" for path in (ROOT / "cvtbatch").iterdir() if path.is_dir())
    named = {word for word in words if word.startswith((*first, *rooms)) or word.endswith((".py", ".md"))}
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    return named | {(ROOT / document).parent.joinpath(link).resolve().relative_to(ROOT).as_posix() for link in links}


def _exists(path: str, document: str) -> bool:
    """Say whether a path is there: from the root, from the package, or beside the document; NAME and ROOM stand for any."""
    pattern = re.sub(r"\b(NAME|ROOM)\b", "*", path).rstrip("/")
    return any(any(base.glob(pattern)) for base in (ROOT, ROOT / "cvtbatch", (ROOT / document).parent))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_that_a_document_names_is_there(document: str) -> None:
    assert [path for path in sorted(_named_paths(document)) if not _exists(path, document)] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_module_that_a_document_names_is_there(document: str) -> None:
    for name in sorted(
        set(re.findall(r"(?<![\w.-])(?:cvtbatch|tests)(?:\.[a-z_0-9]+)+", _text(document))) - {ENTRY_POINTS}
    ):
        path = ROOT.joinpath(*name.split("."))
        of_package = [path.parent / "__init__.py", path.parent / "__init__.pyi", path.parent.with_suffix(".py")]
        exported = any(file.is_file() and path.name in file.read_text(encoding="utf-8") for file in of_package)
        assert path.is_dir() or path.with_suffix(".py").is_file() or exported, name


def test_the_layers_of_the_architecture_are_those_that_are_enforced() -> None:
    rows = re.findall(r"^\| (\d) \| (`.+`) \|$", _text("docs/ARCHITECTURE.md"), re.MULTILINE)
    assert [(int(number), re.findall(r"`(\w+)`", rooms)) for number, rooms in rows] == list(enumerate(LAYERS))


def test_the_floors_of_the_architecture_are_those_that_are_enforced() -> None:
    rows = re.findall(r"^\| floor (\d) \| (.+) \|$", _text("docs/ARCHITECTURE.md"), re.MULTILINE)
    floors = {room: int(number) for number, text in rows for room in re.findall(r"`pipelines/(\w+)/`", text)}
    assert floors == FLOORS


def test_how_many_features_there_are_stands_in_the_contract_and_once_on_the_page_of_values() -> None:
    number = f"{len(contracts.feature_names()):,}"
    spelled = re.compile(rf"(?<!\d){number[0]}[,_]?{number[2:]}(?!\d)")
    found = {
        path.relative_to(ROOT).as_posix(): hits
        for path in _written()
        if (hits := spelled.findall(IDENTIFIERS.sub("", path.read_text(encoding="utf-8"))))
    }
    assert found == {"docs/explanation/values.md": [number]}


def test_the_readme_is_read_in_one_sitting() -> None:
    assert len(_text("README.md").splitlines()) <= 150


def test_the_version_is_one() -> None:
    released = re.findall(r"^## (\d+\.\d+\.\d+) - \d{4}-\d{2}-\d{2}$", _text("CHANGELOG.md"), re.MULTILINE)
    label = re.search(r'image\.version="(.+?)"', _text("deploy/Containerfile"))
    assert label
    assert {
        "pyproject.toml": tomllib.loads(_text("pyproject.toml"))["project"]["version"],
        "deploy/Containerfile": label[1],
        "CHANGELOG.md": released[0],
    } == dict.fromkeys(("pyproject.toml", "deploy/Containerfile", "CHANGELOG.md"), cvtbatch.__version__)


def test_forms_of_issues_are_forms() -> None:
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert len(forms) == 3
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-issue-forms", *forms]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def _headings(document: str) -> set[str]:
    """Return a document's headings as links name them; lines of code blocks are none."""
    text = re.sub(r"^```.*?^```$", "", _text(document), flags=re.MULTILINE | re.DOTALL)
    return {
        re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-")
        for line in re.findall(r"^#+ .+$", text, re.MULTILINE)
    }


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_to_headings_lead_to_them(document: str) -> None:
    for path, heading in re.findall(r"\]\(([^):#]*)#([^)]+)\)", _text(document)):
        target = (ROOT / document).parent.joinpath(path).resolve() if path else ROOT / document
        assert heading in _headings(target.relative_to(ROOT).as_posix()), f"{path}#{heading}"
