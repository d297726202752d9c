"""The plan of an extraction: what will run and why, from the manifest and what the store knows. Pure; nothing is decoded."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from cvtbatch.errors import PASSING_KINDS
from cvtbatch.manifest import MISSING_FILE, Case, CompactPickle, RoiSource
from cvtbatch.pipelines.extraction.description_work import DescriptionWork
from cvtbatch.pipelines.extraction.failure import FailureKey, KnownFailure
from cvtbatch.pipelines.extraction.known_case import KnownCase, KnownRoi, KnownVolume
from cvtbatch.pipelines.extraction.region_work import RegionWork, region_keys
from cvtbatch.pipelines.shared.uid_key import UidKey
from cvtbatch.radiomics import Engine, FeatureSet
from cvtbatch.spec import digest

Spacing = tuple[float, float, float]
FeatureGrid = Literal["stored", "source"]


class Reason(StrEnum):
    """Why a case is worked on, or is not."""

    NEW = "new case"
    NEW_OUTLINE = "new outline"
    NO_VOLUME = "no volume under this specification"
    IMAGE_CHANGED = "image changed"
    MASK_CHANGED = "mask changed"
    FEATURES_MISSING = "no features under this specification"
    OUTLINE_MISSING = "no outline under this specification"
    REGION_MISSING = "no region under this specification"
    EMBEDDINGS_MISSING = "no embeddings under this specification"
    SLICES_MISSING = "embedding of the largest slice alone"
    RETRIED = "failed before, tried again"
    VERIFIED = "inputs verified"
    STANDING_FAILURE = "failed before, source unchanged"
    CLINICAL = "clinical values corrected"
    ENDED = "failed once, done since or withdrawn"
    MISSING = "file missing"
    DONE = "done"
    NO_HEMORRHAGE = "no hemorrhage found"
    AWAITING_MASK = "awaiting mask"


@dataclass(frozen=True, slots=True)
class FeatureWork:
    """A set of features that a run computes of every outline.

    Attributes:
        table: that its rows go to.
        engine: what computes it.
        audit_share: share of the outlines that are compared with stock PyRadiomics.
        grid: that it is computed on: the stored one, or the source's own, which outlines that a method finds do not have.
    """

    table: str
    radiomics_spec_id: str
    feature_set: FeatureSet
    engine: Engine
    audit_share: float
    grid: FeatureGrid = "stored"

    @property
    def spec_id(self) -> str:
        """The specification of its rows."""
        return self.radiomics_spec_id

    def audits(self, roi_key: str) -> bool:
        """Say whether an ROI is in the share that is compared with stock PyRadiomics: the same ones in every run."""
        return int(digest(roi_key, self.radiomics_spec_id)[:8], 16) < self.audit_share * 2**32


ValueWork = FeatureWork | DescriptionWork


@dataclass(frozen=True, slots=True)
class Work:
    """What a run does to every case: specifications and settings.

    Attributes:
        features: the study's, and then those of the job's feature sets.
        descriptions: what else is computed of every outline.
        regions: that are derived of every outline, with the same features.
        uid_key: under which UIDs are hashed; None in a plan that nobody carries out.
    """

    store_url: str
    volume_spec_id: str
    spacing_mm: Spacing
    features: tuple[FeatureWork, ...]
    descriptions: tuple[DescriptionWork, ...] = ()
    regions: tuple[RegionWork, ...] = ()
    uid_key: UidKey | None = None

    @property
    def values(self) -> tuple[ValueWork, ...]:
        """All that is computed of an outline, the study's features first."""
        return (*self.features, *self.descriptions)

    @property
    def radiomics_spec_id(self) -> str:
        """The specification of the study's features."""
        return self.features[0].radiomics_spec_id

    @property
    def described(self) -> dict[str, str]:
        """The specifications of what describes outlines, by table."""
        return {part.table: part.spec_id for part in self.descriptions}

    def of_found_outlines(self) -> "Work":
        """Return what is done to outlines that a method finds: they lie on the stored grid alone."""
        return replace(self, features=tuple(part for part in self.features if part.grid == "stored"))

    def of_regions(self) -> "Work":
        """Return what is done to regions, which lie on the stored grid too: what describes hematomas is none of theirs."""
        return replace(self.of_found_outlines(), descriptions=())


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """The cheap identities of a case's sources as they are now; masks by roi_key.

    Attributes:
        image_bytes: size of the image's files.
        absent: sources that are not there: masks by roi_key, the image as "".
    """

    image: str
    masks: Mapping[str, str]
    image_bytes: int = 0
    absent: frozenset[str] = frozenset()

    def of_case(self) -> str:
        """Return the identity of everything that the case depends on."""
        return digest(self.image, *(self.masks[key] for key in sorted(self.masks)))[:32]

    def of_roi(self, roi_key: str) -> str:
        """Return the identity of all that an ROI's features depend on."""
        return digest(self.image, self.masks[roi_key])[:32]


