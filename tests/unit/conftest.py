"""No unit test starts a cluster: that takes seconds, and belongs to tests/distributed."""

import pytest
from distributed import Client, SpecCluster, Status


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(opened: Client | SpecCluster, *_: object, **__: object) -> None:
        # So that nothing is closed that was never opened.
        opened.status = Status.closed
        pytest.fail("a test that starts a cluster, or connects to one, belongs to tests/distributed")

    # On this machine and on Slurm, Dask's clusters are of this class.
    monkeypatch.setattr(SpecCluster, "__init__", refuse)
    monkeypatch.setattr(Client, "__init__", refuse)
