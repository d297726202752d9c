"""What `deploy/` holds, read as its users' tools read it."""

import copy
import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from cvtbatch.cli import cli
from tests.support.paths import ROOT

DEPLOY = ROOT / "deploy"
Document = dict[str, Any]


def kubernetes_documents() -> list[Document]:
    """Return every document below deploy/kubernetes."""
    files = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    return [document for file in files for document in yaml.safe_load_all(file.read_text(encoding="utf-8"))]


def compose_document() -> Document:
    """Return the compose file; of variables, the values that they have unless they are set."""
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    document: Document = yaml.safe_load(re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", text))
    return document


def parse_command(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the options of a cvtbatch command line, as click reads them; the command does not run.

    Raises:
        click.UsageError: there is no such command, or it takes no such options.
    """
    context = cli.make_context("cvtbatch", list(arguments))
    name, command, rest = cli.resolve_command(context, list(arguments))
    assert name is not None
    assert command is not None
    with command.make_context(name, rest, parent=context) as parsed:
        return {"command": name, **parsed.params}


def misspelt(document: Document, free: frozenset[str]) -> Iterator[tuple[str, Document]]:
    """Yield the document with a key misspelt, for every key of it.

    Args:
        free: names of maps whose keys are anybody's, e.g. labels.

    Yields:
        the path of the key, and a copy of the document.
    """
    for path in _paths(document, (), free):
        changed = copy.deepcopy(document)
        place = changed
        for step in path[:-1]:
            place = place[step]
        place[f"{path[-1]}z"] = place.pop(path[-1])
        yield "/".join(map(str, path)), changed


def _paths(value: object, path: tuple[Any, ...], free: frozenset[str]) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            if key not in free:
                yield from _paths(inner, (*path, key), free)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _paths(inner, (*path, index), free)
