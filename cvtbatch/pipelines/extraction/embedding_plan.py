"""Which outlines are embedded, and in what portions. Pure; what is stored is looked at, never a source."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from cvtbatch.embedding.architectures import Architecture
from cvtbatch.embedding.compute import Compute
from cvtbatch.embedding.preprocessing import Part, Preprocessing
from cvtbatch.manifest import Case, RoiSource
from cvtbatch.pipelines.extraction.case_plan import CasePlan, Reason
from cvtbatch.pipelines.extraction.failure import FailureKey, KnownFailure
from cvtbatch.pipelines.extraction.known_case import KnownCase
from cvtbatch.pipelines.extraction.outline_plan import OutlineWork, found_sources, is_outlined
from cvtbatch.pipelines.shared.job import EmbeddedSlices
from cvtbatch.spec import digest
from cvtbatch.store import StoredArray

# A task of so many batches is long beside its sending, and short beside its loss; on a GPU a batch takes a tenth of a second.
CPU_TASK_BATCHES = 8
CUDA_TASK_BATCHES = 16
Idle = Literal["awaiting_mask", "no_hemorrhage", "already_done"]
WAITING: Mapping[Idle, Reason] = {"awaiting_mask": Reason.AWAITING_MASK, "no_hemorrhage": Reason.NO_HEMORRHAGE}
# Share of a task's slices that may be padding before it is made longer.
PADDING_SHARE = 1 / 32


@dataclass(frozen=True, slots=True)
class WeightsRef:
    """Where workers find the weights: they draw random ones themselves, the others lie in the store."""

    source: str
    sha256: str
    architecture: Architecture
    store_url: str = field(compare=False)
    licence: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class EmbeddingWork:
    """What a run does to every outline under one specification."""

    embedding_spec_id: str
    volume_spec_id: str
    preprocessing: Preprocessing
    weights: WeightsRef
    not_for_inference: bool
    compute: Compute
    slices: EmbeddedSlices


@dataclass(frozen=True, slots=True)
class RoiInput:
    """An outline to embed, by what is stored of it; travels to a worker.

    Attributes:
        case_row: row of its case in the manifest.
        parts: which of its slices, by the specification that lacks them.
        slices: at most so many are these.
        fingerprint: what a failure of it is about.
        failed_before: specifications with a live failure that success ends.
    """

    case_key: str
    center: str
    case_id: str
    case_row: int
    source: RoiSource
    input_digest: str
    volume: StoredArray
    mask: StoredArray
    spacing_mm: tuple[float, float, float]
    parts: Mapping[str, Part]
    slices: int
    fingerprint: str
    failed_before: frozenset[str]

    @property
    def manifest_row(self) -> int:
        """Row of the outline in the manifest."""
        return self.source.manifest_row


@dataclass(frozen=True, slots=True)
class EmbeddingPlan:
    """What happens to one case.

    Attributes:
        idle: how it stands if nothing is embedded.
        standing: failures that it keeps, since they are not tried again.
        ended: failures of outlines that have embeddings.
        without_input: it has an outline whose volume or mask is not stored.
        blocked: why it is not.
    """

    case: Case
    idle: Idle
    pending: tuple[RoiInput, ...]
    standing: tuple[KnownFailure, ...]
    ended: tuple[FailureKey, ...]
    without_input: bool
    blocked: tuple[KnownFailure, ...]

    def reasons(self) -> tuple[Reason, ...]:
        """Say why the case is worked on, or is not, where nothing but embeddings is asked for."""
        missing = {
            "all": Reason.EMBEDDINGS_MISSING,
            "largest": Reason.EMBEDDINGS_MISSING,
            "others": Reason.SLICES_MISSING,
        }
        why = [
            Reason.RETRIED if spec_id in roi.failed_before else missing[part]
            for roi in self.pending
            for spec_id, part in roi.parts.items()
        ]
        why += [Reason.NO_VOLUME] if self.without_input else []
        why += [Reason.STANDING_FAILURE] if self.standing else []
        why += [WAITING[self.idle]] if self.idle in WAITING else []
        return tuple(dict.fromkeys(why)) or (Reason.DONE,)


def plan_embeddings(
    case: Case,
    known: KnownCase | None,
    works: Sequence[EmbeddingWork],
    again: bool,
    outlining: OutlineWork | None = None,
) -> EmbeddingPlan:
    """Decide which outlines of a case are embedded, under which specifications, and which of their slices.

    Args:
        known: what the store has of it; None if nothing.
        works: one a specification; each outline is looked at under each of them by itself.
        again: try failures again although volume and mask have not changed.
        outlining: what finds outlines in this run; those are embedded too.
    """
    known = known or KnownCase()
    pending, standing, ended, without_input = [], [], [], False
    sources = [*case.masked_rois(), *(found_sources(case, known, outlining) if outlining else [])]
    for source in sources:
        roi, volume = known.rois.get(source.roi_key), known.volume
        if roi is None or volume is None or roi.image_digest != volume.image_digest:
            without_input = True
            continue
        fingerprint = digest(roi.input_digest, volume.stored.path, roi.stored.path)[:32]
        parts, failed_before = dict[str, Part](), set()
        for work in works:
            spec_id = work.embedding_spec_id
            key = FailureKey(source.roi_key, spec_id)
            failure = known.failures.get(key)
            part = _missing(known, (source.roi_key, spec_id), roi.input_digest, work.slices)
            if part is None:
                ended += [key] if failure else []
            elif failure is not None and failure.fingerprint == fingerprint and not again:
                standing.append(failure)
            else:
                parts[spec_id] = part
                failed_before |= {spec_id} if failure else set()
        if not parts:
            continue
        slices = {"all": roi.slices, "largest": 1, "others": roi.slices - 1}
        pending.append(
            RoiInput(
                case_key=case.case_key,
                center=case.center,
                case_id=case.case_id,
                case_row=case.manifest_row,
                source=source,
                input_digest=roi.input_digest,
                volume=volume.stored,
                mask=roi.stored,
                spacing_mm=volume.grid.spacing_mm,
                parts=parts,
                slices=max(slices[part] for part in parts.values()),
                fingerprint=fingerprint,
                failed_before=frozenset(failed_before),
            )
        )
    own = {work.embedding_spec_id for work in works}
    blocked = [
        failure for key, failure in known.failures.items() if key.spec_id not in own and key.scope == "extraction"
    ]
    not_extracted = KnownFailure("", "embedding", "not_extracted")
    nothing_found = outlining is not None and is_outlined(known) and not sources
    idle: Idle = "already_done" if sources else "no_hemorrhage" if nothing_found else "awaiting_mask"
    return EmbeddingPlan(
        case, idle, tuple(pending), tuple(standing), tuple(ended), without_input, tuple(blocked) or (not_extracted,)
    )


def _missing(known: KnownCase, key: tuple[str, str], input_digest: str, wanted: EmbeddedSlices) -> Part | None:
    """Return which of the wanted slices of an outline have no embedding; None if all of them have one.

    Args:
        key: the outline's, and the specification.
    """
    if input_digest not in known.embedded.get(key, frozenset()):
        return wanted
    whole = wanted == "largest" or input_digest in known.embedded_whole.get(key, frozenset())
    return None if whole else "others"


def with_embeddings(plan: CasePlan, embeddings: EmbeddingPlan) -> CasePlan:
    """Return the plan of a case whose embeddings are looked at too: one that is extracted may still lack them."""
    if plan.task is not None or not (embeddings.pending or embeddings.standing):
        return plan
    reasons = [*embeddings.reasons(), *(reason for reason in plan.reasons if reason is not Reason.DONE)]
    return replace(plan, reasons=tuple(dict.fromkeys(reasons)), goes_on=plan.goes_on or bool(embeddings.pending))


def alone(plan: EmbeddingPlan) -> CasePlan:
    """Return the plan of a case of which nothing but embeddings is asked for."""
    return CasePlan(plan.case, plan.reasons(), None, plan.standing, False, plan.ended, goes_on=bool(plan.pending))


def task_slices(slices: int, batch: int, cuda: bool, workers: int, networks: int = 1) -> int:
    """Return how many of all slices a task has: whole batches, and with few of them a share for every worker.

    Args:
        networks: that each slice is sent through; what is held of it between them is held for a task.
    """
    most = max(1, (CUDA_TASK_BATCHES if cuda else CPU_TASK_BATCHES) // networks)
    batches = -(-slices // batch)
    return batch * max(1, min(most, -(-batches // (2 * workers))))


def pack(rois: Iterable[RoiInput], batch: int, slices: int) -> Iterator[tuple[RoiInput, ...]]:
    """Yield outlines in tasks of at least so many slices, longer by what makes their last batch nearly full."""
    task: list[RoiInput] = []
    held = 0
    for roi in rois:
        task.append(roi)
        held += roi.slices
        if held >= slices and (-held % batch <= held * PADDING_SHARE or held >= 2 * slices):
            yield tuple(task)
            task, held = [], 0
    if task:
        yield tuple(task)
