"""No item is given up for what another did, and none is retried for ever."""

import pytest

from cvtbatch.engine.retries import LOSSES_BEFORE_ISOLATION, Attempts, Retry, after_loss


def lost(attempts: Attempts, *, alone: bool = False) -> Retry:
    return after_loss(attempts, expired=False, worker_ended=False, alone=alone)


def test_an_item_is_requeued_then_suspected_and_given_up_only_alone() -> None:
    attempts = Attempts()
    assert [lost(attempts) for _ in range(LOSSES_BEFORE_ISOLATION)] == [Retry.REQUEUE, Retry.SUSPECT]
    assert lost(attempts, alone=True) is Retry.LOST
    assert attempts.losses == LOSSES_BEFORE_ISOLATION + 1


def test_what_another_item_did_to_its_worker_is_not_counted() -> None:
    attempts = Attempts()
    for _ in range(10):
        assert after_loss(attempts, expired=False, worker_ended=True, alone=False) is Retry.REQUEUE
    assert attempts == Attempts()


@pytest.mark.parametrize("alone", [False, True])
def test_an_item_beyond_its_limit_has_one_more_try(alone: bool) -> None:
    attempts = Attempts()
    first = after_loss(attempts, expired=True, worker_ended=True, alone=alone)
    assert first is (Retry.EXPIRED if alone else Retry.OVERDUE)
    assert after_loss(attempts, expired=True, worker_ended=True, alone=False) is (
        Retry.OVERDUE if alone else Retry.EXPIRED
    )
