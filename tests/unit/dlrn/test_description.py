"""bundle.json as values: of every format they say what the document says."""

from dataclasses import replace
from pathlib import Path

import pytest

from cvtbatch.dlrn import load_bundle
from cvtbatch.dlrn.clinical_terms import DEFAULT_TERMS
from cvtbatch.dlrn.settings import Model
from cvtbatch.documents import to_document
from cvtbatch.errors import FormatError
from cvtbatch.validation.outcome import CVT
from tests.support.paths import ROOT

COMPAT = ROOT / "tests" / "compat"
# What stands for a key that a document does not have.
ABSENT = (None, {}, [], to_document(DEFAULT_TERMS), to_document(CVT))
BUNDLES = sorted(path.parent for path in COMPAT.glob("*/bundle.json"))


def differences(values: object, document: object, where: str = "") -> list[str]:
    """Return where values are not the document's; the document may say more."""
    if isinstance(values, dict) and isinstance(document, dict):
        return [
            found
            for key, value in values.items()
            if not (value in ABSENT and key not in document)
            for found in differences(value, document[key], f"{where}.{key}")
        ]
    if isinstance(values, list) and isinstance(document, list) and len(values) == len(document):
        pairs = zip(values, document, strict=True)
        return [found for value, own in pairs for found in differences(value, own, f"{where}[]")]
    return [] if values == document and type(values) is type(document) else [where]


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.name)
def test_values_are_those_of_the_document(path: Path) -> None:
    bundle = load_bundle(path)
    assert differences(to_document(bundle.description), bundle.document) == []


def test_what_depends_on_the_format_is_none() -> None:
    old, new, child = (
        load_bundle(COMPAT / name).description for name in ("bundle-1", "bundle-2", "bundle-2-recalibrated")
    )
    assert (old.spec_settings, old.recalibration) == (None, None)
    assert child.recalibration is not None
    assert child.recalibration.parent_digest == load_bundle(COMPAT / "bundle-2").digest
    assert child.thresholds[Model.DLR] == new.thresholds[Model.DLR]


def test_a_job_names_the_primary_outlines_or_the_bundle_is_damaged() -> None:
    description = load_bundle(COMPAT / "bundle-2").description
    job = {"cohort": {"primary_reader": "B", "primary_reading": 2}}
    assert replace(description, job=job).primary == ("B", 2)
    for broken in ({}, {"cohort": 5}, {"cohort": {"primary_reader": "B"}}):
        with pytest.raises(FormatError, match="names no primary reader"):
            _ = replace(description, job=broken).primary
