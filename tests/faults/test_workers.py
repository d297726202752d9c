"""Workers that die or hang: bad cases are named, and cost no other case anything."""

import signal
import time
from pathlib import Path

import pytest

from cvtbatch.store import FeatureStore
from tests.faults.runs import STARTS_SECONDS, InTask, Runs, wait_for
from tests.support.commands import extract_json
from tests.support.ports import free_port
from tests.support.store_contents import contents

CASES = 12
COARSE = ("--set", "volume.spacing_mm=[2,2,5]", "--set", "run.commit_cases=2")
# A native crash, more memory than a worker has, and a wait without end.
BAD: dict[str, tuple[InTask, str]] = {
    "002": ("crash", "worker_killed"),
    "005": ("eat", "worker_killed"),
    "008": ("sleep", "time_limit"),
}


@pytest.mark.timeout(900)
def test_cases_that_kill_or_never_end_are_named_and_no_other_is(undisturbed: Path, tmp_path: Path, runs: Runs) -> None:
    manifest, store = undisturbed / "archive" / "manifest.csv", tmp_path / "store"
    cluster = tmp_path / "cluster.yaml"
    cluster.write_text("kind: local\nworkers: 2\nmemory_gb: 1.2\n")
    extract = ("extract", manifest, "--store", store, "--cluster", cluster, *COARSE)
    for case_id, (fault, _) in BAD.items():
        runs.order(case_id, fault)
    # And one that crashes once: what it does not do again is not held against it.
    runs.order("010", "crash", once=True)
    driver = runs.cvtbatch(*extract, "--set", "run.time_limit_s=20")
    assert driver.end(600) == 3, driver.stderr
    assert "Traceback" not in driver.stderr
    failures = FeatureStore(str(store)).failures().to_pylist()
    assert {row["case_id"]: row["kind"] for row in failures} == {case_id: kind for case_id, (_, kind) in BAD.items()}
    assert {row["stage"] for row in failures} == {"worker"}
    assert "longer than its limit of 20 s" in next(row["message"] for row in failures if row["case_id"] == "008")
    for case_id in BAD:
        (runs.orders / case_id).unlink()
    assert extract_json(manifest, store, *COARSE, "--retry-failed")["computed"] == len(BAD)
    assert contents(store) == contents(undisturbed / "store")


@pytest.mark.timeout(600)
def test_a_worker_that_hangs_is_replaced(undisturbed: Path, tmp_path: Path, runs: Runs) -> None:
    """One is stopped by a signal, in the other native code locks the interpreter: both keep their connections and say nothing."""
    manifest, store = undisturbed / "archive" / "manifest.csv", tmp_path / "store"
    runs.order("all", "pause")
    driver = runs.cvtbatch("extract", manifest, "--store", store, "--workers", 2, *COARSE)
    assert wait_for(lambda: len(set(runs.paused())) == 2, STARTS_SECONDS), driver.stderr
    stopped = next(worker for worker in runs.workers() if worker.pid == runs.paused()[-1])
    stopped.send_signal(signal.SIGSTOP)
    runs.order("all", "lock", once=True)
    since = time.monotonic()
    assert driver.end() == 0, driver.stderr
    assert time.monotonic() - since > 20, "nothing hung"
    assert not stopped.is_running()
    assert "Traceback" not in driver.stderr
    assert contents(store) == contents(undisturbed / "store")


@pytest.mark.timeout(600)
def test_a_run_without_workers_says_so_and_goes_on_with_the_next(undisturbed: Path, tmp_path: Path, runs: Runs) -> None:
    manifest, store, told = undisturbed / "archive" / "manifest.csv", tmp_path / "store", tmp_path / "run.prom"
    port = free_port()
    scheduler = runs.cvtbatch("scheduler", "--port", port, "--dashboard", "127.0.0.1:0")
    worker = ("worker", f"127.0.0.1:{port}", "--no-nanny")
    first = runs.cvtbatch(*worker)
    runs.order("all", "pause")
    place = ("--scheduler", f"127.0.0.1:{port}", "--metrics", told)
    driver = runs.cvtbatch("extract", manifest, "--store", store, *place, *COARSE)
    assert wait_for(runs.paused, STARTS_SECONDS), driver.stderr
    first.signal(signal.SIGKILL)
    (runs.orders / "all").unlink()
    assert wait_for(lambda: "\ncvtbatch_workers 0.0\n" in told.read_text(), STARTS_SECONDS), told.read_text()
    assert not driver.ended
    second = runs.cvtbatch(*worker)
    assert driver.end() == 0, driver.stderr
    assert driver.stderr.count("no workers: waiting") == 1
    assert "\ncvtbatch_workers 1.0\n" in told.read_text()
    assert contents(store) == contents(undisturbed / "store")
    for server in (second, scheduler):
        server.signal(signal.SIGTERM)
        assert server.end() == 0
