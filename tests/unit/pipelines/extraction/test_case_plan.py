"""The plan: every reason, without running anything."""

from dataclasses import replace

import pytest

from cvtbatch import contracts
from cvtbatch.geometry import Grid
from cvtbatch.manifest import Case, RoiSource
from cvtbatch.pipelines.extraction.case_plan import CasePlan, FeatureWork, Fingerprints, Reason, Work, plan_case
from cvtbatch.pipelines.extraction.failure import FailureKey, KnownFailure
from cvtbatch.pipelines.extraction.known_case import KnownCase, KnownRoi, KnownVolume
from cvtbatch.radiomics import PROFILES
from cvtbatch.store import StoredArray

FEATURES = FeatureWork("radiomics", "rad-1", PROFILES["cvt-1834"], "fast", 0.0)
WORK = Work("store", "vol-1", (0.5, 0.5, 5.0), (FEATURES,))
OF_SET = replace(FEATURES, table="features_mine", radiomics_spec_id="rad-2")
WITH_SET = replace(WORK, features=(FEATURES, OF_SET))
GRID = Grid((4, 4, 4), (0.5, 0.5, 5.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
STORED = StoredArray("volumes/x", "sum")
KEY = "A/1/hematoma/A/1"
ROI = RoiSource(KEY, "hematoma", "A", 1, "/m.nii", "m.nii", None, None, 1)
CASE = Case("A", "1", "/ct.nii", "ct.nii", None, False, (None,) * len(contracts.clinical_columns()), "{}", (ROI,), 1)
SOURCES = Fingerprints("image", {KEY: "mask"})


def failure(fingerprint: str) -> KnownFailure:
    return KnownFailure(fingerprint, "read", "unreadable_file")


def known(**changes: object) -> KnownCase:
    everything = {
        "clinical_digest": CASE.clinical_digest(),
        "volume": KnownVolume("digest-i", "image", STORED, GRID, 0),
        "rois": {KEY: KnownRoi("digest-i", "digest-im", "mask", STORED, 0, 1)},
        "featured": {(KEY, "rad-1"): frozenset({"digest-im"})},
    }
    return KnownCase(**{**everything, **changes})


def plan(case: Case = CASE, store: KnownCase | None = None, sources=SOURCES, retry=False, verify=False) -> CasePlan:
    return plan_case(case, store, sources, WORK, retry, verify)


def test_done_is_left_alone() -> None:
    result = plan(store=known())
    assert (result.reasons, result.task) == ((Reason.DONE,), None)
    assert (result.standing, result.ended, result.update_clinical) == ((), (), False)


def test_a_new_case_is_computed() -> None:
    result = plan()
    assert result.reasons == (Reason.NEW,)
    assert result.task is not None
    assert not result.task.unchanged
    assert result.update_clinical


@pytest.mark.parametrize(
    ("store", "sources", "reason", "image_unchanged", "roi_unchanged"),
    [
        (known(), Fingerprints("other", {KEY: "mask"}), Reason.IMAGE_CHANGED, False, True),
        (known(), Fingerprints("image", {KEY: "other"}), Reason.MASK_CHANGED, True, False),
        (known(rois={}, featured={}), SOURCES, Reason.NEW_OUTLINE, True, False),
        (known(featured={}), SOURCES, Reason.FEATURES_MISSING, True, True),
        (known(featured={(KEY, "rad-1"): frozenset({"older"})}), SOURCES, Reason.FEATURES_MISSING, True, True),
    ],
)
def test_what_changed_is_named_and_nothing_else_is_redone(
    store, sources, reason, image_unchanged, roi_unchanged
) -> None:
    result = plan(store=store, sources=sources)
    assert result.reasons == (reason,)
    assert result.task is not None
    assert result.task.unchanged is image_unchanged
    assert result.task.rois[0].unchanged is roi_unchanged


def test_verify_decodes_what_looks_unchanged() -> None:
    result = plan(store=known(), verify=True)
    assert result.reasons == (Reason.VERIFIED,)
    assert result.task is not None
    assert not result.task.unchanged
    assert not result.task.rois[0].unchanged


def test_corrected_clinical_values_need_no_task() -> None:
    result = plan(store=known(clinical_digest="older"))
    assert (result.reasons, result.task, result.update_clinical) == ((Reason.CLINICAL,), None, True)


def test_a_case_without_a_mask_waits() -> None:
    case = replace(CASE, rois=(replace(ROI, mask=None),))
    sources = Fingerprints("image", {})
    assert plan(case, known(rois={}, featured={}), sources).reasons == (Reason.AWAITING_MASK,)
    assert plan(case, None, sources).task is not None


def case_failure(fingerprint: str, **changes: object) -> KnownCase:
    return known(failures={FailureKey("", "vol-1"): failure(fingerprint)}, **changes)


def test_a_failure_of_an_unchanged_source_stands() -> None:
    store = case_failure(SOURCES.of_case(), volume=None, rois={}, featured={})
    result = plan(store=store)
    assert (result.reasons, result.task, result.standing) == (
        (Reason.STANDING_FAILURE,),
        None,
        (failure(SOURCES.of_case()),),
    )
    assert plan(store=store, retry=True).reasons == (Reason.RETRIED,)


def test_a_failure_of_a_changed_source_is_tried_again() -> None:
    result = plan(store=case_failure("older", volume=None, rois={}, featured={}))
    assert result.reasons == (Reason.RETRIED,)
    assert result.task is not None


def test_a_case_that_killed_its_worker_over_features_is_not_tried_for_ever() -> None:
    store = case_failure(SOURCES.of_case(), featured={})
    assert plan(store=store).standing
    assert plan(store=store, retry=True).task is not None


@pytest.mark.parametrize("spec", ["vol-1", "rad-1"])
def test_a_failed_outline_stands_beside_one_that_has_work(spec: str) -> None:
    other = replace(ROI, roi_key="A/1/hematoma/B/1", reader="B")
    case = replace(CASE, rois=(ROI, other))
    sources = Fingerprints("image", {KEY: "mask", other.roi_key: "mask-b"})
    store = known(featured={}, failures={FailureKey(KEY, spec): failure(sources.of_roi(KEY))})
    result = plan(case, store, sources)
    assert result.task is not None
    assert [roi.skipped for roi in result.task.rois] == [True, False]
    assert result.standing
    retried = plan(case, store, sources, retry=True)
    assert retried.task is not None
    assert [roi.skipped for roi in retried.task.rois] == [False, False]


def test_what_failed_and_is_done_since_is_recorded_without_work() -> None:
    """The source went back to what it was, or the run was killed between two tables."""
    store = known(
        failures={
            FailureKey("", "vol-1"): failure("broken"),
            FailureKey(KEY, "rad-1"): failure("broken"),
        }
    )
    result = plan(store=store)
    assert result.task is None
    assert result.reasons == (Reason.ENDED,)
    assert set(result.ended) == {FailureKey("", "vol-1"), FailureKey(KEY, "rad-1")}


def test_a_failed_audit_stands_although_the_values_are_there() -> None:
    store = known(failures={FailureKey(KEY, "rad-1", "audit", "digest-im"): failure("any")})
    result = plan(store=store)
    assert (result.reasons, result.task) == ((Reason.STANDING_FAILURE,), None)
    assert (result.standing, result.ended) == ((failure("any"),), ())
    retried = plan(store=store, retry=True)
    assert retried.task is not None
    assert (retried.task.rois[0].features[0].audited, retried.task.rois[0].features[0].audit_failed) == (True, True)


def test_the_audited_share_is_the_same_in_every_run_and_of_its_size() -> None:
    keys = [f"A/{number}/hematoma/A/1" for number in range(4000)]
    share = sum(replace(FEATURES, audit_share=0.25).audits(key) for key in keys) / len(keys)
    assert share == pytest.approx(0.25, abs=0.03)
    assert not any(FEATURES.audits(key) for key in keys)
    assert all(replace(FEATURES, audit_share=1.0).audits(key) for key in keys)
    fewer = {key for key in keys if replace(FEATURES, audit_share=0.1).audits(key)}
    assert fewer < {key for key in keys if replace(FEATURES, audit_share=0.25).audits(key)}


def test_verify_takes_standing_failures_again() -> None:
    store = case_failure(SOURCES.of_case(), volume=None, rois={}, featured={})
    assert plan(store=store, verify=True).task is not None


def test_the_failure_of_an_outline_that_the_manifest_no_longer_names_ends() -> None:
    gone = FailureKey("A/1/hematoma/B/1", "vol-1")
    result = plan(store=known(failures={gone: failure("any")}))
    assert (result.reasons, result.task, result.ended) == ((Reason.ENDED,), None, (gone,))
    waiting = replace(CASE, rois=(replace(ROI, mask=None, mask_entry=""),))
    store = known(failures={FailureKey(KEY, "vol-1"): failure("any")})
    assert plan(waiting, store, Fingerprints("image", {})).ended == (FailureKey(KEY, "vol-1"),)


def test_a_known_case_under_another_grid_says_so() -> None:
    assert plan(store=known(volume=None, rois={}, featured={})).reasons == (Reason.NO_VOLUME,)


def test_a_source_that_was_unavailable_is_tried_again_by_itself() -> None:
    """Its files look as they did: nothing but the kind tells that the failure was not about them."""
    unavailable = KnownFailure(SOURCES.of_case(), "read", "source_unavailable")
    case_key = FailureKey("", WORK.volume_spec_id)
    result = plan(store=known(volume=None, rois={}, featured={}, failures={case_key: unavailable}))
    assert (result.reasons, result.standing) == ((Reason.RETRIED,), ())
    damaged = KnownFailure(SOURCES.of_case(), "read", "unreadable_file")
    result = plan(store=known(volume=None, rois={}, featured={}, failures={case_key: damaged}))
    assert (result.reasons, result.standing) == ((Reason.STANDING_FAILURE,), (damaged,))


def test_a_mask_that_was_unavailable_is_tried_again_by_itself() -> None:
    unavailable = KnownFailure(SOURCES.of_roi(KEY), "mask", "source_unavailable")
    key = FailureKey(KEY, WORK.volume_spec_id)
    result = plan(store=known(rois={}, featured={}, failures={key: unavailable}))
    assert result.reasons == (Reason.RETRIED,)
    assert result.task is not None
    assert not result.task.rois[0].skipped


def test_a_source_that_is_not_there_is_named() -> None:
    absent = Fingerprints("gone", {KEY: "mask"}, absent=frozenset({""}))
    assert plan(sources=absent).reasons == (Reason.NEW, Reason.MISSING)
    assert plan(store=known(), sources=absent).reasons == (Reason.IMAGE_CHANGED, Reason.MISSING)
    store = known(failures={FailureKey("", "vol-1"): missing(absent.of_case())})
    assert plan(store=store, sources=absent).reasons == (Reason.STANDING_FAILURE, Reason.MISSING)
    no_mask = Fingerprints("image", {KEY: "gone"}, absent=frozenset({KEY}))
    store = known(failures={FailureKey(KEY, "vol-1"): missing(no_mask.of_roi(KEY))})
    assert plan(store=store, sources=no_mask).reasons == (Reason.STANDING_FAILURE, Reason.MISSING)


def test_what_a_worker_did_not_find_and_is_here_is_tried_again() -> None:
    """A share that is mounted where the command runs, and was not where a worker does."""
    store = known(volume=None, failures={FailureKey("", "vol-1"): missing(SOURCES.of_case())})
    assert plan(store=store).task is not None
    store = known(rois={}, failures={FailureKey(KEY, "vol-1"): missing(SOURCES.of_roi(KEY))})
    assert plan(store=store).task is not None


def missing(fingerprint: str) -> KnownFailure:
    return KnownFailure(fingerprint, "read", "missing_file")


def test_a_set_that_a_store_lacks_is_computed_alone() -> None:
    result = plan_case(CASE, known(), SOURCES, WITH_SET, False, False)
    assert (result.reasons, result.standing, result.ended) == ((Reason.FEATURES_MISSING,), (), ())
    assert result.task is not None
    assert result.task.unchanged
    [roi] = result.task.rois
    assert roi.unchanged
    assert ["digest-im" in part.featured for part in roi.features] == [True, False]
    both = known(featured={(KEY, spec): frozenset({"digest-im"}) for spec in ("rad-1", "rad-2")})
    assert plan_case(CASE, both, SOURCES, WITH_SET, False, False).task is None


def test_a_set_that_failed_leaves_the_others_alone() -> None:
    """The failure of one set stands while another one is computed, and is tried again by itself."""
    of_set = FailureKey(KEY, "rad-2")
    stands = failure(SOURCES.of_roi(KEY))
    done = known(failures={of_set: stands})
    result = plan_case(CASE, done, SOURCES, WITH_SET, False, False)
    assert (result.reasons, result.task, result.standing) == ((Reason.STANDING_FAILURE,), None, (stands,))
    lacks = known(featured={}, failures={of_set: stands})
    result = plan_case(CASE, lacks, SOURCES, WITH_SET, False, False)
    assert result.reasons == (Reason.FEATURES_MISSING, Reason.STANDING_FAILURE)
    assert result.task is not None
    assert [part.skipped for part in result.task.rois[0].features] == [False, True]
    assert (result.standing, result.task.standing) == ((stands,), (stands,))
    again = plan_case(CASE, done, SOURCES, WITH_SET, True, False)
    assert again.reasons == (Reason.RETRIED,)
    assert again.task is not None
    assert [part.skipped for part in again.task.rois[0].features] == [False, False]


def test_a_mask_that_failed_stops_every_set() -> None:
    of_mask = failure(SOURCES.of_roi(KEY))
    store = known(rois={}, featured={}, failures={FailureKey(KEY, "vol-1"): of_mask})
    result = plan_case(CASE, store, SOURCES, WITH_SET, False, False)
    assert (result.reasons, result.task, result.standing) == ((Reason.STANDING_FAILURE,), None, (of_mask,))
