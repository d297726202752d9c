"""Which volumes are outlined and which found outlines lack features, without running anything."""

from dataclasses import replace

import pytest

from cvtbatch.embedding.architectures import DEFAULT
from cvtbatch.embedding.compute import Compute
from cvtbatch.embedding.preprocessing import Preprocessing
from cvtbatch.manifest import Case
from cvtbatch.pipelines.extraction.case_plan import CasePlan, Reason
from cvtbatch.pipelines.extraction.embedding_plan import EmbeddingWork, WeightsRef, plan_embeddings
from cvtbatch.pipelines.extraction.failure import FailureKey, KnownFailure
from cvtbatch.pipelines.extraction.known_case import KnownCase, KnownOutline, KnownRoi
from cvtbatch.pipelines.extraction.limits import outline_bytes, outline_limit_s
from cvtbatch.pipelines.extraction.outline_plan import (
    OutlinePlan,
    OutlineWork,
    pack,
    plan_outlines,
    reader_of,
    roi_fingerprint,
    roi_name,
    with_outlines,
)
from cvtbatch.pipelines.extraction.outline_result import OutlineTask
from cvtbatch.pipelines.shared.job import read_job
from tests.unit.pipelines.extraction.test_case_plan import CASE, STORED, WITH_SET, WORK, known

SPEC = "out-0123456789ab"
SECTION = read_job("extract", overrides=["outline.method=threshold"]).outline
OUTLINING = OutlineWork(SPEC, reader_of("threshold", SPEC), SECTION, "", WORK, not_for_inference=True, together=1)
EMBEDDING = EmbeddingWork(
    "emb-0", "vol-1", Preprocessing(), WeightsRef("random:0", "", DEFAULT, ""), True, Compute(), slices="all"
)
AWAITING = replace(CASE, rois=())
KEY = OUTLINING.source(AWAITING, "hematoma").roi_key
WHOLE = FailureKey("", SPEC)


def found(*names: str, **changes: object) -> KnownCase:
    """Return what the store has of a case that was outlined, features and all."""
    keys = [OUTLINING.source(AWAITING, name).roi_key for name in names]
    everything = {
        "outline": KnownOutline("digest-i", names),
        "rois": {key: KnownRoi("digest-i", f"digest-{key}", "", STORED, 0, 1, SPEC) for key in keys},
        "featured": {(key, "rad-1"): frozenset({f"digest-{key}"}) for key in keys},
    }
    return known(**{**everything, **changes})


def plan(store: KnownCase | None, case: Case = AWAITING, again: bool = False, verify: bool = False) -> OutlinePlan:
    return plan_outlines(case, store, OUTLINING, again, verify)


def test_readers_and_names() -> None:
    assert OUTLINING.reader == "threshold:01234567"
    assert [roi_name(number) for number in range(3)] == ["hematoma", "hematoma-2", "hematoma-3"]
    assert KEY == "A/1/hematoma/threshold:01234567/1"


def test_a_case_with_a_failure_that_stands_goes_on_where_its_outlines_do() -> None:
    """Else a run of such cases alone would start no workers, and outline in its own process."""
    stands = CasePlan(
        AWAITING, (Reason.STANDING_FAILURE,), None, (KnownFailure("digest", "read", "unreadable_file"),), False, ()
    )
    outlines = plan(known(rois={}, featured={}))
    assert outlines.pending is not None
    found_on = with_outlines(stands, outlines)
    assert (found_on.goes_on, found_on.reasons, found_on.standing) == (True, stands.reasons, stands.standing)
    assert not with_outlines(stands, plan(found("hematoma"))).goes_on


@pytest.mark.parametrize(
    ("store", "reason", "idle"),
    [
        (None, Reason.NO_VOLUME, "awaiting_mask"),
        (known(rois={}, featured={}), Reason.OUTLINE_MISSING, "awaiting_mask"),
        (found("hematoma"), Reason.DONE, "already_done"),
        (found(), Reason.NO_HEMORRHAGE, "no_hemorrhage"),
        (found("hematoma", featured={}), Reason.FEATURES_MISSING, "already_done"),
        (found("hematoma", outline=KnownOutline("digest-old", ("hematoma",))), Reason.OUTLINE_MISSING, "awaiting_mask"),
        # Its mask's row is lost.
        (found("hematoma", rois={}), Reason.OUTLINE_MISSING, "awaiting_mask"),
    ],
)
def test_what_is_there_decides(store: KnownCase | None, reason: Reason, idle: str) -> None:
    result = plan(store)
    assert (result.reasons(), result.idle()) == ((reason,), idle)
    assert (result.pending is not None) == (reason in {Reason.OUTLINE_MISSING, Reason.FEATURES_MISSING})


