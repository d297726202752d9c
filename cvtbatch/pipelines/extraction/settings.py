"""What a run does, and how it goes about it: a job, resolved into specifications before any work starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cvtbatch import contracts
from cvtbatch.embedding.architectures import find_architecture
from cvtbatch.embedding.weights import Weights, load_weights, to_bytes
from cvtbatch.errors import InputError
from cvtbatch.extras import installed, require
from cvtbatch.pipelines.extraction.case_plan import FeatureWork, Work
from cvtbatch.pipelines.extraction.descriptions import resolve_descriptions
from cvtbatch.pipelines.extraction.embedding_plan import EmbeddingWork, WeightsRef
from cvtbatch.pipelines.extraction.outline_plan import OutlineWork
from cvtbatch.pipelines.extraction.region_work import resolve_regions
from cvtbatch.pipelines.extraction.set_settings import resolve_sets
from cvtbatch.pipelines.shared.job import EmbeddingSection, Job
from cvtbatch.radiomics import load_profile, study_settings
from cvtbatch.spec import Spec, embedding_spec, radiomics_spec, volume_spec
from cvtbatch.store import FeatureStore, Location, set_table

Only = Literal["radiomics", "outlines", "embeddings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run does: its job, resolved.

    Attributes:
        only: the one stage that is asked for; None for all of them.
        outline: what finds outlines; None where the job names no method.
        outline_weights: of the network that outlines, for the store; None without one.
        embeddings: one a specification; none where they are not asked for.
        weights_files: of the backbones, for the store, by the SHA-256 of their tensors; not those that workers make themselves.
    """

    job: Job
    work: Work
    specs: tuple[Spec, ...]
    only: Only | None
    outline: OutlineWork | None
    outline_weights: bytes | None
    embeddings: tuple[EmbeddingWork, ...]
    weights_files: Mapping[str, bytes]

    @property
    def extracts(self) -> bool:
        """Whether sources are read; else what is stored is outlined or embedded."""
        return self.only in (None, "radiomics")

    @property
    def feature_sets(self) -> dict[str, str]:
        """The specifications of the job's feature sets, by the set's name."""
        return {spec.feature_set: spec.spec_id for spec in self.specs if spec.feature_set}

    @property
    def set_specs(self) -> dict[str, Spec]:
        """The specifications of the job's feature sets, by their tables."""
        return {set_table(spec.feature_set): spec for spec in self.specs if spec.feature_set}

    @property
    def regions(self) -> dict[str, str]:
        """The specifications of the job's regions, by the region's name."""
        return {region.rule.name: region.region_spec_id for region in self.work.regions}

    @property
    def outline_spec_id(self) -> str:
        """Empty where outlines are not asked for."""
        return "" if self.outline is None else self.outline.outline_spec_id


@dataclass(frozen=True, slots=True)
class Options:
    """How this run goes about it.

    Attributes:
        metrics: where they go, as `open_metrics` takes it.
        log: the user's own, as `RunLog` takes it.
        report: folder of the run's report; None for one beside the log.
        command: as it was typed, for the report; empty where nobody typed.
    """

    retry_failed: bool = False
    verify_inputs: bool = False
    metrics: str | None = None
    log: Path | None = None
    report: Path | None = None
    command: str = ""

    @property
    def again(self) -> bool:
        """Whether failures are tried again although nothing about them has changed."""
        return self.retry_failed or self.verify_inputs


