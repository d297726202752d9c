"""The plan of an extraction: what will run and why, from the manifest and what the store knows. Pure; nothing is decoded."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cvtbatch.manifest import Case, RoiSource
from cvtbatch.pipelines.known import FailureKey, KnownCase, KnownRoi, KnownVolume
from cvtbatch.radiomics import Engine, Profile
from cvtbatch.spec import digest

Spacing = tuple[float, float, float]


class Reason(StrEnum):
    """Why a case is worked on, or is not."""

    NEW = "new case"
    NEW_OUTLINE = "new outline"
    IMAGE_CHANGED = "image changed"
    MASK_CHANGED = "mask changed"
    FEATURES_MISSING = "no features under this specification"
    RETRIED = "failed before, tried again"
    VERIFIED = "inputs verified"
    STANDING_FAILURE = "failed before, source unchanged"
    CLINICAL = "clinical values corrected"
    SUCCEEDED = "failed once, done since"
    DONE = "done"
    AWAITING_MASK = "awaiting mask"


@dataclass(frozen=True, slots=True)
class Work:
    """What a run does to every case: specifications and settings."""

    store_url: str
    volume_spec_id: str
    radiomics_spec_id: str
    spacing_mm: Spacing
    profile: Profile
    engine: Engine
    audit_share: float

    def audits(self, roi_key: str) -> bool:
        """Say whether an ROI is in the share that is compared with stock PyRadiomics: the same ones in every run."""
        return int(digest(roi_key, self.radiomics_spec_id)[:8], 16) < self.audit_share * 2**32


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """The cheap identities of a case's sources as they are now; masks by roi_key."""

    image: str
    masks: Mapping[str, str]

    def of_case(self) -> str:
        """Return the identity of everything that the case depends on."""
        return digest(self.image, *(self.masks[key] for key in sorted(self.masks)))[:32]

    def of_roi(self, roi_key: str) -> str:
        """Return the identity of all that an ROI's features depend on."""
        return digest(self.image, self.masks[roi_key])[:32]


@dataclass(frozen=True, slots=True)
class RoiTask:
    """An outline to look at.

    Attributes:
        known: what the store has of it; None if nothing.
        unchanged: its source is the one that `known` was made of.
        featured: input digests whose features are there.
        skipped: it failed before and its source has not changed.
        audited: values that are computed for it are compared with stock PyRadiomics.
        audit_failed: they did not agree before, so that they are computed again although they are there.
    """

    source: RoiSource
    fingerprint: str
    failure_fingerprint: str
    known: KnownRoi | None
    unchanged: bool
    featured: frozenset[str]
    skipped: bool
    audited: bool
    audit_failed: bool


@dataclass(frozen=True, slots=True)
class CaseTask:
    """A case to work on; travels to a worker, so it carries paths and keys, never voxels.

    Attributes:
        known: the stored volume; None if there is none.
        unchanged: the image is the one that `known` was made of.
        failures: keys of live failures.
    """

    case: Case
    work: Work
    fingerprint: str
    failure_fingerprint: str
    known: KnownVolume | None
    unchanged: bool
    rois: tuple[RoiTask, ...]
    failures: tuple[FailureKey, ...]


@dataclass(frozen=True, slots=True)
class CasePlan:
    """What happens to one case.

    Attributes:
        task: None if nothing is computed.
        standing: the case keeps a failure that is not tried again.
        update_clinical: its clinical values are new to the store.
        succeeded: live failures whose key has succeeded since.
    """

    case: Case
    reasons: tuple[Reason, ...]
    task: CaseTask | None
    standing: bool
    update_clinical: bool
    succeeded: tuple[FailureKey, ...]


