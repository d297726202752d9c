"""Which pseudonym stands for which patient and study: the one file that leads back from a manifest to a hospital's ids.

A pseudonym is an HMAC-SHA256 under the UID key of centre and ids, so that equal ids at sites that share a key and name the centre
alike have equal ones, whoever indexes them and in whatever order. The file is its owner's alone (mode 0600 from the first byte),
lies outside every store, and is what a lost key cannot give back. What stands in it counts: a pseudonym that a person wrote there
is used instead of the computed one.
"""

import csv
import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cvtbatch import contracts
from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.own_folders import own_folder
from cvtbatch.pipelines.indexing.hospital_ids import normalised
from cvtbatch.pipelines.indexing.hospital_table import read_hospital_table
from cvtbatch.pipelines.shared.uid_key import VARIABLE, UidKey
from cvtbatch.spec import canonical_json
from cvtbatch.store.array_store import FORMAT_FILE
from cvtbatch.whole_files import written_whole

COLUMNS = ("center", "patient_id", "study_id", "patient", "case_id", "uid_key_id")
# Crockford's base 32 (https://www.crockford.com/base32.html): no I, L, O, U.
_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# In two groups of six, 60 bits: no seven figures in a row, which look like a hospital's number, and no date.
_GROUP, _GROUPS = 6, 2
Study = tuple[str, str, str]
Content = tuple[Sequence[str], list[Sequence[str]]]


def default_map_path() -> Path:
    """Return where the user's map lies: `$XDG_DATA_HOME/cvtbatch/pseudonyms.csv`, by default below `~/.local/share`.

    Raises:
        InputError: "no_home".
    """
    return own_folder("XDG_DATA_HOME", ".local", "share") / "cvtbatch" / "pseudonyms.csv"


@dataclass(slots=True)
class _Pseudonyms:
    """Pseudonyms by what they stand for; within a centre none stands for two."""

    patients: dict[tuple[str, str], str] = field(default_factory=dict)
    cases: dict[Study, str] = field(default_factory=dict)
    _owners: dict[tuple[str, str, str], tuple[str, ...]] = field(default_factory=dict)

    def add_patient(self, center: str, patient_id: str, pseudonym: str) -> None:
        self._own("patient", center, pseudonym, (patient_id,))
        _agree(self.patients.setdefault((center, patient_id), pseudonym), pseudonym, patient_id)

    def add_case(self, study: Study, pseudonym: str) -> None:
        self._own("case_id", study[0], pseudonym, study[1:])
        _agree(self.cases.setdefault(study, pseudonym), pseudonym, " / ".join(study[1:]))

    def _own(self, column: str, center: str, pseudonym: str, ids: tuple[str, ...]) -> None:
        owner = self._owners.setdefault((column, center, pseudonym), ids)
        if owner != ids:
            raise InputError(
                "pseudonym_collision",
                f"the {column} {pseudonym} stands for two of centre {center!r}; if a spreadsheet saved the pseudonym map, it may "
                "have dropped leading zeros of ids: put them back there; else give one of the two another pseudonym in the map",
                f"{' / '.join(owner)} and {' / '.join(ids)}",
            )


def _agree(kept: str, pseudonym: str, ids: str) -> None:
    if kept != pseudonym:
        raise InputError(
            "pseudonym_conflict",
            f"one patient or study has the pseudonyms {kept} and {pseudonym}: in two rows of the pseudonym map, or because it was "
            "edited during this run; keep one of them in the map, and run again",
            ids,
        )