def resolve(job: Job, store_url: str, only: Only | None = None) -> Settings:
    """Turn a job into specifications; everything that can be refused before work starts is refused here.

    Args:
        only: leave out the other stages: volumes and features of people's outlines, outlines that a method finds with their
            features, or embeddings.

    Raises:
        StorageError, FormatError: there is no store at this place, and none can be made.
        InputError: the profile, a feature set or a region is not usable, the weights cannot be had, or nothing is left to do.
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
    radiomics = radiomics_spec(volume, study_settings(profile), contracts.feature_names())
    study = FeatureWork(contracts.RADIOMICS, radiomics.spec_id, profile, engine, audit_share)
    sets, set_specs = resolve_sets(job.radiomics, volume, store_url)
    regions, region_specs = resolve_regions(job.regions, volume)
    features = (study, *sets)
    descriptions, description_specs = resolve_descriptions(job.describe, job.atlas, volume)
    if only != "embeddings" and any(part.engine == "pyradiomics" or part.audit_share > 0 for part in features):
        from cvtbatch.radiomics import check_stock

        check_stock(profile)
    # Workers may run in another folder.
    url = Location.of(store_url).url
    # Weights may have to be fetched: a mistyped store is told first.
    FeatureStore.require_place(url)
    work = Work(url, volume.spec_id, (x, y, z), features, descriptions, regions)
    specs = (volume, radiomics, *set_specs, *description_specs, *region_specs)
    settings = Settings(job, work, specs, only, None, None, (), {})
    if only != "radiomics" and job.outline.method != "none":
        # With the methods' libraries, which no other run needs.
        from cvtbatch.pipelines.extraction.outline_settings import resolve_outline

        outline, spec, outline_weights = resolve_outline(job.outline, volume, work.of_found_outlines())
        settings = replace(settings, specs=(*settings.specs, spec), outline=outline, outline_weights=outline_weights)
    elif only == "outlines":
        raise InputError("nothing_to_do", "--only outlines, and outline.method is none: name the method")
    sections = [section for section in job.embeddings if section.weights != "none"]
    if only in (None, "embeddings") and sections:
        return _with_embeddings(settings, sections, volume)
    if only == "embeddings":
        raise InputError("nothing_to_do", "--only embeddings, and embedding.weights is none: name the weights")
    return settings


def _with_embeddings(settings: Settings, sections: Sequence[EmbeddingSection], volume: Spec) -> Settings:
    """Return the settings with what sections ask for of embeddings.

    Raises:
        InputError: "bad_embeddings": two make the same specification, or they name several devices; errors as for
            `resolve_embedding`.
    """
    if len({section.device for section in sections}) > 1:
        raise InputError(
            "bad_embeddings",
            "embedding: its sections are computed together, and name several devices: give all of them the same",
        )
    works, specs, files = list[EmbeddingWork](), dict[str, Spec](), dict[str, bytes]()
    for section in sections:
        work, spec, file = resolve_embedding(section, settings.work.store_url, volume)
        if spec.spec_id in specs:
            told = f"{section.backbone} with weights {work.weights.source}"
            raise InputError("bad_embeddings", f"embedding: two sections are one specification, {told}: leave one out")
        works.append(work)
        specs[spec.spec_id] = spec
        if file is not None:
            files[work.weights.sha256] = file
    return replace(settings, specs=(*settings.specs, *specs.values()), embeddings=tuple(works), weights_files=files)


def resolve_embedding(section: EmbeddingSection, url: str, volume: Spec) -> tuple[EmbeddingWork, Spec, bytes | None]:
    """Return what a job asks for of embeddings, its specification, and the weights as the store keeps them.

    Raises:
        InputError: there is no such backbone, or its weights cannot be had, or are not its own.
        ResourceError: the device, or the extra `embed`, is not here.
    """
    leave_out = "leave them out: --set embedding.weights=none"
    require("embeddings need", "torch", "torchvision", instead=leave_out)
    architecture = find_architecture(section.backbone)
    # What its input cannot be is told before weights are fetched.
    preprocessing = section.preprocessing(architecture.taken)
    weights = load_weights(section.weights, architecture)
    spec = specify_embedding(section, weights, volume)
    work = EmbeddingWork(
        embedding_spec_id=spec.spec_id,
        volume_spec_id=volume.spec_id,
        preprocessing=preprocessing,
        weights=WeightsRef(weights.source, weights.sha256, architecture, url, weights.licence),
        not_for_inference=weights.not_for_inference,
        compute=section.compute(),
        slices=section.slices,
    )
    return work, spec, None if weights.source.startswith("random:") else to_bytes(weights)


def specify_embedding(section: EmbeddingSection, weights: Weights, volume: Spec) -> Spec:
    """Return the specification of embeddings as a job asks for them, with these weights, of these volumes."""
    settings = {
        **section.preprocessing(weights.architecture.taken).settings(),
        "backbone": weights.architecture.settings(),
        "precision": section.precision,
        "weights": weights.settings(),
    }
    return embedding_spec(volume, settings)


def own_gpus(settings: Settings) -> tuple[str, ...]:
    """Return the GPUs of this machine that a run can use."""
    outline = settings.outline
    embeds = any(work.compute.device != "cpu" for work in settings.embeddings)
    outlines = outline is not None and outline.settings.method != "threshold" and outline.settings.device != "cpu"
    if not (embeds or outlines) or not installed("torch"):
        return ()
    from cvtbatch.embedding.device import visible_gpus

    return visible_gpus()
