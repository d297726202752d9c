"""The coordinator of a run: its stages in order, one batch of rows, and the record of how it began and ended."""

import time
from collections.abc import Iterable

from cvtbatch.counts import counted
from cvtbatch.embedding.weights import is_non_commercial
from cvtbatch.engine import Cluster
from cvtbatch.errors import CvtbatchError
from cvtbatch.manifest import Manifest
from cvtbatch.pipelines.extraction.case_plan import CasePlan
from cvtbatch.pipelines.extraction.case_stage import CaseStage
from cvtbatch.pipelines.extraction.dispatcher import Dispatcher
from cvtbatch.pipelines.extraction.embedding_plan import EmbeddingPlan, EmbeddingWork
from cvtbatch.pipelines.extraction.embedding_stage import EmbeddingStage
from cvtbatch.pipelines.extraction.failure_events import FailureEvents
from cvtbatch.pipelines.extraction.listeners import Listeners
from cvtbatch.pipelines.extraction.outline_plan import OutlinePlan, OutlineWork
from cvtbatch.pipelines.extraction.outline_stage import OutlineStage
from cvtbatch.pipelines.extraction.region_plan import RegionPlan
from cvtbatch.pipelines.extraction.region_stage import RegionStage
from cvtbatch.pipelines.extraction.report import (
    STATES,
    EmbeddingSummary,
    ExtractReport,
    OutlineSummary,
    RegionSummary,
    RunFigures,
    State,
    failure_counts,
    reason_counts,
)
from cvtbatch.pipelines.extraction.row_batch import RowBatch
from cvtbatch.pipelines.extraction.run_monitor import RunMonitor
from cvtbatch.pipelines.extraction.run_record import RunRecord
from cvtbatch.pipelines.extraction.settings import Settings
from cvtbatch.pipelines.shared.run_log import RunLog
from cvtbatch.store import FeatureStore

# Where so many volumes are all without a hemorrhage, the user is told.
FEW_VOLUMES = 5


