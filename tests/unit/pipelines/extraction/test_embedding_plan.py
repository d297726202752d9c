"""Which slices of which outlines are embedded, without running anything."""

from dataclasses import replace
from typing import Literal

import pytest

from cvtbatch.embedding.architectures import DEFAULT
from cvtbatch.embedding.compute import Compute
from cvtbatch.embedding.preprocessing import Preprocessing
from cvtbatch.pipelines.extraction.case_plan import Reason
from cvtbatch.pipelines.extraction.embedding_plan import EmbeddingWork, WeightsRef, plan_embeddings
from cvtbatch.pipelines.extraction.failure import FailureKey, KnownFailure
from cvtbatch.pipelines.extraction.known_case import KnownRoi
from tests.unit.pipelines.extraction.test_case_plan import CASE, KEY, STORED, known

WORK = EmbeddingWork(
    "emb-1", "vol-1", Preprocessing(), WeightsRef("random:0", "0" * 64, DEFAULT, "store"), True, Compute(), slices="all"
)
FIVE_SLICES = {KEY: KnownRoi("digest-i", "digest-im", "mask", STORED, 0, 5)}
THERE = {(KEY, "emb-1"): frozenset({"digest-im"})}
OF_ANOTHER_MASK = {(KEY, "emb-1"): frozenset({"digest-before"})}


@pytest.mark.parametrize(
    ("wanted", "largest", "whole", "part", "slices", "reason"),
    [
        ("all", {}, {}, "all", 5, Reason.EMBEDDINGS_MISSING),
        ("largest", {}, {}, "largest", 1, Reason.EMBEDDINGS_MISSING),
        ("all", THERE, {}, "others", 4, Reason.SLICES_MISSING),
        ("largest", THERE, {}, None, 0, Reason.DONE),
        ("all", THERE, THERE, None, 0, Reason.DONE),
        ("largest", THERE, THERE, None, 0, Reason.DONE),
        ("all", THERE, OF_ANOTHER_MASK, "others", 4, Reason.SLICES_MISSING),
        ("largest", OF_ANOTHER_MASK, OF_ANOTHER_MASK, "largest", 1, Reason.EMBEDDINGS_MISSING),
    ],
)
def test_slices_that_are_wanted_and_have_no_embedding_are_embedded(
    wanted: Literal["all", "largest"],
    largest: dict[tuple[str, str], frozenset[str]],
    whole: dict[tuple[str, str], frozenset[str]],
    part: str | None,
    slices: int,
    reason: Reason,
) -> None:
    stored = known(rois=FIVE_SLICES, embedded=largest, embedded_whole=whole)
    plan = plan_embeddings(CASE, stored, [replace(WORK, slices=wanted)], again=False)
    assert [(roi.parts, roi.slices) for roi in plan.pending] == ([] if part is None else [({"emb-1": part}, slices)])
    assert plan.reasons() == (reason,)


def test_a_failure_ends_once_the_wanted_slices_are_there() -> None:
    key = FailureKey(KEY, WORK.embedding_spec_id)
    stored = known(rois=FIVE_SLICES, embedded=THERE, failures={key: KnownFailure("x", "embedding", "volume_damaged")})
    plans = [
        plan_embeddings(CASE, stored, [replace(WORK, slices=wanted)], again=False) for wanted in ("largest", "all")
    ]
    assert [plan.ended for plan in plans] == [(key,), ()]
    assert plans[1].reasons() == (Reason.RETRIED,)
