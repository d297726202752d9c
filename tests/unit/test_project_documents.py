"""What the documents of the project say of it is true: names, numbers, versions."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import cvtbatch
from cvtbatch import contracts
from tests.support.paths import ROOT

FOLDERS = ("cvtbatch", "tests", "jobs", "deploy", "docs", ".github")
TEXTS = {".py", ".pyi", ".md", ".yml", ".yaml", ".json", ".csv", ".j2", ".js", ".css", ".toml", ".service", ".R"}
# Names of profiles and of the contract's file, which stand in users' job files, stores and bundles.
IDENTIFIERS = re.compile(r"\b(cvt-|onekey-|features_)\d{4}\b")


def _written() -> Iterator[Path]:
    """Yield the texts of the project, but for contracts, and for what earlier versions and other programs wrote."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in TEXTS and not {"compat", "golden"} & set(path.relative_to(ROOT).parts[:-1]):
                yield path
    yield from (path for path in sorted(ROOT.iterdir()) if path.suffix in TEXTS or path.name == "Makefile")
    yield from sorted((ROOT / "tests" / "golden").glob("*.py"))


def _text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def test_the_version_is_one() -> None:
    released = re.findall(r"^## (\d+\.\d+\.\d+) - \d{4}-\d{2}-\d{2}$", _text("CHANGELOG.md"), re.MULTILINE)
    label = re.search(r'image\.version="(.+?)"', _text("deploy/Containerfile"))
    assert label
    assert {
        "pyproject.toml": tomllib.loads(_text("pyproject.toml"))["project"]["version"],
        "deploy/Containerfile": label[1],
        "CHANGELOG.md": released[0],
    } == dict.fromkeys(("pyproject.toml", "deploy/Containerfile", "CHANGELOG.md"), cvtbatch.__version__)


def test_how_many_features_there_are_stands_in_the_contract_and_once_in_the_readme() -> None:
    number = f"{len(contracts.feature_names()):,}"
    spelled = re.compile(rf"(?<!\d){number[0]}[,_]?{number[2:]}(?!\d)")
    found = {
        path.relative_to(ROOT).as_posix(): hits
        for path in _written()
        if (hits := spelled.findall(IDENTIFIERS.sub("", path.read_text(encoding="utf-8"))))
    }
    assert found == {"README.md": [number]}
