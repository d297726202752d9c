"""What a study file answers of the checklists, by topic. Pure."""

from collections.abc import Iterator

from cvtbatch.validation.report.answer import Answer, to_pointer
from cvtbatch.validation.study import Availability, ReferenceStandard, Segmentation, Shared, Study

_TOPICS = {
    "setting": "setting",
    "treatments": "treatments",
    "acquisition_standard": "acquisition_standard",
    "predictors_assessed_by": "predictors_assessed_by",
    "funding": "funding",
    "conflicts": "conflicts",
    "protocol": "study_protocol",
    "registration": "registration",
    "involvement": "involvement",
}
"""Topics of the keys that are a text."""
_SHARED = ("images", "features", "code", "model", "system")


def study_answers(study: Study | None) -> dict[str, Answer]:
    """Return what the authors answer, by topic; a topic that they left out is absent."""
    return {} if study is None else dict(_answers(study))


def _answers(study: Study) -> Iterator[tuple[str, Answer]]:
    for name, topic in _TOPICS.items():
        if text := getattr(study, name):
            yield topic, _yes(text, name)
    if study.nature:
        yield "nature", _yes(f"{study.nature.capitalize()}.", "nature")
    if study.dates:
        yield "dates", _yes(f"Scans from {study.dates.first} to {study.dates.last}.", "dates")
    if study.guidelines:
        yield "guidelines", _yes(", ".join(study.guidelines), "guidelines")
    if study.readers:
        told = "; ".join(f"{reader.reader}: {reader.role}, {reader.years} years" for reader in study.readers)
        yield "who_segmented", _yes(f"{told}.", "readers")
    if study.ethics:
        ethics = study.ethics
        yield "ethics", _yes(f"{ethics.committee} {ethics.approval} Consent: {ethics.consent}", "ethics")
    if study.reference_standard:
        yield from _of_reference(study.reference_standard)
    if study.segmentation:
        yield from _of_segmentation(study.segmentation)
    if study.availability:
        yield from _of_availability(study.availability)


def _yes(text: str, *keys: str) -> Answer:
    return Answer("yes", text, _pointer(*keys))


def _pointer(*keys: str) -> str:
    return to_pointer("provenance", "study", *keys)


def _of_reference(standard: ReferenceStandard) -> Iterator[tuple[str, Answer]]:
    place = "reference_standard"
    yield "reference", _yes(standard.definition, place, "definition")
    if standard.assessors:
        yield "reference_assessors", _yes(standard.assessors, place, "assessors")
    if standard.blinded is not None:
        text = "Blind to the scores." if standard.blinded else "Not blind to the scores."
        yield "reference_blinded", Answer("yes" if standard.blinded else "no", text, _pointer(place, "blinded"))
    if standard.interval:
        yield "reference_interval", _yes(standard.interval, place, "interval")


def _of_segmentation(found: Segmentation) -> Iterator[tuple[str, Answer]]:
    yield "segmentation", _yes(f"{found.automation.capitalize()}: {found.method}", "segmentation", "method")
    verdict = found.single_reader or found.automation == "automated"
    text = "Outlines of one reader, or of a program." if verdict else "Outlines of several readers."
    yield "single_reader", Answer("yes" if verdict else "no", text, _pointer("segmentation", "single_reader"))


def _of_availability(found: Availability) -> Iterator[tuple[str, Answer]]:
    shared: dict[str, Shared] = {name: value for name in _SHARED if (value := getattr(found, name)) is not None}
    for name, value in shared.items():
        yield f"shared_{name}", _of_shared(name, value)
    data = {name: value for name, value in shared.items() if name in ("images", "features")}
    if data:
        best = max(data, key=lambda name: data[name].available)
        yield "shared_data", _of_shared(best, data[best])


def _of_shared(name: str, value: Shared) -> Answer:
    return Answer("yes" if value.available else "no", value.where, _pointer("availability", name, "available"))
