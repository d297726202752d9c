"""What every format of outlines has beside its reader; CONTRIBUTING.md lists the steps."""

import importlib
import re

import pytest

from cvtbatch.ingest.image_files import FORMAT_NAMES
from tests.support.paths import ROOT

MODULES = [f"cvtbatch.ingest.{path.stem}" for path in sorted((ROOT / "cvtbatch" / "ingest").glob("[a-z]*.py"))]
OWN = {getattr(importlib.import_module(name), "FORMAT", None) for name in MODULES} - {None}


@pytest.mark.parametrize("word", sorted(OWN | set(FORMAT_NAMES)))
def test_the_reference_names_it(word: str) -> None:
    outlines = (ROOT / "docs" / "reference" / "outlines.md").read_text()
    assert any(word in row for row in re.findall(r"^\|(.+)\|$", outlines, re.MULTILINE))


@pytest.mark.parametrize("word", sorted(OWN))
def test_the_test_of_equal_hematomas_has_it(word: str) -> None:
    assert f'"{word}"' in (ROOT / "tests" / "integration" / "test_masks.py").read_text()
