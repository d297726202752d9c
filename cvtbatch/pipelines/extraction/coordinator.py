"""The coordinator of a run: turns outcomes into batches of rows, and is the only one that appends them to the tables."""

import datetime
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Protocol, TypeVar

from cvtbatch import contracts
from cvtbatch.engine import Cluster, Done, Outcome, Undone, run_inline, run_on_workers, worker_slots
from cvtbatch.errors import CvtbatchError
from cvtbatch.manifest import Manifest
from cvtbatch.pipelines.extraction.case_plan import CasePlan, CaseTask, Reason, Work
from cvtbatch.pipelines.extraction.case_result import CaseResult, Row, case_row
from cvtbatch.pipelines.extraction.case_states import Tally
from cvtbatch.pipelines.extraction.case_task import process_case
from cvtbatch.pipelines.extraction.embedding_plan import EmbeddingWork
from cvtbatch.pipelines.extraction.failure import Failure, failure_of
from cvtbatch.pipelines.extraction.limits import case_limit_s
from cvtbatch.pipelines.extraction.report import (
    BATCH_ORDER,
    STATES,
    EmbeddingSummary,
    ExtractReport,
    Progress,
    reason_counts,
)
from cvtbatch.pipelines.extraction.run_cost import RunCost
from cvtbatch.pipelines.extraction.run_record import cost_columns, library_versions, shareable_job
from cvtbatch.pipelines.extraction.stored_cases import FailureKey
from cvtbatch.pipelines.extraction.task_cost import Cost
from cvtbatch.pipelines.shared.job import Job
from cvtbatch.pipelines.shared.run_log import Level, UserLog
from cvtbatch.pipelines.shared.unfinished import why_undone
from cvtbatch.spec import Spec, canonical_json
from cvtbatch.store import FeatureStore

