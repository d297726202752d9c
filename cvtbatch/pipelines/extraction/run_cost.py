"""What a run costs: the costs of its tasks, added up by the driver in bounded memory."""

import math
import time
from collections import Counter
from dataclasses import dataclass, field

from cvtbatch.pipelines.extraction.task_cost import STAGES, Cost, peak_memory_bytes

# Bins of a histogram of seconds: each is 1 % wider than the one before; what is shorter than the first counts as this long.
SHORTEST_S = 1e-6
BIN_RATIO = 1.01
HOUR_S = 3600.0


class Seconds:
    """A histogram of durations: any number of them in a few kilobytes, percentiles within half a bin (0.5 %)."""

    def __init__(self) -> None:
        self.count = 0
        self.total_s = 0.0
        self._bins: Counter[int] = Counter()

    def add(self, seconds: float, times: int = 1) -> None:
        """Count a duration, as often as it was seen."""
        self.count += times
        self.total_s += seconds * times
        self._bins[math.floor(math.log(max(seconds, SHORTEST_S) / SHORTEST_S, BIN_RATIO))] += times

    def count_until(self, bound_s: float) -> int:
        """Return how many durations did not exceed a bound."""
        return sum(times for number, times in self._bins.items() if _middle_s(number) <= bound_s)

    def median_s(self) -> float:
        """Return the duration in the middle, of an even number the mean of the two in the middle; NaN where none was seen."""
        return (self._ranked_s((self.count + 1) // 2) + self._ranked_s(self.count // 2 + 1)) / 2

    def percentile_s(self, percent: float) -> float:
        """Return the duration that a share of those seen, in percent, does not exceed; NaN where none was seen."""
        return self._ranked_s(max(1, math.ceil(percent / 100 * self.count)))

    def _ranked_s(self, rank: int) -> float:
        """Return the duration of a rank among those seen, from 1; NaN beyond the last."""
        seen = 0
        for number in sorted(self._bins):
            seen += self._bins[number]
            if seen >= rank:
                return _middle_s(number)
        return math.nan


def _middle_s(number: int) -> float:
    """Return the middle of a bin."""
    return float(SHORTEST_S * BIN_RATIO ** (number + 0.5))


@dataclass(slots=True)
class StageCost:
    """What a stage took in a run: how often it was done (by cases; embeddings by outlines), and how long in workers."""

    stage: str
    count: int
    seconds: float
    p50_s: float
    p95_s: float


@dataclass(slots=True)
class CostSummary:
    """What a run cost.

    Attributes:
        worked_cases: cases that were sent to a worker, whatever became of them.
        cases_per_second: of these, by the run's wall time.
        core_hours_per_1000_cases: time that worker threads were held; None where no case was worked on.
        cpu_hours_per_1000_cases: time that they computed.
        worker_peak_bytes: largest memory of a worker in any task; driver_peak_bytes that of the run's own process.
        read_bytes, written_bytes: source files, and volumes and masks.
        workers_most: worker threads, the most at a time.
    """

    worked_cases: int = 0
    cases_per_second: float = 0.0
    core_hours_per_1000_cases: float | None = None
    cpu_hours_per_1000_cases: float | None = None
    worker_peak_bytes: int = 0
    driver_peak_bytes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    workers_most: int = 0
    commits: int = 0
    stages: list[StageCost] = field(default_factory=list)


class RunCost:
    """Adds up what the tasks of a run cost; its size does not grow with them.

    Args:
        workers: worker threads that the run begins with.
        inline: tasks run in the process of the run.
    """

    def __init__(self, workers: int, *, inline: bool) -> None:
        self.inline = inline
        self._looked = time.monotonic()
        self.stages: dict[str, Seconds] = {}
        self.worked_cases = 0
        self.read_bytes = self.written_bytes = self.peak_bytes = 0
        self.workers = self.most_workers = workers
        self.cpu_s = self._worker_s = 0.0

    def add(self, cost: Cost, times: int = 1) -> None:
        """Add a task's cost, its stages in equal parts where it did several things of a kind."""
        for stage, seconds in cost.seconds.items():
            self.stages.setdefault(stage, Seconds()).add(seconds / times, times)
        self.cpu_s += cost.cpu_s
        self.read_bytes += cost.read_bytes
        self.written_bytes += cost.written_bytes
        self.peak_bytes = max(self.peak_bytes, cost.peak_memory_bytes)

    def seconds_since_look(self) -> float:
        """Return how long ago the workers were counted."""
        return time.monotonic() - self._looked

    def hold(self, workers: int) -> None:
        """Take note that from now on the run holds so many workers."""
        now = time.monotonic()
        self._worker_s += self.workers * (now - self._looked)
        self._looked = now
        self.workers = workers
        self.most_workers = max(self.most_workers, workers)

    def summary(self, seconds: float, commits: int) -> CostSummary:
        """Return what the run cost until now, by its wall time and its appends to tables."""
        self.hold(self.workers)
        thousands = self.worked_cases / 1000
        return CostSummary(
            worked_cases=self.worked_cases,
            cases_per_second=round(self.worked_cases / seconds, 4) if seconds else 0.0,
            core_hours_per_1000_cases=round(self._worker_s / HOUR_S / thousands, 4) if thousands else None,
            cpu_hours_per_1000_cases=round(self.cpu_s / HOUR_S / thousands, 4) if thousands else None,
            worker_peak_bytes=self.peak_bytes,
            driver_peak_bytes=max(peak_memory_bytes(), self.peak_bytes if self.inline else 0),
            read_bytes=self.read_bytes,
            written_bytes=self.written_bytes,
            workers_most=self.most_workers,
            commits=commits,
            stages=[
                StageCost(
                    name,
                    timed.count,
                    round(timed.total_s, 3),
                    _rounded(timed.median_s()),
                    _rounded(timed.percentile_s(95)),
                )
                for name in STAGES
                if (timed := self.stages.get(name))
            ],
        )


def _rounded(seconds: float) -> float:
    return float(f"{seconds:.4g}")
