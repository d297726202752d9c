"""JSON documents that keep to their contract, as frozen dataclasses, and back."""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def from_document(kind: type[T], document: Mapping[str, Any]) -> T:
    """Return a document that has been checked as a dataclass, its lists as tuples and its objects as the fields' types say.

    Numbers stay as they were written, integers too where a field says float, so that `to_document` gives equal JSON. Keys that the
    dataclass does not have are left out; a key that is absent has the field's default.

    Args:
        kind: a dataclass; its fields are scalars of JSON, enums, dataclasses, or tuples and mappings of these; a union is None, a
            list if it has a tuple among its members, or what its first member says.

    Raises:
        KeyError: a key without a default is absent: the document was not checked.
    """
    hints = get_type_hints(kind)
    values = {}
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name in document or (field.default is MISSING and field.default_factory is MISSING):
            values[field.name] = _typed(hints[field.name], document[field.name])
    return kind(**values)


def to_document(value: Any) -> Any:
    """Return a dataclass, and what it holds, as plain values of JSON."""
    if is_dataclass(value):
        return {field.name: to_document(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {to_document(key): to_document(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_document(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def _typed(hint: Any, value: Any) -> Any:
    origin, parts = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        lists = [part for part in parts if get_origin(part) is tuple and isinstance(value, list)]
        return None if value is None else _typed([*lists, *parts][0], value)
    if origin is tuple:
        kinds = parts if parts[-1] is not Ellipsis else parts[:1] * len(value)
        return tuple(_typed(kind, item) for kind, item in zip(kinds, value, strict=True))
    if origin is Mapping:
        return {_typed(parts[0], key): _typed(parts[1], item) for key, item in value.items()}
    if is_dataclass(hint):
        return from_document(hint, value)  # type: ignore[arg-type]
    return hint(value) if isinstance(hint, type) and issubclass(hint, Enum) else value
