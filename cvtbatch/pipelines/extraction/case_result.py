"""What comes back of the work on a case, and what the rows say of the case."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cvtbatch.manifest import Case, CompactPickle, RoiSource
from cvtbatch.pipelines.extraction.failure import Failure, FailureKey
from cvtbatch.pipelines.extraction.task_cost import Cost

if TYPE_CHECKING:
    from cvtbatch.radiomics import AuditResult

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class CaseResult(CompactPickle):
    """What became of a task: rows by table, without book-keeping, and failures.

    Attributes:
        succeeded: keys of failures that would have ended now.
        audits: what the comparison of ROIs with stock PyRadiomics gave.
        decoded: whether any source was read.
        computed: whether a volume, a mask or features were made.
        cost: what it took; None where the task never came back.
    """

    rows: dict[str, list[Row]]
    failures: tuple[Failure, ...]
    succeeded: tuple[FailureKey, ...]
    audits: tuple["AuditResult", ...]
    decoded: bool
    computed: bool
    cost: Cost | None = None


def case_identity(case: Case) -> Row:
    """Return what every row of a case says of it."""
    return {"case_key": case.case_key, "center": case.center, "case_id": case.case_id}


def roi_identity(case: Case, roi: RoiSource) -> Row:
    """Return what every row of an outline says of it."""
    identity = {"roi_key": roi.roi_key, "roi": roi.roi, "reader": roi.reader, "reading": roi.reading}
    return {**case_identity(case), **identity, "manifest_row": roi.manifest_row}


def case_row(case: Case) -> Row:
    """Return the `cases` row of a case, without book-keeping."""
    return {
        **case_identity(case),
        **case.clinical_values(),
        "extra": case.extra,
        "timepoint": case.timepoint,
        "clinical_digest": case.clinical_digest(),
        "manifest_row": case.manifest_row,
    }
