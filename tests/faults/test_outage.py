"""Object storage that does not answer: for some seconds, which are bridged, and for a minute, which ends the run."""

import json
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.faults.runs import STARTS_SECONDS, Runs, wait_for
from tests.support.hosts import Network
from tests.support.store_contents import contents

CASES = 12
HOSTS = 2
COARSE = ("--set", "volume.spacing_mm=[2,2,5]", "--set", "run.commit_cases=2")
PORT = 5000
HICCUP_SECONDS, OUTAGE_SECONDS = 5, 60
# What a user waits for the reason, once the storage is away: a request's retries, and those of recording the end.
STOPS_SECONDS = 150
MAKE_BUCKET = "import sys, urllib.request as r; r.urlopen(r.Request(sys.argv[1], method='PUT'), timeout=60).close()"
SHOW = """
import json, sys
from tests.faults.runs import read_everything
from tests.support.store_contents import contents
print(json.dumps([contents(sys.argv[1]), read_everything(sys.argv[1])], default=str))
"""


@pytest.mark.timeout(900)
def test_a_hiccup_is_bridged_and_a_minute_stops_the_run(
    undisturbed: Path, tmp_path: Path, hosts: Network, runs: Runs
) -> None:
    manifest = undisturbed / "archive" / "manifest.csv"
    here, there = hosts.hosts
    endpoint = f"http://{there.address}:{PORT}"
    access = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    store = "s3://bucket/store"
    storage = runs.start(sys.executable, "-m", "moto.server", "-H", there.address, "-p", PORT, host=there)
    assert wait_for(lambda: (there.address, PORT) in there.listening(), 120), storage.stderr
    assert here.run(sys.executable, "-c", MAKE_BUCKET, f"{endpoint}/bucket").returncode == 0
    extract = ("extract", manifest, "--store", store, "--workers", 1, *COARSE)
    runs.order("all", "pause")
    driver = runs.cvtbatch(*extract, host=here, environment=access)
    assert wait_for(lambda: len(runs.paused()) >= 3, STARTS_SECONDS), driver.stderr
    storage.signal(signal.SIGSTOP)
    time.sleep(HICCUP_SECONDS)
    storage.signal(signal.SIGCONT)
    paused = len(runs.paused())
    assert wait_for(lambda: len(runs.paused()) >= paused + 3, 120), driver.stderr
    assert not driver.ended, driver.stderr
    hosts.cut(there)
    cut = time.monotonic()
    assert driver.end(STOPS_SECONDS) == 1
    assert "the object storage does not answer: check AWS_ENDPOINT_URL and the network" in driver.stderr
    assert "Traceback" not in driver.stderr
    time.sleep(max(0.0, cut + OUTAGE_SECONDS - time.monotonic()))
    hosts.mend(there)
    (runs.orders / "all").unlink()
    driver = runs.cvtbatch(*extract, "--json", host=here, environment=access)
    assert driver.end() == 0, driver.stderr
    document = json.loads(driver.stdout)
    assert 0 < document["already_done"] < CASES
    shown = here.run(sys.executable, "-c", SHOW, store, environment=access)
    assert shown.returncode == 0, shown.stderr
    tables, arrays = json.loads(shown.stdout)
    assert tables == json.loads(json.dumps(contents(undisturbed / "store"), default=str))
    assert arrays == 2 * CASES
    storage.signal(signal.SIGTERM)
    storage.end()
