"""What a run has to do, case by case: the manifest, what the store knows, and the sources as they are now."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice

from cvtbatch.ingest import look_at_mask
from cvtbatch.manifest import Case, Manifest, is_absent
from cvtbatch.pipelines.extraction import embedding_plan, outline_plan
from cvtbatch.pipelines.extraction.case_plan import CasePlan, Fingerprints, plan_case
from cvtbatch.pipelines.extraction.embedding_plan import (
    EmbeddingPlan,
    EmbeddingWork,
    plan_embeddings,
    with_embeddings,
)
from cvtbatch.pipelines.extraction.known_case import KnownCase
from cvtbatch.pipelines.extraction.outline_plan import OutlinePlan, OutlineWork, plan_outlines, with_outlines
from cvtbatch.pipelines.extraction.region_plan import RegionPlan, plan_regions, with_regions
from cvtbatch.pipelines.extraction.settings import Options, Settings
from cvtbatch.pipelines.extraction.stored_cases import SpecIds, StoredCases
from cvtbatch.pipelines.shared.archive_images import look_at_source
from cvtbatch.store import FeatureStore

# Threads that stat the sources; what they wait for is the file system.
FINGERPRINT_THREADS = 8
PLANNED_TOGETHER = 256
SHARE = PLANNED_TOGETHER // FINGERPRINT_THREADS
# A case and what the store knows of it.
KnownOf = tuple[Case, KnownCase | None]


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
    image, image_bytes = look_at_source(case)
    looks = {roi.roi_key: look_at_mask(roi) for roi in case.masked_rois()}
    sources = [("", case.image, image_bytes)]
    sources += [(roi.roi_key, roi.mask or "", looks[roi.roi_key][1]) for roi in case.masked_rois()]
    # What has a size is there.
    absent = frozenset(key for key, path, size in sources if not size and is_absent(path))
    return Fingerprints(image, {key: look for key, (look, _) in looks.items()}, image_bytes, absent)


def plan_run(known: Iterable[KnownOf], settings: Settings, options: Options) -> Iterator[CasePlan]:
    """Plan every case for what a run extracts, outlines and embeds."""
    outline, embeddings = settings.outline, settings.embeddings
    if settings.only == "embeddings":
        yield from map(embedding_plan.alone, EmbeddingPlans(known, embeddings, outline, options))
        return
    if outline is not None and settings.only == "outlines":
        for case, stored in known:
            plan = outline_plan.alone(plan_outlines(case, stored, outline, options.again, options.verify_inputs))
            yield with_regions(plan, _plan_regions(case, stored, settings, options))
        return
    for case, stored, sources in _with_sources(known):
        plan = plan_case(case, stored, sources, settings.work, options.retry_failed, options.verify_inputs)
        if outline is not None:
            plan = with_outlines(plan, plan_outlines(case, stored, outline, options.again, options.verify_inputs))
        plan = with_regions(plan, _plan_regions(case, stored, settings, options))
        if embeddings:
            planned = plan_embeddings(case, stored, embeddings, options.again, outline)
            plan = with_embeddings(plan, planned)
        yield plan


def _plan_regions(case: Case, stored: KnownCase | None, settings: Settings, options: Options) -> RegionPlan:
    return plan_regions(case, stored, settings.work, settings.outline, options.again, options.verify_inputs)


@dataclass(frozen=True, slots=True)
class RegionPlans:
    """The regions of every case's outlines, planned by what is stored of it, anew each time that they are asked for."""

    known: Iterable[KnownOf]
    settings: Settings
    options: Options

    def __iter__(self) -> Iterator[RegionPlan]:
        for case, stored in self.known:
            yield _plan_regions(case, stored, self.settings, self.options)


@dataclass(frozen=True, slots=True)
class OutlinePlans:
    """The outlines of every case that a method finds, planned by what is stored of it, anew each time that they are asked for."""

    known: Iterable[KnownOf]
    work: OutlineWork
    options: Options

    def __iter__(self) -> Iterator[OutlinePlan]:
        for case, stored in self.known:
            yield plan_outlines(case, stored, self.work, self.options.again, self.options.verify_inputs)


@dataclass(frozen=True, slots=True)
class EmbeddingPlans:
    """The embeddings of every case, planned by what is stored of it, anew each time that they are asked for."""

    known: Iterable[KnownOf]
    works: Sequence[EmbeddingWork]
    outlining: OutlineWork | None
    options: Options

    def __iter__(self) -> Iterator[EmbeddingPlan]:
        for case, stored in self.known:
            yield plan_embeddings(case, stored, self.works, self.options.again, self.outlining)


def stored_cases(store: FeatureStore, manifest: Manifest, settings: Settings) -> StoredCases:
    """Return the cases of a manifest with what a store knows of them under a run's specifications."""
    work, there = settings.work, store.table_names()
    features = {part.table: part.spec_id for part in work.values if part.table in there}
    rowless = tuple(part.spec_id for part in work.values if part.table not in there)
    embeddings = tuple(part.embedding_spec_id for part in settings.embeddings)
    outline, regions = settings.outline_spec_id, tuple(settings.regions.values())
    spec_ids = SpecIds(work.volume_spec_id, features, outline, embeddings, rowless, regions)
    return StoredCases(store, manifest, spec_ids)
