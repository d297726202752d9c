"""Hands tasks of a run to its workers, and its rows to the store while none comes back."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import TypeVar

from cvtbatch import engine
from cvtbatch.engine import Cluster, Outcome
from cvtbatch.pipelines.extraction.row_batch import RowBatch
from cvtbatch.pipelines.extraction.run_monitor import RunMonitor

Task = TypeVar("Task")
Result = TypeVar("Result")


class Dispatcher:
    """Runs tasks of every stage of a run in the same way: counted, and with commits while nothing comes back.

    Args:
        stated_limit_s: how long a case may take, as the job says; None for as its size tells.
    """

    def __init__(self, cluster: Cluster, monitor: RunMonitor, batch: RowBatch, stated_limit_s: float | None) -> None:
        self.cluster = cluster
        self._monitor, self._batch, self._stated_limit_s = monitor, batch, stated_limit_s

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        limit_s: Callable[[Task, float | None], float],
        resource: str | None = None,
    ) -> Iterator[Outcome[Task, Result]]:
        """Yield what becomes of tasks, as they come back; progress is told before an outcome counts.

        So of a task that was interrupted nothing counts.

        Args:
            limit_s: how long a task may take, by what the job states.
            resource: that workers must advertise.
        """
        outcomes = engine.run(
            self.cluster,
            function,
            self._monitor.hand_out(tasks),
            resource=resource,
            limit_s=lambda task: limit_s(task, self._stated_limit_s),
            on_wait=self._wait,
        )
        # Closed at once where the run is interrupted: what is in flight is not waited for while the rest is committed.
        with closing(outcomes):
            for outcome in outcomes:
                self._monitor.show()
                yield outcome

    def _wait(self, why: str) -> None:
        self._monitor.wait(why)
        self._batch.commit_if_due()
