"""Extraction: archive -> volumes -> features -> embeddings."""

import datetime
import gc
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Literal

from cvtbatch import contracts
from cvtbatch.embedding.compute import BACKBONE, DIMENSIONS
from cvtbatch.embedding.weights import load_weights, to_bytes
from cvtbatch.engine import Cluster
from cvtbatch.errors import CvtbatchError, InputError
from cvtbatch.ingest import look_at_image, look_at_mask
from cvtbatch.manifest import Case, Manifest, is_absent
from cvtbatch.pipelines.extraction.case_plan import CasePlan, Fingerprints, Reason, Work, plan_case
from cvtbatch.pipelines.extraction.coordinator import Coordinator, Settings, new_report
from cvtbatch.pipelines.extraction.embedding_plan import (
    EmbeddingPlan,
    EmbeddingWork,
    WeightsRef,
    alone,
    plan_embeddings,
    with_embeddings,
)
from cvtbatch.pipelines.extraction.embedding_stage import EmbeddingStage
from cvtbatch.pipelines.extraction.prometheus import open_metrics
from cvtbatch.pipelines.extraction.report import ExtractReport, Progress, reason_counts
from cvtbatch.pipelines.extraction.stored_cases import Known, KnownCase, SpecIds
from cvtbatch.pipelines.extraction.uid_key import load_uid_key
from cvtbatch.pipelines.shared.job import EmbeddingSection, Job
from cvtbatch.pipelines.shared.run_log import UserLog
from cvtbatch.radiomics import load_profile
from cvtbatch.spec import Spec, embedding_spec, radiomics_spec, volume_spec
from cvtbatch.store import FeatureStore, Location

# Threads that stat the sources; what they wait for is the file system.
FINGERPRINT_THREADS = 8
PLANNED_TOGETHER = 256
SHARE = PLANNED_TOGETHER // FINGERPRINT_THREADS
Only = Literal["radiomics", "embeddings"]
# A case and what the store knows of it.
KnownOf = tuple[Case, KnownCase | None]


@dataclass(frozen=True, slots=True)
class Options:
    """How this run goes about it.

    Attributes:
        metrics: where they go, as `open_metrics` takes it.
        log: the user's own, as `UserLog` takes it.
    """

    retry_failed: bool = False
    verify_inputs: bool = False
    metrics: str | None = None
    log: Path | None = None

    @property
    def again(self) -> bool:
        """Whether failures are tried again although nothing about them has changed."""
        return self.retry_failed or self.verify_inputs


def resolve(job: Job, store_url: str, only: Only | None = None) -> Settings:
    """Turn a job into specifications; everything that can be refused before work starts is refused here.

    Args:
        only: leave out the other of the two stages.

    Raises:
        InputError: the profile is not usable, the weights cannot be had, or nothing is left to do.
        ResourceError, InternalError: the engine or the device is absent or incomplete here.
    """
    profile, engine = load_profile(job.radiomics.profile), job.radiomics.engine
    audit_share = float(job.radiomics.audit)
    if audit_share > 0 and engine == "pyradiomics":
        raise InputError(
            "nothing_to_audit", "an audit compares the fast engine with stock PyRadiomics; set radiomics.engine to fast"
        )
    x, y, z = map(float, job.volume.spacing_mm)
    volume = volume_spec((x, y, z))
    radiomics = radiomics_spec(volume, profile.to_pyradiomics(), contracts.feature_names())
    extracts = only != "embeddings"
    if extracts and (engine == "pyradiomics" or audit_share > 0):
        from cvtbatch.radiomics import check_stock

        check_stock(profile)
    # Workers may run in another folder.
    url = Location.of(store_url).url
    work = Work(url, volume.spec_id, radiomics.spec_id, (x, y, z), profile, engine, audit_share)
    if only == "radiomics" or job.embedding.weights == "none":
        if not extracts:
            raise InputError("nothing_to_do", "--only embeddings, and embedding.weights is none: name the weights")
        return Settings(job, work, (volume, radiomics), extracts, None, None)
    embedding, spec, weights_file = resolve_embedding(job.embedding, url, volume)
    return Settings(job, work, (volume, radiomics, spec), extracts, embedding, weights_file)


def resolve_embedding(section: EmbeddingSection, url: str, volume: Spec) -> tuple[EmbeddingWork, Spec, bytes | None]:
    """Return what a job asks for of embeddings, its specification, and the weights as the store keeps them.

    Raises:
        InputError: the weights cannot be had, or are none of ResNet101.
        ResourceError: the device is not here.
    """
    weights, preprocessing = load_weights(section.weights), section.preprocessing()
    settings = {
        **preprocessing.settings(),
        "backbone": {"network": BACKBONE, "layer": "avgpool", "values": DIMENSIONS},
        "precision": section.precision,
        "weights": weights.settings(),
    }
    spec = embedding_spec(volume, settings)
    work = EmbeddingWork(
        embedding_spec_id=spec.spec_id,
        volume_spec_id=volume.spec_id,
        preprocessing=preprocessing,
        weights=WeightsRef(weights.source, weights.sha256, url),
        not_for_inference=weights.not_for_inference,
        compute=section.compute(),
    )
    return work, spec, None if weights.source.startswith("random:") else to_bytes(weights)


def _with_sources(known: Iterable[KnownOf]) -> Iterator[tuple[Case, KnownCase | None, Fingerprints]]:
    source = iter(known)
    with ThreadPoolExecutor(FINGERPRINT_THREADS) as threads:
        while chunk := list(islice(source, PLANNED_TOGETHER)):
            # A share for each thread: handing over every case by itself costs more than a local disk's answer.
            shares = [chunk[first : first + SHARE] for first in range(0, len(chunk), SHARE)]
            fingerprints = chain.from_iterable(threads.map(_fingerprints, shares))
            for (case, stored), sources in zip(chunk, fingerprints, strict=True):
                yield case, stored, sources


