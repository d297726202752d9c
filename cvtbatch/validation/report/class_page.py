"""Writes the report of several classes: `report.html`, `report.json`, `figures/` and `tables/`; equal inputs give equal bytes."""

import dataclasses
from pathlib import Path
from typing import Any

from cvtbatch import contracts
from cvtbatch.errors import InternalError
from cvtbatch.validation.class_validation import ClassValidation
from cvtbatch.validation.report.class_tables import class_tables, draw_class_curves
from cvtbatch.validation.report.digits import estimate_text
from cvtbatch.validation.report.document import plain
from cvtbatch.validation.report.page_files import write_files
from cvtbatch.validation.report.rendering import render
from cvtbatch.validation.report.visible_text import with_visible_text
from cvtbatch.validation.values import Estimate, Maybe, NotComputable

SCHEMA = "class_report.json"
VERSION = 1


def class_document(found: ClassValidation) -> dict[str, Any]:
    """Return every number of a validation; what could not be computed is {"not_computable": reason}."""
    fields = {field.name: plain(getattr(found, field.name)) for field in dataclasses.fields(ClassValidation)}
    return {"report": "cvtbatch validation of classes", "version": VERSION, **fields}


def write_class_report(found: ClassValidation, folder: Path) -> Path:
    """Write a report into a folder and return its page.

    Raises:
        InputError: the folder cannot be written.
    """
    document = class_document(found)
    if problems := contracts.problems_of(document, SCHEMA):
        raise InternalError("bad_report", f"the report breaks its own contract: {problems[0]}")
    shown = with_visible_text(found)
    tables = {table.name: table for table in class_tables(shown)}
    drawing = draw_class_curves(shown)
    page = render(
        "class_report.html.j2",
        {},
        v=shown,
        tables=tables,
        drawings={drawing.name: drawing} if drawing else {},
        macro=_told(shown.primary_result.macro),
        accuracy=_told(shown.primary_result.accuracy),
    )
    return write_files(folder, "report", document, tables.values(), drawing, page)


def _told(found: Maybe[Estimate]) -> str:
    return f"not computable: {found.reason}" if isinstance(found, NotComputable) else estimate_text(found)
