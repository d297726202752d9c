"""A hospital's table of clinical values, found by the hospital's own patient ids: those stay here, values go into the manifest."""

import datetime
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cvtbatch import contracts
from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.manifest import twins_of
from cvtbatch.manifest.cells import parse_rows
from cvtbatch.manifest.files import TextRows
from cvtbatch.manifest.problems import Problems
from cvtbatch.pipelines.indexing.hospital_ids import normalised, shape, without_zeros
from cvtbatch.pipelines.indexing.hospital_table import HospitalTable, read_hospital_table
from cvtbatch.pipelines.indexing.participants import FILE as PARTICIPANTS
from cvtbatch.pipelines.indexing.participants import in_our_words

WHAT = "the clinical table"
CENTER, ONSET = "center", "onset"
# Day first where dots stand between the numbers, as wherever dates are written so.
_DOTTED = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:,?[ T]+(\d{1,2}:\d{2}(?::\d{2})?))?")
# Of ISO 8601 what nobody reads otherwise: `fromisoformat` takes weeks too, and 03,05 for 3 hours and 50 ms.
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt_ ]\d\d(?::?\d\d(?::?\d\d(?:[.,]\d+)?)?)?)?", re.ASCII)
# Ids of a table that are looked for within those of studies.
_COMPARED = 20
# A centre, empty where the table does not name any, and a patient's id.
Person = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Entry:
    """Row of a patient, its cells that the manifest takes, and when the illness began."""

    number: int
    cells: tuple[str, ...]
    onset: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class ClinicalTable:
    """Clinical values by patient.

    Attributes:
        columns: columns of the manifest that it fills.
        not_taken: its other columns, which stay out of the manifest, each with what could be meant by it.
        rows: how many rows it has.
    """

    columns: tuple[str, ...]
    not_taken: tuple[str, ...]
    rows: int
    has_onset: bool
    _entries: Mapping[Person, _Entry] = field(repr=False)
    _has_center: bool

    def values(self, center: str, patient_id: str) -> Mapping[str, str]:
        """Return the cells of the manifest of one patient, as the table has them; empty if it does not know the patient."""
        entry = self._entry(center, patient_id)
        return {} if entry is None else dict(zip(self.columns, entry.cells, strict=True))

    def knows(self, center: str, patient_id: str) -> bool:
        """Return whether a patient has a row."""
        return self._entry(center, patient_id) is not None

    def onset(self, center: str, patient_id: str) -> datetime.datetime | None:
        """Return when the patient's illness began, in the hospital's own time; None where the table does not say."""
        entry = self._entry(center, patient_id)
        return None if entry is None else entry.onset

    def unmatched(self, patients: Iterable[Person], *, in_part: bool = False) -> tuple[int, ...]:
        """Return the numbers of the rows that belong to no study, 1 for the first below the header.

        Args:
            patients: centre and hospital's id of every study.
            in_part: whether these are some of many, none of whom the table need know.

        Raises:
            InputError: "unpadded_ids": an id of the table is one of a study but for leading zeros; "clinical_table_without_center":
                an id of the table, which names no centre, is one of two centres; "clinical_table_fits_nothing".
        """
        people = {(normalised(center), normalised(patient_id)) for center, patient_id in patients}
        found = {self._key(*person) for person in people}
        self._require_one_center(people)
        lost = [key for key in self._entries if key not in found]
        self._require_padding(lost, found)
        if people and len(lost) == len(self._entries) and not in_part:
            raise self._fits_nothing(people)
        return tuple(sorted(self._entries[key].number for key in lost))

    def _entry(self, center: str, patient_id: str) -> _Entry | None:
        return self._entries.get(self._key(normalised(center), normalised(patient_id)))

    def _key(self, center: str, patient_id: str) -> Person:
        return (center if self._has_center else "", patient_id)

    def _require_one_center(self, people: set[Person]) -> None:
        if self._has_center:
            return
        centers: dict[str, str] = {}
        for center, patient_id in sorted(people):
            if ("", patient_id) in self._entries and centers.setdefault(patient_id, center) != center:
                raise InputError(
                    "clinical_table_without_center",
                    f"row {self._entries['', patient_id].number} of {WHAT} fits patients of two centres, {centers[patient_id]!r} "
                    f"and {center!r}: add a column {CENTER!r} to the table",
                    patient_id,
                )

    def _fits_nothing(self, people: set[Person]) -> InputError:
        """Return the error for a table of which no row fits, with an id of each side, alike if there are such."""
        own_ids, ids = ({patient_id for _, patient_id in side} for side in (self._entries, people))
        if same := sorted(own_ids & ids):
            own = other = same[0]
            centers, others = (
                ", ".join(sorted({repr(center) for center, _ in side})) for side in (self._entries, people)
            )
            why = f"its column {CENTER!r} has {centers}, the studies are of {others}: spell the centre alike"
        else:
            alike = ((own, other) for own in sorted(own_ids)[:_COMPARED] for other in sorted(ids) if own in other)
            own, other = next(alike, (min(own_ids), min(ids)))
            why = (
                f"its ids look like {shape(own)}, those of the studies like {shape(other)}. Name the column with the hospital's "
                "patient id by --on; where folders name patients, --pattern says which part of the name is the id, as in "
                "'{center}/{patient}_*/{study}'"
            )
        return InputError(
            "clinical_table_fits_nothing",
            f"none of {self.rows:,} rows of {WHAT} fits any of {len(people):,} patients with studies: {why}",
            f"in the table {own!r}, of a study {other!r}",
        )

    def _require_padding(self, lost: Sequence[Person], found: set[Person]) -> None:
        """Refuse a table that would fit but for zeros which a spreadsheet dropped: who is meant is not guessed."""
        wanted: dict[Person, str] = {}
        for center, patient_id in found - self._entries.keys():
            if (number := without_zeros(patient_id)) is not None:
                wanted[center, number] = patient_id
        pairs = [
            (key, wanted[key[0], number])
            for key in lost
            if (number := without_zeros(key[1])) is not None and (key[0], number) in wanted
        ]
        if not pairs:
            return
        (center, own), other = pairs[0]
        raise InputError(
            "unpadded_ids",
            f"{len(pairs)} ids of {WHAT} fit those of studies only with other leading zeros, first in row "
            f"{self._entries[center, own].number}: {len(own)} digits there, {len(other)} in the study; a spreadsheet may have "
            f"dropped zeros: format the column as text, give every id its {len(other)} digits, and save again",
            f"{own} and {other}",
        )


