"""Volumes to outline together, and what comes back of the work on them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cvtbatch.manifest import CompactPickle
from cvtbatch.pipelines.extraction.case_result import Row
from cvtbatch.pipelines.extraction.failure import Failure, FailureKey
from cvtbatch.pipelines.extraction.outline_plan import OutlineWork, VolumeInput
from cvtbatch.pipelines.extraction.task_cost import Cost

if TYPE_CHECKING:
    from cvtbatch.radiomics import AuditResult


@dataclass(frozen=True, slots=True)
class OutlineTask(CompactPickle):
    """Volumes to outline together."""

    work: OutlineWork
    volumes: tuple[VolumeInput, ...]


@dataclass(frozen=True, slots=True)
class Outlined(CompactPickle):
    """What became of a volume.

    Attributes:
        rows: by table, without book-keeping.
        succeeded: keys of failures that would have ended now.
        audits: what the comparison of outlines with stock PyRadiomics gave.
        found: how many outlines it has; None where that could not be told.
        computed: whether it was outlined, or features were made.
    """

    volume: VolumeInput
    rows: dict[str, list[Row]]
    failures: tuple[Failure, ...]
    succeeded: tuple[FailureKey, ...]
    audits: tuple["AuditResult", ...]
    found: int | None
    computed: bool


@dataclass(frozen=True, slots=True)
class OutlineResult(CompactPickle):
    """What became of the volumes of a task, and what it took; None where it never came back."""

    volumes: tuple[Outlined, ...]
    cost: Cost | None = None