def plan_case(
    case: Case, known: KnownCase | None, sources: Fingerprints, work: Work, retry_failed: bool, verify: bool
) -> CasePlan:
    """Decide what to do about one case.

    Args:
        known: what the store has of it; None if nothing.
        retry_failed: try failures again although their sources have not changed.
        verify: decode every source, whatever its fingerprint says.
    """
    update_clinical = known is None or known.clinical_digest != case.clinical_digest()
    known = known or KnownCase()
    case_failure = known.failures.get(("", work.volume_spec_id, "extraction"))
    image_same = known.volume is not None and known.volume.fingerprint == sources.image and not verify
    reasons = _image_reasons(known, image_same, case_failure is not None, verify)
    rois = []
    standing = False
    succeeded = [("", work.volume_spec_id, "extraction")] if image_same and case_failure is not None else []
    for source in case.masked_rois():
        roi, why = _plan_roi(source, known, sources, work, retry_failed, verify)
        rois.append(roi)
        standing |= roi.skipped
        if why is None and not roi.skipped and image_same:
            succeeded += [key for key in _extraction_keys(source.roi_key, work) if key in known.failures]
        elif why is not None:
            reasons.append(why)
    if not reasons:
        idle = [Reason.STANDING_FAILURE] if standing else [] if rois else [Reason.AWAITING_MASK]
        idle += [Reason.CLINICAL] if update_clinical else []
        idle += [Reason.SUCCEEDED] if succeeded else []
        return CasePlan(case, tuple(idle or [Reason.DONE]), None, standing, update_clinical, tuple(succeeded))
    if case_failure == sources.of_case() and not retry_failed:
        return CasePlan(case, (Reason.STANDING_FAILURE,), None, True, update_clinical, ())
    task = CaseTask(
        case, work, sources.image, sources.of_case(), known.volume, image_same, tuple(rois), tuple(known.failures)
    )
    return CasePlan(case, tuple(dict.fromkeys(reasons)), task, standing, update_clinical, ())


def _extraction_keys(roi_key: str, work: Work) -> tuple[FailureKey, FailureKey]:
    return (roi_key, work.volume_spec_id, "extraction"), (roi_key, work.radiomics_spec_id, "extraction")


def _image_reasons(known: KnownCase, image_same: bool, failed: bool, verify: bool) -> list[Reason]:
    if image_same:
        return []
    if failed:
        return [Reason.RETRIED]
    if known.volume is None:
        return [Reason.NEW]
    return [Reason.VERIFIED if verify else Reason.IMAGE_CHANGED]


def _plan_roi(
    source: RoiSource, known: KnownCase, sources: Fingerprints, work: Work, retry_failed: bool, verify: bool
) -> tuple[RoiTask, Reason | None]:
    """Return the outline's part of a task, and why it needs work by itself, if it does."""
    key = source.roi_key
    stored = known.rois.get(key)
    featured = known.featured.get(key, frozenset())
    failed_with = {known.failures.get(failure) for failure in _extraction_keys(key, work)} - {None}
    audit_failed = (key, work.radiomics_spec_id, "audit") in known.failures
    unchanged = stored is not None and stored.fingerprint == sources.masks[key] and not verify
    lies_on_volume = (
        stored is not None and known.volume is not None and stored.image_digest == known.volume.image_digest
    )
    done = unchanged and lies_on_volume and stored is not None and stored.input_digest in featured
    skipped = (audit_failed if done else sources.of_roi(key) in failed_with) and not retry_failed
    task = RoiTask(
        source=source,
        fingerprint=sources.masks[key],
        failure_fingerprint=sources.of_roi(key),
        known=stored,
        unchanged=unchanged,
        featured=featured,
        skipped=skipped,
        audited=work.audits(key) or audit_failed,
        audit_failed=audit_failed,
    )
    if done and audit_failed and retry_failed:
        return task, Reason.RETRIED
    if done or skipped or known.volume is None:
        return task, None
    if failed_with:
        return task, Reason.RETRIED
    if stored is None:
        return task, Reason.NEW_OUTLINE
    if verify:
        return task, Reason.VERIFIED
    return task, Reason.FEATURES_MISSING if unchanged else Reason.MASK_CHANGED
