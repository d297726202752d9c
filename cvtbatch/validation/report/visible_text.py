"""Values of a report as a page and its figures show them: with an escape for every character that does not show. Pure."""

import dataclasses
from collections.abc import Mapping
from operator import is_
from typing import Any, TypeVar

from cvtbatch.plain_text import visible

Value = TypeVar("Value")


def with_visible_text(value: Value) -> Value:
    """Return a value with every text in it made visible, be it a text, or a tuple, mapping or frozen dataclass of such values.

    What has nothing hidden is returned itself, so that next to nothing is built anew.
    """
    shown: Value = _shown(value)
    return shown


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        text = visible(value)
        return value if text == value else text
    if isinstance(value, tuple):
        parts = tuple(map(_shown, value))
        return value if all(map(is_, parts, value)) else parts
    if isinstance(value, Mapping):
        names, entries = _shown(tuple(value)), _shown(tuple(value.values()))
        same = all(map(is_, names, value)) and all(map(is_, entries, value.values()))
        return value if same else dict(zip(names, entries, strict=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        changed = {name: shown for name, part in fields.items() if (shown := _shown(part)) is not part}
        return dataclasses.replace(value, **changed) if changed else value
    return value