def test_features_alone_are_computed_of_what_was_found() -> None:
    result = plan(found("hematoma", "hematoma-2", featured={(KEY, "rad-1"): frozenset({f"digest-{KEY}"})}))
    assert result.pending is not None
    assert [roi.roi for roi in result.pending.rois] == ["hematoma-2"]


def test_people_s_cases_are_left_to_them_unless_all_are_asked_for() -> None:
    assert plan(known(), CASE) == OutlinePlan(CASE, asked=False)
    everything = replace(OUTLINING, settings=replace(SECTION, cases="all"))
    assert plan_outlines(CASE, known(), everything, again=False).pending is not None


def test_a_failure_stands_until_the_volume_changes_or_it_is_asked_for_again() -> None:
    empty = known(rois={}, featured={})
    pending = plan(empty).pending
    assert pending is not None
    failed = replace_failures(empty, {WHOLE: KnownFailure(pending.fingerprint, "outline", "no_inside")})
    assert plan(failed).standing
    assert plan(failed).pending is None
    assert plan(failed).reasons() == (Reason.STANDING_FAILURE,)
    again = plan(failed, again=True).pending
    assert again is not None
    assert again.failures == (WHOLE,)
    other = replace_failures(empty, {WHOLE: KnownFailure("of another volume", "outline", "no_inside")})
    assert plan(other).pending is not None


def test_failed_features_stand_and_do_not_outline_again() -> None:
    store = found("hematoma", featured={})
    pending = plan(store).pending
    assert pending is not None
    key = FailureKey(KEY, WORK.radiomics_spec_id)
    failure = KnownFailure(roi_fingerprint(pending, f"digest-{KEY}"), "radiomics", "internal_error")
    failed = replace_failures(store, {key: failure})
    assert (plan(failed).standing, plan(failed).pending) == ((failure,), None)
    assert plan(failed, again=True).reasons() == (Reason.RETRIED,)


def test_failures_of_what_is_done_end() -> None:
    key = FailureKey(KEY, WORK.radiomics_spec_id)
    failure = KnownFailure("x", "outline", "no_inside")
    assert plan(replace_failures(found("hematoma"), {key: failure})).ended == (key,)
    assert plan(replace_failures(found(), {WHOLE: failure})).ended == (WHOLE,)


def test_masks_are_looked_at_before_a_failure_to_find_them_ends() -> None:
    failed = {WHOLE: KnownFailure("x", "outline", "command_failed")}
    result = plan(replace_failures(found("hematoma"), failed))
    assert result.pending is not None
    assert ([roi.roi_key for roi in result.pending.rois], result.ended) == ([KEY], ())


def test_embeddings_that_failed_are_not_ended_by_features() -> None:
    key = FailureKey(KEY, "emb-0")
    store = replace_failures(found("hematoma"), {key: KnownFailure("x", "embedding", "volume_damaged")})
    assert (plan(store).ended, plan(store).standing, plan(store).reasons()) == ((), (), (Reason.DONE,))
    # Nor do they keep features from standing as failed.
    lacking = found("hematoma", featured={})
    pending = plan(lacking).pending
    assert pending is not None
    of_features = KnownFailure(roi_fingerprint(pending, f"digest-{KEY}"), "radiomics", "internal_error")
    failed = {**store.failures, FailureKey(KEY, WORK.radiomics_spec_id): of_features}
    assert plan(replace_failures(lacking, failed)).standing == (of_features,)


def test_failures_of_outlines_that_are_found_no_more_end() -> None:
    gone = FailureKey(OUTLINING.source(AWAITING, "hematoma-2").roi_key, WORK.radiomics_spec_id)
    store = replace_failures(found("hematoma"), {gone: KnownFailure("x", "radiomics", "internal_error")})
    assert (plan(store).ended, plan(store).reasons()) == ((gone,), (Reason.ENDED,))


