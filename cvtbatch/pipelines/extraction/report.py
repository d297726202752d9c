"""What a run tells while it goes on, and at its end."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Literal, get_args

from cvtbatch.pipelines.extraction.case_plan import Reason
from cvtbatch.pipelines.extraction.run_cost import CostSummary

# Order of a batch: a row is never there before the rows that it stands on, nor a value before what an audit said of it.
BATCH_ORDER = ("volumes", "cases", "rois", "failures", "radiomics", "embeddings")
# How a case stands, the later ones outweighing the earlier: it counts once, whatever becomes of its parts.
State = Literal["awaiting_mask", "already_done", "computed", "failed"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(slots=True)
class Progress:
    """What a stage of a run works on while it goes on: of how many, done with, and of those failed."""

    total: int = 0
    done: int = 0
    failed: int = 0
    stage: Literal["extract", "embed"] = "extract"


@dataclass(slots=True)
class AuditSummary:
    """How many ROIs were compared with stock PyRadiomics, and the largest deviation by class, in units of the tolerance."""

    rois: int = 0
    largest_deviation: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class EmbeddingSummary:
    """What was embedded, and with which weights."""

    weights: str = "none"
    not_for_inference: bool = False
    rois: int = 0
    slices: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class ExtractReport:
    """What a run did; every case is counted once in computed, already_done, failed or awaiting_mask."""

    store: str
    run_id: str | None
    volume_spec_id: str
    radiomics_spec_id: str
    embedding_spec_id: str
    dry_run: bool = False
    cases: int = 0
    computed: int = 0
    already_done: int = 0
    failed: int = 0
    awaiting_mask: int = 0
    clinical_updated: int = 0
    decoded: int = 0
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BATCH_ORDER, 0))
    failures: list[dict[str, str | int]] = field(default_factory=list)
    audit: AuditSummary = field(default_factory=AuditSummary)
    embeddings: EmbeddingSummary = field(default_factory=EmbeddingSummary)
    cost: CostSummary = field(default_factory=CostSummary)
    plan: list[dict[str, str | int]] = field(default_factory=list)
    seconds: float = 0.0

    def to_document(self) -> dict[str, object]:
        """Return the JSON document of `cvtbatch extract --json`."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        parts = {"audit": asdict(self.audit), "embeddings": asdict(self.embeddings), "cost": asdict(self.cost)}
        return {"command": "extract", **fields, **parts}


def reason_counts(reasons: Counter[Reason]) -> list[dict[str, str | int]]:
    return [{"reason": str(reason), "cases": reasons[reason]} for reason in Reason if reasons[reason]]
