"""Which regions are derived and which lack features, without running anything."""

from dataclasses import replace

import pytest

from cvtbatch.pipelines.extraction.case_plan import CasePlan, Reason, plan_case
from cvtbatch.pipelines.extraction.failure import FailureKey, KnownFailure
from cvtbatch.pipelines.extraction.known_case import KnownCase, KnownRegion, KnownRoi
from cvtbatch.pipelines.extraction.limits import region_bytes, region_limit_s
from cvtbatch.pipelines.extraction.outline_plan import plan_outlines
from cvtbatch.pipelines.extraction.region_plan import RegionPlan, plan_regions, with_regions
from cvtbatch.pipelines.extraction.region_work import resolve_regions
from cvtbatch.spec import volume_spec
from tests.unit.pipelines.extraction.test_case_plan import CASE, KEY, SOURCES, STORED, WITH_SET, WORK, known
from tests.unit.pipelines.extraction.test_outline_plan import AWAITING, OUTLINING, found
from tests.unit.pipelines.extraction.test_outline_plan import KEY as FOUND_KEY

(RIM, HULL), _ = resolve_regions(["rim", "hull"], volume_spec((0.5, 0.5, 5.0)))
WITH = replace(WORK, regions=(RIM, HULL))
RIM_KEY, HULL_KEY = "A/1/hematoma.rim5/A/1", "A/1/hematoma.hull/A/1"
RIM_INPUT, HULL_INPUT = RIM.input_digest("digest-im"), HULL.input_digest("digest-im")
STANDING = FailureKey(RIM_KEY, "rad-1")


def done(**changes: object) -> KnownCase:
    """Return what the store has of a case with a rim, and without a hull."""
    usual = known()
    everything = {
        "rois": {**usual.rois, RIM_KEY: KnownRoi("digest-i", RIM_INPUT, RIM_INPUT, STORED, 0, 1)},
        "regions": {RIM_KEY: KnownRegion(RIM_INPUT, empty=False), HULL_KEY: KnownRegion(HULL_INPUT, empty=True)},
        "featured": {**usual.featured, (RIM_KEY, "rad-1"): frozenset({RIM_INPUT})},
    }
    return known(**{**everything, **changes})


def plan(store: KnownCase | None, work=WITH, again: bool = False, verify: bool = False) -> RegionPlan:
    return plan_regions(CASE, store, work, None, again, verify)


def derived(result: RegionPlan) -> list[str]:
    return [region.source.roi_key for region in result.task.regions()] if result.task else []


@pytest.mark.parametrize(
    ("store", "keys", "reasons"),
    [
        (None, [], ()),
        (known(rois={}), [], ()),  # its outline is not stored
        (known(), [RIM_KEY, HULL_KEY], (Reason.REGION_MISSING,)),
        (done(), [], ()),
        (done(featured={}), [RIM_KEY], (Reason.FEATURES_MISSING,)),
        # Of another state of the outline.
        (done(regions={RIM_KEY: KnownRegion("older", True)}), [RIM_KEY, HULL_KEY], (Reason.REGION_MISSING,)),
        (done(featured={(RIM_KEY, "rad-1"): frozenset({"older"})}), [RIM_KEY], (Reason.FEATURES_MISSING,)),
        (done(rois={KEY: KnownRoi("digest-old", "digest-im", "", STORED, 0, 1)}), [], ()),
    ],
)
def test_what_is_there_decides(store: KnownCase | None, keys: list[str], reasons: tuple[Reason, ...]) -> None:
    result = plan(store)
    assert (derived(result), result.reasons) == (keys, reasons)
    assert plan(store, WORK) == RegionPlan(CASE), "a job without regions"


def test_a_further_set_of_features_is_computed_alone() -> None:
    [region] = plan(done(), replace(WITH_SET, regions=(RIM, HULL))).task.regions()
    assert [region.input_digest in there.featured for there in region.features] == [True, False]


