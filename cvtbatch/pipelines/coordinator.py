"""The coordinator of a run: turns outcomes into batches of rows, and is the only one that appends them to the tables."""

import datetime
import json
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from importlib import metadata

import cvtbatch
from cvtbatch.engine import Cluster, Done, Lost, Outcome, run_inline, run_on_workers
from cvtbatch.errors import CvtbatchError
from cvtbatch.manifest import Case, Manifest
from cvtbatch.pipelines.case import CaseResult, Row, case_row, process_case
from cvtbatch.pipelines.failure import Failure
from cvtbatch.pipelines.job import Job
from cvtbatch.pipelines.known import FailureKey
from cvtbatch.pipelines.plan import CasePlan, CaseTask, Reason, Work
from cvtbatch.pipelines.user_log import UserLog
from cvtbatch.radiomics import PROFILES
from cvtbatch.spec import Spec, canonical_json
from cvtbatch.store import FeatureStore

# Order of a batch: a row is never there before the rows that it stands on, nor a value before what an audit said of it.
BATCH_ORDER = ("volumes", "cases", "rois", "failures", "radiomics")
# JSON knows no infinity; a value beside NaN is this many tolerances away.
LARGEST_DEVIATION = 1e300
LIBRARIES = (
    "numpy",
    "scipy",
    "SimpleITK",
    "pydicom",
    "pyradiomics",
    "PyWavelets",
    "trimesh",
    "zarr",
    "deltalake",
    "pyarrow",
    "dask",
    "distributed",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run does: its job, resolved."""

    job: Job
    work: Work
    specs: tuple[Spec, ...]


@dataclass(slots=True)
class Progress:
    """Cases while a run goes on: of how many, done with, and of those failed."""

    total: int = 0
    done: int = 0
    failed: int = 0


@dataclass(slots=True)
class AuditSummary:
    """How many ROIs were compared with stock PyRadiomics, and the largest deviation by class, in units of the tolerance."""

    rois: int = 0
    largest_deviation: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class ExtractReport:
    """What a run did; every case is counted once in computed, already_done, failed or awaiting_mask."""

    store: str
    run_id: str | None
    volume_spec_id: str
    radiomics_spec_id: str
    dry_run: bool = False
    cases: int = 0
    computed: int = 0
    already_done: int = 0
    failed: int = 0
    awaiting_mask: int = 0
    clinical_updated: int = 0
    decoded: int = 0
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BATCH_ORDER, 0))
    failures: list[dict[str, str | int]] = field(default_factory=list)
    audit: AuditSummary = field(default_factory=AuditSummary)
    plan: list[dict[str, str | int]] = field(default_factory=list)
    seconds: float = 0.0

    def to_document(self) -> dict[str, object]:
        """Return the JSON document of `cvtbatch extract --json`."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {"command": "extract", **fields, "audit": asdict(self.audit)}


def new_report(settings: Settings, run_id: str | None) -> ExtractReport:
    work = settings.work
    return ExtractReport(work.store_url, run_id, work.volume_spec_id, work.radiomics_spec_id)


def reason_counts(reasons: Counter[Reason]) -> list[dict[str, str | int]]:
    return [{"reason": str(reason), "cases": reasons[reason]} for reason in Reason if reasons[reason]]


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
        on_private: Callable[[str], None],
    ) -> None:
        self.store, self.settings, self.cluster, self.manifest = store, settings, cluster, manifest
        self.run_id, self.log, self.on_private = run_id, log, on_private
        self.report = new_report(settings, run_id)
        self.progress = Progress(total=len(manifest))
        self.reasons: Counter[Reason] = Counter()
        self.batch: dict[str, list[Row]] = {name: [] for name in BATCH_ORDER}
        self.batched_cases = 0
        self.committed_at = time.monotonic()
        self.failed_by: Counter[tuple[str, str]] = Counter()

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

    def end(self, state: str, reason: str) -> None:
        """Record how the run ended; what was done when it was stopped is committed, if the store allows it."""
        try:
            self.commit()
            self._append_run(state, reason)
        except CvtbatchError as error:
            if state == "completed":
                raise
            self._tell(f"the end of the run could not be recorded: {error}")

    def execute(self, plans: Iterable[CasePlan], on_progress: Callable[[Progress], None]) -> None:
        """Work the plans off as they are made, and commit batch by batch."""
        run = self.settings.job["run"]
        on_progress(self.progress)
        for outcome in self._outcomes(self._tasks(plans)):
            # Before the outcome counts: of a case that was interrupted, nothing does.
            on_progress(self.progress)
            self._add(outcome)
            if (
                self.batched_cases >= run["commit_cases"]
                or time.monotonic() - self.committed_at >= run["commit_seconds"]
            ):
                self.commit()
        self.commit()
        on_progress(self.progress)
        self.report.failures = [
            {"stage": stage, "kind": kind, "cases": count} for (stage, kind), count in sorted(self.failed_by.items())
        ]

    def _tasks(self, plans: Iterable[CasePlan]) -> Iterator[CaseTask]:
        """Yield what has to be worked on; take the rest into the batch on the way."""
        for plan in plans:
            self.reasons.update(plan.reasons)
            self.report.cases += 1
            self.report.plan = reason_counts(self.reasons)
            self.report.clinical_updated += plan.update_clinical and Reason.NEW not in plan.reasons
            for key in plan.ended:
                self._add_event(plan.case, key, None)
            if plan.task is None:
                self._add_idle(plan)
            else:
                yield plan.task

    def _outcomes(self, tasks: Iterable[CaseTask]) -> Iterator[Outcome[CaseTask, CaseResult]]:
        if self.cluster.client is None:
            return run_inline(process_case, tasks)
        return run_on_workers(self.cluster.client, process_case, tasks)

    def _add_idle(self, plan: CasePlan) -> None:
        """Count a case that needs no work, and record what changed about it without any."""
        if plan.update_clinical:
            self.batch["cases"].append(case_row(plan.case))
        self.progress.done += 1
        if plan.standing:
            self._count_failed({(failure.stage, failure.kind) for failure in plan.standing})
        elif not plan.case.masked_rois():
            self.report.awaiting_mask += 1
        else:
            self.report.already_done += 1

    def _add(self, outcome: Outcome[CaseTask, CaseResult]) -> None:
        task, case = outcome.item, outcome.item.case
        result = outcome.result if isinstance(outcome, Done) else _lost(outcome)
        self.batch["cases"].append(case_row(case))
        for name, rows in result.rows.items():
            self.batch[name].extend(rows)
        for key in task.failures:
            if key in result.succeeded:
                self._add_event(case, key, None)
        for failure in result.failures:
            self._add_event(case, (failure.roi_key, failure.spec_id, failure.scope, failure.input_digest), failure)
        self._add_audits(result)
        self.batched_cases += 1
        self.report.decoded += result.decoded
        self.progress.done += 1
        if result.failures or task.standing:
            kinds = {(failure.stage, failure.kind) for failure in result.failures}
            self._count_failed(kinds | {(failure.stage, failure.kind) for failure in task.standing})
        elif not case.masked_rois():
            self.report.awaiting_mask += 1
        elif result.computed:
            self.report.computed += 1
        else:
            self.report.already_done += 1

    def _count_failed(self, kinds: set[tuple[str, str]]) -> None:
        self.report.failed += 1
        self.progress.failed += 1
        self.failed_by.update(kinds)

    def _add_audits(self, result: CaseResult) -> None:
        largest = self.report.audit.largest_deviation
        for audit in result.audits:
            self.report.audit.rois += 1
            for feature_class, size in audit.largest_deviation.items():
                largest[feature_class] = max(min(size, LARGEST_DEVIATION), largest.get(feature_class, 0.0))

    def _add_event(self, case: Case, key: FailureKey, failure: Failure | None) -> None:
        """Add a row to `failures`: a failure, or that the key has succeeded since."""
        roi_key, spec_id, scope, input_digest = key
        row: Row = {
            "case_key": case.case_key,
            "center": case.center,
            "case_id": case.case_id,
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
            "manifest_row": failure.manifest_row if failure else case.manifest_row,
        }
        self.batch["failures"].append(row)
        if failure is not None:
            where = f"row {failure.manifest_row}, {roi_key or case.case_key}"
            self._tell(
                f"failed: {where}: {failure.stage}: {failure.kind}: {failure.message}" + _bracketed(failure.private)
            )

    def _tell(self, text: str) -> None:
        # A file name need not be text: some archives were written by systems of another encoding.
        text = text.encode("utf-8", "backslashreplace").decode()
        problem = self.log.write(text)
        self.on_private(text)
        if problem:
            self.on_private(problem)

    def commit(self) -> None:
        """Append the batch, table by table."""
        for name in BATCH_ORDER:
            rows = [{**row, **self._book()} for row in self.batch[name]]
            if rows:
                self.report.rows[name] += self.store.table(name).append(rows)
                self.batch[name] = []
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
                    "job": canonical_json(_shareable(self.settings.job)),
                    "manifest_digest": self.manifest.sha256,
                    "volume_spec_id": work.volume_spec_id,
                    "radiomics_spec_id": work.radiomics_spec_id,
                    "libraries": json.dumps(_library_versions()),
                    "workers": self.cluster.description,
                    "cases": len(self.manifest),
                    "computed": report.computed,
                    "already_done": report.already_done,
                    "failed": report.failed,
                    "awaiting_mask": report.awaiting_mask,
                    "seconds": report.seconds,
                    "audit": canonical_json(asdict(report.audit)),
                    **self._book(),
                }
            ]
        )


def _lost(outcome: Lost[CaseTask]) -> CaseResult:
    """Return the result of a case that took its workers down."""
    task = outcome.item
    failure = Failure(
        roi_key="",
        spec_id=task.work.volume_spec_id,
        scope="extraction",
        stage="worker",
        kind="worker_killed",
        message=f"{outcome.deaths} worker processes died over this case, the last one with nothing else to do: "
        "too little memory for it, or a crash in a library; try it with --retry-failed and fewer workers",
        traceback_digest="",
        source_fingerprint=task.failure_fingerprint,
        manifest_row=task.case.manifest_row,
        private="",
    )
    return CaseResult({}, (failure,), (), (), decoded=False, computed=False)


def _bracketed(text: str) -> str:
    return f" [{text}]" if text else ""


def _shareable(job: Job) -> Job:
    """Return the job without file names."""
    profile = job["radiomics"]["profile"]
    named = profile if profile in PROFILES else "parameter file"
    return {**job, "radiomics": {**job["radiomics"], "profile": named}}


def _library_versions() -> dict[str, str]:
    versions = {"cvtbatch": cvtbatch.__version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "absent"
    return versions
