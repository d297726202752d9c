"""Cases of a manifest, few of them in memory at a time.

The file is read once: its cells are checked, and the values that they stand for are laid down on disk, so that what is worked on
is what was checked, whatever becomes of the file. In memory stay the places of every case's rows, some bytes a row.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cvtbatch import contracts
from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.file_errors import why
from cvtbatch.key_index import KEY_BYTES, KeyIndex, Keys, hashed, key_array
from cvtbatch.manifest.archive_images import in_archive
from cvtbatch.manifest.case import ROI_COLUMNS, Case, RoiSource, Value, key_of
from cvtbatch.manifest.cells import (
    EXTRA,
    NUMBER,
    column_problems,
    empty_word_problem,
    is_empty_word,
    parse_rows,
    reserved_readers,
    reserved_rois,
)
from cvtbatch.manifest.files import file_digest, read_csv, read_parquet
from cvtbatch.manifest.presence import COLUMNS, THREADS, Away, Presence, require_folders
from cvtbatch.manifest.problems import Problems, RowProblem
from cvtbatch.manifest.ties import is_tie, tie_problem
from cvtbatch.manifest.timepoints import Timepoints
from cvtbatch.manifest.unnamed import leave_out_unnamed
from cvtbatch.spill import Spill

CASES_TOGETHER = 4096
# What manifests are called, as `synth` and the examples do.
MANIFEST_NAME = "manifest.csv"
Row = Mapping[str, Value]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CaseRows:
    """Rows on disk, case by case.

    Attributes:
        batch_ends: how many rows there are up to the end of each batch.
        order: places of the rows, those of a case together.
        sizes: how many rows each case has.
    """

    spill: Spill
    batch_ends: Indices
    order: Indices
    sizes: npt.NDArray[np.int32]

    def of(self, chosen: npt.NDArray[np.bool_]) -> "CaseRows":
        """Return the rows of some cases alone."""
        return CaseRows(self.spill, self.batch_ends, self.order[np.repeat(chosen, self.sizes)], self.sizes[chosen])

    def __iter__(self) -> Iterator[Sequence[Row]]:
        """Yield the rows of each case."""
        place = 0
        for first in range(0, len(self.sizes), CASES_TOGETHER):
            ends = np.cumsum(self.sizes[first : first + CASES_TOGETHER])
            rows = self._read(self.order[place : place + ends[-1]]).to_pylist()
            yield from (rows[start:end] for start, end in pairwise([0, *ends.tolist()]))
            place += int(ends[-1])

    def _read(self, places: Indices) -> pa.Table:
        batches = np.searchsorted(self.batch_ends, places, side="right")
        parts, order = [], []
        for number in np.unique(batches).tolist():
            [here] = np.nonzero(batches == number)
            start = self.batch_ends[number - 1] if number else 0
            parts.append(self.spill.read([number]).take(places[here] - start))
            order.append(here)
        return pa.concat_tables(parts).take(np.argsort(np.concatenate(order)))


class Manifest:
    """The cases of a manifest that have no problem, in the order of their first rows, as often as they are asked for.

    Attributes:
        folder: in which it lies, to which the names of files are relative.
        sha256: of the file that was read.
        columns: as the file's header has them, those without a name too.
        rows: how many lines it has below the header; no `manifest_row` is larger.
        centers: that its cases come from, sorted.
    """

    def __init__(
        self,
        cases: CaseRows,
        numbers: KeyIndex,
        folder: Path,
        sha256: str,
        columns: tuple[str, ...],
        rows: int,
        centers: tuple[str, ...],
        away: tuple[Away, ...],
    ) -> None:
        self._cases, self._numbers, self._away = cases, numbers, away
        self.folder, self.sha256, self.columns, self.rows, self.centers = folder, sha256, columns, rows, centers

    def __len__(self) -> int:
        return len(self._cases.sizes)

    def __iter__(self) -> Iterator[Case]:
        return (_to_case(rows, self.folder) for rows in self._cases)

    def require_folders(self) -> None:
        """Refuse to start where nothing is there of what the manifest names below a folder, as where a share is not mounted.

        Raises:
            InputError: "sources_away".
        """
        require_folders(self._away)

    def find(self, cases: Iterable[tuple[str, str]]) -> Indices:
        """Return the number of each case, given as its centre and case id, in the manifest's order; -1 where it has none."""
        numbers, found = self._numbers.find([hashed(case) for case in cases])
        return np.where(found, numbers.astype(np.int64), -1)

    def select(self, numbers: Indices) -> Iterator[Case]:
        """Yield the cases of some numbers, in the manifest's order."""
        chosen = np.zeros(len(self), np.bool_)
        chosen[numbers] = True
        return (_to_case(rows, self.folder) for rows in self._cases.of(chosen))

    def case(self, center: str, case_id: str) -> Case | None:
        """Return a case, None if the manifest has it not."""
        [number] = self.find([(center, case_id)])
        if number < 0:
            return None
        [case] = self.select(np.array([number]))
        return case


