"""The manifest: a CSV or Parquet file of images and outlines, read into cases, or refused with every problem in it."""

import csv
import difflib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cvtbatch import contracts
from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.spec import canonical_json, digest

Value = str | int | float | None
# Columns in which the rows of one case may differ: those of the outline.
ROI_COLUMNS = ("mask", "mask_label", "segment", "roi", "reader", "reading")


def key_of(*parts: str | int) -> str:
    """Return the parts joined by "/", each percent-encoded where it holds "/" or "%" itself."""
    return "/".join(str(part).replace("%", "%25").replace("/", "%2F") for part in parts)


def patient_digest(center: str, patient: str) -> str:
    """Return a short hash of a patient: a centre and its pseudonym."""
    return digest(center, patient)[:16]


@dataclass(frozen=True, slots=True)
class RoiSource:
    """An outline.

    Attributes:
        mask: absolute path, or None while it is awaited.
        mask_entry: the path as the manifest has it; empty where it is awaited.
    """

    roi_key: str
    roi: str
    reader: str
    reading: int
    mask: str | None
    mask_entry: str
    mask_label: int | None
    segment: str | None
    manifest_row: int


@dataclass(frozen=True, slots=True)
class Case:
    """One head CT with its outlines and clinical values.

    Attributes:
        image: absolute path of a file or folder.
        image_entry: the path as the manifest has it.
        clinical: values in the order of `contracts.clinical_columns()`.
        extra: JSON object of the manifest's x_ columns.
        manifest_row: first row of the case, 1 for the first below the header.
    """

    center: str
    case_id: str
    image: str
    image_entry: str
    series_uid: str | None
    allow_gaps: bool
    clinical: tuple[Value, ...]
    extra: str
    rois: tuple[RoiSource, ...]
    manifest_row: int

    @property
    def case_key(self) -> str:
        """Centre and case id."""
        return key_of(self.center, self.case_id)

    def clinical_values(self) -> dict[str, Value]:
        """Return the clinical values by column."""
        return dict(zip(contracts.clinical_columns(), self.clinical, strict=True))

    def clinical_digest(self) -> str:
        """Return the hash of patient, clinical values and x_ columns."""
        return digest(canonical_json(self.clinical_values()), self.extra)

    def masked_rois(self) -> tuple[RoiSource, ...]:
        """Return the outlines that are there."""
        return tuple(roi for roi in self.rois if roi.mask is not None)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest without problems: its cases, in the order of their first rows."""

    cases: tuple[Case, ...]
    sha256: str

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest (`.parquet`, anything else as UTF-8 CSV).

    Raises:
        InputError: there is no such file, or it is neither.
        ProblemsError: with every problem, its row and its column.
    """
    if not path.is_file():
        raise InputError("no_manifest", f"there is no manifest file {path}")
    try:
        header, rows = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    except OSError as error:
        raise InputError("no_manifest", f"manifest {path} cannot be read: {error.strerror}") from None
    problems = _column_problems(header)
    if problems:
        raise ProblemsError.of("bad_manifest", f"manifest {path}", problems)
    parsed = [
        _parse_row(number, dict(zip(header, row, strict=True)), problems)
        for number, row in enumerate(rows, start=1)
        if any(row)
    ]
    base = path.resolve().parent
    cases = _to_cases(parsed, base, problems)
    if not parsed:
        problems.append("no rows below the header")
    if problems:
        raise ProblemsError.of("bad_manifest", f"manifest {path}", problems)
    return Manifest(tuple(cases), digest(path.read_bytes()))


def _read_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    not_csv = f"manifest {path} is not a CSV file in UTF-8: "
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, strict=True))
    except UnicodeDecodeError as error:
        raise InputError("manifest_not_csv", f"{not_csv}byte {error.start} is no UTF-8 text") from None
    except csv.Error as error:
        raise InputError("manifest_not_csv", f"{not_csv}{error}") from None
    if lines and len(lines[0]) == 1 and (separator := next((mark for mark in ";\t|" if mark in lines[0][0]), "")):
        raise InputError("manifest_not_csv", f"{not_csv}cells are separated by {separator!r}, not by ','")
    if not lines or not lines[0] or any("\0" in cell for cell in lines[0]):
        raise InputError("manifest_not_csv", f"{not_csv}{'it is empty' if not lines else 'it holds binary data'}")
    header = [name.strip() for name in lines[0]]
    uneven = [
        f"row {number}: {len(line)} cells, where the header has {len(header)}"
        for number, line in enumerate(lines[1:], start=1)
        if line and len(line) != len(header)
    ]
    if uneven:
        raise ProblemsError.of("bad_manifest", f"manifest {path}", uneven)
    return header, [[cell.strip() for cell in line] for line in lines[1:]]


