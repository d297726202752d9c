"""A clock that jumps, for driver and workers alike, by days and both ways: a library of a few lines shifts it while they run."""

import shutil
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cvtbatch.pipelines.stores.upkeep import collect_garbage
from cvtbatch.store import FeatureStore
from tests.faults.runs import STARTS_SECONDS, Runs, batches_in, read_everything, wait_for
from tests.support.commands import extract_json
from tests.support.store_contents import contents

CASES = 12
COARSE = ("--set", "volume.spacing_mm=[2,2,5]", "--set", "run.commit_cases=2")
DAY_SECONDS = 86400
# As when a system's clock is set: what tells the time of day is shifted, what measures durations goes on.
SHIFTED = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long shift(void) {
    char text[32] = "";
    int file = open(getenv("CVTBATCH_TEST_CLOCK"), O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
    close(file);
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += shift();
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int failed = syscall(SYS_gettimeofday, now, zone);
    if (!failed && now) now->tv_sec += shift();
    return failed;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


class Clock:
    """A clock that can be set, for processes that are started with its environment."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("a clock that jumps needs a C compiler (Debian package gcc)")
        source, library = folder / "clock.c", folder / "clock.so"
        source.write_text(SHIFTED)
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True, timeout=60)
        self.file = folder / "clock"
        self.set(0)
        self.environment = {"LD_PRELOAD": str(library), "CVTBATCH_TEST_CLOCK": str(self.file)}

    def set(self, shift_s: int) -> None:
        """Have it go ahead of the time by so much."""
        aside = self.file.with_suffix(".new")
        aside.write_text(f"{shift_s}\n")
        aside.rename(self.file)


@pytest.mark.timeout(900)
def test_a_clock_that_jumps_disturbs_no_run(undisturbed: Path, tmp_path: Path, runs: Runs) -> None:
    manifest, store = undisturbed / "archive" / "manifest.csv", tmp_path / "store"
    clock = Clock(tmp_path)
    extract = ("extract", manifest, "--store", store, "--workers", 2, *COARSE)
    runs.order("all", "pause")
    driver = runs.cvtbatch(*extract, environment=clock.environment)
    assert wait_for(lambda: batches_in(store) >= 1, STARTS_SECONDS), driver.stderr
    clock.set(3 * DAY_SECONDS)
    assert wait_for(lambda: batches_in(store) >= 3, 120), driver.stderr
    clock.set(-3 * DAY_SECONDS)
    assert wait_for(lambda: batches_in(store) >= 4, 120), driver.stderr
    driver.signal(signal.SIGKILL)
    driver.end()
    (runs.orders / "all").unlink()
    times = [row["recorded_at"] for row in FeatureStore(str(store)).table("volumes").read(["recorded_at"]).to_pylist()]
    now, day = datetime.now(UTC), timedelta(days=1)
    assert min(times) < now - 2 * day, "the clock did not jump back"
    assert max(times) > now + 2 * day, "the clock did not jump ahead"
    clock.set(0)
    driver = runs.cvtbatch(*extract, environment=clock.environment)
    assert driver.end() == 0, driver.stderr
    assert "Traceback" not in driver.stderr
    assert contents(store) == contents(undisturbed / "store")
    # What is current goes by the order of the commits; a run that the clock dates ahead keeps nothing from it.
    document = extract_json(manifest, store, *COARSE, "--verify-inputs")
    assert (document["already_done"], document["decoded"]) == (CASES, CASES)
    collect_garbage(str(store), 0, False)
    assert contents(store) == contents(undisturbed / "store")
    assert read_everything(store) == 2 * CASES
