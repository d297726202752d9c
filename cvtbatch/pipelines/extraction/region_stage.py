"""The stage of a run in which regions are derived of outlines that are stored, people's and found ones, and get their features."""

from collections.abc import Iterable

from cvtbatch.engine import Done, Outcome, Undone
from cvtbatch.pipelines.extraction.dispatcher import Dispatcher
from cvtbatch.pipelines.extraction.failure import failure_of
from cvtbatch.pipelines.extraction.failure_events import FailureEvents
from cvtbatch.pipelines.extraction.limits import region_limit_s
from cvtbatch.pipelines.extraction.region_plan import RegionPlan, RegionTask
from cvtbatch.pipelines.extraction.region_result import RegionResult
from cvtbatch.pipelines.extraction.region_task import derive_regions
from cvtbatch.pipelines.extraction.report import AuditSummary, RegionSummary
from cvtbatch.pipelines.extraction.row_batch import RowBatch
from cvtbatch.pipelines.extraction.run_monitor import RunMonitor
from cvtbatch.pipelines.shared.unfinished import why_undone


class RegionStage:
    """Derives what the plans leave to do, and puts rows and failures into the batch.

    Args:
        summaries: count what became of regions, by name.
        audit: takes in how the values of audited regions compare.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        batch: RowBatch,
        monitor: RunMonitor,
        events: FailureEvents,
        summaries: dict[str, RegionSummary],
        audit: AuditSummary,
    ) -> None:
        self._dispatcher, self._batch, self._monitor, self._events = dispatcher, batch, monitor, events
        self._summaries, self._audit = summaries, audit

    def execute(self, plans: Iterable[RegionPlan]) -> None:
        """Work the plans off, and commit batch by batch.

        Args:
            plans: gone through twice, to count and to work, since a million of them are not held.

        Raises:
            StorageError, FormatError: the store cannot be read or written.
            ResourceError: the scheduler went away.
        """
        cases = 0
        for plan in plans:
            for ended in plan.ended:
                self._events.end(plan.case, ended)
            if plan.standing:
                self._monitor.states.settle_failed(plan.case.manifest_row, plan.standing)
            if plan.task is not None:
                self._monitor.work_on(plan.case.manifest_row)
                cases += 1
            self._batch.commit_if_due()
        self._monitor.begin_stage("region", cases)
        tasks = (plan.task for plan in plans if plan.task is not None)
        for outcome in self._dispatcher.run(derive_regions, tasks, region_limit_s) if cases else ():
            self._add(outcome)
        self._batch.commit()
        self._monitor.show()

    def _add(self, outcome: Outcome[RegionTask, RegionResult]) -> None:
        """Take what a worker gave back for a case."""
        task, case = outcome.item, outcome.item.case
        result = outcome.result if isinstance(outcome, Done) else _undone(outcome)
        self._monitor.take_back(result.cost)
        for name, rows in result.rows.items():
            self._batch.hold(name, rows)
        for row in result.rows.get("regions", ()):
            self._summaries[str(row["region"])].count(row["reason"])
        for key in task.failures:
            if key in result.succeeded:
                self._events.end(case, key)
        for failure in result.failures:
            self._events.add(case, failure)
        self._audit.add(result.audits)
        if result.failures:
            self._monitor.states.settle_failed(case.manifest_row, result.failures)
        else:
            self._monitor.states.settle(case.manifest_row, "computed")
        self._monitor.finish(failed=bool(result.failures))
        self._batch.count_item()
        self._batch.commit_if_due()


def _undone(outcome: Undone[RegionTask]) -> RegionResult:
    """Return the result of a case whose regions no worker could derive."""
    error = why_undone(outcome, "this case")
    return RegionResult(
        {},
        tuple(
            failure_of(
                error,
                region.failure_key,
                stage="worker",
                source_fingerprint=region.fingerprint,
                manifest_row=region.source.manifest_row,
            )
            for region in outcome.item.regions()
        ),
    )
