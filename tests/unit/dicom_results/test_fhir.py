"""The report as FHIR R4: what a Bundle and an Observation must have (hl7.org/fhir/R4), and the report's own values and codes."""

import datetime
import json
import re
from typing import Any

import pytest

from cvtbatch.dicom_results import codes
from cvtbatch.dicom_results.fhir import to_fhir
from tests.support.mask_files import ball, ct_slices
from tests.support.paths import ROOT
from tests.unit.dicom_results.test_dicom_objects import DRAWN, RESULTS, built, cut

NOTE = "For research use"
# Of the elements that are used: those of R4's Observation, and their types.
ELEMENTS = {
    **{"resourceType": str, "identifier": list, "basedOn": list, "status": str, "category": list, "code": dict},
    **{"subject": dict, "focus": list, "effectiveDateTime": str, "issued": str, "note": list, "bodySite": dict},
    **{"method": dict, "device": dict, "derivedFrom": list, "component": list},
    **{"valueQuantity": dict, "valueCodeableConcept": dict, "valueString": str},
}
INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})")
OID = re.compile(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+")


def bundle_of(**tags: str) -> dict[str, Any]:
    slices = ct_slices(ball().stack, "1.2.4", 4.0)
    for name, value in tags.items():
        setattr(slices[0], name, value)
    _, _, report = built(ball())
    found = to_fhir(DRAWN, RESULTS, report, cut(slices).first, NOTE)
    return dict(json.loads(json.dumps(found, allow_nan=False)))


@pytest.fixture(scope="module")
def bundle() -> dict[str, Any]:
    return bundle_of(PatientID="MRN-7", StudyDate="20240229", AccessionNumber="ACC-9")


def test_its_shape_is_that_of_r4(bundle: dict[str, Any]) -> None:
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "collection")
    assert INSTANT.fullmatch(bundle["timestamp"])
    assert datetime.datetime.fromisoformat(bundle["timestamp"]) == RESULTS.recorded_at
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert all(OID.fullmatch(url) for url in urls)
    assert len(set(urls)) == len(urls) == 6
    for resource in (entry["resource"] for entry in bundle["entry"]):
        assert {name: type(value) for name, value in resource.items()} == {name: ELEMENTS[name] for name in resource}
        assert (resource["resourceType"], resource["status"]) == ("Observation", "preliminary")
        assert sum(name.startswith("value") for name in resource) == 1
        assert INSTANT.fullmatch(resource["issued"])
        assert resource["note"] == [{"text": NOTE}]
        for concept in (resource["code"], resource["bodySite"], *resource["category"]):
            assert all(coding["system"] and coding["code"] and coding["display"] for coding in concept["coding"])


def test_it_says_what_the_report_says(bundle: dict[str, Any]) -> None:
    resources = [entry["resource"] for entry in bundle["entry"]]
    coded = [resource["code"]["coding"][0]["code"] for resource in resources]
    said = [*RESULTS.measured, *RESULTS.judged, *RESULTS.told]
    assert coded == [one.concept.value for one in said]
    quantities = [one["valueQuantity"] for one in resources if "valueQuantity" in one]
    assert [(one["value"], one["code"]) for one in quantities] == [
        (20.123456789012345, "mL"),
        (61.25, "[hnsf'U]"),
        (1 / 3, "1"),
    ]
    assert {one["system"] for one in quantities} == {"http://unitsofmeasure.org"}
    assert resources[0]["code"]["coding"][0]["system"] == "http://snomed.info/sct"
    assert resources[0]["method"]["coding"][0]["code"] == "stored_grid"
    [derivation] = resources[1]["component"]
    assert derivation["code"]["coding"][0]["code"] == "121401"
    assert derivation["valueCodeableConcept"]["coding"][0]["code"] == codes.MEAN.value
    assert resources[3]["valueCodeableConcept"]["coding"][0]["display"] == "Positive"
    assert [one["valueString"] for one in resources[4:]] == [one.text for one in RESULTS.told]


def test_patient_study_and_order_are_named_as_the_source_names_them(bundle: dict[str, Any]) -> None:
    resource = bundle["entry"][0]["resource"]
    assert resource["subject"] == {"type": "Patient", "identifier": {"value": "MRN-7"}}
    assert resource["effectiveDateTime"] == "2024-02-29"
    assert resource["basedOn"][0]["identifier"]["value"] == "ACC-9"
    study = {"system": "urn:dicom:uid", "value": f"urn:oid:{ct_slices(ball().stack, '1.2.4', 4.0)[0].StudyInstanceUID}"}
    assert resource["derivedFrom"] == [{"type": "ImagingStudy", "identifier": study}]
    assert "A/1/hematoma" not in json.dumps(bundle)


def test_what_the_source_does_not_know_is_left_out() -> None:
    resource = bundle_of(PatientID="", PatientName="Doe^Jane", StudyDate="", AccessionNumber="")["entry"][0]["resource"]
    assert resource["subject"] == {"type": "Patient", "display": "Doe^Jane"}
    assert not {"effectiveDateTime", "basedOn"} & set(resource)


def test_our_own_codes_have_the_system_of_the_page(bundle: dict[str, Any]) -> None:
    """It never changes, as their meaning does not."""
    [coding] = bundle["entry"][0]["resource"]["method"]["coding"]
    assert coding["system"] == "urn:oid:2.25.269488112046961213357383350928641777818"
    assert f"`{coding['system']}`" in (ROOT / "docs" / "how-to" / "results-for-a-pacs.md").read_text()
