from collections.abc import Sequence

from cvtbatch.pipelines.extraction.case_states import CaseStates
from cvtbatch.pipelines.extraction.failure import KnownFailure


def failures(*kinds: str) -> Sequence[KnownFailure]:
    return [KnownFailure("", "read", kind) for kind in kinds]


def test_a_case_counts_once_under_its_weightiest_state() -> None:
    states = CaseStates(rows=9)
    for state in ("already_done", "computed", "awaiting_mask"):
        states.settle(9, state)
    states.settle(1, "already_done")
    assert dict(states.now) == {"already_done": 1, "computed": 1}
    states.settle_failed(9, failures("unreadable"))
    states.settle(9, "computed")
    assert dict(states.now) == {"already_done": 1, "computed": 0, "failed": 1}
    assert states.first == {"already_done": 2}
    assert (states.state(9), states.state(1), states.state(2)) == ("failed", "already_done", None)


def test_a_failed_case_counts_once_for_each_kind() -> None:
    states = CaseStates(rows=20)
    for row in range(1, 21):
        states.settle_failed(row, failures("unreadable", "unreadable"))
    states.settle_failed(7, failures("unreadable", "empty_mask"))
    assert states.failures == {("read", "empty_mask"): 1, ("read", "unreadable"): 20}


def test_computed_cases_that_an_earlier_run_had_begun_are_counted_apart() -> None:
    states = CaseStates(rows=20)
    for row in (3, 9, 20):
        states.note_begun(row)
    states.settle(1, "computed")
    for row in (3, 9):
        states.settle(row, "computed")
        states.settle(row, "computed")
    assert (states.now["computed"], states.continued) == (3, 2)
    states.settle_failed(9, failures("unreadable"))
    states.settle_failed(20, failures("unreadable"))
    assert (states.now["computed"], states.continued) == (2, 1)
