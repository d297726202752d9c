"""Extraction: archive -> volumes -> outlines -> features -> regions -> embeddings."""

import datetime
import gc
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

from cvtbatch.engine import Cluster
from cvtbatch.errors import CvtbatchError
from cvtbatch.manifest import Manifest
from cvtbatch.pipelines.extraction.case_plan import CasePlan, Reason
from cvtbatch.pipelines.extraction.coordinator import (
    Coordinator,
    embedding_summaries,
    outline_summary,
    region_summaries,
)
from cvtbatch.pipelines.extraction.listeners import NOBODY, Listeners
from cvtbatch.pipelines.extraction.planning import (
    EmbeddingPlans,
    KnownOf,
    OutlinePlans,
    RegionPlans,
    plan_run,
    stored_cases,
)
from cvtbatch.pipelines.extraction.prometheus import open_metrics
from cvtbatch.pipelines.extraction.report import ExtractReport, Progress, reason_counts
from cvtbatch.pipelines.extraction.row_batch import batch_order
from cvtbatch.pipelines.extraction.run_report import Ending, RunReporter, require_folder
from cvtbatch.pipelines.extraction.settings import Options, Settings
from cvtbatch.pipelines.shared.run_log import RunLog
from cvtbatch.pipelines.shared.uid_key import load_uid_key
from cvtbatch.run_id import make_run_id
from cvtbatch.store import FeatureStore


def dry_run(
    manifest: Manifest, settings: Settings, options: Options, on_plan: Callable[[CasePlan], None] = lambda _: None
) -> ExtractReport:
    """Return what a run would do, without doing it; the store need not exist.

    Args:
        on_plan: called with every plan; it is not kept.
    """
    known: Iterable[KnownOf]
    try:
        known = stored_cases(FeatureStore(settings.work.store_url), manifest, settings)
    except CvtbatchError as error:
        if error.kind != "no_store":
            raise
        known = ((case, None) for case in manifest)
    reasons: Counter[Reason] = Counter()
    cases = 0
    for plan in plan_run(known, settings, options):
        on_plan(plan)
        reasons.update(plan.reasons)
        cases += 1
    return ExtractReport(
        store=settings.work.store_url,
        run_id=None,
        volume_spec_id=settings.work.volume_spec_id,
        radiomics_spec_id=settings.work.radiomics_spec_id,
        outline_spec_id=settings.outline_spec_id,
        feature_sets=settings.feature_sets,
        descriptions=settings.work.described,
        regions=region_summaries(settings),
        rows=dict.fromkeys(batch_order([part.table for part in settings.work.values[1:]]), 0),
        outlines=outline_summary(settings),
        embeddings=embedding_summaries(settings),
        plan=reason_counts(reasons),
        cases=cases,
        dry_run=True,
    )


def extract(
    manifest: Manifest,
    settings: Settings,
    cluster: Cluster,
    options: Options,
    listeners: Listeners = NOBODY,
) -> ExtractReport:
    """Run an extraction.

    Raises:
        InputError: an outline has a region's name, there is no key to hash UIDs with, or metrics or the report cannot go where
            they shall.
        StorageError: the store cannot be written; what was committed stays.
        ResourceError: the scheduler went away.
        KeyboardInterrupt: after what was done has been committed.
    """
    started = time.monotonic()
    settings = replace(settings, work=replace(settings.work, uid_key=load_uid_key()))
    run_id = make_run_id(datetime.datetime.now(datetime.UTC))
    require_folder(options.report)
    store = FeatureStore.open_for_writing(settings.work.store_url)
    _tell_unended(store, listeners.on_notice)
    with open_metrics(options.metrics) as metrics:

        def on_progress(progress: Progress) -> None:
            metrics.follow(run.figures)
            listeners.on_progress(progress)

        log = RunLog(run_id, options.log, listeners.on_notice)
        run = Coordinator(
            store, settings, cluster, manifest, run_id, log, replace(listeners, on_progress=on_progress), started
        )
        listeners.on_step("planning")
        reporter = RunReporter(manifest, run_id, log, options.report, options.command, listeners.on_notice)
        run.begin()
        metrics.show(run.figures, "running")
        ending = Ending("stopped", "internal_error")
        # What is loaded by now, stays: the garbage collector would look through it for a fifth of the driver's time.
        gc.freeze()
        try:
            _work(run, store, manifest, settings, options)
            ending = Ending("completed", "")
        except KeyboardInterrupt:
            ending = Ending("interrupted", "stopped by the user")
            raise
        except CvtbatchError as error:
            ending = Ending("stopped", error.kind)
            raise
        finally:
            gc.unfreeze()
            try:
                report = run.end(ending.state, ending.reason)
                page = reporter.write(store, report, ending, run.state_of)
            finally:
                metrics.show(run.figures, ending.state)
    return replace(report, report=page)


def _tell_unended(store: FeatureStore, on_notice: Callable[[str], None]) -> None:
    """Say where the newest run before this one has no end: whoever kills a run leaves it without a report."""
    runs = store.runs().slice(0, 1).to_pylist()
    if runs and runs[0]["state"] == "started":
        on_notice(
            f"run {runs[0]['run_id']} has not ended: it was killed, and has no report, or is still at work; "
            "what it committed is kept"
        )


def _work(run: Coordinator, store: FeatureStore, manifest: Manifest, settings: Settings, options: Options) -> None:
    """Extract, and then outline, derive regions of and embed what is stored by then."""
    if settings.extracts:
        run.extract(plan_run(stored_cases(store, manifest, settings), settings, options))
    outline, embeddings = settings.outline, settings.embeddings
    if outline is not None and settings.only != "embeddings":
        run.outline(outline, OutlinePlans(stored_cases(store, manifest, settings), outline, options))
    if settings.work.regions and settings.only != "embeddings":
        run.derive_regions(RegionPlans(stored_cases(store, manifest, settings), settings, options))
    if embeddings:
        run.embed(EmbeddingPlans(stored_cases(store, manifest, settings), embeddings, outline, options))
