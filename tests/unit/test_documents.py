"""What the documents of the project say of it is true: names, numbers, versions."""

import re
import tomllib

import cvtbatch
from tests.support.paths import ROOT


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
