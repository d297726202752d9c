"""Ids that identify a patient are found; pseudonyms that studies use are left alone."""

import hashlib
import uuid

import pytest

from cvtbatch.manifest.pseudonyms import suspicions_of


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("DOE^JOHN", "person_name"),
        ("Doe^John^^Dr", "person_name"),
        ("Doe, John", "person_name"),
        ("Müller,Änne", "person_name"),
        ("19520314", "date"),
        ("case-1952-03-14", "date"),
        ("14.3.1952", "date"),
        ("03/14/1952", "date"),
        ("14.03.52", "date"),
        ("123-45-6789", "grouped_number"),
        ("943 476 5919", "grouped_number"),
        ("MRN0012345", "long_number"),
        ("1234567", "long_number"),
        ("20261340", "long_number"),
        ("j.doe@hospital.org", "email"),
        ("1.2.840.113619.2.55.3", "dicom_uid"),
    ],
)
def test_what_identifies_is_named(value: str, kind: str) -> None:
    assert suspicions_of(value) == (kind,)


@pytest.mark.parametrize(
    "value",
    [
        *("C1-0001", "case-000123", "0001", "123456", "CVT-2024-013", "ge-head", "site 3, arm 2", "S-01-02-03"),
        *("2.1.10", "v1.10.20", "1.2.3", "2024", "P_07_b", "Zürich-17", "中心-012"),
        *(str(uuid.UUID(int=number * 0x1234567890ABCDEF1234567)) for number in range(1, 40)),
        *(hashlib.sha256(bytes([number])).hexdigest()[:24] for number in range(40)),
    ],
)
def test_pseudonyms_are_left_alone(value: str) -> None:
    assert suspicions_of(value) == ()


def test_an_id_may_look_like_several_things() -> None:
    assert suspicions_of("DOE^JOHN 19520314") == ("person_name", "date")