@dataclass(frozen=True, slots=True)
class Survey:
    """A manifest, sound or not.

    Attributes:
        manifest: the cases all of whose rows are sound.
        problems: of the others, the first of each sort.
        count: of all problems.
        left_out: cases that have a problem; a row with too many or too few cells is of no case.
    """

    manifest: Manifest
    problems: tuple[RowProblem, ...]
    count: int
    left_out: int


def read_manifest(path: Path) -> Manifest:
    """Read a manifest (`.parquet`, anything else as UTF-8 CSV).

    That its files are there is not asked for: see `Manifest.require_folders`.

    Raises:
        InputError: there is no such file, it is neither, or it changes while it is read.
        ProblemsError: with every problem, its row and its column.
        ResourceError: the temporary folder is full.
    """
    found = survey_manifest(path)
    if found.count:
        kinds = {problem.kind for problem in found.problems}
        raise ProblemsError.of(
            "reserved_reader" if kinds == {"reserved_reader"} else "bad_manifest",
            f"manifest {path}",
            [problem.text for problem in found.problems],
            found.count,
        )
    return found.manifest


def survey_manifest(path: Path) -> Survey:
    """Read a manifest, sound or not.

    Raises:
        InputError: there is no such file, it is neither, or it changes while it is read.
        ProblemsError: with every problem of its header: nothing can be read below a wrong one.
        ResourceError: the temporary folder is full.
    """
    if path.is_dir():
        raise InputError("no_manifest", _folder_told(path))
    if not path.is_file():
        raise InputError("no_manifest", f"there is no manifest file {path}")
    try:
        sha256 = file_digest(path)
        found = _read(path, sha256)
        if file_digest(path) != sha256:
            raise InputError("manifest_changed", f"manifest {path} changed while it was read: run again")
    except OSError as error:
        raise InputError("no_manifest", f"manifest {path} cannot be read: {why(error)}") from None
    return found


def _folder_told(path: Path) -> str:
    """Say what to do with a folder that is named in place of a manifest."""
    there = path / MANIFEST_NAME
    if there.is_file():
        return f"{path} is a folder, and a manifest is a file: name {there}"
    make = f"cvtbatch index {path} --center NAME --out {MANIFEST_NAME}"
    return f"{path} is a folder, and a manifest is a file; make one of the studies in it: {make}"


