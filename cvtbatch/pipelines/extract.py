"""Extraction: archive -> volumes -> features."""

import datetime
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice

from cvtbatch import contracts
from cvtbatch.engine import Cluster
from cvtbatch.errors import CvtbatchError, InputError
from cvtbatch.ingest import image_fingerprint, mask_fingerprint
from cvtbatch.manifest import Case, Manifest
from cvtbatch.pipelines.coordinator import Coordinator, ExtractReport, Progress, Settings, new_report, reason_counts
from cvtbatch.pipelines.job import Job
from cvtbatch.pipelines.known import KnownCase, read_known
from cvtbatch.pipelines.plan import CasePlan, Fingerprints, Work, plan_case
from cvtbatch.pipelines.uid_key import load_uid_key
from cvtbatch.pipelines.user_log import UserLog
from cvtbatch.radiomics import check_engine, load_profile
from cvtbatch.spec import radiomics_spec, volume_spec
from cvtbatch.store import FeatureStore, Location

# Threads that stat the sources; what they wait for is the file system.
FINGERPRINT_THREADS = 8
PLANNED_TOGETHER = 256


@dataclass(frozen=True, slots=True)
class Options:
    """How this run goes about it."""

    retry_failed: bool = False
    verify_inputs: bool = False


def resolve(job: Job, store_url: str) -> Settings:
    """Turn a job into specifications; everything that can be refused before work starts is refused here.

    Raises:
        InputError: the profile is not usable, or the job asks for what this version does not do.
        ResourceError, InternalError: the engine is absent or incomplete here.
    """
    if job["embedding"]["weights"] != "none":
        raise InputError("no_embeddings", "embedding.weights: this version computes no embeddings; set it to none")
    profile, engine = load_profile(job["radiomics"]["profile"]), job["radiomics"]["engine"]
    audit_share = float(job["radiomics"]["audit"])
    if audit_share > 0 and engine == "pyradiomics":
        raise InputError(
            "nothing_to_audit", "an audit compares the fast engine with stock PyRadiomics; set radiomics.engine to fast"
        )
    x, y, z = (float(step) for step in job["volume"]["spacing_mm"])
    volume = volume_spec((x, y, z))
    radiomics = radiomics_spec(volume, profile.to_pyradiomics(), contracts.feature_names())
    check_engine(profile, engine)
    if audit_share > 0:
        check_engine(profile, "pyradiomics")
    # Workers may run in another folder.
    work = Work(Location.of(store_url).url, volume.spec_id, radiomics.spec_id, (x, y, z), profile, engine, audit_share)
    return Settings(job, work, (volume, radiomics))


def plan_cases(manifest: Manifest, known: Mapping[str, KnownCase], work: Work, options: Options) -> Iterator[CasePlan]:
    """Plan every case of a manifest, in its order; sources are listed, not read."""
    cases = iter(manifest)
    with ThreadPoolExecutor(FINGERPRINT_THREADS) as threads:
        while chunk := list(islice(cases, PLANNED_TOGETHER)):
            for case, sources in zip(chunk, threads.map(_fingerprints, chunk), strict=True):
                yield plan_case(
                    case, known.get(case.case_key), sources, work, options.retry_failed, options.verify_inputs
                )


def _fingerprints(case: Case) -> Fingerprints:
    masks = {roi.roi_key: mask_fingerprint(roi) for roi in case.masked_rois()}
    return Fingerprints(image_fingerprint(case), masks)


def dry_run(manifest: Manifest, settings: Settings, options: Options) -> tuple[ExtractReport, list[CasePlan]]:
    """Return what a run would do, without doing it; the store need not exist."""
    work = settings.work
    try:
        known = read_known(FeatureStore(work.store_url), work.volume_spec_id, work.radiomics_spec_id)
    except CvtbatchError as error:
        if error.kind != "no_store":
            raise
        known = {}
    plans = list(plan_cases(manifest, known, work, options))
    report = new_report(settings, None)
    report.dry_run = True
    report.cases = len(plans)
    report.plan = reason_counts(Counter(reason for plan in plans for reason in plan.reasons))
    return report, plans


def extract(
    manifest: Manifest,
    settings: Settings,
    cluster: Cluster,
    options: Options,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_private: Callable[[str], None] = lambda _: None,
) -> ExtractReport:
    """Run an extraction.

    Args:
        on_progress: called when a case is back, before it counts, and at the end; may raise KeyboardInterrupt.
        on_private: called with texts that may hold paths; for the terminal, never for the store.

    Raises:
        InputError: there is no key to hash UIDs with.
        StorageError: the store cannot be written; what was committed stays.
        ResourceError: the scheduler went away.
        KeyboardInterrupt: after what was done has been committed.
    """
    started = time.monotonic()
    settings = replace(settings, work=replace(settings.work, uid_key=load_uid_key()))
    run_id = f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    store = FeatureStore.open_for_writing(settings.work.store_url)
    run = Coordinator(store, settings, cluster, manifest, run_id, UserLog(run_id), on_private)
    run.begin()
    state, reason = "stopped", "internal error"
    try:
        known = read_known(store, settings.work.volume_spec_id, settings.work.radiomics_spec_id)
        run.execute(plan_cases(manifest, known, settings.work, options), on_progress)
        state, reason = "completed", ""
    except KeyboardInterrupt:
        state, reason = "interrupted", "stopped by the user"
        raise
    except CvtbatchError as error:
        reason = error.kind
        raise
    finally:
        run.report.seconds = round(time.monotonic() - started, 3)
        run.end(state, reason)
    return run.report


def default_workers() -> int:
    """Return how many worker processes use this machine well: one a core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
