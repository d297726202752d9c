"""What a run tells while it goes on, and at its end."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from cvtbatch.pipelines.extraction.case_plan import Reason
from cvtbatch.pipelines.extraction.run_cost import CostSummary, Seconds

if TYPE_CHECKING:
    from cvtbatch.radiomics import AuditResult

# How a case stands, the later ones outweighing the earlier: it counts once, whatever becomes of its parts.
State = Literal["awaiting_mask", "no_hemorrhage", "already_done", "computed", "failed"]
STATES: tuple[State, ...] = get_args(State)


# JSON knows no infinity; a value beside NaN is this many tolerances away.
LARGEST_DEVIATION = 1e300
Stage = Literal["extract", "outline", "region", "embed"]


@dataclass(slots=True)
class Progress:
    """What a stage of a run works on while it goes on: of how many, done with, and of those failed."""

    total: int = 0
    done: int = 0
    failed: int = 0
    stage: Stage = "extract"


@dataclass(frozen=True, slots=True)
class RunFigures:
    """How a run stands at a moment; what it counts by name goes on counting and is read at once.

    Attributes:
        began_at, result_at: when it began, and when the last result came back, in seconds since 1970.
        manifest_cases, planned, worked: cases of the manifest, compared with the store, and worked on.
        in_flight: tasks that were handed out and did not come back.
        workers: worker threads; worker_peak_bytes the largest memory of one during a task; worker_cpu_s what they computed.
        stages: seconds of a case in a stage, of an outline in the stage embedding.
        first_states, states: cases by how they first stood and by how they stand.
        failures: cases by stage and kind.
        rows: that were appended, by table, in so many commits.
    """

    run_id: str
    began_at: float
    result_at: float
    manifest_cases: int
    planned: int
    worked: int
    in_flight: int
    cases_per_second: float
    workers: int
    worker_peak_bytes: int
    worker_cpu_s: float
    read_bytes: int
    written_bytes: int
    stages: Mapping[str, Seconds]
    progress: Progress
    first_states: Mapping[State, int]
    states: Mapping[State, int]
    failures: Mapping[tuple[str, str], int]
    rows: Mapping[str, int]
    commits: int


@dataclass(slots=True)
class AuditSummary:
    """How many ROIs were compared with stock PyRadiomics, and the largest deviation by class, in units of the tolerance."""

    rois: int = 0
    largest_deviation: dict[str, float] = field(default_factory=dict)

    def add(self, audits: Iterable["AuditResult"]) -> None:
        """Take in what comparisons gave."""
        for audit in audits:
            self.rois += 1
            for feature_class, size in audit.largest_deviation.items():
                so_far = self.largest_deviation.get(feature_class, 0.0)
                self.largest_deviation[feature_class] = max(min(size, LARGEST_DEVIATION), so_far)


@dataclass(slots=True)
class OutlineSummary:
    """What was outlined, and by whom.

    Attributes:
        method, reader: "none" and empty where outlines are not asked for.
        volumes: that were looked at.
        rois: outlines that were found in them.
        without_hemorrhage: volumes without one.
        seconds: wall time.
    """

    method: str = "none"
    reader: str = ""
    not_for_inference: bool = False
    volumes: int = 0
    rois: int = 0
    without_hemorrhage: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class RegionSummary:
    """What a run made of a region of every outline.

    Attributes:
        derived: that have voxels.
        empty: those that have none, by reason.
    """

    spec_id: str
    derived: int = 0
    empty: dict[str, int] = field(default_factory=dict)

    def count(self, reason: object) -> None:
        """Count one that was derived (no reason), or is empty."""
        if reason is None:
            self.derived += 1
        else:
            self.empty[str(reason)] = self.empty.get(str(reason), 0) + 1

    def __str__(self) -> str:
        empty = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in sorted(self.empty.items()))
        return f"{self.derived:,}{f' (empty: {empty})' if empty else ''}"


@dataclass(slots=True)
class EmbeddingSummary:
    """What was embedded under a specification, by which network and weights; the licence is empty where it is not known."""

    spec_id: str = ""
    backbone: str = "none"
    weights: str = "none"
    licence: str = ""
    non_commercial: bool = False
    not_for_inference: bool = False
    rois: int = 0
    slices: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ExtractReport:
    """What a run did; every case is counted once in computed, already_done, failed, no_hemorrhage or
    awaiting_mask.

    Attributes:
        run_id: None for a plan that nobody carries out.
        feature_sets: specifications of the job's feature sets, by the set's name.
        descriptions: specifications of what describes outlines, by table.
        regions: that the job asks for, by name.
        embeddings: one a specification; a single one of none where the job asks for none.
        cases: that were planned.
        continued: of those computed, cases whose volume, and features where they had an outline, an earlier run had stored.
        clinical_updated: cases whose clinical values were corrected without any other reason to be new.
        decoded: cases of which a source was read.
        rows: that were appended, by table.
        failures: cases by stage and kind.
        lacking_sets: how many cases lack a feature set since it failed, by its name.
        lacking_sets_alone: how many of the failed cases lack feature sets and nothing else.
        plan: cases by reason.
        report: path of the page that tells a person of the run; None where none could be written.
    """

    store: str
    run_id: str | None
    volume_spec_id: str
    radiomics_spec_id: str
    outline_spec_id: str
    feature_sets: Mapping[str, str]
    descriptions: Mapping[str, str]
    regions: Mapping[str, RegionSummary]
    rows: Mapping[str, int]
    outlines: OutlineSummary
    embeddings: tuple[EmbeddingSummary, ...]
    plan: list[dict[str, str | int]]
    cases: int
    dry_run: bool = False
    computed: int = 0
    continued: int = 0
    already_done: int = 0
    failed: int = 0
    no_hemorrhage: int = 0
    awaiting_mask: int = 0
    clinical_updated: int = 0
    decoded: int = 0
    failures: list[dict[str, str | int]] = field(default_factory=list)
    lacking_sets: Mapping[str, int] = field(default_factory=dict)
    lacking_sets_alone: int = 0
    audit: AuditSummary = field(default_factory=AuditSummary)
    cost: CostSummary = field(default_factory=CostSummary)
    seconds: float = 0.0
    report: str | None = None

    @property
    def embedding_spec_id(self) -> str:
        """The first specification of embeddings; empty where none are asked for."""
        return self.embeddings[0].spec_id

    def embeddings_document(self) -> object:
        """Return what was embedded as JSON: an object, or a list of objects where the job asks for several specifications."""
        first, *others = (asdict(summary) for summary in self.embeddings)
        return [first, *others] if others else first

    @property
    def told(self) -> str:
        """Who computed the cases, in words."""
        begun = f" ({self.continued:,} of them begun by earlier runs)" if self.continued else ""
        return (
            f"{self.computed:,} computed by this run{begun}, {self.already_done:,} by earlier runs, of {self.cases:,}"
        )

    def to_document(self) -> dict[str, object]:
        """Return the JSON document of `cvtbatch extract --json`."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        parts = {name: asdict(getattr(self, name)) for name in ("audit", "outlines", "cost")}
        embeddings = {"embedding_spec_id": self.embedding_spec_id, "embeddings": self.embeddings_document()}
        regions = {name: asdict(summary) for name, summary in self.regions.items()}
        return {"command": "extract", **fields, **parts, **embeddings, "regions": regions}


def failure_counts(failures: Mapping[tuple[str, str], int]) -> list[dict[str, str | int]]:
    """Return the entries of a report for cases by stage and kind of failure."""
    return [{"stage": stage, "kind": kind, "cases": cases} for (stage, kind), cases in sorted(failures.items())]


def reason_counts(reasons: Counter[Reason]) -> list[dict[str, str | int]]:
    """Return the entries of a report for cases by reason, in the order of reasons."""
    return [{"reason": str(reason), "cases": reasons[reason]} for reason in Reason if reasons[reason]]
