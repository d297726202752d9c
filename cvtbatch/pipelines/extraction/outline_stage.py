"""The second stage of a run, where a method outlines: stored volumes become outlines and their features, or bear none."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from cvtbatch.engine import Done, Outcome, Undone
from cvtbatch.pipelines.extraction.dispatcher import Dispatcher
from cvtbatch.pipelines.extraction.failure import FailureKey, failure_of
from cvtbatch.pipelines.extraction.failure_events import FailureEvents
from cvtbatch.pipelines.extraction.limits import outline_limit_s
from cvtbatch.pipelines.extraction.outline_plan import OutlinePlan, OutlineWork, VolumeInput, pack
from cvtbatch.pipelines.extraction.outline_result import Outlined, OutlineResult, OutlineTask
from cvtbatch.pipelines.extraction.outline_task import outline_volumes
from cvtbatch.pipelines.extraction.placement import place
from cvtbatch.pipelines.extraction.report import AuditSummary, OutlineSummary
from cvtbatch.pipelines.extraction.row_batch import RowBatch
from cvtbatch.pipelines.extraction.run_monitor import RunMonitor
from cvtbatch.pipelines.shared.unfinished import why_undone


class OutlineStage:
    """Outlines what the plans leave to do, and puts rows and failures into the batch.

    Args:
        summary: counts what was outlined.
        audit: takes in how the values of audited outlines compare.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        batch: RowBatch,
        monitor: RunMonitor,
        events: FailureEvents,
        work: OutlineWork,
        summary: OutlineSummary,
        audit: AuditSummary,
    ) -> None:
        self._dispatcher, self._batch, self._monitor, self._events = dispatcher, batch, monitor, events
        self._work, self._summary, self._audit = work, summary, audit
        self._started = time.monotonic()

    def execute(self, plans: Iterable[OutlinePlan], write_weights: Callable[[], None], plans_are_new: bool) -> None:
        """Work the plans off, and commit batch by batch.

        Args:
            plans: gone through twice, to count and to work, since a million of them are not held.
            write_weights: called before anything is outlined.
            plans_are_new: no stage before this one has counted the cases.

        Raises:
            StorageError, FormatError: the store cannot be read or written, or its weights are damaged.
            ResourceError: the scheduler went away, or the device is not there.
        """
        volumes = 0
        for plan in plans:
            if plans_are_new:
                self._monitor.plan(plan.reasons())
            if plan.pending is not None:
                self._monitor.work_on(plan.case.manifest_row)
            self._settle(plan)
            volumes += plan.pending is not None
            self._batch.commit_if_due()
        self._monitor.begin_stage("outline", volumes)
        if volumes:
            write_weights()
            self._outline(plan.pending for plan in plans if plan.pending is not None)
        self._batch.commit()
        self._monitor.show()

    def _settle(self, plan: OutlinePlan) -> None:
        """Count a case by what is known of it now."""
        states, row = self._monitor.states, plan.case.manifest_row
        for ended in plan.ended:
            self._events.end(plan.case, ended)
        if plan.standing:
            states.settle_failed(row, plan.standing)
        if plan.blocked and states.state(row) != "failed":
            states.settle_failed(row, plan.blocked)
        if plan.pending is None:
            states.settle(row, plan.idle())

    def _outline(self, pending: Iterable[VolumeInput]) -> None:
        suspects: list[VolumeInput] = []
        for outcome in self._run(pack(pending, self._work.together)):
            if isinstance(outcome, Done):
                self._add(outcome.result)
            elif len(outcome.item.volumes) == 1:
                self._add(_undone(outcome))
            else:
                self._monitor.take_back(None)
                suspects += outcome.item.volumes
        # One of them took its workers down; alone, it is found, and the others are done.
        for outcome in self._run(pack(suspects, 1)) if suspects else ():
            self._add(outcome.result if isinstance(outcome, Done) else _undone(outcome))

    def _run(self, packed: Iterable[tuple[VolumeInput, ...]]) -> Iterator[Outcome[OutlineTask, OutlineResult]]:
        settings = self._work.settings
        placement = place("cpu" if settings.method == "threshold" else settings.device, self._dispatcher.cluster)
        work = replace(self._work, settings=replace(settings, device=placement.device), threads=placement.threads)
        tasks = (OutlineTask(work, volumes) for volumes in packed)
        return self._dispatcher.run(outline_volumes, tasks, outline_limit_s, placement.resource)

    def _add(self, of_task: OutlineResult) -> None:
        """Take what a worker gave back for its volumes."""
        self._monitor.take_back(of_task.cost, len(of_task.volumes))
        for result in of_task.volumes:
            for name, rows in result.rows.items():
                self._batch.hold(name, rows)
            for key in result.volume.failures:
                if key in result.succeeded:
                    self._events.end(result.volume, key)
            for failure in result.failures:
                self._events.add(result.volume, failure)
            self._audit.add(result.audits)
            self._count(result)
            self._monitor.finish(failed=bool(result.failures))
            self._batch.count_item()
        self._summary.seconds = round(time.monotonic() - self._started, 3)
        self._batch.commit_if_due()

    def _count(self, result: Outlined) -> None:
        """Count the case by what has become of it."""
        states, row = self._monitor.states, result.volume.manifest_row
        if result.rows.get("outlines"):
            self._summary.volumes += 1
            self._summary.rois += result.found or 0
            self._summary.without_hemorrhage += result.found == 0
        if result.failures:
            states.settle_failed(row, result.failures)
        elif result.found == 0 and not result.volume.case.masked_rois():
            states.settle(row, "no_hemorrhage")
        else:
            states.settle(row, "computed" if result.computed else "already_done")


def _undone(outcome: Undone[OutlineTask]) -> OutlineResult:
    """Return the result of a volume that no worker could outline, alone."""
    [volume] = outcome.item.volumes
    failure = failure_of(
        why_undone(outcome, "this volume"),
        FailureKey("", outcome.item.work.outline_spec_id),
        stage="worker",
        source_fingerprint=volume.fingerprint,
        manifest_row=volume.manifest_row,
    )
    return OutlineResult((Outlined(volume, {}, (failure,), (), (), None, computed=False),))