def _read(path: Path, sha256: str) -> Survey:
    uneven, cells, words, across = Problems(), Problems(), Problems(), Problems()
    reserved = Problems("reserved_reader")
    columns, batches = read_parquet(path) if path.suffix.lower() == ".parquet" else read_csv(path, uneven)
    header, batches = leave_out_unnamed(columns, batches, cells)
    wrong = list(column_problems(header))
    if wrong:
        raise ProblemsError.of("bad_manifest", f"manifest {path}", wrong)
    base, schema = path.resolve().parent, _schema()
    spill, presence, centers, timepoints = Spill(schema), Presence(base), set[str](), Timepoints()
    ends, hashes, last = [], bytearray(), 0
    with ThreadPoolExecutor(THREADS) as threads:
        for batch in batches:
            values = parse_rows(header, batch, cells)
            absent = presence.look(batch.numbers, {column: values[column] for column in COLUMNS}, threads)
            words.extend(_empty_words(values, absent))
            reserved.extend(reserved_readers(values))
            words.extend(reserved_rois(values))
            timepoints.add(values)
            centers.update(map(str, set(values["center"])))
            spill.append(
                pa.record_batch([pa.array(values[name], schema.field(name).type) for name in schema.names], schema)
            )
            hashes += b"".join(map(hashed, zip(values["center"], values["case_id"], strict=True)))
            ends.append(len(hashes) // KEY_BYTES)
            last = batch.numbers[-1] if batch.numbers else last
    keys = key_array([bytes(hashes)])
    order, sizes, numbers = _group(keys)
    cases = CaseRows(spill, np.array(ends, np.int64), order, sizes)
    ties, doubled, different = _problems_across(cases.of(cases.sizes > 1))
    different.extend(timepoints.problems())
    if not hashes and not uneven.count:
        across.add(0, "no rows below the header")
    sorts = (uneven, cells, reserved, ties, doubled, words, different, across)
    away = presence.away(len(cases.sizes), lambda: _names(spill, np.array(ends, np.int64), order, sizes))
    if wrong_rows := set().union(*(found.rows for found in sorts)):
        cases = _sound(cases, wrong_rows)
        centers = {str(rows[0]["center"]) for rows in cases}
        numbers = _numbered(keys[cases.order[np.cumsum(cases.sizes) - cases.sizes]])
    manifest = Manifest(cases, numbers, base, sha256, tuple(columns), last, tuple(sorted(centers)), away)
    problems = tuple(problem for found in sorts for problem in found.found)
    return Survey(manifest, problems, sum(found.count for found in sorts), len(sizes) - len(cases.sizes))


def _sound(cases: CaseRows, wrong_rows: set[int]) -> CaseRows:
    """Return the cases that have none of these rows."""
    batches = range(len(cases.batch_ends))
    wrong = [np.isin(cases.spill.read([number])[NUMBER].to_numpy(), list(wrong_rows)) for number in batches]
    starts = np.cumsum(cases.sizes) - cases.sizes
    if not len(starts):
        return cases
    return cases.of(~np.logical_or.reduceat(np.concatenate(wrong)[cases.order], starts))


def _schema() -> pa.Schema:
    types = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64()}
    fields = [(field.name, types[field.type]) for field in contracts.manifest_fields().values()]
    return pa.schema([(NUMBER, pa.int64()), *fields, (EXTRA, pa.string())])


def _names(spill: Spill, ends: Indices, order: Indices, sizes: npt.NDArray[np.int32]) -> Iterator[tuple[int, str]]:
    """Return the names of all files, each with the number of its case."""
    cases = np.empty(len(order), np.int64)
    cases[order] = np.repeat(np.arange(len(sizes)), sizes)
    for number, own in enumerate(np.split(cases, ends[:-1])):
        rows = spill.read([number])
        for column in COLUMNS:
            yield from (
                (case, name)
                for case, name in zip(own.tolist(), rows[column].to_pylist(), strict=True)
                if name is not None
            )


def _empty_words(values: Mapping[str, Sequence[Value]], absent: set[str]) -> Iterator[tuple[int, str]]:
    """Say, with the row, which names of files are what software writes for an empty cell; a file that is there may have any."""
    wrong = {name for name in absent if is_empty_word(name)}
    for number, *names in zip(values[NUMBER], *(values[column] for column in COLUMNS), strict=True) if wrong else ():
        for column, name in zip(COLUMNS, names, strict=True):
            if name in wrong:
                required = contracts.manifest_fields()[column].required
                told = empty_word_problem(str(name), required=required)
                yield int(number or 0), f"row {number}, column {column}: {told}"


