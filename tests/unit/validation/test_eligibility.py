"""The study's criteria, one by one: what breaks them, what is just inside, and what is unknown."""

import pytest

from cvtbatch import contracts
from cvtbatch.validation.eligibility import CRITERIA, assess_eligibility, inclusion_flow

INCLUDED = {
    "traumatic": 0,
    "onset_to_ct_h": 24.0,
    "confirmed_by": "CTA",
    "ivh": 0,
    "sah": 0,
    "location": "lobar",
    "quality": "adequate",
}
BROKEN = [
    ("traumatic", 1, "traumatic"),
    ("onset_to_ct_h", 24.1, "ct_after_24_h"),
    ("confirmed_by", "NONE", "etiology_unconfirmed"),
    ("ivh", 1, "intraventricular_hemorrhage"),
    ("sah", 1, "subarachnoid_hemorrhage"),
    ("location", "cerebellum", "infratentorial"),
    ("location", "brainstem", "infratentorial"),
    ("quality", "inadequate", "inadequate_quality"),
]


@pytest.mark.parametrize(("column", "value", "reason"), BROKEN)
def test_each_criterion_excludes_by_itself(column: str, value: object, reason: str) -> None:
    case = assess_eligibility({**INCLUDED, column: value})
    assert (case.included, case.reasons, case.unknown) == (False, (reason,), ())


@pytest.mark.parametrize("confirmed_by", ["MRV", "CTA", "DSA"])
@pytest.mark.parametrize("location", ["lobar", "deep", "other"])
@pytest.mark.parametrize("onset_to_ct_h", [0, 24])
def test_what_the_study_includes(confirmed_by: str, location: str, onset_to_ct_h: float) -> None:
    row = {**INCLUDED, "confirmed_by": confirmed_by, "location": location, "onset_to_ct_h": onset_to_ct_h}
    assert assess_eligibility(row).included


@pytest.mark.parametrize("column", list(INCLUDED))
def test_an_empty_value_never_excludes(column: str) -> None:
    case = assess_eligibility({**INCLUDED, column: None})
    assert (case.included, case.reasons, case.unknown) == (True, (), (column,))
    assert assess_eligibility({}).unknown == tuple(INCLUDED)


def test_columns_and_values_are_the_manifests() -> None:
    fields = contracts.manifest_fields()
    for column, value, _ in BROKEN:
        assert not fields[column].enum or value in fields[column].enum
    assert {criterion.column for criterion in CRITERIA} <= set(contracts.clinical_columns())


def test_the_flow_counts_every_case_once_by_its_first_reason() -> None:
    rows = [
        INCLUDED,
        {**INCLUDED, "quality": None, "sah": None},
        {**INCLUDED, "quality": None},
        {**INCLUDED, "traumatic": 1, "quality": "inadequate"},
        {**INCLUDED, "quality": "inadequate", "sah": None},
        {**INCLUDED, "location": "brainstem", "sah": 1},
    ]
    flow = inclusion_flow(rows)
    assert (flow.screened, flow.included) == (6, 3)
    assert list(flow.excluded.items()) == [("traumatic", 1), ("subarachnoid_hemorrhage", 1), ("inadequate_quality", 1)]
    assert dict(flow.unknown) == {"sah": 1, "quality": 2}
    assert flow.screened == flow.included + sum(flow.excluded.values())