def test_verified_regions_are_all_derived_anew() -> None:
    result = plan(done(), again=True, verify=True)
    assert (derived(result), result.reasons) == ([RIM_KEY, HULL_KEY], (Reason.VERIFIED,))


def test_a_failure_stands_until_its_input_changes_or_it_is_asked_for_again() -> None:
    region = plan(known()).task.regions()[0]
    failure = KnownFailure(region.fingerprint, "region", "volume_damaged")
    failed = done(regions={HULL_KEY: KnownRegion(HULL_INPUT, True)}, failures={region.failure_key: failure})
    assert (derived(plan(failed)), plan(failed).standing) == ([], (failure,))
    again = plan(failed, again=True)
    assert (derived(again), again.reasons, again.task.failures) == ([RIM_KEY], (Reason.RETRIED,), (region.failure_key,))
    other = replace(failure, fingerprint="of another state")
    assert derived(plan(replace_failures(failed, {region.failure_key: other}))) == [RIM_KEY]


def replace_failures(store: KnownCase, failures: dict[FailureKey, KnownFailure]) -> KnownCase:
    store.failures = failures
    return store


def test_failed_features_stand_and_failures_of_what_is_done_end() -> None:
    region = plan(known()).task.regions()[0]
    failure = KnownFailure(region.fingerprint, "radiomics", "internal_error")
    assert plan(done(featured={}, failures={STANDING: failure})).standing == (failure,)
    assert plan(done(failures={STANDING: failure})).ended == (STANDING,)
    of_empty = FailureKey(HULL_KEY, "rad-1")
    assert plan(done(failures={of_empty: failure})).ended == (of_empty,)


def test_failures_of_regions_end_with_the_job_that_asks_for_them() -> None:
    """For people's outlines and for found ones; with it they are left to the plan of regions."""
    failure, of_found = KnownFailure("x", "region", "internal_error"), RIM.key(FOUND_KEY)
    keys = {FailureKey(key, "rad-1"): failure for key in (RIM_KEY, of_found)}
    for work, ends in ((WORK, True), (WITH, False)):
        drawn = plan_case(CASE, known(failures=keys), SOURCES, work, False, False)
        assert (FailureKey(RIM_KEY, "rad-1") in drawn.ended) is ends
        outlined = plan_outlines(AWAITING, found("hematoma", failures=keys), replace(OUTLINING, features=work), False)
        assert (FailureKey(of_found, "rad-1") in outlined.ended) is ends


def test_found_outlines_have_regions_too() -> None:
    store = found("hematoma")
    [parent] = plan_regions(AWAITING, store, WITH, OUTLINING, False).task.outlines
    assert (parent.roi_key, parent.outline_spec_id) == (FOUND_KEY, OUTLINING.outline_spec_id)
    assert parent.regions[0].source.roi_key == RIM.key(FOUND_KEY)
    assert plan_regions(AWAITING, store, WITH, None, False).task is None, "the job names no method"


def test_a_case_that_is_extracted_may_still_lack_regions() -> None:
    extracted = CasePlan(CASE, (Reason.DONE,), None, (), False, ())
    lacks, has = with_regions(extracted, plan(known())), with_regions(extracted, plan(done()))
    assert (lacks.reasons, lacks.goes_on) == ((Reason.REGION_MISSING,), True)
    assert has == extracted
    corrected = replace(extracted, reasons=(Reason.CLINICAL,))
    assert with_regions(corrected, plan(known())).reasons == (Reason.REGION_MISSING, Reason.CLINICAL)


def test_limits_grow_with_regions_and_voxels() -> None:
    one, two = plan(done(featured={})).task, plan(known()).task
    assert region_limit_s(one, None) < region_limit_s(two, None)
    assert region_limit_s(two, 7.0) == 7.0
    assert region_bytes(one.grid) == region_bytes(two.grid) == 50_000_000 + 28 * 64
