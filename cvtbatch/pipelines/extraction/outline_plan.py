"""Which volumes are outlined, and which found outlines lack features. Pure; what is stored is looked at, never a source."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from cvtbatch.errors import PASSING_KINDS
from cvtbatch.geometry import Grid
from cvtbatch.manifest import Case, CompactPickle, RoiSource, key_of
from cvtbatch.pipelines.extraction.case_plan import CasePlan, Reason, ValueWork, Work
from cvtbatch.pipelines.extraction.failure import FailureKey, KnownFailure
from cvtbatch.pipelines.extraction.known_case import KnownCase, KnownRoi
from cvtbatch.pipelines.extraction.region_work import region_keys
from cvtbatch.pipelines.shared.job import OutlineSection
from cvtbatch.spec import digest
from cvtbatch.store import StoredArray

# The one outline of a case is named as people's are by default; further parts are numbered.
ROI = "hematoma"
READING = 1


@dataclass(frozen=True, slots=True)
class OutlineWork:
    """What a run does to the volumes that it outlines.

    Attributes:
        reader: of the outlines that are found: the method, and the first digits of the specification.
        settings: of the method.
        weights_sha256: of the ensemble; empty of a method without weights.
        features: what is computed of the outlines.
        not_for_inference: the method is for demonstrations.
        together: volumes of a task at most.
        threads: of the CPU; None leaves them as they are.
    """

    outline_spec_id: str
    reader: str
    settings: OutlineSection
    weights_sha256: str
    features: Work
    not_for_inference: bool
    together: int
    threads: int | None = None

    def asks(self, case: Case) -> bool:
        """Say whether a case is outlined."""
        return self.settings.cases == "all" or not case.masked_rois()

    def source(self, case: Case, roi: str) -> RoiSource:
        """Return a found outline as a manifest would have it."""
        key = key_of(case.center, case.case_id, roi, self.reader, READING)
        return RoiSource(key, roi, self.reader, READING, None, "", None, None, case.manifest_row)


def reader_of(method: str, outline_spec_id: str) -> str:
    """Return the reader of the outlines of a specification."""
    return f"{method}:{outline_spec_id.partition('-')[2][:8]}"


def roi_name(number: int) -> str:
    """Return the name of a case's outline, 0 for the largest."""
    return ROI if number == 0 else f"{ROI}-{number + 1}"


@dataclass(frozen=True, slots=True)
class VolumeInput(CompactPickle):
    """A volume to outline, or whose found outlines lack features; travels to a worker.

    Attributes:
        rois: the outlines that were found before and lack features; empty where the volume is outlined.
        known: masks that are stored of this reader, by roi_key.
        featured: input digests whose features are there, by roi_key and specification.
        fingerprint: what a failure of it is about.
        failures: live ones that success ends, or that an outline which is found no more had.
        lacks: its outlines lack features.
        standing: failures of features that are not tried again.
    """

    case: Case
    image_digest: str
    volume: StoredArray
    grid: Grid
    rois: tuple[RoiSource, ...]
    known: dict[str, KnownRoi]
    featured: dict[tuple[str, str], frozenset[str]]
    fingerprint: str
    failures: tuple[FailureKey, ...]
    lacks: bool = False
    standing: frozenset[FailureKey] = frozenset()

    @property
    def case_key(self) -> str:
        """Centre and case id."""
        return self.case.case_key

    @property
    def center(self) -> str:
        """The centre, as in the manifest."""
        return self.case.center

    @property
    def case_id(self) -> str:
        """Case id within its centre."""
        return self.case.case_id

    @property
    def manifest_row(self) -> int:
        """Row of the case in the manifest."""
        return self.case.manifest_row

    def reason(self) -> Reason:
        """Say why it is worked on."""
        if self.failures:
            return Reason.RETRIED
        if not self.rois:
            return Reason.OUTLINE_MISSING
        return Reason.FEATURES_MISSING if self.lacks else Reason.VERIFIED


