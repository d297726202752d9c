"""The types that a validation is made of and the contract of its report name the same values in the same order."""

import dataclasses
import importlib
import json
import pkgutil

import pytest

from cvtbatch import validation
from cvtbatch.validation.evaluate import Validation
from tests.support.paths import ROOT

SCHEMA = json.loads((ROOT / "schemas" / "report.json").read_text(encoding="utf-8"))
# Written otherwise than they are held: see `report.document`.
OTHERWISE = {"CaseResult", "Nomogram", "NotComputable"}
TYPES = {
    name: found
    for module in pkgutil.iter_modules(validation.__path__)
    if not module.ispkg
    for name, found in vars(importlib.import_module(f"cvtbatch.validation.{module.name}")).items()
    if isinstance(found, type) and dataclasses.is_dataclass(found)
}


def test_every_definition_is_a_type() -> None:
    assert set(SCHEMA["$defs"]) <= set(TYPES)


@pytest.mark.parametrize("name", sorted(set(SCHEMA["$defs"]) - OTHERWISE))
def test_definitions_have_the_fields_of_their_types(name: str) -> None:
    fields = [field.name for field in dataclasses.fields(TYPES[name])]
    assert SCHEMA["$defs"][name]["required"] == fields
    assert list(SCHEMA["$defs"][name]["properties"]) == fields


def test_the_document_has_the_fields_of_a_validation() -> None:
    assert SCHEMA["required"] == ["report", "version", *(field.name for field in dataclasses.fields(Validation))]
