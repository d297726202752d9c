"""What a run makes of the manifest that stands there: rows of new studies are added, all others keep their bytes. Pure.

A case counts as there by its centre and id, or by its image and series where a person gave it another id. One that was written
before and stands there no more was taken out by a person, and stays out. Rows of a tie that nobody has decided are the exception:
where the user says by an option what decides ties, those that lose are taken out.
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from cvtbatch.manifest.ties import STATE, TIE
from cvtbatch.pipelines.indexing.manifest_file import KeptRow, ManifestFile, Row, write_manifest_file
from cvtbatch.pipelines.indexing.study_choice import CHOSEN, StudyChoice

Case = tuple[str, str]


class ManifestUpdate:
    """The rows of a manifest, before and after.

    Args:
        there: the file as it stands.
        written: digest of the files of every case that was written to it before.
        settle: whether ties that stand there are decided by what is chosen now.
        clinical: columns that a clinical table fills.

    Attributes:
        kept: rows that stay.
        added: rows to be added.
        changed: case ids of rows whose studies have other files than when they were written.
        removed: case ids of rows that were written before and whose studies are not there now.
        taken_out: how many cases a person took out.
        settled: how many ties that stood there are decided.
        differing: how many cases that stand there have other clinical values than the table.
        remembered: digests, as `written`, after this run.
    """

    def __init__(self, there: ManifestFile, written: dict[Case, str], *, settle: bool, clinical: Sequence[str]) -> None:
        self._there, self._written, self._settle, self._clinical = there, written, settle, clinical
        self.kept = list(there.rows)
        self.added: list[Row] = []
        self.changed: list[str] = []
        self.removed: list[str] = []
        self.taken_out = self.settled = self.differing = 0
        self.remembered = dict(written)
        self._seen: set[Case] = set()
        self._by_case: dict[Case, list[KeptRow]] = defaultdict(list)
        self._by_image: dict[tuple[str, str], Case] = {}
        for row in there.rows:
            case = (row.cells.get("center", ""), row.cells.get("case_id", ""))
            self._by_case[case].append(row)
            self._by_image[_image(row.cells)] = case

    def add(self, case: Case, rows: Sequence[Row], choice: StudyChoice) -> None:
        """Take in what a run found of a study."""
        self._seen.add(case)
        there = self._by_case.get(case) or self._renamed(rows)
        before = self._written.get(case)
        if not there and before is not None:
            self.taken_out += 1
            return
        if before is None:
            self.remembered[case] = choice.digest
        elif before != choice.digest:
            self.changed.append(case[1])
        if not there:
            self.added += rows
            return
        self.differing += any(
            value != there[0].cells.get(name, "") for name in self._clinical if (value := rows[0].get(name))
        )
        if self._settle and choice.state == CHOSEN and _is_tie(there):
            self._decide(there, rows[0])

    def finish(self, left_out: set[Case]) -> None:
        """Say which cases were found but are left out; then what else stands in the file is gone."""
        gone = {case for case in self._written if case in self._by_case} - self._seen - left_out
        self.removed = sorted(case_id for _, case_id in gone)

    @property
    def standing_ties(self) -> int:
        """How many cases have rows of several series."""
        cases: dict[Case, set[tuple[str, str]]] = defaultdict(set)
        for row in (*(row.cells for row in self.kept), *self.added):
            if row.get(STATE) == TIE:
                cases[row.get("center", ""), row.get("case_id", "")].add(_image(row))
        return sum(len(images) > 1 for images in cases.values())

    def write(self, path: Path, columns: Sequence[str]) -> None:
        """Write the manifest; a file to which nothing is done is left as it is.

        Raises:
            InputError: see `write_manifest_file`.
        """
        if self._there.columns and not self.added and len(self.kept) == len(self._there.rows):
            return
        write_manifest_file(path, self._there, self.kept, columns, self.added)

    def _renamed(self, rows: Sequence[Row]) -> list[KeptRow]:
        """Return the rows that name one of these images, whatever a person calls their case."""
        case = next((self._by_image[_image(row)] for row in rows if _image(row) in self._by_image), None)
        return [] if case is None else self._by_case[case]

    def _decide(self, tied: list[KeptRow], chosen: Row) -> None:
        losers = [row for row in tied if _image(row.cells) != _image(chosen)]
        if 0 < len(losers) < len(tied):
            gone = {id(row) for row in losers}
            self.kept = [row for row in self.kept if id(row) not in gone]
            self.settled += 1


def _is_tie(rows: Sequence[KeptRow]) -> bool:
    return len(rows) > 1 and all(row.cells.get(STATE) == TIE for row in rows)


def _image(row: Row) -> tuple[str, str]:
    return os.path.normpath(row.get("image", "")), row.get("series_uid", "")
