"""What every format of outlines has beside its reader; CONTRIBUTING.md lists the steps."""

import importlib
import re

import pytest

from cvtbatch import contracts
from cvtbatch.ingest.image_files import FORMATS
from tests.support.paths import ROOT

MODULES = [f"cvtbatch.ingest.{path.stem}" for path in sorted((ROOT / "cvtbatch" / "ingest").glob("[a-z]*.py"))]
OWN = {getattr(importlib.import_module(name), "FORMAT", None) for name in MODULES} - {None}


@pytest.mark.parametrize("word", sorted(OWN | set(FORMATS.values())))
def test_the_contract_and_the_readme_name_it(word: str) -> None:
    column = next(field for field in contracts.table("rois").fields if field.name == "mask_format")
    assert word in column.description
    outlines = (ROOT / "README.md").read_text().partition("### Outlines\n")[2].partition("\n### ")[0]
    assert any(word in row for row in re.findall(r"^\|(.+)\|$", outlines, re.MULTILINE))


@pytest.mark.parametrize("word", sorted(OWN))
def test_the_test_of_equal_hematomas_has_it(word: str) -> None:
    assert f'"{word}"' in (ROOT / "tests" / "integration" / "test_masks.py").read_text()
