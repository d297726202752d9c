from collections.abc import Sequence

from cvtbatch.pipelines.extraction.case_states import Tally
from cvtbatch.pipelines.extraction.stored_cases import KnownFailure


def failures(*kinds: str) -> Sequence[KnownFailure]:
    return [KnownFailure("", "read", kind) for kind in kinds]


def test_a_case_counts_once_under_its_weightiest_state() -> None:
    tally = Tally(rows=9)
    for state in ("already_done", "computed", "awaiting_mask"):
        tally.settle(9, state)
    tally.settle(1, "already_done")
    assert dict(tally.now) == {"already_done": 1, "computed": 1}
    tally.settle_failed(9, failures("unreadable"))
    tally.settle(9, "computed")
    assert dict(tally.now) == {"already_done": 1, "computed": 0, "failed": 1}
    assert tally.first == {"already_done": 2}
    assert (tally.state(9), tally.state(1), tally.state(2)) == ("failed", "already_done", None)


def test_a_failed_case_counts_once_for_each_kind() -> None:
    tally = Tally(rows=20)
    for row in range(1, 21):
        tally.settle_failed(row, failures("unreadable", "unreadable"))
    tally.settle_failed(7, failures("unreadable", "empty_mask"))
    assert tally.failures == {("read", "empty_mask"): 1, ("read", "unreadable"): 20}