@dataclass(frozen=True, slots=True)
class FeatureTask(CompactPickle):
    """What is there of one set of features of an outline, or of what describes it.

    Attributes:
        featured: input digests whose values are there.
        skipped: they, or the outline, failed before and the source has not changed.
        audited: values that are computed are compared with stock PyRadiomics.
        audit_failed: they did not agree before, so that they are compared again although they are there.
    """

    featured: frozenset[str]
    skipped: bool
    audited: bool
    audit_failed: bool


@dataclass(frozen=True, slots=True)
class RoiTask(CompactPickle):
    """An outline to look at.

    Attributes:
        known: what the store has of it; None if nothing.
        unchanged: its source is the one that `known` was made of.
        features: in the order of the work's values.
    """

    source: RoiSource
    fingerprint: str
    failure_fingerprint: str
    known: KnownRoi | None
    unchanged: bool
    features: tuple[FeatureTask, ...]

    @property
    def skipped(self) -> bool:
        """Whether nothing of it is tried."""
        return all(part.skipped for part in self.features)


@dataclass(frozen=True, slots=True)
class CaseTask(CompactPickle):
    """A case to work on; travels to a worker, so it carries paths and keys, never voxels.

    Attributes:
        known: the stored volume; None if there is none.
        unchanged: the image is the one that `known` was made of.
        failures: keys of live failures.
        standing: those of them that are not tried again.
        source_bytes: size of the image's files.
    """

    case: Case
    work: Work
    fingerprint: str
    failure_fingerprint: str
    known: KnownVolume | None
    unchanged: bool
    rois: tuple[RoiTask, ...]
    failures: tuple[FailureKey, ...]
    standing: tuple[KnownFailure, ...]
    source_bytes: int = 0


@dataclass(frozen=True, slots=True)
class CasePlan:
    """What happens to one case.

    Attributes:
        task: None if nothing is computed.
        standing: failures that the case keeps, since they are not tried again.
        update_clinical: its clinical values are new to the store.
        ended: failures that end without any work: done since, or their outline withdrawn.
        goes_on: nothing is extracted, and outlines or embeddings are computed.
    """

    case: Case
    reasons: tuple[Reason, ...]
    task: CaseTask | None
    standing: tuple[KnownFailure, ...]
    update_clinical: bool
    ended: tuple[FailureKey, ...]
    goes_on: bool = False


def plan_case(
    case: Case, known: KnownCase | None, sources: Fingerprints, work: Work, retry_failed: bool, verify: bool
) -> CasePlan:
    """Decide what to do about one case.

    Args:
        known: what the store has of it; None if nothing.
        retry_failed: try failures again although their sources have not changed.
        verify: decode every source, whatever its fingerprint says, that of failures included.
    """
    update_clinical = known is None or known.clinical_digest != case.clinical_digest()
    known = known or KnownCase()
    again = retry_failed or verify
    case_failure = known.failures.get(_case_failure_key(work))
    image_same = known.volume is not None and known.volume.fingerprint == sources.image and not verify
    reasons = _image_reasons(known, image_same, case_failure is not None, verify)
    withdrawn = _withdrawn(case, known, work)
    ended = [_case_failure_key(work)] if image_same and case_failure is not None else []
    standing: list[KnownFailure] = []
    rois = []
    for source in case.masked_rois():
        roi, why = _plan_roi(source, known, sources, work, again, verify)
        rois.append(roi)
        live, stands = set[FailureKey](), set[FailureKey]()
        for features, part in zip(work.values, roi.features, strict=True):
            keys = _live_failures(source.roi_key, known, work, features)
            live.update(keys)
            stands.update(keys if part.skipped else ())
        standing += [failure for key, failure in known.failures.items() if key in stands]
        if why is not None:
            reasons.append(why)
        elif image_same:
            ended += [key for key in known.failures if key in live - stands]
    if reasons and case_failure is not None and _stands(case_failure, sources.of_case(), "", sources) and not again:
        reasons, standing, ended = [], [case_failure], []
    missing = [Reason.MISSING] if sources.absent else []
    if not reasons:
        idle = [Reason.STANDING_FAILURE] if standing else [] if rois else [Reason.AWAITING_MASK]
        idle += missing
        idle += [Reason.CLINICAL] if update_clinical else []
        idle += [Reason.ENDED] if ended or withdrawn else []
        return CasePlan(
            case, tuple(idle or [Reason.DONE]), None, tuple(standing), update_clinical, (*ended, *withdrawn)
        )
    task = CaseTask(
        case=case,
        work=work,
        fingerprint=sources.image,
        failure_fingerprint=sources.of_case(),
        known=known.volume,
        unchanged=image_same,
        rois=tuple(rois),
        failures=tuple(known.failures),
        standing=tuple(standing),
        source_bytes=sources.image_bytes,
    )
    reasons += [Reason.STANDING_FAILURE] if standing else []
    reasons += missing
    return CasePlan(case, tuple(dict.fromkeys(reasons)), task, tuple(standing), update_clinical, tuple(withdrawn))