# JSON knows no infinity; a value beside NaN is this many tolerances away.
LARGEST_DEVIATION = 1e300
WORKERS_COUNTED_SECONDS = 5.0
Task = TypeVar("Task")
# Values of rows that are held before they are committed, however few cases they are: as Python objects, some 40 MB.
HELD_VALUES = 400_000
COLUMNS = {name: len(contracts.table(name).fields) for name in BATCH_ORDER}


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run does: its job, resolved.

    Attributes:
        extracts: volumes and features are made; else embeddings alone, of what is stored.
        embedding: None where embeddings are not asked for.
        weights_file: of the backbone, for the store; None where workers make them themselves.
    """

    job: Job
    work: Work
    specs: tuple[Spec, ...]
    extracts: bool
    embedding: EmbeddingWork | None
    weights_file: bytes | None


class Subject(Protocol):
    """What a failure is about: a case, or an outline of it."""

    @property
    def case_key(self) -> str: ...
    @property
    def center(self) -> str: ...
    @property
    def case_id(self) -> str: ...
    @property
    def manifest_row(self) -> int: ...


def new_report(settings: Settings, run_id: str | None) -> ExtractReport:
    work, embedding = settings.work, settings.embedding
    report = ExtractReport(work.store_url, run_id, work.volume_spec_id, work.radiomics_spec_id, "")
    if embedding is not None:
        report.embedding_spec_id = embedding.embedding_spec_id
        report.embeddings = EmbeddingSummary(embedding.weights.source, embedding.not_for_inference)
    return report


class Coordinator:
    """The coordinator: turns outcomes into batches, and commits them."""

    def __init__(
        self,
        store: FeatureStore,
        settings: Settings,
        cluster: Cluster,
        manifest: Manifest,
        run_id: str,
        log: UserLog,
        on_progress: Callable[[Progress], None],
        on_failure: Callable[[str], None],
        on_notice: Callable[[str], None],
    ) -> None:
        self.store, self.settings, self.cluster, self.manifest = store, settings, cluster, manifest
        self.run_id, self.log = run_id, log
        self.on_progress, self.on_failure, self.on_notice = on_progress, on_failure, on_notice
        self.report = new_report(settings, run_id)
        self.progress = Progress(total=len(manifest))
        self.cost = RunCost(_workers(cluster), inline=cluster.client is None)
        self.reasons: Counter[Reason] = Counter()
        self.batch: dict[str, list[Row]] = {name: [] for name in BATCH_ORDER}
        self.batched_cases = 0
        self.waiting_for = ""
        self.committed_at = time.monotonic()
        self.began_at = self.result_at = time.time()
        self.started = time.monotonic()
        self.in_flight = 0
        self.tally = Tally(manifest.rows)

    def begin(self) -> None:
        rows = [
            {
                "spec_id": spec.spec_id,
                "kind": spec.kind,
                "parent_id": spec.parent_id,
                "settings": spec.settings,
                **self._book(),
            }
            for spec in self.settings.specs
        ]
        self.store.table("specs").append(rows)
        self._append_run("started", "")
        self._log(
            "info",
            "run_started",
            cases=len(self.manifest),
            workers=self.cluster.description,
            private=f"store {self.store.location.url}",
        )

    def end(self, state: str, reason: str) -> None:
        """Record how the run ended; what was done when it was stopped is committed, if the store allows it."""
        self._count()
        try:
            self.commit()
            self.report.cost = self.cost.summary(self.report.seconds)
            self._append_run(state, reason)
        except CvtbatchError as error:
            self._log("error", "end_not_recorded", kind=error.kind, message=error.message, private=error.private)
            if state == "completed":
                raise
            self.on_notice(f"the end of the run could not be recorded: {error}")
        self._log(
            "info" if state == "completed" else "warning",
            "run_ended",
            state=state,
            kind=reason,
            seconds=self.report.seconds,
            **{name: getattr(self.report, name) for name in STATES},
        )

    def execute(self, plans: Iterable[CasePlan]) -> None:
        """Work the plans off as they are made, and commit batch by batch."""
        self.on_progress(self.progress)
        for outcome in self._outcomes(self._tasks(plans)):
            # Before the outcome counts: of a case that was interrupted, nothing does.
            self.on_progress(self.progress)
            self._add(outcome)
            self.commit_if_due()
        self.commit()
        self.on_progress(self.progress)

    def _tasks(self, plans: Iterable[CasePlan]) -> Iterator[CaseTask]:
        """Yield what has to be worked on; take the rest into the batch on the way."""
        for plan in plans:
            self.count_reasons(plan.reasons)
            self.report.clinical_updated += plan.update_clinical and Reason.NEW not in plan.reasons
            for key in plan.ended:
                self.add_event(plan.case, key, None)
            if plan.task is None:
                self._add_idle(plan)
                self.commit_if_due()
            else:
                yield plan.task

    def _outcomes(self, tasks: Iterable[CaseTask]) -> Iterator[Outcome[CaseTask, CaseResult]]:
        if self.cluster.client is None:
            return run_inline(process_case, self.handed_out(tasks))
        return run_on_workers(
            self.cluster.client,
            process_case,
            self.handed_out(tasks),
            limit_s=lambda task: case_limit_s(task, self.settings.job.run.time_limit_s),
            on_wait=self.wait,
        )

    def wait(self, why: str) -> None:
        """Use the time in which no outcome comes: commit what is due, and say what is wrong, once.

        Args:
            why: there is no worker; empty while workers work.
        """
        if why:
            self.cost.hold(0)
            if why != self.waiting_for:
                self.on_notice(why)
        self.waiting_for = why
        self.on_progress(self.progress)
        self.commit_if_due()

    def handed_out(self, tasks: Iterable[Task]) -> Iterator[Task]:
        """Yield the tasks; each is in flight from here on."""
        for task in tasks:
            self.in_flight += 1
            yield task

    def _add_idle(self, plan: CasePlan) -> None:
        """Count a case that needs no work, and record what changed about it without any."""
        if plan.update_clinical:
            self.batch["cases"].append(case_row(plan.case))
        self.progress.done += 1
        if plan.standing:
            self.progress.failed += 1
            self.tally.settle_failed(plan.case.manifest_row, plan.standing)
        elif not plan.embeds:
            self.tally.settle(plan.case.manifest_row, "already_done" if plan.case.masked_rois() else "awaiting_mask")

    def _add(self, outcome: Outcome[CaseTask, CaseResult]) -> None:
        task, case = outcome.item, outcome.item.case
        result = outcome.result if isinstance(outcome, Done) else _undone(outcome)
        self.batch["cases"].append(case_row(case))
        for name, rows in result.rows.items():
            self.batch[name].extend(rows)
        for key in task.failures:
            if key in result.succeeded:
                self.add_event(case, key, None)
        for failure in result.failures:
            self.add_event(case, (failure.roi_key, failure.spec_id, failure.scope, failure.input_digest), failure)
        self._add_audits(result)
        self.add_cost(result.cost)
        self.cost.worked_cases += 1
        self.batched_cases += 1
        self.report.decoded += result.decoded
        self.progress.done += 1
        if result.failures or task.standing:
            self.progress.failed += 1
            self.tally.settle_failed(case.manifest_row, [*result.failures, *task.standing])
        elif not case.masked_rois():
            self.tally.settle(case.manifest_row, "awaiting_mask")
        else:
            self.tally.settle(case.manifest_row, "computed" if result.computed else "already_done")

    def add_cost(self, cost: Cost | None, times: int = 1) -> None:
        """Add what a task that came back took; the workers are counted now and then, since they may come and go."""
        self.in_flight -= 1
        self.result_at = time.time()
        if cost is not None:
            self.cost.add(cost, times)
        if not self.cost.workers or self.cost.seconds_since_look() >= WORKERS_COUNTED_SECONDS:
            self.cost.hold(_workers(self.cluster))

    def count_reasons(self, reasons: Iterable[Reason]) -> None:
        """Count a case that was planned."""
        self.reasons.update(reasons)
        self.report.cases += 1

    def _count(self) -> None:
        """Bring the report up to what was counted."""
        report = self.report
        report.plan = reason_counts(self.reasons)
        report.failures = [
            {"stage": stage, "kind": kind, "cases": cases}
            for (stage, kind), cases in sorted(self.tally.failures.items())
        ]
        for state in STATES:
            setattr(report, state, self.tally.now[state])

    def rate(self) -> float:
        """Return how many cases a second workers were done with, since the run began."""
        return self.cost.worked_cases / max(time.monotonic() - self.started, 1e-9)

    def _add_audits(self, result: CaseResult) -> None:
        largest = self.report.audit.largest_deviation
        for audit in result.audits:
            self.report.audit.rois += 1
            for feature_class, size in audit.largest_deviation.items():
                largest[feature_class] = max(min(size, LARGEST_DEVIATION), largest.get(feature_class, 0.0))

    def add_event(self, subject: Subject, key: FailureKey, failure: Failure | None) -> None:
        """Add a row to `failures`: a failure, or that the key has succeeded since."""
        roi_key, spec_id, scope, input_digest = key
        row: Row = {
            "case_key": subject.case_key,
            "center": subject.center,
            "case_id": subject.case_id,
            "roi_key": roi_key,
            "spec_id": spec_id,
            "scope": scope,
            "input_digest": input_digest,
            "stage": failure.stage if failure else "read",
            "kind": failure.kind if failure else "ended",
            "message": failure.message if failure else "done since, or its outline withdrawn",
            "traceback_digest": failure.traceback_digest if failure else "",
            "source_fingerprint": failure.source_fingerprint if failure else "",
            "resolved": failure is None,
            "manifest_row": failure.manifest_row if failure else subject.manifest_row,
        }
        self.batch["failures"].append(row)
        if failure is not None:
            where = f"row {failure.manifest_row}, {roi_key or subject.case_key}"
            self._log(
                "error",
                "failed",
                case_key=subject.case_key,
                roi_key=roi_key,
                manifest_row=failure.manifest_row,
                stage=failure.stage,
                kind=failure.kind,
                message=failure.message,
                private=failure.private,
            )
            text = f"failed: {where}: {failure.stage}: {failure.kind}: {failure.message}"
            self.on_failure(text + _bracketed(failure.private))

    def _log(self, level: Level, event: str, **what: object) -> None:
        problem = self.log.write(level, event, **what)
        if problem:
            self.on_notice(problem)

    def commit_if_due(self) -> None:
        """Append the batch if it is large, old or heavy."""
        run = self.settings.job.run
        late = time.monotonic() - self.committed_at >= run.commit_seconds
        held = sum(len(rows) * COLUMNS[name] for name, rows in self.batch.items() if rows)
        if late or held >= HELD_VALUES or self.batched_cases >= run.commit_cases:
            self.commit()

    def commit(self) -> None:
        """Append the batch, table by table."""
        appended: dict[str, int] = {}
        book = self._book()
        for name in BATCH_ORDER:
            rows = self.batch[name]
            for row in rows:
                row.update(book)
            if rows:
                appended[name] = self.store.table(name).append(rows)
                self.report.rows[name] += appended[name]
                self.batch[name] = []
                self.cost.commits += 1
        if appended:
            self._log("info", "committed", cases=self.batched_cases, rows=appended)
        self.batched_cases = 0
        self.committed_at = time.monotonic()

    def _book(self) -> Row:
        return {"run_id": self.run_id, "recorded_at": datetime.datetime.now(datetime.UTC)}

    def _append_run(self, state: str, reason: str) -> None:
        report, work = self.report, self.settings.work
        self.store.table("runs").append(
            [
                {
                    "command": "extract",
                    "state": state,
                    "reason": reason,
                    "job": shareable_job(self.settings.job),
                    "manifest_digest": self.manifest.sha256,
                    "volume_spec_id": work.volume_spec_id,
                    "radiomics_spec_id": work.radiomics_spec_id,
                    "libraries": library_versions(),
                    "workers": self.cluster.description,
                    "cases": len(self.manifest),
                    "computed": report.computed,
                    "already_done": report.already_done,
                    "failed": report.failed,
                    "awaiting_mask": report.awaiting_mask,
                    "seconds": report.seconds,
                    "audit": canonical_json(asdict(report.audit)),
                    "embedding_spec_id": report.embedding_spec_id,
                    "embeddings": canonical_json(asdict(report.embeddings)),
                    **(cost_columns(report) if state != "started" else {}),
                    **self._book(),
                }
            ]
        )


def _workers(cluster: Cluster) -> int:
    return 1 if cluster.client is None else worker_slots(cluster.client)


def _undone(outcome: Undone[CaseTask]) -> CaseResult:
    """Return the result of a case that no worker could do."""
    task = outcome.item
    failure = failure_of(
        why_undone(outcome, "this case"),
        roi_key="",
        spec_id=task.work.volume_spec_id,
        scope="extraction",
        stage="worker",
        source_fingerprint=task.failure_fingerprint,
        manifest_row=task.case.manifest_row,
    )
    return CaseResult({}, (failure,), (), (), decoded=False, computed=False)


def _bracketed(text: str) -> str:
    return f" [{text}]" if text else ""
