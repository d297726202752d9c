"""Tests of clinical candidates of several classes against R (tests/golden/candidates/reference.R wrote the values)."""

import csv
import json

import numpy as np
import pytest

from cvtbatch.dlrn.clinical_choice import choose_terms
from cvtbatch.dlrn.clinical_columns import to_texts
from cvtbatch.dlrn.clinical_terms import ClinicalColumns
from cvtbatch.dlrn.settings import ClinicalSettings
from cvtbatch.validation.baseline import FISHER_DRAWS
from tests.support.paths import ROOT

GOLDEN = ROOT / "tests" / "golden" / "candidates"
R = json.loads((GOLDEN / "reference.json").read_text(encoding="utf-8"))
TESTS = {
    "age": "ANOVA (Welch)",
    "delay": "Kruskal-Wallis",
    "seizure": "chi-square",
    "location": "chi-square",
    "alcohol": f"Fisher, {FISHER_DRAWS:,} random tables",
    "device": f"Fisher, {FISHER_DRAWS:,} random tables",
}


def columns() -> tuple[ClinicalColumns, np.ndarray]:
    with (GOLDEN / "cases.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = {name: to_texts([row[name] or None for row in rows]) for name in ("location", "device")}
    numbers = {name: np.array([float(row[name] or "nan") for row in rows]) for name in TESTS if name not in texts}
    return {**numbers, **texts}, np.array([("HP", "CVT", "CAA").index(row["class"]) for row in rows])


def test_candidates_of_three_classes_have_rs_p_values() -> None:
    values, outcome = columns()
    found = choose_terms(values, outcome, ClinicalSettings((), tuple(TESTS), 0.05, (), 3))
    assert {row.name: row.test for row in found.candidates} == TESTS
    for row in found.candidates:
        if row.test.startswith("Fisher"):
            # R's is exact: within four standard errors of a share of random tables.
            error = 4 * np.sqrt(R[row.name] * (1 - R[row.name]) / FISHER_DRAWS)
            assert row.p_value == pytest.approx(R[row.name], abs=error)
        else:
            assert row.p_value == pytest.approx(R[row.name], rel=1e-10)
    assert found.entered() == ("age", "seizure", "location")
    assert [term.name for term in found.terms] == ["age", "seizure", "location", "location"]


def test_what_cannot_be_tested_of_a_class_says_why() -> None:
    values, outcome = columns()
    age, device = np.array(values["age"]), values["device"].copy()
    age[np.flatnonzero(outcome == 2)[1:]] = np.nan
    device[outcome == 1] = None
    found = choose_terms({"age": age, "device": device}, outcome, ClinicalSettings((), ("age", "device"), 0.05, (), 3))
    of_age, of_device = (row.reason for row in found.candidates)
    assert of_age.startswith("a test needs two values in each group; there are 1, ")
    assert of_device == "one group has no known value"
    assert found.entered() == ()
