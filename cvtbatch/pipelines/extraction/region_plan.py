"""Which regions of stored outlines are derived, and which lack features. Pure; what is stored is looked at, never a source."""

from dataclasses import dataclass, replace

from cvtbatch.errors import PASSING_KINDS
from cvtbatch.geometry import Grid
from cvtbatch.manifest import Case, CompactPickle, RoiSource
from cvtbatch.pipelines.extraction.case_plan import CasePlan, FeatureTask, Reason, Work
from cvtbatch.pipelines.extraction.failure import FailureKey, KnownFailure
from cvtbatch.pipelines.extraction.known_case import KnownCase, KnownRoi, KnownVolume
from cvtbatch.pipelines.extraction.outline_plan import OutlineWork, found_sources, judge_features
from cvtbatch.pipelines.extraction.region_work import RegionWork
from cvtbatch.regions.rules import region_roi
from cvtbatch.spec import digest
from cvtbatch.store import StoredArray


@dataclass(frozen=True, slots=True)
class RegionInput(CompactPickle):
    """A region to derive.

    Attributes:
        source: the region as a manifest would have an outline.
        input_digest: what its features belong to.
        fingerprint: what a failure of it is about.
        known: its mask as it is stored; None if it is not.
        features: in the order of the work's.
    """

    region: RegionWork
    source: RoiSource
    input_digest: str
    fingerprint: str
    known: KnownRoi | None
    features: tuple[FeatureTask, ...]

    @property
    def failure_key(self) -> FailureKey:
        """What a failure to derive it is about."""
        return FailureKey(self.source.roi_key, self.region.region_spec_id)


@dataclass(frozen=True, slots=True)
class Parent(CompactPickle):
    """An outline as it is stored, and what is derived of it.

    Attributes:
        outline_spec_id: settings that found it; empty where a person drew it.
    """

    roi_key: str
    input_digest: str
    mask: StoredArray
    outline_spec_id: str
    regions: tuple[RegionInput, ...]


@dataclass(frozen=True, slots=True)
class RegionTask(CompactPickle):
    """A case whose outlines lack regions; travels to a worker.

    Attributes:
        failures: live ones of its regions that success ends.
    """

    case: Case
    work: Work
    image_digest: str
    volume: StoredArray
    grid: Grid
    outlines: tuple[Parent, ...]
    failures: tuple[FailureKey, ...]

    @property
    def case_key(self) -> str:
        """Centre and case id."""
        return self.case.case_key

    def regions(self) -> tuple[RegionInput, ...]:
        """Return all that is derived."""
        return tuple(region for outline in self.outlines for region in outline.regions)


@dataclass(frozen=True, slots=True)
class RegionPlan:
    """What happens to one case.

    Attributes:
        task: None if nothing is derived.
        reasons: why something is.
        standing: failures that it keeps, since they are not tried again.
        ended: failures of what is done.
    """

    case: Case
    task: RegionTask | None = None
    reasons: tuple[Reason, ...] = ()
    standing: tuple[KnownFailure, ...] = ()
    ended: tuple[FailureKey, ...] = ()


@dataclass(frozen=True, slots=True)
class _Judged:
    """How a region stands: what to do about it, if anything, and why; and which of its failures are kept or end."""

    pending: RegionInput | None = None
    reason: Reason | None = None
    standing: tuple[FailureKey, ...] = ()
    ended: tuple[FailureKey, ...] = ()