def _withdrawn(case: Case, known: KnownCase, work: Work) -> list[FailureKey]:
    """Return the failures of people's outlines that the manifest no longer names for this case, and of regions that the job does
    not ask for: they end.
    """
    found = {key for key, roi in known.rois.items() if roi.outline_spec_id}
    outlines = {*(roi.roi_key for roi in case.masked_rois()), *found}
    named = {"", *outlines, *region_keys(outlines, work.regions)}
    return [key for key in known.failures if key.roi_key not in named]


def _case_failure_key(work: Work) -> FailureKey:
    return FailureKey("", work.volume_spec_id)


def _audit_key(roi_key: str, known: KnownCase, features: ValueWork) -> FailureKey:
    """Return the key of an audit of the values that the outline has now."""
    roi = known.rois.get(roi_key)
    return FailureKey(roi_key, features.spec_id, "audit", roi.input_digest if roi else "")


def _stands(failure: KnownFailure, fingerprint: str, source: str, sources: Fingerprints) -> bool:
    """Say whether a failure is about the sources as they are, and not of a kind that passes by itself.

    Where a worker missed what is here, the sources may look the same.
    """
    is_here = failure.kind == MISSING_FILE and source not in sources.absent
    return failure.fingerprint == fingerprint and failure.kind not in PASSING_KINDS and not is_here


def _live_failures(roi_key: str, known: KnownCase, work: Work, features: ValueWork) -> list[FailureKey]:
    """Return the failures by which an outline may lack some features: those of its mask among them."""
    if not known.failures:
        return []
    extraction = [FailureKey(roi_key, spec_id) for spec_id in (work.volume_spec_id, features.spec_id)]
    return [key for key in (*extraction, _audit_key(roi_key, known, features)) if key in known.failures]


def _image_reasons(known: KnownCase, image_same: bool, failed: bool, verify: bool) -> list[Reason]:
    if image_same:
        return []
    if failed:
        return [Reason.RETRIED]
    if known.volume is None:
        return [Reason.NO_VOLUME if known.clinical_digest else Reason.NEW]
    return [Reason.VERIFIED if verify else Reason.IMAGE_CHANGED]


def _plan_roi(
    source: RoiSource, known: KnownCase, sources: Fingerprints, work: Work, again: bool, verify: bool
) -> tuple[RoiTask, Reason | None]:
    """Return the outline's part of a task, and why it needs work by itself, if it does."""
    key = source.roi_key
    stored = known.rois.get(key)
    unchanged = stored is not None and stored.fingerprint == sources.masks[key] and not verify
    planned = [
        _plan_features(source, known, sources, work, features, unchanged=unchanged, again=again)
        for features in work.values
    ]
    task = RoiTask(
        source=source,
        fingerprint=sources.masks[key],
        failure_fingerprint=sources.of_roi(key),
        known=stored,
        unchanged=unchanged,
        features=tuple(part for part, _ in planned),
    )
    wanted = {why for _, why in planned} - {None}
    if not wanted or known.volume is None:
        return task, None
    if Reason.RETRIED in wanted:
        return task, Reason.RETRIED
    if stored is None:
        return task, Reason.NEW_OUTLINE
    if verify:
        return task, Reason.VERIFIED
    return task, Reason.FEATURES_MISSING if unchanged else Reason.MASK_CHANGED


def _plan_features(
    source: RoiSource,
    known: KnownCase,
    sources: Fingerprints,
    work: Work,
    features: ValueWork,
    *,
    unchanged: bool,
    again: bool,
) -> tuple[FeatureTask, Reason | None]:
    """Return what is there of a set of features, and why it needs work: it failed before, or is missing."""
    key = source.roi_key
    stored = known.rois.get(key)
    featured = known.featured.get((key, features.spec_id), frozenset())
    failures = {name: known.failures[name] for name in _live_failures(key, known, work, features)}
    audit_failed = failures.pop(_audit_key(key, known, features), None) is not None
    lies_on_volume = (
        stored is not None and known.volume is not None and stored.image_digest == known.volume.image_digest
    )
    done = unchanged and lies_on_volume and stored is not None and stored.input_digest in featured
    stands = (
        audit_failed
        if done
        else any(_stands(failure, sources.of_roi(key), key, sources) for failure in failures.values())
    )
    skipped = stands and not again
    task = FeatureTask(featured, skipped, features.audits(key) or audit_failed, audit_failed)
    if skipped or (done and not audit_failed):
        return task, None
    return task, Reason.RETRIED if failures or audit_failed else Reason.FEATURES_MISSING