def test_failures_end_where_a_person_has_outlined_the_case_since() -> None:
    failures = dict.fromkeys((WHOLE, FailureKey(KEY, "emb-0")), KnownFailure("x", "outline", "no_inside"))
    result = plan(known(failures=failures), CASE)
    assert (result.asked, set(result.ended), result.reasons()) == (False, set(failures), (Reason.ENDED,))


def test_the_mask_of_another_image_is_no_outline_of_this_one() -> None:
    # As a kill leaves it between the tables, and an image that is put back.
    roi = KnownRoi("digest-other", "digest-im", "", STORED, 0, 1, SPEC)
    result = plan(found("hematoma", rois={KEY: roi}, featured={}))
    assert result.pending is not None
    assert (result.pending.rois, result.reasons()) == ((), (Reason.OUTLINE_MISSING,))


def test_without_a_volume_it_is_said_why() -> None:
    assert [failure.kind for failure in plan(None).blocked] == ["not_extracted"]
    unread = KnownFailure("x", "read", "no_image")
    store = known(volume=None, failures={FailureKey("", WORK.volume_spec_id): unread})
    assert plan(store).blocked == (unread,)


def test_no_hemorrhage_in_an_image_says_nothing_of_another_one() -> None:
    of_another = found(outline=KnownOutline("digest-old", ()))
    idle = [plan_embeddings(AWAITING, store, [EMBEDDING], False, OUTLINING).idle for store in (found(), of_another)]
    assert idle == ["no_hemorrhage", "awaiting_mask"]


def test_another_method_s_failures_are_not_ours() -> None:
    key = FailureKey("A/1/hematoma/threshold:ffffffff/1", WORK.radiomics_spec_id)
    store = replace_failures(found("hematoma"), {key: KnownFailure("x", "radiomics", "internal_error")})
    assert plan(store).ended == ()


def test_verifying_reads_what_was_found() -> None:
    result = plan(found("hematoma"), verify=True)
    assert result.pending is not None
    assert [roi.roi_key for roi in result.pending.rois] == [KEY]
    assert result.reasons() == (Reason.VERIFIED,)
    assert plan(found(), verify=True).pending is None


def test_tasks_hold_so_many_volumes() -> None:
    pending = plan(known(rois={}, featured={})).pending
    assert pending is not None
    assert [len(task) for task in pack([pending] * 5, 2)] == [2, 2, 1]


def replace_failures(store: KnownCase, failures: dict[FailureKey, KnownFailure]) -> KnownCase:
    return replace(store, failures=failures)


def test_several_volumes_and_larger_ones_have_more_time_and_take_more_memory() -> None:
    pending = plan(known(rois={}, featured={})).pending
    assert pending is not None
    one, two = OutlineTask(OUTLINING, (pending,)), OutlineTask(OUTLINING, (pending, pending))
    assert outline_limit_s(one, None) < outline_limit_s(two, None)
    assert (outline_limit_s(one, 5.0), outline_limit_s(two, 5.0)) == (5.0, 10.0)
    large = OutlineTask(OUTLINING, (replace(pending, grid=replace(pending.grid, size_xyz=(512, 512, 36))),))
    assert outline_bytes(one) < outline_bytes(two) < outline_bytes(large) < 400_000_000
    network = replace(OUTLINING, settings=replace(SECTION, method="blast-ct"))
    assert outline_bytes(replace(large, work=network)) > 1_800_000_000


def test_a_set_that_found_outlines_lack_is_computed_alone() -> None:
    outlining = replace(OUTLINING, features=WITH_SET)
    result = plan_outlines(AWAITING, found("hematoma"), outlining, again=False)
    assert result.pending is not None
    assert result.reasons() == (Reason.FEATURES_MISSING,)
    assert [roi.roi_key for roi in result.pending.rois] == [KEY]
    key = FailureKey(KEY, "rad-2")
    stands = KnownFailure(roi_fingerprint(result.pending, f"digest-{KEY}"), "radiomics", "roi_too_thin")
    failed = found("hematoma", failures={key: stands})
    result = plan_outlines(AWAITING, failed, outlining, again=False)
    assert (result.pending, result.standing, result.ended) == (None, (stands,), ())
    lacking = plan_outlines(AWAITING, replace(failed, featured={}), outlining, again=False)
    assert lacking.pending is not None
    assert lacking.pending.standing == {key}
    assert plan_outlines(AWAITING, failed, outlining, again=True).pending is not None
