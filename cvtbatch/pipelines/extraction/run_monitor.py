"""How a run goes: what was planned, what is in flight and done, how its cases stand, and what it costs."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from cvtbatch.engine import Cluster
from cvtbatch.pipelines.extraction.case_plan import Reason
from cvtbatch.pipelines.extraction.case_states import CaseStates
from cvtbatch.pipelines.extraction.report import Progress, RunFigures, Stage
from cvtbatch.pipelines.extraction.row_batch import RowBatch
from cvtbatch.pipelines.extraction.run_cost import RunCost
from cvtbatch.pipelines.extraction.task_cost import Cost

WORKERS_COUNTED_SECONDS = 5.0
Task = TypeVar("Task")


class RunMonitor:
    """Counts what happens in a run, and tells it.

    Args:
        cases, rows: of the manifest.
        on_progress: called with the progress of the stage at work; may raise KeyboardInterrupt.
        on_notice: called with what the user should know.

    Attributes:
        cases: of the manifest.
        progress: of the stage at work.
        states: how the cases stand.
        reasons: cases that were planned, by reason; a case may have several.
        planned: cases that were planned.
    """

    def __init__(
        self,
        cases: int,
        rows: int,
        cluster: Cluster,
        on_progress: Callable[[Progress], None],
        on_notice: Callable[[str], None],
        sets: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.cases, self._cluster = cases, cluster
        self._on_progress, self._on_notice = on_progress, on_notice
        self._began_at = self._result_at = time.time()
        self._started = time.monotonic()
        self._in_flight = 0
        self._waiting_for = ""
        self.progress = Progress(total=cases)
        self.states = CaseStates(rows, sets)
        self.reasons: Counter[Reason] = Counter()
        self.planned = 0
        # A bit a row.
        self._worked = bytearray(rows // 8 + 1)
        self.cost = RunCost(cluster.slots(), inline=cluster.inline)

    def show(self) -> None:
        """Tell the progress."""
        self._on_progress(self.progress)

    def begin_stage(self, stage: Stage, total: int) -> None:
        """Count another stage's items from here on."""
        self.progress = Progress(total=total, stage=stage)

    def finish(self, failed: bool) -> None:
        """Count an item that the stage at work is done with."""
        self.progress.done += 1
        self.progress.failed += failed

    def plan(self, reasons: Iterable[Reason]) -> None:
        """Count a case that was planned."""
        self.reasons.update(reasons)
        self.planned += 1

    def hand_out(self, tasks: Iterable[Task]) -> Iterator[Task]:
        """Yield the tasks; each is in flight from here on."""
        for task in tasks:
            self._in_flight += 1
            yield task

    def work_on(self, row: int) -> None:
        """Count a case that workers are done with, or are about to outline or embed; once, whatever stages work on it."""
        if not self._worked[row >> 3] >> (row & 7) & 1:
            self._worked[row >> 3] |= 1 << (row & 7)
            self.cost.worked_cases += 1

    def take_back(self, cost: Cost | None, items: int = 1) -> None:
        """Count a task that is not in flight any more.

        The workers are counted now and then, since they may come and go.

        Args:
            cost: None where it never came back.
            items: things of a kind that it did.
        """
        self._in_flight -= 1
        self._result_at = time.time()
        if cost is not None:
            self.cost.add(cost, items)
        if not self.cost.workers or self.cost.seconds_since_look() >= WORKERS_COUNTED_SECONDS:
            self.cost.hold(self._cluster.slots())

    def wait(self, why: str) -> None:
        """Take note that no task has come back for a moment.

        Args:
            why: there is no worker, which the user is told once; empty while workers work.
        """
        if why:
            self.cost.hold(0)
            if why != self._waiting_for:
                self._on_notice(why)
        self._waiting_for = why
        self.show()

    def figures(self, run_id: str, batch: RowBatch) -> RunFigures:
        """Return how the run stands."""
        worked = self.cost.worked_cases
        return RunFigures(
            run_id=run_id,
            began_at=self._began_at,
            result_at=self._result_at,
            manifest_cases=self.cases,
            planned=self.planned,
            worked=worked,
            in_flight=self._in_flight,
            cases_per_second=worked / max(time.monotonic() - self._started, 1e-9),
            workers=self.cost.workers,
            worker_peak_bytes=self.cost.peak_bytes,
            worker_cpu_s=self.cost.cpu_s,
            read_bytes=self.cost.read_bytes,
            written_bytes=self.cost.written_bytes,
            stages=self.cost.stages,
            progress=replace(self.progress),
            first_states=self.states.first,
            states=self.states.now,
            failures=self.states.failures,
            rows=batch.appended,
            commits=batch.commits,
        )
