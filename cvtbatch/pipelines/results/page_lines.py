"""What a page for viewers says of an outline below its picture: what a reader needs first; all of it stands in the report."""

from collections.abc import Iterator

from cvtbatch.dicom_results import codes
from cvtbatch.dicom_results.values import Measured, Outline, Results
from cvtbatch.dlrn.settings import Model

# Votes and thresholds are for the report.
_LEFT_OUT = {code.value for found in (codes.VOTES, codes.EVENT_VOTES, codes.CUTS) for code in found.values()}
_SHOWN_TEXTS = {codes.EVENT, codes.PREDICTED_CLASS}
_SHOWN_CLASSES = {code.value: code for (model, _), code in codes.CLASSES.items() if model == Model.DLRN}


def to_lines(outline: Outline, results: Results) -> list[str]:
    """Return lines in the order of the report; a letter that the page's font has not becomes a question mark."""
    return [line.encode("latin-1", "replace").decode("latin-1") for line in _lines(outline, results)]


def _lines(outline: Outline, results: Results) -> Iterator[str]:
    found = "drawn by a person" if outline.algorithm is None else f"found by a method, {outline.algorithm.name}"
    yield f"Outline: {found}"
    for number in results.measured:
        if number.concept.value not in _LEFT_OUT:
            yield _measured(number)
    for judged in results.judged:
        if judged.concept.value in _SHOWN_CLASSES:
            yield f"{judged.concept.meaning}: {judged.value.meaning}"
    for told in results.told:
        if told.concept == codes.COMMENT:
            yield told.text
        elif told.concept == codes.FLAG:
            yield f"Flag {told.text}"
        elif told.concept in _SHOWN_TEXTS:
            yield f"{told.concept.meaning}: {told.text}"
        elif told.concept == codes.BY_CLASS[Model.DLRN]:
            name, _, probability = told.text.rpartition(": ")
            yield f"Probability of {name} by DLRN: {float(probability):.4g}"


def _measured(number: Measured) -> str:
    derived = "" if number.derivation is None else f", {number.derivation.meaning.lower()}"
    unit = {codes.NO_UNITS: "", codes.HU: " HU"}.get(number.unit, f" {number.unit.value}")
    where = "" if number.method is None else f" ({_WHERE[number.method]})"
    return f"{number.concept.meaning}{derived}: {number.value:.4g}{unit}{where}"


_WHERE = {codes.SOURCE_SLICES: "on the source's slices", codes.STORED_GRID: "on the features' grid"}