def read_clinical_table(path: Path, on: str, known_centers: Iterable[str] = ()) -> ClinicalTable:
    """Read a table and check its values by the manifest's rules.

    Columns with the name of a clinical column of the manifest, and those of the user's own (x_), are taken. `center` says whose
    patient is meant, where the table is of several; `onset` is when the illness began, and never enters a manifest.

    A file named participants.tsv is one of BIDS; its column `on` is participant_id.

    Args:
        on: the column with the hospital's patient id.
        known_centers: if they are known yet; a centre of the table that is one of them but for its spelling is refused.

    Raises:
        InputError: "no_table" or "bad_table", it cannot be read as one, or has no column `on` or none that is taken.
        ProblemsError: "bad_clinical_table", with every value that is wrong, and rows of one patient that differ.
    """
    table = read_hospital_table(path, WHAT)
    if path.name == PARTICIPANTS:
        table = in_our_words(table)
    if on not in table.header:
        raise InputError(
            "bad_table", f"{WHAT} has no column {on!r}; it has {', '.join(map(repr, table.header))}", str(path)
        )
    taken = _taken(table.header, on)
    if not taken and ONSET not in table.header:
        raise InputError(
            "bad_table",
            f"{WHAT} has no column that a manifest takes: {', '.join(_fillable())}, or one whose name begins with "
            f"{contracts.pass_through_prefix()!r}",
            str(path),
        )
    wrong, problems = Problems(), Problems()
    parse_rows(taken, TextRows(table.numbers, [table.column(name) for name in taken]), wrong)
    problems.extend((problem.row, problem.text) for problem in wrong.found)
    problems.count = wrong.count
    onsets = list(_onsets(table, problems))
    people = list(_people(table, on, problems))
    problems.extend(_other_spellings(table, known_centers))
    entries: dict[Person, _Entry] = {}
    columns = [table.column(name) for name in taken]
    cells = zip(*columns, strict=True) if columns else [()] * len(table.rows)
    for number, person, own, onset in zip(table.numbers, people, cells, onsets, strict=True):
        entry = entries.setdefault(person, _Entry(number, own, onset))
        if (entry.cells, entry.onset) != (own, onset):
            differing = [name for name, first, other in zip(taken, entry.cells, own, strict=True) if first != other]
            what = " and ".join(differing or [ONSET])
            problems.add(
                number,
                f"row {number}: the patient of row {entry.number}, with another {what}: leave one of them",
            )
    if problems.count:
        raise ProblemsError.of(
            "bad_clinical_table", f"{WHAT} {path}", [problem.text for problem in problems.found], problems.count
        )
    others = [name for name in table.header if name and name not in {*taken, on, CENTER, ONSET}]
    return ClinicalTable(
        tuple(taken),
        tuple(map(_not_taken, others)),
        len(table.rows),
        ONSET in table.header,
        entries,
        CENTER in table.header,
    )


