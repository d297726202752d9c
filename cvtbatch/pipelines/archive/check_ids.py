"""Warnings of ids in a manifest: those that look like what identifies a patient, and those that are spelled in several ways."""

from collections.abc import Iterator
from dataclasses import dataclass

from cvtbatch.counts import counted
from cvtbatch.manifest import Manifest, TwinIds, find_twins, name_centers
from cvtbatch.manifest.pseudonyms import suspicions_of

# Pairs of rows that a message names.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class IdWarning:
    """Ids of a column that are no good.

    Attributes:
        kind: what they look like, as `suspicions_of` names it, "twin_centers", or "twin_ids".
        first_row: manifest row of the first of them.
        cases: that have one.
        message: what is wrong, and what to do.
    """

    column: str
    kind: str
    first_row: int
    cases: int
    message: str

    def to_document(self) -> dict[str, object]:
        """Return what may be shared: all of it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(slots=True)
class _Count:
    first_row: int
    cases: int = 0


def check_ids(manifest: Manifest) -> list[IdWarning]:
    """Return a warning for every kind of suspicious id in `case_id` and `patient`, and for what is spelled in several ways.

    A patient named like its case counts once.
    """
    found: dict[tuple[str, str], _Count] = {}
    centers: dict[str, _Count] = {}
    ids = {"case_id": TwinIds(), "patient": TwinIds()}
    for case in manifest:
        centers.setdefault(case.center, _Count(case.manifest_row)).cases += 1
        patient = str(case.clinical_values()["patient"])
        for column, value in {"case_id": case.case_id, "patient": "" if patient == case.case_id else patient}.items():
            if value:
                ids[column].add(case.manifest_row, case.center, value)
            for kind in suspicions_of(value):
                found.setdefault((column, kind), _Count(case.manifest_row)).cases += 1
    suspicions = [
        IdWarning(column, kind, count.first_row, count.cases, _suspicion(column, kind, count))
        for (column, kind), count in found.items()
    ]
    return [*suspicions, *_twins(centers), *_twin_ids(ids)]


def _suspicion(column: str, kind: str, count: _Count) -> str:
    """Say what ids look like; the ids themselves are not repeated."""
    what = f"{count.cases} id{' looks' if count.cases == 1 else 's look'} like a {kind.replace('_', ' ')}"
    return (
        f"column {column}: {what} (first: row {count.first_row}); the store keeps ids as they are, "
        "so give pseudonyms that lead to no patient"
    )


def _twins(centers: dict[str, _Count]) -> Iterator[IdWarning]:
    for names in find_twins(centers):
        counts = [centers[name] for name in names]
        told = ", ".join(
            f"{name_centers([name])} ({counted(count.cases, 'case')}, first: row {count.first_row})"
            for name, count in zip(names, counts, strict=True)
        )
        message = (
            f"column center: {told} differ by capitals, blanks or Unicode form alone, and count as {len(names)} centres: "
            "give one centre one name; fit refuses to train on any of them"
        )
        yield IdWarning(
            "center",
            "twin_centers",
            min(count.first_row for count in counts),
            sum(count.cases for count in counts),
            message,
        )


def _twin_ids(ids: dict[str, TwinIds]) -> Iterator[IdWarning]:
    """Warn of ids that are perhaps one; which they are is not repeated."""
    for column, twins in ids.items():
        if not (pairs := twins.pairs()):
            continue
        rows = ", ".join(f"{first} and {second}" for first, second in pairs[:_NAMED])
        more = f", and {counted(len(pairs) - _NAMED, 'more pair')}" if len(pairs) > _NAMED else ""
        message = (
            f"column {column}: the ids of rows {rows}{more} differ by capitals, blanks or Unicode form alone, and count as "
            "different ones: one patient may be trained on and judged on at once; give one patient one id"
        )
        yield IdWarning(column, "twin_ids", pairs[0][0], len({row for pair in pairs for row in pair}), message)
