"""Warnings of a manifest's rows: ids that look like what identifies a patient, and what is perhaps one, or another than it says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cvtbatch.counts import counted
from cvtbatch.manifest import Case, Manifest, RowPairs, find_twins, folded, name_centers
from cvtbatch.manifest.pseudonyms import suspicions_of

# Pairs of rows that a message names.
_NAMED = 5
_SPELLED = (
    "differ by capitals, blanks or Unicode form alone, and count as different ones: one patient may be trained on and judged on at "
    "once; give one patient one id"
)


@dataclass(frozen=True, slots=True)
class RowWarning:
    """Cells of a column that are no good, or may be wrong.

    Attributes:
        kind: what ids look like, as `suspicions_of` names it; "twin_centers", "twin_ids"; "shared_mask", "shared_image".
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


def check_rows(manifest: Manifest) -> list[RowWarning]:
    """Return a warning for every kind of suspicious id in `case_id` and `patient`, for every centre of several spellings, for other
    ids of several spellings, and for images and outlines that several cases, or readers, have in common.

    A patient named like its case counts once.
    """
    found: dict[tuple[str, str], _Count] = {}
    centers: dict[str, _Count] = {}
    spelled = {"case_id": RowPairs(), "patient": RowPairs()}
    images, masks = RowPairs(), RowPairs()
    for case in manifest:
        centers.setdefault(case.center, _Count(case.manifest_row)).cases += 1
        for column, value in _ids(case):
            spelled[column].add(case.manifest_row, (case.center, folded(value)), value)
            for kind in suspicions_of(value):
                found.setdefault((column, kind), _Count(case.manifest_row)).cases += 1
        images.add(case.manifest_row, (case.image, case.series_uid), case.case_key)
        for roi in case.masked_rois():
            masks.add(roi.manifest_row, (roi.mask, roi.segment, roi.mask_label), roi.roi_key)
    suspicions = [
        RowWarning(column, kind, count.first_row, count.cases, _suspicion(column, kind, count))
        for (column, kind), count in found.items()
    ]
    return [
        *suspicions,
        *_twins(centers),
        *(warning for column, pairs in spelled.items() for warning in _of_pairs(column, "twin_ids", pairs, _SPELLED)),
        *_of_pairs(
            "image", "shared_image", images, "are one, of different cases: is a row of them a copy of the other?"
        ),
        *_of_pairs(
            "mask",
            "shared_mask",
            masks,
            "are one outline, of different cases or readers: is a row of them a copy of the other? An outline of another "
            "patient gives wrong values, and a reader agrees with himself",
        ),
    ]


def _ids(case: Case) -> Iterator[tuple[str, str]]:
    yield "case_id", case.case_id
    patient = str(case.clinical_values()["patient"])
    if patient != case.case_id:
        yield "patient", patient


def _suspicion(column: str, kind: str, count: _Count) -> str:
    """Say what ids look like; the ids themselves are not repeated."""
    what = f"{counted(count.cases, 'id looks', 'ids look')} like a {kind.replace('_', ' ')}"
    return (
        f"column {column}: {what} (first: row {count.first_row}); the store keeps ids as they are, "
        "so give pseudonyms that lead to no patient"
    )


def _twins(centers: dict[str, _Count]) -> Iterator[RowWarning]:
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
        yield RowWarning(
            "center",
            "twin_centers",
            min(count.first_row for count in counts),
            sum(count.cases for count in counts),
            message,
        )


def _of_pairs(column: str, kind: str, rows: RowPairs, told: str) -> Iterator[RowWarning]:
    """Warn of cells that belong together; what they hold is not repeated."""
    if pairs := rows.found():
        yield RowWarning(
            column, kind, pairs[0][0], len({row for pair in pairs for row in pair}), _message(column, pairs, told)
        )


def _message(column: str, pairs: Sequence[tuple[int, int]], told: str) -> str:
    rows = ", ".join(f"{first} and {second}" for first, second in pairs[:_NAMED])
    more = f", and {counted(len(pairs) - _NAMED, 'more pair')}" if len(pairs) > _NAMED else ""
    return f"column {column}: those of rows {rows}{more} {told}"