class Coordinator:
    """Carries a run out; nobody else appends to the tables.

    Args:
        started: when the run began, by the monotonic clock.
    """

    def __init__(
        self,
        store: FeatureStore,
        settings: Settings,
        cluster: Cluster,
        manifest: Manifest,
        run_id: str,
        log: RunLog,
        listeners: Listeners,
        started: float,
    ) -> None:
        job = settings.job.run
        self._store, self._settings, self._run_id, self._log, self._listeners = store, settings, run_id, log, listeners
        self._started = started
        sets = {spec_id: name for name, spec_id in settings.feature_sets.items()}
        described = [part.table for part in settings.work.descriptions]
        self._batch = RowBatch(store, run_id, log, job.commit_cases, job.commit_seconds, settings.set_specs, described)
        self._monitor = RunMonitor(
            len(manifest), manifest.rows, cluster, listeners.on_progress, listeners.on_notice, sets
        )
        self._events = FailureEvents(self._batch, log, listeners.on_failure, sets)
        self._dispatcher = Dispatcher(cluster, self._monitor, self._batch, job.time_limit_s)
        self._record = RunRecord(store, settings, manifest, cluster.description, run_id)
        self._cases = CaseStage(self._dispatcher, self._batch, self._monitor, self._events)
        self._outlines, self._embeddings = outline_summary(settings), embedding_summaries(settings)
        self._regions = region_summaries(settings)

    def begin(self) -> None:
        """Record what the run sets out to do."""
        self._record.append_specs()
        self._record.append_start(self._report(seconds=0.0))
        self._log.write(
            "info",
            "run_started",
            cases=self._monitor.cases,
            workers=self._dispatcher.cluster.description,
            private=f"store {self._store.location.url}",
        )

    def extract(self, plans: Iterable[CasePlan]) -> None:
        """Work off the plans of cases."""
        self._cases.execute(plans)

    def outline(self, work: OutlineWork, plans: Iterable[OutlinePlan]) -> None:
        """Work off the plans of outlines, which are gone through twice."""
        settings = self._settings
        if of_sources := [part.table for part in settings.work.features if part.grid == "source"]:
            self._listeners.on_notice(
                f"{', '.join(of_sources)}: of outlines that people drew alone, since those of outline.method lie on the stored grid"
            )

        def write_weights() -> None:
            if settings.outline_weights is not None:
                self._store.write_weights(work.weights_sha256, settings.outline_weights)

        stage = OutlineStage(
            self._dispatcher, self._batch, self._monitor, self._events, work, self._outlines, self._cases.audit
        )
        stage.execute(plans, write_weights, plans_are_new=not settings.extracts)
        summary = self._outlines
        if summary.volumes >= FEW_VOLUMES and not summary.rois:
            self._listeners.on_notice(
                f"warning: {summary.method} found no hemorrhage in {counted(summary.volumes, 'volume')}: look at some of them "
                "(cvtbatch review), and if it is a command, at outline.command.labels"
            )

    def derive_regions(self, plans: Iterable[RegionPlan]) -> None:
        """Work off the plans of regions, which are gone through twice."""
        stage = RegionStage(
            self._dispatcher, self._batch, self._monitor, self._events, self._regions, self._cases.audit
        )
        stage.execute(plans)

    def embed(self, plans: Iterable[EmbeddingPlan]) -> None:
        """Work off the plans of embeddings, which are gone through twice."""
        settings = self._settings

        def write_weights(work: EmbeddingWork) -> None:
            if (file := settings.weights_files.get(work.weights.sha256)) is not None:
                self._store.write_weights(work.weights.sha256, file)

        summaries = {summary.spec_id: summary for summary in self._embeddings}
        stage = EmbeddingStage(
            self._dispatcher, self._batch, self._monitor, self._events, settings.embeddings, summaries
        )
        stage.execute(plans, write_weights, plans_are_new=settings.only == "embeddings")

    def figures(self) -> RunFigures:
        """Return how the run stands."""
        return self._monitor.figures(self._run_id, self._batch)

    def state_of(self, row: int) -> State | None:
        """Return how a case stands, by its row; None before that is known."""
        return self._monitor.states.state(row)

    def _report(self, seconds: float) -> ExtractReport:
        """Return what the run did until now, in so many seconds."""
        states, work = self._monitor.states, self._settings.work
        return ExtractReport(
            store=work.store_url,
            run_id=self._run_id,
            volume_spec_id=work.volume_spec_id,
            radiomics_spec_id=work.radiomics_spec_id,
            outline_spec_id=self._settings.outline_spec_id,
            feature_sets=self._settings.feature_sets,
            descriptions=work.described,
            regions=self._regions,
            cases=self._monitor.planned,
            computed=states.now["computed"],
            continued=states.continued,
            already_done=states.now["already_done"],
            failed=states.now["failed"],
            no_hemorrhage=states.now["no_hemorrhage"],
            awaiting_mask=states.now["awaiting_mask"],
            clinical_updated=self._cases.clinical_updated,
            decoded=self._cases.decoded,
            rows=dict(self._batch.appended),
            failures=failure_counts(states.failures),
            lacking_sets=dict(states.lacking),
            lacking_sets_alone=states.lacking_alone if states.lacking else 0,
            audit=self._cases.audit,
            outlines=self._outlines,
            embeddings=self._embeddings,
            cost=self._monitor.cost.summary(seconds, self._batch.commits),
            plan=reason_counts(self._monitor.reasons),
            seconds=seconds,
        )

    def end(self, state: str, reason: str) -> ExtractReport:
        """Record how the run ended, and return what it did; what was done when it was stopped is committed, if the store allows it.

        Raises:
            CvtbatchError: the end of a run that was completed cannot be recorded.
        """
        seconds = round(time.monotonic() - self._started, 3)
        self._events.tell_rest()
        try:
            self._batch.commit()
            report = self._report(seconds)
            self._record.append_end(report, state, reason)
        except CvtbatchError as error:
            report = self._report(seconds)
            self._log.write("error", "end_not_recorded", kind=error.kind, message=error.message, private=error.private)
            if state == "completed":
                raise
            self._listeners.on_notice(f"the end of the run could not be recorded: {error}")
        self._log.write(
            "info" if state == "completed" else "warning",
            "run_ended",
            state=state,
            kind=reason,
            seconds=report.seconds,
            **{name: getattr(report, name) for name in STATES},
        )
        return report


def outline_summary(settings: Settings) -> OutlineSummary:
    """Return the summary of a run that has outlined nothing yet."""
    outline = settings.outline
    if outline is None:
        return OutlineSummary()
    return OutlineSummary(outline.settings.method, outline.reader, outline.not_for_inference)


def region_summaries(settings: Settings) -> dict[str, RegionSummary]:
    """Return the summaries, by name, of a run that has derived no region yet."""
    return {name: RegionSummary(spec_id) for name, spec_id in settings.regions.items()}


def embedding_summaries(settings: Settings) -> tuple[EmbeddingSummary, ...]:
    """Return the summaries of a run that has embedded nothing yet, one a specification; a single one where it has none."""
    return tuple(
        EmbeddingSummary(
            work.embedding_spec_id,
            work.weights.architecture.name,
            work.weights.source,
            work.weights.licence,
            is_non_commercial(work.weights.licence),
            work.not_for_inference,
        )
        for work in settings.embeddings
    ) or (EmbeddingSummary(),)
