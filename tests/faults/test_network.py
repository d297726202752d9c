"""Cables that are cut, and a scheduler that is killed: on hosts of their own."""

import signal
import time
from pathlib import Path

import pytest

from cvtbatch.store import FeatureStore
from tests.faults.remote import Remote
from tests.faults.runs import STARTS_SECONDS, Run, Runs, cases_done, read_everything, wait_for
from tests.support.hosts import Network
from tests.support.store_contents import contents

# More than one worker does, slowed down, while another is away and comes back.
CASES = 24
HOSTS = 6
PAUSE_SECONDS = 4.0
CUT_SECONDS = 30
COARSE = ("--set", "volume.spacing_mm=[2,2,5]", "--set", "run.commit_cases=1")


def ends_for_want_of_a_scheduler(driver: Run) -> None:
    assert driver.end() == 1, driver.stderr
    assert "the scheduler went away; what was committed is safe, run again to continue" in driver.stderr
    assert "Traceback" not in driver.stderr


@pytest.mark.timeout(900)
def test_hosts_that_are_cut_off_and_a_scheduler_that_is_killed(
    undisturbed: Path, tmp_path: Path, hosts: Network, runs: Runs
) -> None:
    """Two runs with three workers: one of the hosts is back after half a minute, one never, and one holds a driver."""
    manifest, stores = undisturbed / "archive" / "manifest.csv", (tmp_path / "store", tmp_path / "other")
    runs.order("all", "pause")
    runs.pause_s = PAUSE_SECONDS
    remote = Remote(runs, Network(hosts.bridge, hosts.hosts[:-1]), missing=1)
    back, gone, stays = remote.worker_hosts
    cut_driver_host = hosts.hosts[-1]
    extracts = [("extract", manifest, "--store", store, *remote.arguments, *COARSE) for store in stores]
    drivers = [
        runs.cvtbatch(*extract, host=host)
        for extract, host in zip(extracts, (remote.driver_host, cut_driver_host), strict=True)
    ]
    assert wait_for(lambda: len(set(runs.paused())) == 3, STARTS_SECONDS), "not all workers work"
    assert wait_for(lambda: all(cases_done(store) for store in stores), STARTS_SECONDS), "not both runs go"
    cut = time.monotonic()
    for host in (back, gone, cut_driver_host):
        hosts.cut(host)
    # Cut from its scheduler, a worker ends; its supervisor starts it again, and again.
    lost = remote.workers[0].process.pid
    remote.supervised = (back, stays)
    while time.monotonic() < cut + CUT_SECONDS:
        remote.supervise()
        assert not drivers[0].ended, drivers[0].stderr
        time.sleep(0.2)
    hosts.mend(back)
    ends_for_want_of_a_scheduler(drivers[1])
    hosts.mend(cut_driver_host)

    def returned() -> bool:
        remote.supervise()
        return remote.workers[0].process.pid != lost and remote.workers[0].process.pid in runs.paused()

    assert wait_for(returned, STARTS_SECONDS), "the worker does not come back"
    (runs.orders / "all").unlink()
    assert drivers[0].end() == 0, drivers[0].stderr
    assert "Traceback" not in drivers[0].stderr
    assert contents(stores[0]) == contents(undisturbed / "store")
    assert wait_for(lambda: not gone.processes(), 120), "a worker without a scheduler lives on"

    before = cases_done(stores[1])
    runs.order("all", "pause")
    driver = runs.cvtbatch(*extracts[1], host=cut_driver_host)
    assert wait_for(lambda: cases_done(stores[1]) > before, STARTS_SECONDS), driver.stderr
    remote.scheduler.signal(signal.SIGKILL)
    ends_for_want_of_a_scheduler(driver)
    assert 0 < before < cases_done(stores[1]) < CASES
    runs_of = FeatureStore(str(stores[1])).table("runs").current().to_pylist()
    assert [(run["state"], run["reason"]) for run in runs_of] == [("stopped", "scheduler_lost")] * 2
    (runs.orders / "all").unlink()
    assert wait_for(lambda: all(worker.ended for worker in remote.workers), 120), "workers wait for a dead scheduler"
    remote.supervise()
    driver = runs.cvtbatch(*extracts[1], host=remote.driver_host)
    assert driver.end() == 0, driver.stderr
    assert contents(stores[1]) == contents(undisturbed / "store")
    assert [read_everything(store) for store in stores] == [2 * CASES] * 2
    remote.stop()