def _group(keys: Keys) -> tuple[Indices, npt.NDArray[np.int32], KeyIndex]:
    """Return the places of rows, those of one key together and the keys in the order of their first rows; how many rows each key
    has; and the keys' numbers in that order.
    """
    by_key = np.argsort(keys, kind="stable")
    ordered = keys[by_key]
    starts = np.flatnonzero(np.append([True], ordered[1:] != ordered[:-1])[: len(keys)])
    sizes = np.diff(np.append(starts, len(keys))).astype(np.int32)
    # Sorting is stable, so that the first row of a key comes first.
    first_rows = by_key[starts]
    first_of_row = np.empty(len(keys), np.int64)
    first_of_row[by_key] = np.repeat(first_rows, sizes)
    in_order = np.argsort(first_rows)
    return np.argsort(first_of_row, kind="stable"), sizes[in_order], _numbered(ordered[starts][in_order])


def _numbered(keys: Keys) -> KeyIndex:
    """Return the places of keys, all of them different."""
    numbers = KeyIndex()
    numbers.add(keys, np.arange(len(keys), dtype=np.uint64))
    return numbers


def _problems_across(cases: CaseRows) -> tuple[Problems, Problems, Problems]:
    """Return what only shows across the rows of a case: series that tie, outlines that stand twice, and rows that disagree."""
    ties, doubled, different = Problems(), Problems(), Problems()
    for rows in cases:
        if is_tie(rows, EXTRA):
            ties.add(int(rows[0][NUMBER] or 0), tie_problem(rows, NUMBER))
            continue
        seen: dict[tuple[Value, ...], Value] = {}
        for row in rows:
            key = tuple(row[name] for name in ("center", "case_id", "roi", "reader", "reading"))
            if key in seen:
                what = " / ".join(str(part) for part in key)
                doubled.add(
                    int(row[NUMBER] or 0),
                    f"row {row[NUMBER]}: the same center, case_id, roi, reader and reading as row {seen[key]} ({what})",
                )
            seen.setdefault(key, row[NUMBER])
            different.extend(_disagreements(row, rows[0]))
    return ties, doubled, different


def _disagreements(row: Row, first: Row) -> Iterator[tuple[int, str]]:
    for name, value in row.items():
        if name != NUMBER and name not in ROI_COLUMNS and value != first[name]:
            column = "x_ columns" if name == EXTRA else name
            yield (
                int(row[NUMBER] or 0),
                f"row {row[NUMBER]}, column {column}: differs from row {first[NUMBER]} of the same case",
            )


def _to_case(rows: Sequence[Row], base: Path) -> Case:
    first = rows[0]
    center, case_id = str(first["center"]), str(first["case_id"])
    return Case(
        center=center,
        case_id=case_id,
        image=image if in_archive(image := str(first["image"])) else str(base / image),
        image_entry=str(first["image"]),
        series_uid=None if first["series_uid"] is None else str(first["series_uid"]),
        allow_gaps=first["allow_gaps"] == 1,
        clinical=tuple(first[name] for name in contracts.clinical_columns()),
        extra=str(first[EXTRA]),
        rois=tuple(_to_roi(row, center, case_id, base) for row in rows),
        manifest_row=int(first[NUMBER] or 0),
        timepoint=None if first["timepoint"] is None else int(first["timepoint"]),
    )


def _to_roi(row: Row, center: str, case_id: str, base: Path) -> RoiSource:
    roi, reader, reading = str(row["roi"]), str(row["reader"]), int(row["reading"] or 1)
    label = row["mask_label"]
    return RoiSource(
        roi_key=key_of(center, case_id, roi, reader, reading),
        roi=roi,
        reader=reader,
        reading=reading,
        mask=None if row["mask"] is None else str(base / str(row["mask"])),
        mask_entry=str(row["mask"] or ""),
        mask_label=None if label is None else int(label),
        segment=None if row["segment"] is None else str(row["segment"]),
        manifest_row=int(row[NUMBER] or 0),
    )
