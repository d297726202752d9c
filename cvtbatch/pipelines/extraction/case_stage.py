"""The first stage of a run: cases become volumes, masks and features, or failures."""

from collections.abc import Iterable, Iterator

from cvtbatch.engine import Done, Outcome, Undone
from cvtbatch.pipelines.extraction.case_plan import CasePlan, CaseTask, Reason
from cvtbatch.pipelines.extraction.case_result import CaseResult, case_row
from cvtbatch.pipelines.extraction.case_task import process_case
from cvtbatch.pipelines.extraction.dispatcher import Dispatcher
from cvtbatch.pipelines.extraction.failure import Failure, FailureKey, KnownFailure, failure_of
from cvtbatch.pipelines.extraction.failure_events import FailureEvents
from cvtbatch.pipelines.extraction.limits import case_limit_s
from cvtbatch.pipelines.extraction.report import AuditSummary
from cvtbatch.pipelines.extraction.row_batch import RowBatch
from cvtbatch.pipelines.extraction.run_monitor import RunMonitor
from cvtbatch.pipelines.shared.unfinished import why_undone


class CaseStage:
    """Works off the plans of cases, and puts their rows and failures into the batch.

    Attributes:
        audit: how the values of audited outlines compare.
        decoded: cases of which a source was read.
        clinical_updated: cases whose clinical values were corrected and that are not new.
    """

    def __init__(self, dispatcher: Dispatcher, batch: RowBatch, monitor: RunMonitor, events: FailureEvents) -> None:
        self._dispatcher, self._batch, self._monitor, self._events = dispatcher, batch, monitor, events
        self.audit = AuditSummary()
        self.decoded = self.clinical_updated = 0

    def execute(self, plans: Iterable[CasePlan]) -> None:
        """Work the plans off as they are made, and commit batch by batch.

        Raises:
            StorageError: the store cannot be written.
            ResourceError: the scheduler went away.
        """
        self._monitor.show()
        for outcome in self._dispatcher.run(process_case, self._tasks(plans), case_limit_s):
            self._add(outcome)
            self._batch.commit_if_due()
        self._batch.commit()
        self._monitor.show()

    def _tasks(self, plans: Iterable[CasePlan]) -> Iterator[CaseTask]:
        """Yield what has to be worked on; take the rest into the batch on the way."""
        for plan in plans:
            self._monitor.plan(plan.reasons)
            self.clinical_updated += plan.update_clinical and Reason.NEW not in plan.reasons
            for key in plan.ended:
                self._events.end(plan.case, key)
            if plan.task is None:
                self._add_idle(plan)
                self._batch.commit_if_due()
            else:
                yield plan.task

    def _add_idle(self, plan: CasePlan) -> None:
        """Count a case that needs no work, and record what changed about it without any."""
        states = self._monitor.states
        if plan.update_clinical:
            self._batch.hold("cases", [case_row(plan.case)])
        self._monitor.finish(failed=bool(plan.standing))
        if plan.standing:
            states.settle_failed(plan.case.manifest_row, plan.standing)
        elif plan.goes_on:
            states.note_begun(plan.case.manifest_row)
        else:
            states.settle(plan.case.manifest_row, "already_done" if plan.case.masked_rois() else "awaiting_mask")

    def _add(self, outcome: Outcome[CaseTask, CaseResult]) -> None:
        """Take what a worker gave back for a case."""
        task, case = outcome.item, outcome.item.case
        result = outcome.result if isinstance(outcome, Done) else _undone(outcome)
        self._batch.hold("cases", [case_row(case)])
        for name, rows in result.rows.items():
            self._batch.hold(name, rows)
        for key in task.failures:
            if key in result.succeeded:
                self._events.end(case, key)
        for failure in result.failures:
            self._events.add(case, failure)
        self.audit.add(result.audits)
        self._monitor.take_back(result.cost)
        self._monitor.work_on(case.manifest_row)
        self._batch.count_item()
        self.decoded += result.decoded
        self._settle(task, result)

    def _settle(self, task: CaseTask, result: CaseResult) -> None:
        """Count the case by what has become of it."""
        states, row = self._monitor.states, task.case.manifest_row
        failures: list[Failure | KnownFailure] = [*result.failures, *task.standing]
        self._monitor.finish(failed=bool(failures))
        if failures:
            states.settle_failed(row, failures)
        elif not task.case.masked_rois():
            states.settle(row, "awaiting_mask")
        else:
            states.settle(row, "computed" if result.computed else "already_done")


def _undone(outcome: Undone[CaseTask]) -> CaseResult:
    """Return the result of a case that no worker could do."""
    task = outcome.item
    failure = failure_of(
        why_undone(outcome, "this case"),
        FailureKey("", task.work.volume_spec_id),
        stage="worker",
        source_fingerprint=task.failure_fingerprint,
        manifest_row=task.case.manifest_row,
    )
    return CaseResult({}, (failure,), (), (), decoded=False, computed=False)