def plan_regions(
    case: Case, known: KnownCase | None, work: Work, outlining: OutlineWork | None, again: bool, verify: bool = False
) -> RegionPlan:
    """Decide which regions of a case's outlines are derived, or get features.

    Args:
        known: what the store has of it; None if nothing.
        outlining: what finds outlines in this run; their regions are derived too.
        again: try failures again although volume and mask have not changed.
        verify: derive every region anew; a mask that is lost or damaged is written anew.
    """
    known, work = known or KnownCase(), work.of_regions()
    volume = known.volume
    if volume is None or not work.regions:
        return RegionPlan(case)
    parents, reasons = [], dict[Reason, None]()
    standing, ended = [], []
    for source in (*case.masked_rois(), *(found_sources(case, known, outlining) if outlining else ())):
        roi = known.rois.get(source.roi_key)
        if roi is None or roi.image_digest != volume.image_digest:
            continue
        judged = [_judge(region, source, roi, volume, known, work, again, verify) for region in work.regions]
        standing += [key for one in judged for key in one.standing]
        ended += [key for one in judged for key in one.ended]
        reasons |= {one.reason: None for one in judged if one.reason is not None}
        if pending := tuple(one.pending for one in judged if one.pending is not None):
            parents.append(Parent(source.roi_key, roi.input_digest, roi.stored, roi.outline_spec_id, pending))
    task = None
    if parents:
        keys = {region.source.roi_key for parent in parents for region in parent.regions}
        failures = tuple(key for key in known.failures if key.roi_key in keys)
        task = RegionTask(case, work, volume.image_digest, volume.stored, volume.grid, tuple(parents), failures)
    return RegionPlan(case, task, tuple(reasons), tuple(known.failures[key] for key in standing), tuple(ended))


def _judge(
    region: RegionWork,
    parent: RoiSource,
    roi: KnownRoi,
    volume: KnownVolume,
    known: KnownCase,
    work: Work,
    again: bool,
    verify: bool,
) -> _Judged:
    """Decide on a region of an outline.

    Args:
        roi: the outline as it is stored.
    """
    key, input_digest = region.key(parent.roi_key), region.input_digest(roi.input_digest)
    fingerprint = digest(input_digest, volume.stored.path, roi.stored.path)[:32]
    whole = FailureKey(key, region.region_spec_id)
    failure, made = known.failures.get(whole), known.regions.get(key)
    is_made = made is not None and made.input_digest == input_digest
    if made is not None and is_made and made.empty and not verify:
        return _Judged(ended=tuple(failed for failed in known.failures if failed.roi_key == key))
    if failure is not None and not again and failure.fingerprint == fingerprint and failure.kind not in PASSING_KINDS:
        return _Judged(standing=(whole,))
    judged = [judge_features(features, known, key, input_digest, fingerprint, again) for features in work.features]
    standing = tuple(failed for part in judged for failed in part.standing)
    if is_made and not verify and not any(part.wanted for part in judged):
        done = [whole] if failure is not None else []
        return _Judged(standing=standing, ended=(*done, *(failed for part in judged for failed in part.ended)))
    name = region_roi(parent.roi, region.rule.name)
    pending = RegionInput(
        region=region,
        source=replace(parent, roi_key=key, roi=name, mask=None, mask_entry="", mask_label=None, segment=None),
        input_digest=input_digest,
        fingerprint=fingerprint,
        known=known.rois.get(key),
        features=tuple(
            FeatureTask(
                featured=known.featured.get((key, features.radiomics_spec_id), frozenset()),
                skipped=bool(part.standing),
                audited=features.audits(key) or part.audit_failed,
                audit_failed=part.audit_failed,
            )
            for features, part in zip(work.features, judged, strict=True)
        ),
    )
    if any(failed.roi_key == key and failed not in standing for failed in known.failures):
        return _Judged(pending, Reason.RETRIED, standing)
    if not is_made:
        return _Judged(pending, Reason.REGION_MISSING, standing)
    return _Judged(pending, Reason.VERIFIED if verify else Reason.FEATURES_MISSING, standing)


def with_regions(plan: CasePlan, regions: RegionPlan) -> CasePlan:
    """Return the plan of a case whose regions are looked at too: one that is extracted may still lack them."""
    if plan.task is not None or not (regions.task or regions.standing or regions.ended):
        return plan
    why = [*regions.reasons, *([Reason.STANDING_FAILURE] if regions.standing else [])]
    why += [Reason.ENDED] if regions.ended else []
    reasons = [*why, *(reason for reason in plan.reasons if reason is not Reason.DONE)]
    return replace(plan, reasons=tuple(dict.fromkeys(reasons)), goes_on=plan.goes_on or regions.task is not None)
