"""The contracts in `schemas/`, read: tables as Arrow schemas, the manifest's columns, and validators of documents.

`schemas/` is the one place where a column, a range or a key is written down; this is the one module that knows its files.
Manifest and tables are Frictionless Table Schema descriptors (https://specs.frictionlessdata.io/table-schema/) with additions:
`appends` and `state` (how a table grows), `partitionBy` (columns whose values lie in files of their own), `bookkeeping` (columns
that the digest of a snapshot leaves out; a table without it is no content of a snapshot), `unit` (of a column's numbers),
`describes` (of a table whose rows describe outlines: it, its specifications' kind, and the word of a job have one name),
`fieldsFrom` (a file that lists further columns of one type), and the type float32. A column may be added to a table if it is not
required; opening a store for writing adds it there. Jobs and command outputs are JSON Schema 2020-12.
"""

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from cvtbatch.errors import InternalError
from cvtbatch.nearest import did_you_mean, nearest

JsonObject = dict[str, Any]
# The table of the study's features; those of other sets have its columns.
RADIOMICS = "radiomics"
# The table of a set of a user's own is called so, and then by the set's name.
SET_PREFIX = "features_"

# What JSON Schema calls a type, in words.
_TYPE_WORDS = {
    "array": "list",
    "object": "section of keys",
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
}

_ARROW_TYPES = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "float32": pa.float32(),
    "boolean": pa.bool_(),
    "datetime": pa.timestamp("us", tz="UTC"),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One column of the manifest or of a table."""

    name: str
    type: str
    description: str
    required: bool = False
    default: str | int | None = None
    enum: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    max_length: int | None = None
    pattern: re.Pattern[str] | None = None
    item_type: str = ""
    unit: str = ""

    def arrow(self) -> pa.Field:
        """Return the column as Arrow stores it."""
        kind = pa.list_(_ARROW_TYPES[self.item_type]) if self.type == "array" else _ARROW_TYPES[self.type]
        return pa.field(self.name, kind, nullable=not self.required)


@dataclass(frozen=True)
class TableContract:
    """A table of the store.

    Attributes:
        key: columns that say what a row is about.
        appends: "once": a key has one row for ever; "when_changed": the newest row of a key is current, and a row is appended
            only if it differs from that one in `state`.
        state: columns that tell two rows of one key apart.
        partition_by: columns whose values lie in files of their own.
        bookkeeping: columns that are no content; None for a table that is no content of a snapshot.
        features: columns that hold a radiomics feature, in order, the last ones.
    """

    name: str
    key: tuple[str, ...]
    appends: Literal["once", "when_changed"]
    state: tuple[str, ...]
    partition_by: tuple[str, ...]
    bookkeeping: tuple[str, ...] | None
    fields: tuple[Field, ...]
    features: tuple[str, ...] = ()

    def arrow(self) -> pa.Schema:
        """Return the Arrow schema, columns in stored order."""
        return self._schema

    @cached_property
    def _schema(self) -> pa.Schema:
        return pa.schema([field.arrow() for field in self.fields])

    def key_field_count(self) -> int:
        """Return how many leading columns are keys and book-keeping, not features: those that deserve statistics."""
        return len(self.fields) - len(self.features)


@dataclass(frozen=True, slots=True)
class FailureKind:
    """A kind of failure, for people.

    Attributes:
        who: can do something about it.
        meaning: what is wrong.
        do: what to do; empty for a kind that ends the command, whose meaning says it.
    """

    name: str
    who: Literal["you", "PACS team", "reader"]
    meaning: str
    do: str


def _installed(path: str) -> Path:
    """Return a file that comes with cvtbatch: inside the wheel, or beside the package in a checkout."""
    for folder in Path(__file__).parents[:2]:
        if (folder / path).is_file():
            return folder / path
    raise InternalError("installation_damaged", f"{path} is missing from this installation of cvtbatch")


@cache
def _schemas() -> Path:
    """Return the folder of the contracts."""
    return _installed("schemas/manifest.json").parent


def default_job(kind: str) -> Path:
    """Return the job file that `cvtbatch KIND` runs unless told otherwise."""
    return _installed(f"jobs/{kind}.yaml")


def _load(name: str) -> JsonObject:
    return dict(json.loads((_schemas() / name).read_text(encoding="utf-8")))


@cache
def feature_names() -> tuple[str, ...]:
    """Return the names of the study's radiomics features, in stored order."""
    return tuple((_schemas() / "features_1834.txt").read_text(encoding="ascii").split())


@cache
def _feature_units() -> Mapping[str, tuple[str, bool]]:
    entries = _load("feature_units.json")["fields"]
    return {entry["name"]: (entry["unit"], entry.get("calibrated", False)) for entry in entries}