class PseudonymMap:
    """The map of one key, as its file has it and with what was asked for since.

    Not to be shared by threads; several processes may save to one file at once.
    """

    def __init__(self, path: Path, key: UidKey, known: _Pseudonyms) -> None:
        self._path, self._key, self._known = path, key, known
        self._added: list[Study] = []

    @classmethod
    def open(cls, path: Path, key: UidKey) -> "PseudonymMap":
        """Open the map in a file, which is made where it does not exist.

        Raises:
            InputError: "pseudonym_map_exposed", other users can read or write it; "pseudonym_map_in_store"; "other_uid_key", it is
                of another key; "no_pseudonym_map", it can be neither read nor written; "bad_table", it is no CSV with its columns;
                "pseudonym_collision" and "pseudonym_conflict", see the class.
            ProblemsError: "bad_pseudonym_map", with the rows that hold what no manifest may.
        """
        try:
            # A link leads to the map: the file is replaced, not the link.
            path = path.resolve()
            _require_outside_stores(path)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise InputError(
                    "pseudonym_map_exposed",
                    "other users can read or change the pseudonym map, which names patients: chmod 600 it",
                    str(path),
                )
            if not os.access(path.parent, os.W_OK):
                raise PermissionError(f"the folder {path.parent} is read-only")
        except OSError as error:
            raise _unusable(error) from None
        return cls(path, key, _known(_read(path), key, path))

    def patient(self, center: str, patient_id: str) -> str:
        """Return the pseudonym of a patient; empty where no id is given: then nothing tells whose the study is.

        Args:
            center: as the manifest names it.
            patient_id: the hospital's; blanks around it do not count.

        Raises:
            InputError: "pseudonym_collision".
        """
        person = (normalised(center), normalised(patient_id))
        if not person[1]:
            return ""
        if person not in self._known.patients:
            self._known.add_patient(*person, f"P-{self._digits('patient', *person)}")
        return self._known.patients[person]

    def case(self, center: str, patient_id: str, study_id: str) -> str:
        """Return the pseudonym of a study, which stands in the map, beside its patient's, once it is saved.

        Raises:
            InputError: "pseudonym_collision"; "no_study_id", it is empty.
        """
        self.patient(center, patient_id)
        study = (normalised(center), normalised(patient_id), normalised(study_id))
        if not study[2]:
            raise InputError("no_study_id", "a study has no id of its own, by which it could be named", str(study))
        if study not in self._known.cases:
            self._known.add_case(study, f"C-{self._digits('case', *study)}")
            self._added.append(study)
        return self._known.cases[study]

    def save(self) -> None:
        """Add what was asked for to the file, all of it or nothing; rows that stand there stay as they are.

        Raises:
            InputError: as `open`, for what became of the file meanwhile.
        """
        if not self._added:
            return
        try:
            with _locked(self._path):
                header, rows = _read(self._path)
                known = _known((header, rows), self._key, self._path)
                rows = [*rows, *self._new_rows(known, header)]
                with written_whole(self._path) as aside:
                    _write_private(aside, [header, *rows])
        except OSError as error:
            raise _unusable(error) from None
        self._known, self._added = known, []

    def _new_rows(self, known: _Pseudonyms, header: Sequence[str]) -> Iterator[list[str]]:
        for study in self._added:
            center, patient_id, study_id = study
            patient, case_id = self._known.patients.get((center, patient_id), ""), self._known.cases[study]
            there = study in known.cases
            if patient:
                known.add_patient(center, patient_id, patient)
            known.add_case(study, case_id)
            if not there:
                values = (center, patient_id, study_id, patient, case_id, self._key.key_id)
                cells = dict(zip(COLUMNS, values, strict=True))
                yield [cells.get(name, "") for name in header]

    def _digits(self, *what: str) -> str:
        # No UID begins like a JSON list, so that no other hash under the key is one of these.
        number = int(self._key.hash(canonical_json(what)), 16)
        groups = []
        for _ in range(_GROUPS):
            digits = ""
            for _ in range(_GROUP):
                number, digit = divmod(number, len(_DIGITS))
                digits += _DIGITS[digit]
            groups.append(digits)
        return "-".join(groups)


def _require_outside_stores(path: Path) -> None:
    for folder in path.parents:
        if (folder / FORMAT_FILE).exists():
            raise InputError(
                "pseudonym_map_in_store",
                "the pseudonym map would lie in a store, which others read: name a file outside it",
                str(path),
            )


def _read(path: Path) -> Content:
    """Return the header and the rows of a map; an empty file is one without rows."""
    if not path.stat().st_size:
        return COLUMNS, []
    table = read_hospital_table(path, "the pseudonym map")
    if missing := [name for name in COLUMNS if name not in table.header]:
        raise InputError("bad_table", f"the pseudonym map has no column {', '.join(missing)}", str(path))
    return table.header, list(table.rows)


def _known(content: Content, key: UidKey, path: Path) -> _Pseudonyms:
    header, rows = content
    places = [header.index(name) for name in COLUMNS]
    known, problems = _Pseudonyms(), []
    for number, cells in enumerate(rows, 1):
        center, patient_id, study_id, patient, case_id, key_id = (normalised(cells[place]) for place in places)
        if key_id not in {"", key.key_id}:
            raise InputError(
                "other_uid_key",
                f"the pseudonym map is of the UID key {key_id}, and the key of this run is {key.key_id}: give the map's key "
                f"({VARIABLE}, or the key's file), or another file for the map, whose pseudonyms will be others",
                str(path),
            )
        problems += [
            f"row {number}, column {column}: {text!r} is no id that a manifest may hold"
            for column, text in (("patient", patient), ("case_id", case_id))
            if (text or column == "case_id") and not _is_manifest_id(text)
        ]
        if patient_id and patient:
            known.add_patient(center, patient_id, patient)
        known.add_case((center, patient_id, study_id), case_id)
    if problems:
        raise ProblemsError.of("bad_pseudonym_map", f"the pseudonym map {path}", problems)
    return known


def _is_manifest_id(text: str) -> bool:
    field = contracts.manifest_fields()["case_id"]
    return (
        field.pattern is not None and field.pattern.fullmatch(text) is not None and len(text) <= (field.max_length or 0)
    )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the file that has the name, against others that replace it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Whoever held it before has put another file in its place.
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                yield
                return
        finally:
            os.close(descriptor)


def _write_private(path: Path, rows: Sequence[Sequence[str]]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
        file.flush()
        os.fsync(file.fileno())


def _unusable(error: OSError) -> InputError:
    return InputError(
        "no_pseudonym_map",
        "the file of the pseudonym map can be neither read nor written: name another one by --map, in a folder of your own",
        str(error),
    )
