"""Cells of a manifest: what each column may hold, and the values that texts stand for. Pure."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter

from cvtbatch import contracts
from cvtbatch.manifest.archive_images import SERIES_FORM, in_archive, series_address
from cvtbatch.manifest.case import Value
from cvtbatch.manifest.files import Cells, TextRows
from cvtbatch.manifest.problems import Problems
from cvtbatch.nearest import did_you_mean
from cvtbatch.plain_text import hidden_character, is_formula
from cvtbatch.spec import canonical_json

# Beside the columns of the contract: the row's number, and its x_ columns as a JSON object.
NUMBER, EXTRA = "number", "extra"
# Columns that name what others named: files, and segments in them.
NAMED_ELSEWHERE = frozenset({"image", "mask", "segment"})
_WITH_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+")
# A long number as a spreadsheet saves it as CSV, and pandas as a float: its last digits are lost, so that two ids become one.
_ROUNDED = re.compile(r"[0-9]([.,][0-9]+)?[Ee]\+[0-9]+")
# A number and its unit, e.g. 65y, and how the columns' own units are written.
_WITH_UNIT = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]+)\.?")
_OWN_UNITS = {"age": ("y", "yr", "yrs", "year", "years"), "onset_to_ct_h": ("h", "hr", "hrs", "hour", "hours")}
# Row and place within the row, by which problems are ordered.
Complaint = tuple[int, int, str]


def column_problems(header: Sequence[str]) -> Iterator[str]:
    """Say which columns are missing, twice there or unknown."""
    fields, prefix = contracts.manifest_fields(), contracts.pass_through_prefix()
    for name, field in fields.items():
        if field.required and name not in header:
            yield f"column {name} is missing; it is required"
    for name in dict.fromkeys(header):
        if header.count(name) > 1:
            yield f"column {name!r} stands {header.count(name)} times"
        if name not in fields and not name.startswith(prefix):
            hint = did_you_mean(name, fields)
            yield f"column {name!r} is unknown; {hint}columns of your own begin with {prefix!r}"


def parse_rows(header: Sequence[str], rows: TextRows, problems: Problems) -> dict[str, list[Value]]:
    """Return the values of some rows by column, defaults filled in, with `NUMBER` and `EXTRA`; None where a cell is wrong."""
    cells = dict(zip(header, rows.columns, strict=True))
    values: dict[str, list[Value]] = {NUMBER: list(rows.numbers)}
    complaints: list[Complaint] = []
    fields = contracts.manifest_fields()
    for place, field in enumerate(fields.values()):
        if field.name not in cells:
            values[field.name] = [field.default] * len(rows.numbers)
            continue
        texts = cells[field.name]
        # Most columns hold a few values, many times.
        parsed = {text: _parse(text, field) for text in set(texts)}
        values[field.name] = [parsed[text][0] for text in texts]
        if any(complaint for _, complaint in parsed.values()):
            complaints += [
                (number, place, f"row {number}, column {field.name}: {parsed[text][1]}")
                for number, text in zip(rows.numbers, texts, strict=True)
                if parsed[text][1]
            ]
    values["patient"] = [
        patient or case_id for patient, case_id in zip(values["patient"], values["case_id"], strict=True)
    ]
    complaints += _addresses(rows.numbers, values["image"], list(fields).index("image"))
    complaints += _contradictions(rows.numbers, values, len(fields))
    values["cvt"] = [
        int(etiology == "CVT") if cvt is None and etiology is not None else cvt
        for etiology, cvt in zip(values["etiology"], values["cvt"], strict=True)
    ]
    values[EXTRA] = _extras(cells, len(rows.numbers))
    problems.extend((number, text) for number, _, text in sorted(complaints, key=itemgetter(0, 1)))
    return values


def _addresses(numbers: Sequence[int], images: Sequence[Value], place: int) -> Iterator[Complaint]:
    for number, image in zip(numbers, images, strict=True):
        if isinstance(image, str) and in_archive(image) and series_address(image) is None:
            yield number, place, f"row {number}, column image: {image!r} is no series of an archive: {SERIES_FORM}"


def _contradictions(numbers: Sequence[int], values: Mapping[str, list[Value]], place: int) -> Iterator[Complaint]:
    for number, etiology, cvt in zip(numbers, values["etiology"], values["cvt"], strict=True):
        if etiology is not None and cvt is not None and cvt != int(etiology == "CVT"):
            yield number, place, f"row {number}, column cvt: {cvt} contradicts etiology {etiology}"
    columns = (values["mask"], values["mask_label"], values["segment"])
    for number, mask, label, segment in zip(numbers, *columns, strict=True):
        if label is not None and segment is not None:
            yield number, place + 1, f"row {number}, column segment: give mask_label or segment, not both"
        if mask is None and (label is not None or segment is not None):
            yield number, place + 2, f"row {number}, column mask: empty, but mask_label or segment is given"


def _extras(cells: Mapping[str, Cells], count: int) -> list[Value]:
    prefix = contracts.pass_through_prefix()
    own = {name: texts for name, texts in cells.items() if name.startswith(prefix)}
    if not own:
        return ["{}"] * count
    return [
        canonical_json({name: text for name, text in zip(own, texts, strict=True) if text})
        for texts in zip(*own.values(), strict=True)
    ]


def _parse(text: str, field: contracts.Field) -> tuple[Value, str]:
    """Return a cell's value and what is wrong with it, or an empty complaint."""
    if not text:
        return field.default, "empty; a value is required" if field.required else ""
    if field.name not in NAMED_ELSEWHERE and text not in field.enum and is_empty_word(text):
        return None, empty_word_problem(text, required=field.required)
    value, complaint = _parse_text(text, field)
    return value, f"{text!r} {complaint}" if complaint else ""


