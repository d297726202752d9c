"""What a cluster says of itself, without one."""

import pytest

from cvtbatch.engine import GPU, LocalWorkers, open_cluster


def test_this_process_has_one_slot_and_no_gpu_of_a_worker() -> None:
    with open_cluster(0) as cluster, open_cluster(LocalWorkers(0), gpus=()) as same:
        assert cluster == same
        assert (cluster.inline, cluster.slots(), cluster.slots(GPU), cluster.threads) == (True, 1, 0, None)


def test_a_unit_test_that_opens_a_cluster_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match="tests/distributed"), open_cluster(1):
        pass
