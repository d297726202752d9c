"""A flag of a volume or a found outline means something in every report, in the table's contract and in the reference."""

import ast
import re

import pytest

from cvtbatch import contracts
from cvtbatch.reporting.flag_words import MEANINGS
from tests.support.imports import PACKAGE, parse
from tests.support.paths import ROOT

REFERENCE = ROOT / "docs" / "reference" / "flags.md"


def _volume_flags() -> set[str]:
    """Return the names that geometry's flags yield, and those that a measured series raises."""
    geometry = parse(PACKAGE / "pipelines" / "shared" / "volume_flags.py")
    yielded = {
        node.value.value
        for node in ast.walk(geometry)
        if isinstance(node, ast.Yield) and isinstance(node.value, ast.Constant)
    }
    quality = parse(PACKAGE / "imaging" / "quality.py")
    raised = {
        key.value
        for node in ast.walk(quality)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }
    return {str(name) for name in yielded | raised}


FLAGS = sorted(_volume_flags())


def test_flags_are_found() -> None:
    assert {"tilted", "contrast", "metal", "base_cut"} <= set(FLAGS)


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_of_a_volume_is_explained(flag: str) -> None:
    described = next(field.description for field in contracts.table("volumes").fields if field.name == "flags")
    word = re.compile(rf"\b{flag}\b")
    assert MEANINGS.get(flag), "say what it means in a report: reporting/flag_words.py"
    assert word.search(described), "say what it means in schemas/tables/volumes.json"
    assert word.search(REFERENCE.read_text(encoding="utf-8")), "say what it means in docs/reference/flags.md"


def _outline_flags() -> list[str]:
    """Return the flags that the contract of `outlines` lists, and that of every found outline."""
    described = next(field.description for field in contracts.table("outlines").fields if field.name == "flags")
    return ["auto", *described.partition(": ")[2].split(", ")]


def test_flags_of_a_found_outline_are_those_that_it_can_raise() -> None:
    raised = parse(PACKAGE / "outlining" / "blood.py")
    names = {
        key.value
        for node in ast.walk(raised)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }
    assert names
    assert names <= set(_outline_flags())


@pytest.mark.parametrize("flag", _outline_flags())
def test_every_flag_of_a_found_outline_is_explained(flag: str) -> None:
    assert MEANINGS.get(flag), "say what it means in a report: reporting/flag_words.py"
    assert f"`{flag}`" in REFERENCE.read_text(encoding="utf-8"), "say what it means in docs/reference/flags.md"