def _read_parquet(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError("manifest_not_parquet", f"manifest {path} is not a Parquet file: {error}") from None

    def text(value: object) -> str:
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return ""
        if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
            return str(int(value))
        return str(value).strip()

    columns = [[text(value) for value in column.to_pylist()] for column in table.columns]
    return table.column_names, [list(row) for row in zip(*columns, strict=True)]


def _column_problems(header: Sequence[str]) -> list[str]:
    fields, prefix = contracts.manifest_fields(), contracts.pass_through_prefix()
    problems = [
        f"column {name} is missing; it is required"
        for name, field in fields.items()
        if field.required and name not in header
    ]
    for name in dict.fromkeys(header):
        if header.count(name) > 1:
            problems.append(f"column {name!r} stands {header.count(name)} times")
        if name not in fields and not name.startswith(prefix):
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            problems.append(f"column {name!r} is unknown; {hint}columns of your own begin with {prefix!r}")
    return problems


@dataclass(slots=True)
class _Row:
    number: int
    values: dict[str, Value]
    extra: str


def _parse_row(number: int, cells: Mapping[str, str], problems: list[str]) -> _Row:
    values: dict[str, Value] = {}
    for name, field in contracts.manifest_fields().items():
        text = cells.get(name, "")
        if not text:
            values[name] = field.default
            if field.required:
                problems.append(f"row {number}, column {name}: empty; a value is required")
            continue
        value, complaint = _parse(text, field)
        values[name] = value
        if complaint:
            problems.append(f"row {number}, column {name}: {text!r} {complaint}")
    values["patient"] = values["patient"] or values["case_id"]
    problems.extend(f"row {number}, {complaint}" for complaint in _contradictions(values))
    if values["cvt"] is None and values["etiology"] is not None:
        values["cvt"] = int(values["etiology"] == "CVT")
    prefix = contracts.pass_through_prefix()
    extra = canonical_json({name: text for name, text in cells.items() if name.startswith(prefix) and text})
    return _Row(number, values, extra)


def _contradictions(values: Mapping[str, Value]) -> Iterator[str]:
    etiology, cvt = values["etiology"], values["cvt"]
    if etiology is not None and cvt is not None and cvt != int(etiology == "CVT"):
        yield f"column cvt: {cvt} contradicts etiology {etiology}"
    if values["mask_label"] is not None and values["segment"] is not None:
        yield "column segment: give mask_label or segment, not both"
    if values["mask"] is None and (values["mask_label"] is not None or values["segment"] is not None):
        yield "column mask: empty, but mask_label or segment is given"


def _parse(text: str, field: contracts.Field) -> tuple[Value, str]:
    """Return a cell's value and what is wrong with it, or an empty complaint."""
    value: Value = text
    if field.type in {"integer", "number"}:
        try:
            number = float(text.replace("_", "?"))
        except ValueError:
            return None, f"is not {'an integer' if field.type == 'integer' else 'a number'}"
        if not math.isfinite(number) or (field.type == "integer" and not number.is_integer()):
            return None, f"is not {'an integer' if field.type == 'integer' else 'a finite number'}"
        if not (field.minimum or 0) <= number <= (field.maximum if field.maximum is not None else math.inf):
            return None, f"is out of range; it must lie in {field.minimum:g} to {field.maximum:g}"
        value = int(number) if field.type == "integer" else number
    if field.enum and text not in field.enum:
        return None, f"is not one of {', '.join(field.enum)}"
    if field.max_length and len(text) > field.max_length:
        return None, f"is longer than {field.max_length} characters"
    if field.pattern and not field.pattern.fullmatch(text):
        return None, "has characters that are not allowed"
    return value, ""


def _to_cases(rows: Sequence[_Row], base: Path, problems: list[str]) -> Iterator[Case]:
    """Group rows into cases; complain of what only shows across rows, and of files that are not there."""
    groups: dict[tuple[Value, Value], list[_Row]] = {}
    seen: dict[tuple[Value, ...], int] = {}
    for row in rows:
        values = row.values
        key = tuple(values[name] for name in ("center", "case_id", "roi", "reader", "reading"))
        if key in seen:
            what = " / ".join(str(part) for part in key)
            problems.append(
                f"row {row.number}: the same center, case_id, roi, reader and reading as row {seen[key]} ({what})"
            )
        seen.setdefault(key, row.number)
        groups.setdefault((values["center"], values["case_id"]), []).append(row)
    problems.extend(_missing_files(rows, base))
    for group in groups.values():
        problems.extend(_disagreements(group))
    if problems:
        return iter(())
    return (_to_case(group, base) for group in groups.values())


def _missing_files(rows: Sequence[_Row], base: Path) -> Iterator[str]:
    known: dict[str, bool] = {}
    for row in rows:
        for column in ("image", "mask"):
            name = row.values[column]
            if not isinstance(name, str):
                continue
            if name not in known:
                known[name] = os.path.exists(base / name)  # noqa: PTH110 - a million times; pathlib costs threefold
            if not known[name]:
                yield f"row {row.number}, column {column}: there is no file or folder {name!r}"


def _disagreements(group: Sequence[_Row]) -> Iterator[str]:
    first = group[0]
    for row in group[1:]:
        different = [name for name in row.values if name not in ROI_COLUMNS and row.values[name] != first.values[name]]
        different += ["x_ columns"] if row.extra != first.extra else []
        for name in different:
            yield f"row {row.number}, column {name}: differs from row {first.number} of the same case"


def _to_case(group: Sequence[_Row], base: Path) -> Case:
    first = group[0].values
    center, case_id = str(first["center"]), str(first["case_id"])
    return Case(
        center=center,
        case_id=case_id,
        image=str(base / str(first["image"])),
        image_entry=str(first["image"]),
        series_uid=None if first["series_uid"] is None else str(first["series_uid"]),
        allow_gaps=first["allow_gaps"] == 1,
        clinical=tuple(first[name] for name in contracts.clinical_columns()),
        extra=group[0].extra,
        rois=tuple(_to_roi(row, center, case_id, base) for row in group),
        manifest_row=group[0].number,
    )


def _to_roi(row: _Row, center: str, case_id: str, base: Path) -> RoiSource:
    values = row.values
    roi, reader, reading = str(values["roi"]), str(values["reader"]), int(values["reading"] or 1)
    label = values["mask_label"]
    return RoiSource(
        roi_key=key_of(center, case_id, roi, reader, reading),
        roi=roi,
        reader=reader,
        reading=reading,
        mask=None if values["mask"] is None else str(base / str(values["mask"])),
        mask_entry=str(values["mask"] or ""),
        mask_label=None if label is None else int(label),
        segment=None if values["segment"] is None else str(values["segment"]),
        manifest_row=row.number,
    )