def _fingerprints(share: Sequence[KnownOf]) -> list[Fingerprints]:
    return [_fingerprints_of(case) for case, _ in share]


def _fingerprints_of(case: Case) -> Fingerprints:
    image, image_bytes = look_at_image(case)
    looks = {roi.roi_key: look_at_mask(roi) for roi in case.masked_rois()}
    sources = [("", case.image, image_bytes)]
    sources += [(roi.roi_key, roi.mask or "", looks[roi.roi_key][1]) for roi in case.masked_rois()]
    # What has a size is there.
    absent = frozenset(key for key, path, size in sources if not size and is_absent(path))
    return Fingerprints(image, {key: look for key, (look, _) in looks.items()}, image_bytes, absent)


def plan_run(known: Iterable[KnownOf], settings: Settings, options: Options) -> Iterator[CasePlan]:
    """Plan every case for what a run extracts and embeds."""
    embedding = settings.embedding
    if embedding is not None and not settings.extracts:
        yield from map(alone, EmbeddingPlans(known, embedding, options))
        return
    for case, stored, sources in _with_sources(known):
        plan = plan_case(case, stored, sources, settings.work, options.retry_failed, options.verify_inputs)
        if embedding is not None:
            plan = with_embeddings(plan, plan_embeddings(case, stored, embedding.embedding_spec_id, options.again))
        yield plan


@dataclass(frozen=True, slots=True)
class EmbeddingPlans:
    """The embeddings of every case, planned by what is stored of it, anew each time that they are asked for."""

    known: Iterable[KnownOf]
    work: EmbeddingWork
    options: Options

    def __iter__(self) -> Iterator[EmbeddingPlan]:
        for case, stored in self.known:
            yield plan_embeddings(case, stored, self.work.embedding_spec_id, self.options.again)


def _known(store: FeatureStore, manifest: Manifest, settings: Settings) -> Known:
    work, embedding = settings.work, settings.embedding
    spec_ids = SpecIds(work.volume_spec_id, work.radiomics_spec_id, embedding.embedding_spec_id if embedding else "")
    return Known(store, manifest, spec_ids)


def dry_run(
    manifest: Manifest, settings: Settings, options: Options, on_plan: Callable[[CasePlan], None] = lambda _: None
) -> ExtractReport:
    """Return what a run would do, without doing it; the store need not exist.

    Args:
        on_plan: called with every plan; it is not kept.
    """
    known: Iterable[KnownOf]
    try:
        known = _known(FeatureStore(settings.work.store_url), manifest, settings)
    except CvtbatchError as error:
        if error.kind != "no_store":
            raise
        known = ((case, None) for case in manifest)
    reasons: Counter[Reason] = Counter()
    report = new_report(settings, None)
    report.dry_run = True
    for plan in plan_run(known, settings, options):
        on_plan(plan)
        reasons.update(plan.reasons)
        report.cases += 1
    report.plan = reason_counts(reasons)
    return report


def extract(
    manifest: Manifest,
    settings: Settings,
    cluster: Cluster,
    options: Options,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_failure: Callable[[str], None] = lambda _: None,
    on_notice: Callable[[str], None] = lambda _: None,
) -> ExtractReport:
    """Run an extraction.

    Args:
        on_progress: called when a case is back, before it counts, twice a second while none comes back, and at the end; may raise
            KeyboardInterrupt.
        on_failure: called with the text of each failure, which may hold paths; for the terminal, never for the store.
        on_notice: so too with what else the user should know.

    Raises:
        InputError: there is no key to hash UIDs with, or metrics cannot go where they shall.
        StorageError: the store cannot be written; what was committed stays.
        ResourceError: the scheduler went away.
        KeyboardInterrupt: after what was done has been committed.
    """
    started = time.monotonic()
    settings = replace(settings, work=replace(settings.work, uid_key=load_uid_key()))
    run_id = f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    store = FeatureStore.open_for_writing(settings.work.store_url)
    with open_metrics(options.metrics) as metrics:

        def on_each(progress: Progress) -> None:
            metrics.follow(run)
            on_progress(progress)

        log = UserLog(run_id, options.log)
        run = Coordinator(store, settings, cluster, manifest, run_id, log, on_each, on_failure, on_notice)
        run.begin()
        metrics.show(run, "running")
        state, reason = "stopped", "internal error"
        # What is loaded by now, stays: the garbage collector would look through it for a fifth of the driver's time.
        gc.freeze()
        try:
            _work(run, options)
            state, reason = "completed", ""
        except KeyboardInterrupt:
            state, reason = "interrupted", "stopped by the user"
            raise
        except CvtbatchError as error:
            reason = error.kind
            raise
        finally:
            gc.unfreeze()
            run.report.seconds = round(time.monotonic() - started, 3)
            try:
                run.end(state, reason)
            finally:
                metrics.show(run, state)
    return run.report


def _work(run: Coordinator, options: Options) -> None:
    """Extract, and then embed what is stored."""
    manifest, store, settings = run.manifest, run.store, run.settings
    if settings.extracts:
        run.execute(plan_run(_known(store, manifest, settings), settings, options))
    if settings.embedding is not None:
        # Of what is stored now.
        plans = EmbeddingPlans(_known(store, manifest, settings), settings.embedding, options)
        EmbeddingStage(run, settings.embedding).execute(plans)


def own_gpus(settings: Settings) -> tuple[str, ...]:
    """Return the GPUs of this machine that a run can use."""
    if settings.embedding is None or settings.embedding.compute.device == "cpu":
        return ()
    from cvtbatch.embedding.backbone import visible_gpus

    return visible_gpus()
