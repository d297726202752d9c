"""`schemas/failure_kinds.json` lists each kind that cvtbatch gives a failure or an error, with its class, and no other."""

import ast
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache

import pytest

from cvtbatch import contracts, errors
from cvtbatch.pipelines.extraction.failure import FailureKey, failure_of
from tests.support.paths import ROOT

LISTED = {entry["name"]: entry for entry in json.loads((ROOT / "schemas" / "failure_kinds.json").read_text())["fields"]}
CLASSES = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
# Kinds of exceptions that are not cvtbatch's own.
FOREIGN = {"internal_error": Exception, "out_of_memory": MemoryError}


@cache
def _modules() -> list[ast.Module]:
    """Return the package's modules; read by what is run, since every process of a run collects this file."""
    return [ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "cvtbatch").rglob("*.py"))]


@cache
def _constants() -> dict[str, str]:
    """Return the texts that the package's modules give a name to, e.g. `MISSING_FILE`."""
    found = {}
    for module in _modules():
        for node in (node for node in module.body if isinstance(node, ast.Assign)):
            [target], value = node.targets, node.value
            both = (
                zip(target.elts, value.elts, strict=True)
                if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
                else [(target, value)]
            )
            found |= {
                name.id: text.value
                for name, text in both
                if isinstance(name, ast.Name) and isinstance(text, ast.Constant) and isinstance(text.value, str)
            }
    return found


def _texts(node: ast.expr) -> list[str] | None:
    """Return what a kind that is written as this expression may be; None where that is not written there."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.Name(id=name) if name in _constants():
            return [_constants()[name]]
        case ast.IfExp(body=body, orelse=other):
            return [*(_texts(body) or ()), *(_texts(other) or ())]
        case ast.Attribute(attr="kind"):  # of an error that is raised again
            return []
    return None


def _classes(call: ast.Call) -> set[str]:
    """Return the error classes of which a call makes one."""
    match call.func:
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(id=name), attr="of"):
            return {name} & CLASSES
        case ast.Attribute(attr=name):
            return {name} & CLASSES
        case ast.IfExp(body=ast.Name(id=first), orelse=ast.Name(id=second)):
            return {first, second} & CLASSES
    return set()


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    return (call for call in ast.walk(node) if isinstance(call, ast.Call) and call.args)


def _in_tables(function: ast.AST, module: ast.Module) -> Iterable[str]:
    """Return the words of the tables by which a function chooses a kind: its own, or those of its module that it reads."""
    read = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    tables = [
        node
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in read
    ]
    for table in (table for node in (function, *tables) for table in ast.walk(node) if isinstance(table, ast.Tuple)):
        for text in (text for element in table.elts for text in _texts(element) or ()):
            if re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", text):
                yield text


@cache
def _raised() -> dict[str, set[frozenset[str]]]:
    """Return for each kind the classes of the errors that bear it, a set for each place that makes one."""
    raised: dict[str, set[frozenset[str]]] = defaultdict(set)
    makers: dict[str, frozenset[str]] = {}
    for module in _modules():
        for function in (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            parameters = {argument.arg for argument in function.args.args}
            for call in _calls(function):
                if not (classes := frozenset(_classes(call))):
                    continue
                kinds = _texts(call.args[0])
                if kinds is None and isinstance(call.args[0], ast.Name) and call.args[0].id in parameters:
                    makers[function.name] = classes
                    continue
                if kinds is None:
                    kinds = list(_in_tables(function, module)) or [f"no kind found in {function.name}"]
                for kind in kinds:
                    raised[kind].add(classes)
    for call in (call for module in _modules() for call in _calls(module)):
        if isinstance(call.func, ast.Name) and call.func.id in makers:
            for kind in _texts(call.args[0]) or ():
                raised[kind].add(makers[call.func.id])
    return raised


def test_each_kind_is_listed_and_each_listed_one_is_raised() -> None:
    assert sorted(LISTED) == list(LISTED)
    assert set(_raised()) | set(FOREIGN) == set(LISTED)


@pytest.mark.parametrize("kind", [kind for kind in LISTED if kind not in FOREIGN])
def test_a_kind_has_the_class_that_is_listed(kind: str) -> None:
    raised_as = _raised()[kind]
    listed = {getattr(errors, name) for name in LISTED[kind]["errors"]}
    for classes in raised_as:
        assert any(issubclass(getattr(errors, name), tuple(listed)) for name in classes)
    raised = tuple(getattr(errors, name) for classes in raised_as for name in classes)
    assert all(any(issubclass(name, one) for name in raised) for one in listed)
    assert ("several" in LISTED[kind]) == (len(listed) > 1)


@pytest.mark.parametrize(("kind", "foreign"), FOREIGN.items())
def test_a_foreign_exception_has_a_kind_too(kind: str, foreign: type[Exception]) -> None:
    failure = failure_of(foreign("text"), FailureKey("", ""), stage="", source_fingerprint="", manifest_row=1)
    assert failure.kind == kind
    assert LISTED[kind]["errors"] == [foreign.__name__]


def test_stages_are_those_of_the_table() -> None:
    stages = next(field.enum for field in contracts.table("failures").fields if field.name == "stage")
    assert {stage for entry in LISTED.values() for stage in entry["stages"]} == set(stages)
    assert all(entry["meaning"].endswith(".") for entry in LISTED.values())


def test_every_kind_says_who_can_do_something_and_a_failure_what() -> None:
    kinds = contracts.failure_kinds()
    assert list(kinds) == list(LISTED)
    assert {kind.who for kind in kinds.values()} == {"you", "PACS team", "reader"}
    for name, entry in LISTED.items():
        assert bool(entry["stages"]) == bool(kinds[name].do), name
        assert not kinds[name].do or kinds[name].do.endswith("."), name
