"""What was measured and scored of an outline as a Bundle of Observations, FHIR R4 (4.0.1): the report's values and codes.

Patient and study are references by identifier, so that a receiver resolves them or leaves them. Every Observation is preliminary
and says that it is for research use, since one may be read without the others.
"""

import contextlib
import datetime
from collections.abc import Iterator
from typing import Any

import pydicom
from pydicom.sr.coding import Code

from cvtbatch import __version__
from cvtbatch.dicom_results import codes
from cvtbatch.dicom_results.source_headers import derived_uid, tracking_uid
from cvtbatch.dicom_results.values import Outline, Results

Json = dict[str, Any]
# Of coding schemes, by their names in DICOM (PS3.16 table 8-1; terminology.hl7.org for those that HL7 names).
_SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "UCUM": "http://unitsofmeasure.org",
    "IBSI": "urn:oid:1.2.840.10008.2.16.13",
    codes.SCHEME: f"urn:oid:{derived_uid('scheme', codes.SCHEME)}",
}
_IMAGING = {
    "system": "http://terminology.hl7.org/CodeSystem/observation-category",
    "code": "imaging",
    "display": "Imaging",
}
_ACCESSION = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN", "display": "Accession ID"}
_DERIVATION = Code("121401", "DCM", "Derivation")


def to_fhir(
    outline: Outline, results: Results, report: pydicom.Dataset, header: pydicom.Dataset, research_use: str
) -> Json:
    """Return what a report says as a FHIR Bundle, ready to be written as JSON.

    Args:
        report: that says it, by whose UID the Bundle and its parts are named.
        header: of a slice of the source, cut.
        research_use: note of every Observation.
    """
    common = {
        "resourceType": "Observation",
        "status": "preliminary",
        "category": [{"coding": [_IMAGING]}],
        "subject": _patient(header),
        "focus": [{"identifier": _uid(tracking_uid(header, outline.roi_key)), "display": f"Outline: {outline.name}"}],
        "issued": _instant(results.recorded_at),
        "note": [{"text": research_use}],
        "bodySite": _concept(codes.BRAIN),
        "device": {"display": f"cvtbatch {__version__}"},
        "derivedFrom": [{"type": "ImagingStudy", "identifier": _uid(header.StudyInstanceUID)}],
        **_if_known(header),
    }
    entries = []
    for number, said in enumerate(_said(results)):
        own = derived_uid("observation", report.SOPInstanceUID, str(number))
        resource = {**common, "identifier": [_uid(own)], **said}
        entries.append({"fullUrl": f"urn:oid:{own}", "resource": resource})
    return {
        "resourceType": "Bundle",
        "identifier": _uid(report.SOPInstanceUID),
        "type": "collection",
        "timestamp": _instant(results.recorded_at),
        "entry": entries,
    }


def _said(results: Results) -> Iterator[Json]:
    """Yield what Observations say, in the report's order."""
    for number in results.measured:
        unit = number.unit
        quantity = {"value": number.value, "unit": unit.meaning, "system": _SYSTEMS["UCUM"], "code": unit.value}
        found: Json = {"code": _concept(number.concept), "valueQuantity": quantity}
        if number.method is not None:
            found["method"] = _concept(number.method)
        if number.derivation is not None:
            derivation = {"code": _concept(_DERIVATION), "valueCodeableConcept": _concept(number.derivation)}
            found["component"] = [derivation]
        yield found
    for judged in results.judged:
        yield {"code": _concept(judged.concept), "valueCodeableConcept": _concept(judged.value)}
    for told in results.told:
        yield {"code": _concept(told.concept), "valueString": told.text}


def _concept(code: Code) -> Json:
    return {"coding": [{"system": _SYSTEMS[code.scheme_designator], "code": code.value, "display": code.meaning}]}


def _uid(uid: str) -> Json:
    return {"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}


def _patient(header: pydicom.Dataset) -> Json:
    if header.PatientID:
        return {"type": "Patient", "identifier": {"value": header.PatientID}}
    return {"type": "Patient", "display": str(header.PatientName) or "unknown"}


def _if_known(header: pydicom.Dataset) -> Json:
    """Return the day of the study and the order that it was made for, where the source names them."""
    known: Json = {}
    with contextlib.suppress(ValueError):
        day = datetime.datetime.strptime(str(header.StudyDate), "%Y%m%d").replace(tzinfo=datetime.UTC)
        known["effectiveDateTime"] = f"{day:%Y-%m-%d}"
    if header.AccessionNumber:
        order = {"type": {"coding": [_ACCESSION]}, "value": header.AccessionNumber}
        known["basedOn"] = [{"type": "ServiceRequest", "identifier": order}]
    return known


def _instant(time: datetime.datetime) -> str:
    return time.astimezone(datetime.UTC).isoformat(timespec="milliseconds")
