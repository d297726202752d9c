"""The validation as a JSON document (contract: schemas/report.json)."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from cvtbatch.errors import InternalError
from cvtbatch.validation.evaluate import CaseResult, Validation
from cvtbatch.validation.nomogram import Nomogram
from cvtbatch.validation.values import NotComputable, finite

VERSION = 3


def to_document(validation: Validation) -> dict[str, Any]:
    """Return every number of a validation; what could not be computed is {"not_computable": reason}."""
    document: dict[str, Any] = {"report": "cvtbatch validation", "version": VERSION}
    for field in dataclasses.fields(Validation):
        document[field.name] = plain(getattr(validation, field.name))
    return document


def plain(value: object) -> Any:
    match value:
        case NotComputable():
            return {"not_computable": value.reason}
        case Nomogram():
            own = {"log_odds_per_point": value.log_odds_per_point, "log_odds_at_zero": value.log_odds_at_zero}
            return {"intercept": value.intercept, "terms": plain(value.terms), **own}
        case CaseResult():
            return {"called": value.called, "wrong": value.wrong, **plain(value.case)}
        case bool() | int() | str() | None:
            return value
        case float():
            return finite(value)
        case Mapping():
            return {str(name): plain(entry) for name, entry in value.items()}
        case tuple() | list():
            return [plain(entry) for entry in value]
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    raise InternalError("not_a_value", f"a validation holds a {type(value).__name__}")