@dataclass(frozen=True, slots=True)
class OutlinePlan:
    """What happens to one case.

    Attributes:
        asked: the job outlines it.
        standing: failures that it keeps, since they are not tried again.
        ended: failures of what is done, or asked for no more.
        blocked: why its volume is not stored; empty where it is.
        found: it was outlined, and how many outlines it has.
    """

    case: Case
    asked: bool
    pending: VolumeInput | None = None
    standing: tuple[KnownFailure, ...] = ()
    ended: tuple[FailureKey, ...] = ()
    blocked: tuple[KnownFailure, ...] = ()
    found: int | None = None

    def idle(self) -> Literal["awaiting_mask", "no_hemorrhage", "already_done"]:
        """Say how the case stands if nothing is outlined."""
        if self.found == 0 and not self.case.masked_rois():
            return "no_hemorrhage"
        return "already_done" if self.found or self.case.masked_rois() else "awaiting_mask"

    def reasons(self) -> tuple[Reason, ...]:
        """Say why the case is worked on, or is not, where nothing but outlines is asked for."""
        why = []
        if self.pending is not None:
            why.append(self.pending.reason())
        why += [Reason.NO_VOLUME] if self.blocked else []
        why += [Reason.STANDING_FAILURE] if self.standing else []
        if not why and self.found == 0:
            why.append(Reason.NO_HEMORRHAGE)
        why += [Reason.ENDED] if self.ended else []
        return tuple(why) or (Reason.DONE,)


def plan_outlines(
    case: Case, known: KnownCase | None, work: OutlineWork, again: bool, verify: bool = False
) -> OutlinePlan:
    """Decide whether a case is outlined, or its found outlines get features.

    Args:
        known: what the store has of it; None if nothing.
        again: try failures again although the volume has not changed.
        verify: read every found outline; one that is lost or damaged is found anew.
    """
    known = known or KnownCase()
    whole = FailureKey("", work.outline_spec_id)
    mine = [key for key in known.failures if key == whole or _is_of(key.roi_key, case, work)]
    if not work.asks(case):
        return OutlinePlan(case, asked=False, ended=tuple(mine))
    volume, outlined = known.volume, known.outline
    if volume is None:
        not_extracted = KnownFailure("", "outline", "not_extracted")
        why = known.failures.get(FailureKey("", work.features.volume_spec_id), not_extracted)
        return OutlinePlan(case, asked=True, blocked=(why,))
    pending = VolumeInput(
        case=case,
        image_digest=volume.image_digest,
        volume=volume.stored,
        grid=volume.grid,
        rois=(),
        known={key: roi for key, roi in known.rois.items() if _is_of(key, case, work)},
        featured={key: digests for key, digests in known.featured.items() if _is_of(key[0], case, work)},
        fingerprint=digest(volume.image_digest, volume.stored.path)[:32],
        failures=tuple(mine),
    )
    if outlined is None or outlined.image_digest != volume.image_digest:
        failure = known.failures.get(whole)
        if failure is not None and not again and _stands(failure, pending.fingerprint):
            return OutlinePlan(case, asked=True, standing=(failure,))
        return OutlinePlan(case, asked=True, pending=pending)
    sources = [work.source(case, name) for name in outlined.rois]
    found = {source.roi_key for source in sources}
    lacking, standing, lacks = [], set[FailureKey](), False
    kept = {*found, *region_keys(found, work.features.regions)}
    ended = [key for key in mine if key.roi_key not in kept and (key != whole or not sources)]
    for source in sources:
        roi = known.rois.get(source.roi_key)
        if roi is None or roi.image_digest != volume.image_digest:
            return OutlinePlan(case, asked=True, pending=pending)
        wanted = verify or whole in mine  # one that failed may have lost its masks, and been found anew in vain
        for features in work.features.values:
            fingerprint = roi_fingerprint(pending, roi.input_digest)
            judged = judge_features(features, known, source.roi_key, roi.input_digest, fingerprint, again)
            lacks = lacks or not judged.featured
            wanted = wanted or judged.wanted
            if not (verify or whole in mine):
                standing |= judged.standing
                ended += judged.ended
        if wanted:
            lacking.append(source)
    return OutlinePlan(
        case,
        asked=True,
        pending=replace(pending, rois=tuple(lacking), lacks=lacks, standing=frozenset(standing)) if lacking else None,
        standing=tuple(known.failures[key] for key in mine if key in standing),
        ended=tuple(ended),
        found=len(sources),
    )