def _fillable() -> tuple[str, ...]:
    # Pseudonyms come from their map alone.
    return tuple(name for name in contracts.clinical_columns() if name != "patient")


def _taken(header: Sequence[str], on: str) -> list[str]:
    own, prefix = _fillable(), contracts.pass_through_prefix()
    return [name for name in header if (name in own or name.startswith(prefix)) and name != on]


def _not_taken(name: str) -> str:
    near = difflib.get_close_matches(name.casefold(), _fillable(), n=1)
    return f"{name!r} (is {near[0]!r} meant?)" if near else repr(name)


def _people(table: HospitalTable, on: str, problems: Problems) -> Iterator[Person]:
    centers = table.column(CENTER) if CENTER in table.header else [""] * len(table.rows)
    for number, center, patient_id in zip(table.numbers, centers, table.column(on), strict=True):
        if not patient_id:
            problems.add(number, f"row {number}, column {on}: empty; whose values are these?")
        if not center and CENTER in table.header:
            problems.add(number, f"row {number}, column {CENTER}: empty; a value is required")
        yield normalised(center), normalised(patient_id)


def _other_spellings(table: HospitalTable, known: Iterable[str]) -> Iterator[tuple[int, str]]:
    known = set(known)
    centers = dict.fromkeys(table.column(CENTER)) if CENTER in table.header else ()
    for center in centers:
        if center not in known and (twins := twins_of(center, known)):
            yield 0, f"column {CENTER}: {center!r} is {twins[0]!r} in the manifest: spell both alike"


def _onsets(table: HospitalTable, problems: Problems) -> Iterator[datetime.datetime | None]:
    texts = table.column(ONSET) if ONSET in table.header else [""] * len(table.rows)
    for number, text in zip(table.numbers, texts, strict=True):
        try:
            yield _to_time(text) if text else None
        except ValueError:
            problems.add(
                number,
                f"row {number}, column {ONSET}: {text!r} is no time such as 2024-01-31 14:05 (local time, 24 hours)",
            )
            yield None


def _to_time(text: str) -> datetime.datetime:
    if dotted := _DOTTED.fullmatch(text):
        day, month, year, time = dotted.groups()
        text = f"{year}-{int(month):02}-{int(day):02} {(time or '00:00').zfill(5)}"
    elif not _ISO.fullmatch(text):
        raise ValueError(text)
    return datetime.datetime.fromisoformat(text)
