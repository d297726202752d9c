"""Warnings of ids in a manifest that look like what identifies a patient: the store keeps ids as they are."""

from dataclasses import dataclass

from cvtbatch.manifest import Manifest
from cvtbatch.validation.pseudonyms import suspicions_of


@dataclass(frozen=True, slots=True)
class IdWarning:
    """Ids of a column that look like what identifies a patient; the ids themselves are not repeated.

    Attributes:
        kind: what they look like, as `suspicions_of` names it.
        first_row: manifest row of the first of them.
    """

    column: str
    kind: str
    first_row: int
    cases: int

    @property
    def message(self) -> str:
        """What is wrong, and what to do."""
        what = f"{self.cases} id{' looks' if self.cases == 1 else 's look'} like a {self.kind.replace('_', ' ')}"
        return (
            f"column {self.column}: {what} (first: row {self.first_row}); the store keeps ids as they are, "
            "so give pseudonyms that lead to no patient"
        )

    def to_document(self) -> dict[str, object]:
        """Return what may be shared: all of it."""
        return {**{name: getattr(self, name) for name in self.__dataclass_fields__}, "message": self.message}


def check_ids(manifest: Manifest) -> list[IdWarning]:
    """Return a warning for every kind of suspicious id in `case_id` and `patient`; a patient named like its case counts once."""
    found: dict[tuple[str, str], list[int]] = {}
    for case in manifest:
        patient = str(case.clinical_values()["patient"])
        for column, value in {"case_id": case.case_id, "patient": "" if patient == case.case_id else patient}.items():
            for kind in suspicions_of(value):
                found.setdefault((column, kind), []).append(case.manifest_row)
    return [IdWarning(column, kind, rows[0], len(rows)) for (column, kind), rows in found.items()]