@cache
def processor_bound_features() -> Mapping[str, str]:
    """Return the features whose value moves between processors by more than the parity contract allows, and why."""
    return {entry["name"]: entry["reason"] for entry in _load("processor_bound.json")["fields"]}


def feature_metadata(name: str, calibrated: bool) -> dict[str, str]:
    """Return what a feature's column says about itself.

    Its class, its image type and, where it has one for sure, its unit; `processor_bound` where its value follows the processor.

    Args:
        calibrated: whether voxels were HU, not normalised.
    """
    image_type, feature_class, feature = name.split("_")
    units = _feature_units()
    unit, only_calibrated = units.get(name) or units.get(f"*_{feature_class}_{feature}") or ("", False)
    metadata = {"feature_class": feature_class, "image_type": image_type}
    if unit and (calibrated or not only_calibrated):
        metadata["unit"] = unit
    if reason := processor_bound_features().get(name):
        metadata["processor_bound"] = reason
    return metadata


def _fields(descriptor: JsonObject) -> Iterator[Field]:
    for entry in descriptor["fields"]:
        if "fieldsFrom" in entry:
            names = (_schemas() / entry["fieldsFrom"]).read_text(encoding="ascii").split()
            yield from (Field(name, entry["type"], entry["description"]) for name in names)
            continue
        constraints = entry.get("constraints", {})
        yield Field(
            name=entry["name"],
            type=entry["type"],
            description=entry["description"],
            required=constraints.get("required", False),
            default=entry.get("default"),
            enum=tuple(constraints.get("enum", ())),
            minimum=constraints.get("minimum"),
            maximum=constraints.get("maximum"),
            max_length=constraints.get("maxLength"),
            pattern=re.compile(constraints["pattern"]) if "pattern" in constraints else None,
            item_type=entry.get("arrayItem", {}).get("type", ""),
            unit=entry.get("unit", ""),
        )


@cache
def failure_kinds() -> Mapping[str, FailureKind]:
    """Return every kind of a failure or an error by its word."""
    return {
        entry["name"]: FailureKind(entry["name"], entry["who"], entry["meaning"], entry.get("do", ""))
        for entry in _load("failure_kinds.json")["fields"]
    }


@cache
def table_names() -> tuple[str, ...]:
    """Return the names of the store's tables."""
    return tuple(sorted(path.stem for path in (_schemas() / "tables").glob("*.json")))


@cache
def table(name: str) -> TableContract:
    """Return the contract of one table."""
    return _table(_load(f"tables/{name}.json"))


@cache
def view(name: str) -> TableContract:
    """Return the contract of a table that is computed of others whenever it is read, e.g. "pairs"."""
    return _table(_load(f"views/{name}.json"))


def _table(descriptor: JsonObject) -> TableContract:
    return TableContract(
        name=descriptor["name"],
        key=tuple(descriptor["primaryKey"]),
        appends=descriptor["appends"],
        state=tuple(descriptor["state"]),
        partition_by=tuple(descriptor.get("partitionBy", ())),
        bookkeeping=tuple(descriptor["bookkeeping"]) if "bookkeeping" in descriptor else None,
        fields=tuple(_fields(descriptor)),
        features=feature_names() if descriptor["name"] == RADIOMICS else (),
    )


@cache
def description_tables() -> tuple[str, ...]:
    """Return the names of the tables that hold, beside features, what describes an outline; each names its specifications' kind."""
    return tuple(name for name in table_names() if _load(f"tables/{name}.json").get("describes") == "outlines")


def feature_table(name: str, features: Sequence[str]) -> TableContract:
    """Return the contract of a feature set's table: the columns of `radiomics`, with other features.

    Args:
        features: names, in order.
    """
    study = table(RADIOMICS)
    own = tuple(replace(study.fields[-1], name=feature) for feature in features)
    leading = study.fields[: study.key_field_count()]
    return replace(study, name=name, fields=(*leading, *own), features=tuple(features))


@cache
def manifest_fields() -> Mapping[str, Field]:
    """Return the manifest's columns by name, in order."""
    return {field.name: field for field in _fields(_load("manifest.json"))}


@cache
def pass_through_prefix() -> str:
    """Return the prefix of manifest columns that pass through."""
    return str(_load("manifest.json")["passThroughPrefix"])


@cache
def id_columns() -> tuple[str, ...]:
    """Return the manifest's columns that name something, and are kept as they are wherever they are written."""
    return tuple(_load("manifest.json")["ids"])


@cache
def reserved_readers() -> re.Pattern[str]:
    """Return what readers of found outlines are called, as a whole: a method and its settings."""
    return re.compile(_load("manifest.json")["reservedReaders"])


