"""What `index` did, as a value."""

from dataclasses import asdict, dataclass

Document = dict[str, object]
# What may not be shared: paths, ids of a hospital's table, and names of folders.
_PRIVATE = ("map_path", "left_out_path", "misfits", "unreadable_files")
# Kinds of failure that mean that a study has no head CT, rather than one that cannot be read.
_WITHOUT_CT = frozenset({"no_ct_series", "not_hounsfield"})


@dataclass(frozen=True, slots=True)
class IndexReport:
    """Counts; rows and cases are of the manifest, studies of the archive.

    Attributes:
        files, files_read: that were found, and of which the header was read in this run.
        unreadable: files, by kind.
        unreadable_files: as seen from the manifest.
        chosen, ties: studies by what was chosen in this run.
        standing_ties: cases that the manifest now has several series of.
        left_out: studies without a row, by state.
        rows_filled: rows that stood there, of which empty cells got clinical values.
        settled: ties of an earlier run that were decided.
        changed, removed: case ids of rows whose studies have other files now, or are not there.
        taken_out: cases that a person took out of the manifest.
        other_ids: studies whose rows stand under other ids than this run gives them.
        outlines, unclear_outlines: series whose outline was filled in, and of which it cannot be told.
        without_patient, without_study: folders, a study's part in each, whose objects have no such id; studies of image files whose
            patient neither a pattern nor BIDS names are among the former.
        misfits: folders with CT images that the pattern does not fit.
        onset_unknown: studies that were kept since they cannot be compared with an onset.
        clinical_unmatched: rows of the clinical table that fit no study.
        without_clinical: studies of patients without a row in it.
        clinical_differing: cases of which cells, which stand as they are, have other values than the table.
        clinical_not_taken: its columns that no manifest takes.
    """

    seconds: float
    files: int
    files_read: int
    unreadable: dict[str, int]
    unreadable_files: tuple[str, ...]
    studies: int
    chosen: int
    ties: int
    standing_ties: int
    left_out: dict[str, int]
    rows_added: int
    rows_kept: int
    rows_filled: int
    settled: int
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    taken_out: int
    other_ids: int
    outlines: int
    unclear_outlines: int
    without_patient: int
    without_study: int
    misfits: tuple[str, ...]
    onset_unknown: int
    clinical_rows: int
    clinical_unmatched: tuple[int, ...]
    without_clinical: int
    clinical_differing: int
    clinical_not_taken: tuple[str, ...]
    map_path: str
    left_out_path: str

    @property
    def without_ct(self) -> int:
        """How many studies have no head CT."""
        return sum(count for state, count in self.left_out.items() if state in _WITHOUT_CT)

    @property
    def left_out_otherwise(self) -> dict[str, int]:
        """Return the other studies without a row, by state."""
        return {state: count for state, count in self.left_out.items() if state not in _WITHOUT_CT}

    @property
    def stands(self) -> bool:
        """Whether something is left for a person to do: ties, or files that cannot be read."""
        return bool(self.standing_ties or self.unreadable)

    def to_document(self) -> Document:
        """Return what may be shared, as `schemas/commands/index.json` has it."""
        values = {name: value for name, value in asdict(self).items() if name not in _PRIVATE}
        lists = {name: list(value) for name, value in values.items() if isinstance(value, tuple)}
        return {"command": "index", **values, **lists, "misfit_folders": len(self.misfits)}
