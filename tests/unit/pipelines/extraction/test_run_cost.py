import math
import time

import numpy as np
import pytest

from cvtbatch.pipelines.extraction.run_cost import BIN_RATIO, RunCost, Seconds
from cvtbatch.pipelines.extraction.task_cost import Cost

MB = 1 << 20


@pytest.mark.parametrize("percent", [5, 50, 95, 100])
def test_percentiles_of_a_histogram_are_numpys_within_one_percent(percent: int) -> None:
    durations = np.random.default_rng(4).lognormal(mean=-1.0, sigma=1.5, size=5000)
    seconds = Seconds()
    for duration in durations:
        seconds.add(float(duration))
    exact = np.percentile(durations, percent, method="inverted_cdf")
    assert seconds.percentile_s(percent) == pytest.approx(exact, rel=BIN_RATIO - 1)
    assert (seconds.count, seconds.total_s) == (5000, pytest.approx(durations.sum()))


@pytest.mark.parametrize("count", [1, 2, 3, 10, 501, 1000])
def test_the_median_is_numpys_for_odd_and_even_counts(count: int) -> None:
    durations = np.random.default_rng(count).lognormal(sigma=1.5, size=count)
    seconds = Seconds()
    for duration in durations:
        seconds.add(float(duration))
    assert seconds.median_s() == pytest.approx(np.median(durations), rel=BIN_RATIO - 1)


def test_a_histogram_takes_what_no_clock_could_tell_and_what_never_happened() -> None:
    assert math.isnan(Seconds().percentile_s(50))
    assert math.isnan(Seconds().median_s())
    seconds = Seconds()
    seconds.add(0.0)
    seconds.add(90_000.0, times=2)
    assert seconds.percentile_s(1) == pytest.approx(1e-6, rel=BIN_RATIO - 1)
    assert seconds.percentile_s(50) == pytest.approx(90_000, rel=BIN_RATIO - 1)


def test_a_run_adds_up_its_tasks_and_the_time_that_it_held_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    run = RunCost(workers=2, inline=False)
    run.add(
        Cost({"read": 1.0, "radiomics": 4.0}, cpu_s=4.5, peak_memory_bytes=700 * MB, read_bytes=30, written_bytes=5)
    )
    run.add(Cost({"read": 3.0}, cpu_s=2.7, peak_memory_bytes=300 * MB, read_bytes=12))
    run.worked_cases = 2
    now = 110.0
    run.hold(4)
    now = 120.0
    summary = run.summary(seconds=20.0, commits=0)
    # 2 workers for 10 s and 4 for 10 s are 60 worker seconds for 2 cases.
    assert summary.core_hours_per_1000_cases == pytest.approx(60 / 3600 * 500, abs=1e-4)
    assert summary.cpu_hours_per_1000_cases == pytest.approx(7.2 / 3600 * 500, abs=1e-4)
    assert (summary.cases_per_second, summary.workers_most) == (0.1, 4)
    assert (summary.read_bytes, summary.written_bytes, summary.worker_peak_bytes) == (42, 5, 700 * MB)
    read, radiomics = summary.stages
    assert (read.stage, read.count, read.seconds, radiomics.count) == ("read", 2, 4.0, 1)
    assert (read.p50_s, read.p95_s) == (pytest.approx(2.0, rel=0.01), pytest.approx(3.0, rel=0.01))


def test_outlines_of_one_task_share_its_time() -> None:
    run = RunCost(workers=1, inline=True)
    run.add(Cost({"embedding": 6.0}, cpu_s=6.0, peak_memory_bytes=0), times=3)
    [stage] = run.summary(seconds=6.0, commits=3).stages
    assert (stage.count, stage.seconds, stage.p50_s) == (3, 6.0, pytest.approx(2.0, rel=0.01))
