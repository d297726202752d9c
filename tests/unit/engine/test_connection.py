"""A scheduler that cannot be used, said before anything is sent to it."""

import pytest

from cvtbatch.engine import ExternalScheduler, open_cluster
from cvtbatch.errors import InputError, ResourceError


def test_no_scheduler_is_said() -> None:
    with pytest.raises(ResourceError) as raised, open_cluster(ExternalScheduler("tcp://127.0.0.1:9", wait_s=1)):
        pass
    assert raised.value.kind == "no_scheduler"


def test_a_plain_address_beyond_this_machine_is_refused() -> None:
    with pytest.raises(InputError) as raised, open_cluster(ExternalScheduler("tcp://10.77.0.1:8786")):
        pass
    assert raised.value.kind == "plain_connection"
    assert "--cluster" in raised.value.message