@dataclass(frozen=True, slots=True)
class JudgedFeatures:
    """How one set of features of a stored mask stands.

    Attributes:
        featured: the features are there.
        wanted: they are computed, or compared again.
        audit_failed: they did not agree with stock PyRadiomics.
        standing: failures that are kept.
        ended: failures of what is done.
    """

    featured: bool
    wanted: bool = False
    standing: frozenset[FailureKey] = frozenset()
    ended: tuple[FailureKey, ...] = ()
    audit_failed: bool = False


def judge_features(
    features: ValueWork, known: KnownCase, roi_key: str, input_digest: str, fingerprint: str, again: bool
) -> JudgedFeatures:
    """Decide on one set of features of a found outline or a region; its failures are those of this set alone.

    Args:
        input_digest: of image and mask as they are stored.
        fingerprint: what a failure would be about.
    """
    keys = [key for key in known.failures if (key.roi_key, key.spec_id) == (roi_key, features.spec_id)]
    # An audit that failed is about values that are there.
    unsound = frozenset(key for key in keys if key.scope == "audit")
    if input_digest in known.featured.get((roi_key, features.spec_id), frozenset()):
        if unsound and again:
            return JudgedFeatures(featured=True, wanted=True, audit_failed=True)
        return JudgedFeatures(True, standing=unsound, ended=tuple(key for key in keys if key not in unsound))
    if keys and not again and all(_stands(known.failures[key], fingerprint) for key in keys):
        return JudgedFeatures(featured=False, standing=frozenset(keys))
    return JudgedFeatures(featured=False, wanted=True)


def roi_fingerprint(volume: VolumeInput, input_digest: str) -> str:
    """Return what a failure of a found outline's features is about."""
    return digest(volume.fingerprint, input_digest)[:32]


def _is_of(roi_key: str, case: Case, work: OutlineWork) -> bool:
    """Say whether an outline is one that this work finds."""
    return roi_key.startswith(f"{case.case_key}/") and roi_key.split("/")[-2:] == key_of(work.reader, READING).split(
        "/"
    )


def _stands(failure: KnownFailure, fingerprint: str) -> bool:
    return failure.fingerprint == fingerprint and failure.kind not in PASSING_KINDS


def with_outlines(plan: CasePlan, outlines: OutlinePlan) -> CasePlan:
    """Return the plan of a case whose outlines are looked at too: one that is extracted may still lack them."""
    if plan.task is None and plan.standing and outlines.pending is not None:
        return replace(plan, goes_on=True)
    if plan.task is not None or plan.standing or not (outlines.asked or outlines.ended):
        return plan
    waits = {Reason.DONE, Reason.AWAITING_MASK}
    reasons = [*outlines.reasons(), *(reason for reason in plan.reasons if reason not in waits)]
    return replace(plan, reasons=tuple(dict.fromkeys(reasons)), goes_on=plan.goes_on or outlines.pending is not None)


def alone(plan: OutlinePlan) -> CasePlan:
    """Return the plan of a case of which nothing but outlines is asked for."""
    return CasePlan(plan.case, plan.reasons(), None, plan.standing, False, plan.ended, goes_on=plan.pending is not None)


def is_outlined(known: KnownCase) -> bool:
    """Say whether the method of the run has looked at the current volume of a case."""
    volume, outlined = known.volume, known.outline
    return volume is not None and outlined is not None and outlined.image_digest == volume.image_digest


def found_sources(case: Case, known: KnownCase, work: OutlineWork) -> list[RoiSource]:
    """Return the outlines that were found in the current volume of a case, if the job outlines it."""
    if known.outline is None or not is_outlined(known) or not work.asks(case):
        return []
    return [work.source(case, name) for name in known.outline.rois]


def pack(volumes: Iterable[VolumeInput], together: int) -> Iterator[tuple[VolumeInput, ...]]:
    """Yield volumes in tasks of so many."""
    source = iter(volumes)
    while task := tuple(islice(source, together)):
        yield task
