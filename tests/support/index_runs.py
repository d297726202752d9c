"""Runs of `cvtbatch index` in one process, and the manifests that they write."""

import csv
import json
from pathlib import Path

import pytest

from cvtbatch import contracts
from tests.support.commands import cvtbatch


def own_state(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep headers and pseudonyms in a folder of the test."""
    for name in ("XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(folder / name))


def run_index(root: Path, *arguments: object, code: int = 0, out: str = "m.csv") -> dict[str, object]:
    """Index a folder into a manifest beside it, of centre B where no pattern is given; return what --json says."""
    manifest = root.parent / out
    center = () if "--pattern" in arguments else ("--center", "B")
    command = ("index", root, "--out", manifest, *center, "--workers", 0, "--json", *arguments)
    result = cvtbatch(*command)
    assert result.returncode == code, result.stderr
    document = json.loads(result.stdout)
    assert contracts.problems_of(document, "commands/index.json") == []
    return dict(document)


def rows_of(root: Path, out: str = "m.csv") -> list[dict[str, str]]:
    """Return the rows of a manifest, or of another table, beside a folder."""
    with (root.parent / out).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
