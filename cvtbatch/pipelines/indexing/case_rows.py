"""Rows of a manifest, of what became of studies: pseudonyms, paths, outlines and clinical values in their columns."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cvtbatch import contracts
from cvtbatch.manifest.ties import STATE, TIE
from cvtbatch.pipelines.indexing.archive_scan import ArchiveSource
from cvtbatch.pipelines.indexing.clinical_table import ClinicalTable
from cvtbatch.pipelines.indexing.dicom_outlines import DicomOutline, segments_of
from cvtbatch.pipelines.indexing.manifest_file import Row
from cvtbatch.pipelines.indexing.mask_files import MaskFiles
from cvtbatch.pipelines.indexing.outlines_beside import OutlineBeside, are_drawn_on, outlines_of, outlines_of_study
from cvtbatch.pipelines.indexing.pseudonym_map import PseudonymMap
from cvtbatch.pipelines.indexing.study_choice import CHOSEN, ChosenSeries, StudyChoice
from cvtbatch.plain_text import is_formula

REASON, CANDIDATES, OUTLINES = "x_reason", "x_candidates", "x_outlines"
_FIRST = ("center", "case_id", "patient", "image", "series_uid", "mask", "segment", "mask_label", "reader")


_BY_GRID = "; an outline in the study's folder has its grid, as no other series has"
# Who an outline is of where nobody is named: the column's default.
_NOBODY = str(contracts.manifest_fields()["reader"].default)


_TO_BE_PULLED = "an outline is read of a file: pull the study"


class NoCell(Exception):
    """A path that no cell of a CSV file can hold."""


def columns(clinical: ClinicalTable | None) -> list[str]:
    """Return the columns of a manifest that is made."""
    return [*_FIRST, *(clinical.columns if clinical else ()), STATE, REASON, CANDIDATES, OUTLINES]


@dataclass(frozen=True, slots=True)
class _Outline:
    """What the columns of an outline say.

    Attributes:
        note: why a person has to decide; empty where none has to.
    """

    mask: str
    segment: str
    mask_label: str
    reader: str
    note: str

    def cells(self) -> Row:
        return {"mask": self.mask, "segment": self.segment, "mask_label": self.mask_label, "reader": self.reader}

    def __str__(self) -> str:
        return f"{self.mask} ({self.note})" if self.note else self.mask


@dataclass(frozen=True, slots=True)
class Outlines:
    """The outlines of an archive.

    Attributes:
        by_series: segmentations and structure sets, by the series that they name.
        files: masks in image files.
        mask_pattern: where these lie, if the user says so.
        segment: name of the segment that is wanted of every outline.
    """

    by_series: Mapping[str, Sequence[DicomOutline]]
    files: MaskFiles
    mask_pattern: str | None
    segment: str | None


class CaseRows:
    """Makes rows.

    Args:
        archive: of which the series are; None where they lie in the folder root.
        manifest: that they are written to, to which paths are relative.
        outlines: that were found.

    Attributes:
        filled, unclear: series whose outline was filled in, and of which there are several, or no segment is named.
    """

    def __init__(
        self,
        root: Path,
        archive: ArchiveSource | None,
        manifest: Path,
        pseudonyms: PseudonymMap,
        clinical: ClinicalTable | None,
        outlines: Outlines,
    ) -> None:
        self._root, self._archive, self._base = root, archive, str(manifest.resolve().parent)
        self._pseudonyms, self._clinical, self._outlines = pseudonyms, clinical, outlines
        self.filled = self.unclear = 0

    def case(self, choice: StudyChoice) -> tuple[str, str]:
        """Return centre and case id of a study, as the manifest has them."""
        return choice.key.center, self._pseudonyms.case(*choice.key)

    def rows(self, choice: StudyChoice) -> list[Row]:
        """Return the rows of a study: one for each of its series and readers.

        Raises:
            NoCell: a path cannot be written.
        """
        center, case_id = self.case(choice)
        shared = {
            "center": center,
            "case_id": case_id,
            "patient": self._pseudonyms.patient(center, choice.key.patient_id),
            **(self._clinical.values(center, choice.key.patient_id) if self._clinical else {}),
            STATE: choice.state,
            CANDIDATES: choice.candidates,
        }
        return [{**shared, **cells} for series in choice.series for cells in self._cells(series)]

    def settled(self, choice: StudyChoice) -> StudyChoice:
        """Return what became of a study, a tie settled where all outlines in its folder have the grid of one series alone."""
        if choice.state != TIE or self._outlines.mask_pattern is not None or any(map(self._names, choice.series)):
            return choice
        files = self._outlines.files
        meant = [
            series for series in choice.series if are_drawn_on(files.of_study(self._root / series.image), series.grid)
        ]
        return replace(choice, state=CHOSEN, series=tuple(meant)) if len(meant) == 1 else choice

    def _names(self, series: ChosenSeries) -> bool:
        """Say whether an outline is of a series by its name, place or header."""
        outlines = self._outlines
        return bool(outlines.by_series.get(series.own_uid) or outlines.files.of(self._root / series.image))

    def place(self, below_root: str) -> str:
        """Return where a study or a file lies, as a cell, escapes for what is no text."""
        return self._path(self._root / below_root).encode("utf-8", "backslashreplace").decode()

    def _cells(self, series: ChosenSeries) -> list[Row]:
        cells = {"image": self._cell(self._root / series.image), "series_uid": series.series_uid, REASON: series.reason}
        found = list(self._found(series))
        if not found:
            found = list(self._of_study(series))
            if found and not any(outline.note for outline in found):
                cells[REASON] += _BY_GRID
        if not found:
            return [cells]
        if not any(outline.note for outline in found) and len({outline.reader or _NOBODY for outline in found}) == len(
            found
        ):
            self.filled += 1
            return [{**cells, **outline.cells()} for outline in found]
        self.unclear += 1
        return [{**cells, OUTLINES: "; ".join(map(str, found))}]

    def _found(self, series: ChosenSeries) -> Iterator[_Outline]:
        wanted = self._outlines.segment
        for dicom in self._outlines.by_series.get(series.own_uid, ()):
            path = self._cell(dicom.path)
            names = segments_of(dicom.named, wanted)
            segment = names[0] if len(names) == 1 and len(dicom.named.segments) > 1 else ""
            listed = ", ".join(map(repr, dicom.named.segments))
            unclear = "" if len(names) == 1 else f"{dicom.named.object} with {listed or 'no segment'}"
            yield _Outline(path, segment, "", "", unclear if self._archive is None else _TO_BE_PULLED)
        image = self._root / series.image
        yield from map(self._beside, outlines_of(image, self._outlines.files, self._outlines.mask_pattern, wanted))

    def _of_study(self, series: ChosenSeries) -> Iterator[_Outline]:
        if self._outlines.mask_pattern is None:
            image, files, segment = self._root / series.image, self._outlines.files, self._outlines.segment
            yield from map(self._beside, outlines_of_study(image, files, series.grid, segment))

    def _beside(self, outline: OutlineBeside) -> _Outline:
        path = self._cell(outline.path)
        return _Outline(path, outline.segment, outline.mask_label, outline.reader, outline.note)

    def _path(self, path: str | Path) -> str:
        """Return a path as seen from the manifest, links on the way stay; in an archive, the address of what lies there."""
        if self._archive is not None:
            return self._archive.address_of(Path(path))
        return os.path.relpath(os.path.abspath(path), self._base)  # noqa: PTH100

    def _cell(self, path: str | Path) -> str:
        return _cell(self._path(path))


def _cell(path: str) -> str:
    """Return a path as a cell that is read as it is.

    Raises:
        NoCell: it is no text, or blanks around it would be lost.
    """
    path = f"./{path}" if is_formula(path) else path
    if path != path.strip() or "\0" in path or any("\ud800" <= character <= "\udfff" for character in path):
        raise NoCell
    return path
