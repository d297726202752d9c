"""What every command has beside its code; CONTRIBUTING.md lists the steps, and this tells which one was forgotten."""

import json
import re
from collections.abc import Sequence

import click
import pytest

from cvtbatch.cli import cli
from tests.support.paths import ROOT

CONTRACTS = ROOT / "schemas" / "commands"
TESTED_IN = ("tests/integration", "tests/distributed", "tests/faults", "tests/unit")


def _leaves(command: click.Command) -> Sequence[click.Command]:
    return list(command.commands.values()) if isinstance(command, click.Group) else [command]


def _has_json(command: click.Command) -> bool:
    return any(option.name == "as_json" for leaf in _leaves(command) for option in leaf.params)


@pytest.mark.parametrize("name", cli.commands)
def test_its_help_says_what_it_does_and_shows_an_example(name: str) -> None:
    for leaf in _leaves(cli.commands[name]):
        text = leaf.help or ""
        assert text.split("\n")[0].endswith(".")
        assert f"cvtbatch {name} " in text.partition("Example")[2]


@pytest.mark.parametrize("name", cli.commands)
def test_its_document_has_a_contract(name: str) -> None:
    path = CONTRACTS / f"{name}.json"
    assert path.is_file() == _has_json(cli.commands[name])
    if path.is_file():
        assert json.loads(path.read_text())["title"].startswith(f"cvtbatch {name} ")


def test_every_contract_is_of_a_command() -> None:
    assert {path.stem for path in CONTRACTS.iterdir()} <= set(cli.commands)


@pytest.mark.parametrize("name", cli.commands)
def test_the_reference_lists_it(name: str) -> None:
    rows = [
        line
        for line in (ROOT / "docs" / "reference" / "commands.md").read_text().splitlines()
        if line.startswith("| `cvtbatch ")
    ]
    assert any(re.search(rf"`cvtbatch {name}[ `]", row.split(" | ")[0]) for row in rows)


@pytest.mark.parametrize("name", cli.commands)
def test_a_test_runs_it(name: str) -> None:
    """As the first word of a command line that a test gives."""
    texts = (path.read_text() for folder in TESTED_IN for path in (ROOT / folder).rglob("test_*.py"))
    assert any(re.search(rf'[(\[,]\s*"{name}"[,\])]', text) for text in texts)