def reserved_rois(values: Mapping[str, Sequence[Value]]) -> Iterator[tuple[int, str]]:
    """Say, with the row, which outlines are named as regions are that are derived of outlines: one would stand for the other."""
    wrong = {roi for roi in set(values["roi"]) if contracts.reserved_rois().fullmatch(str(roi)) is not None}
    for number, roi in zip(values[NUMBER], values["roi"], strict=True) if wrong else ():
        if roi in wrong:
            yield (
                int(number or 0),
                f"row {number}, column roi: {roi!r} is how regions are named that `extract` derives of an outline: name what "
                "was drawn otherwise, e.g. with a hyphen in place of the dot",
            )


def reserved_readers(values: Mapping[str, Sequence[Value]]) -> Iterator[tuple[int, str]]:
    """Say, with the row, which readers are named as methods are that find outlines: a person would be taken for one."""
    wrong = {
        reader for reader in set(values["reader"]) if contracts.reserved_readers().fullmatch(str(reader)) is not None
    }
    for number, reader in zip(values[NUMBER], values["reader"], strict=True) if wrong else ():
        if reader in wrong:
            yield (
                int(number or 0),
                f"row {number}, column reader: {reader!r} is how outlines are named that `extract` finds by itself: name the "
                "person who drew or corrected this one",
            )


def is_empty_word(text: str) -> bool:
    """Say whether a text is what software writes for an empty cell."""
    return text.casefold() in contracts.empty_words()


def empty_word_problem(text: str, *, required: bool) -> str:
    """Say what is wrong with such a text, and what to do."""
    mend = "a value is required" if required else "leave the cell empty"
    return f"{text!r} is what software writes for an empty cell: {mend}"


def _parse_text(text: str, field: contracts.Field) -> tuple[Value, str]:
    value: Value = text
    if field.type in {"integer", "number"}:
        try:
            number = float(text.replace("_", "?"))
        except ValueError:
            return None, _no_number(text, field)
        if not math.isfinite(number) or (field.type == "integer" and not number.is_integer()):
            return None, _no_number(text, field) if field.type == "integer" else "is not a finite number"
        if not (field.minimum or 0) <= number <= (field.maximum if field.maximum is not None else math.inf):
            return None, f"is out of range; it must lie in {field.minimum:.12g} to {field.maximum:.12g}"
        value = int(number) if field.type == "integer" else number
    if field.enum and text not in field.enum:
        return None, f"is not one of {', '.join(field.enum)}"
    if field.max_length and len(text) > field.max_length:
        return None, f"is longer than {field.max_length} characters"
    if field.name in contracts.id_columns() and _ROUNDED.fullmatch(text):
        return (
            None,
            "is a long number of which a program has lost digits: make the column one of texts, and fill the ids in anew",
        )
    if field.pattern and not field.pattern.fullmatch(text):
        return None, _outside_pattern(text, field)
    return value, ""


def _no_number(text: str, field: contracts.Field) -> str:
    """Say that a text is none of a field's numbers, and what to write."""
    if (field.minimum, field.maximum) == (0, 1) and field.type == "integer":
        return "is not 0 or 1: write 1 for yes, 0 for no" + (", nothing for unknown" if field.default is None else "")
    if field.type == "integer":
        return "is not an integer"
    if number := _WITH_UNIT.fullmatch(text):
        is_own = number[2].casefold() in _OWN_UNITS.get(field.name, ())
        return f"is not a number: write {number[1] if is_own else f'it without a unit ({field.description})'}"
    if _THOUSANDS.fullmatch(text):
        return "is not a number: write it without commas, and with a point before decimals"
    if _WITH_COMMA.fullmatch(text):
        return f"is not a number: write {text.replace(',', '.')}"
    return "is not a number"


def _outside_pattern(text: str, field: contracts.Field) -> str:
    if hidden := hidden_character(text):
        return f"holds {hidden}, a character that does not show: type it anew without"
    if field.name in contracts.id_columns() and is_formula(text):
        return f"begins with {text[0]!r}, which spreadsheets take for a formula: begin with a letter or a digit"
    return "has characters that are not allowed"