@cache
def reserved_rois() -> re.Pattern[str]:
    """Return what regions that are derived of outlines are called, as a whole: the outline's name and a rule's."""
    return re.compile(_load("manifest.json")["reservedRois"])


@cache
def empty_words() -> frozenset[str]:
    """Return what software writes for an empty cell, in small letters."""
    return frozenset(_load("manifest.json")["emptyWords"])


@cache
def clinical_columns() -> tuple[str, ...]:
    """Return the columns that a case has from the manifest: those that manifest and `cases` share, but for which study it is."""
    stored = [field.name for field in table("cases").fields]
    return tuple(
        name for name in stored if name in manifest_fields() and name not in {"center", "case_id", "timepoint"}
    )


@cache
def _validator(name: str) -> Any:
    import jsonschema

    return jsonschema.Draft202012Validator(_load(name))


def _at(path: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in path)


def _problem(error: Any) -> str:
    """Say what is wrong with a document, where, and for an unknown key which known one is nearest."""
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        sentences = []
        for key in (key for key in error.instance if key not in known):
            [near] = nearest(str(key), known, cutoff=0.0)
            sentences.append(
                f"unknown key {_at([*error.absolute_path, key])}; the nearest valid one is {_at([*error.absolute_path, near])}"
            )
        return "; ".join(sentences)
    where = _at(error.absolute_path) or "the document"
    return f"{where}: {_told(error) or error.message}"


def _told(error: Any) -> str:
    """Say in words what a value would have to be; empty where the validator's own words do."""
    value = error.instance
    if error.validator == "enum" and isinstance(value, str):
        words = [word for word in error.validator_value if isinstance(word, str)]
        meant = did_you_mean(value, words)
        return f"{value!r} is not one of {', '.join(words)}{f'; {meant}'.rstrip() if meant else ''}"
    if error.validator == "type":
        wanted = [error.validator_value] if isinstance(error.validator_value, str) else error.validator_value
        if wanted == ["array"] and isinstance(value, str | int | float):
            least = error.schema.get("minItems", 1)
            return f"{value!r} is no list: write [{', '.join([str(value)] * least)}]"
        return f"{value!r} is no {' and no '.join(_TYPE_WORDS[name] for name in wanted)}"
    if error.validator in {"exclusiveMinimum", "minimum", "exclusiveMaximum", "maximum"}:
        limit = {"exclusiveMinimum": "above", "minimum": "at least", "exclusiveMaximum": "below", "maximum": "at most"}
        return f"{value!r} is out of range: it has to be {limit[error.validator]} {error.validator_value}"
    if error.validator == "const":
        return f"{value!r} is not {error.validator_value!r}, the only value that is known"
    if error.validator in {"minItems", "maxItems"}:
        few = {"minItems": "at least", "maxItems": "at most"}[error.validator]
        return f"{value!r} has {len(value)} entries: {few} {error.validator_value} are wanted"
    return ""


def problems_of(document: object, schema: str, most: int | None = None) -> list[str]:
    """Return the ways in which a document breaks a JSON Schema of `schemas/`, e.g. `"job.json"`; empty if none.

    Args:
        most: stop looking after so many, for a document that may be broken in a million places; all of them by default.
    """
    found = itertools.islice(_validator(schema).iter_errors(document), most)
    errors = sorted(found, key=lambda error: [str(part) for part in error.absolute_path])
    return [_problem(error) for error in errors]


def defaults_of(schema: str) -> JsonObject:
    """Return the defaults of a JSON Schema's own keys, by key; keys without a default are not among them."""
    return {key: rule["default"] for key, rule in _load(schema)["properties"].items() if "default" in rule}


def with_defaults(document: JsonObject, schema: str, kind: str | None = None) -> JsonObject:
    """Return a valid document with the defaults of its schema filled in, sections included that need not be given.

    Args:
        kind: of the schema's `$defs`, the one that the document follows.
    """
    whole = _load(schema)

    def fill(value: JsonObject, rules: JsonObject) -> JsonObject:
        filled = dict(value)
        for key, rule in rules.get("properties", {}).items():
            rule = rule.get("else", rule)  # of what may be a list of sections too, the section
            rule = whole["$defs"][rule["$ref"].rpartition("/")[2]] if "$ref" in rule else rule
            if rule.get("type") == "object" and not isinstance(filled.get(key), list):
                if key in filled or not rule.get("required"):
                    filled[key] = fill(filled.get(key, {}), rule)
            elif key not in filled and "default" in rule:
                filled[key] = rule["default"]
        return filled

    return fill(document, whole["$defs"][kind] if kind else whole)
