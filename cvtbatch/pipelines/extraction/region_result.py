"""What comes back of the work on the regions of a case's outlines."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cvtbatch.manifest import CompactPickle
from cvtbatch.pipelines.extraction.case_result import Row
from cvtbatch.pipelines.extraction.failure import Failure, FailureKey
from cvtbatch.pipelines.extraction.task_cost import Cost

if TYPE_CHECKING:
    from cvtbatch.radiomics import AuditResult


@dataclass(frozen=True, slots=True)
class RegionResult(CompactPickle):
    """What became of the regions of a case.

    Attributes:
        rows: by table, without book-keeping.
        succeeded: keys of failures that would have ended now.
        audits: what the comparison of regions with stock PyRadiomics gave.
        cost: what it took; None where the task never came back.
    """

    rows: dict[str, list[Row]]
    failures: tuple[Failure, ...]
    succeeded: tuple[FailureKey, ...] = ()
    audits: tuple["AuditResult", ...] = ()
    cost: Cost | None = None
