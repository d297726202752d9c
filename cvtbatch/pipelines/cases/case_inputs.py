"""What a bundle scores of one case, made without a store: its features, its embedding, and what triage says of its sources."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from cvtbatch import contracts
from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.pooling import Pooling, pool_slices
from cvtbatch.embedding.architectures import find_architecture
from cvtbatch.embedding.compute import Compute
from cvtbatch.embedding.preprocessing import Preprocessing, Slices, prepare_slices
from cvtbatch.embedding.weights import Weights, load_weights
from cvtbatch.errors import InputError, InternalError
from cvtbatch.imaging import triage_mask
from cvtbatch.imaging.quality import measure_series
from cvtbatch.manifest import Case
from cvtbatch.own_folders import temporary_folder
from cvtbatch.pipelines.cases.case_source import CaseSource, PlacedCase, place_case, within_memory
from cvtbatch.pipelines.extraction.bundle_settings import bundle_job, require_bundle_specs, slices_of
from cvtbatch.pipelines.extraction.region_work import resolve_regions
from cvtbatch.pipelines.extraction.set_settings import resolve_set
from cvtbatch.pipelines.extraction.settings import specify_embedding
from cvtbatch.pipelines.shared.archive_images import case_at_hand
from cvtbatch.pipelines.shared.bundle_networks import NetworkWeights, networks_of, require_sections
from cvtbatch.pipelines.shared.job import Job, RadiomicsSection
from cvtbatch.pipelines.shared.volume_flags import volume_flags
from cvtbatch.radiomics import Engine, FeatureSet, load_profile, study_settings
from cvtbatch.regions.masks import NoRegion
from cvtbatch.regions.rules import Rule, region_column
from cvtbatch.reporting.outlined_slice import OutlinedSlice
from cvtbatch.spec import Spec, digest, radiomics_spec, volume_spec


@dataclass(frozen=True, slots=True)
class Network:
    """An image network, what it sees, and where it is computed."""

    preprocessing: Preprocessing
    weights: Weights
    compute: Compute


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a bundle's inputs are made of an image and an outline; spacing in x, y, z.

    Attributes:
        networks: whose embeddings are fused, in this order.
    """

    spacing_mm: tuple[float, float, float]
    profile: FeatureSet
    engine: Engine
    networks: tuple[Network, ...]
    pooling: Pooling
    regions: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, eq=False)
class CaseInputs:
    """What is made of one case.

    Attributes:
        choice: which series was taken, and why.
        flags: of the volume and the outline, as the tables `volumes` and `rois` have them, and why there is no region.
        features: of the outline and of regions by name; NaN of a region that it does not have.
        volume_ml, source_volume_ml: of the outline on the stored grid, and as drawn.
        embedding: of the largest slice, or of all as the bundle pools them: (values,), (2 values,) of mean and maximum, or those of
            all slices behind one another, which attention pools; values of fused networks stand behind one another.
        largest: that slice, as it is stored.
    """

    choice: str
    flags: tuple[str, ...]
    image_digest: str
    input_digest: str
    volume_ml: float
    source_volume_ml: float
    features: dict[str, float]
    embedding: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
    largest: OutlinedSlice


def resolve_recipe(bundle: Bundle, job: Job, given: bool) -> Recipe:
    """Return how the bundle's inputs are made; all that can be refused is refused here.

    Args:
        job: of an extraction; gives way to what the bundle says of volumes, features and embeddings.
        given: it names the weights, which the bundle does otherwise.

    Raises:
        InputError: the weights cannot be had, with the file that is needed and where from; the bundle's specifications cannot be
            met here.
        ResourceError: there is no torch here.
    """
    specs = bundle.known_specs()
    with temporary_folder("cvtbatch-predict-") as folder:
        own = bundle_job(job, bundle, specs, folder)
        x, y, z = map(float, own.volume.spacing_mm)
        volume = volume_spec((x, y, z))
        profile, engine, radiomics = _resolve_features(own.radiomics, bundle.description.features, volume)
    wanted = networks_of(bundle.description)
    if given:
        require_sections(len(job.embeddings), len(wanted))
    sections = [
        section if given else replace(section, weights=_named_weights(network))
        for section, network in zip(own.embeddings, wanted, strict=True)
    ]
    if any(section.weights == "none" for section in sections):
        raise InputError("no_embeddings", "the bundle takes embeddings: embedding.weights cannot be none")
    regions, region_specs = resolve_regions(bundle.regions, volume)
    networks, embeddings = [], []
    for section in sections:
        weights = load_weights(section.weights, find_architecture(section.backbone))
        networks.append(Network(section.preprocessing(weights.architecture.taken), weights, section.compute()))
        embeddings.append(specify_embedding(section, weights, volume))
    require_bundle_specs((volume, radiomics, *region_specs, *embeddings), bundle, specs)
    rules = tuple(region.rule for region in regions)
    return Recipe((x, y, z), profile, engine, tuple(networks), bundle.model.pooling, rules)


def _resolve_features(section: RadiomicsSection, features: str, volume: Spec) -> tuple[FeatureSet, Engine, Spec]:
    """Return the features that a bundle scores, the study's or a feature set's, what computes them, and their specification.

    Raises:
        InputError: "source_grid"; errors as for `load_profile` and `resolve_set`.
    """
    if features == contracts.RADIOMICS:
        profile = load_profile(section.profile)
        return profile, section.engine, radiomics_spec(volume, study_settings(profile), contracts.feature_names())
    work, spec = resolve_set(features, section, volume)
    if work.grid == "source":
        raise InputError(
            "source_grid",
            f"the bundle's feature set {features} is computed of the sources' own grid, and a single case on the stored one: "
            "extract the case into a store, and score it there",
        )
    return work.feature_set, work.engine, spec


def _named_weights(network: NetworkWeights) -> str:
    """Return the name of a network's weights.

    Raises:
        InputError: they have none, being of a file.
    """
    if network.name == "file":
        raise InputError(
            "no_weights",
            f"the bundle takes weights of {network.backbone} of a file whose tensors have SHA-256 {network.sha256 or 'not known'}, "
            "and does not hold it: name that file, the one that `cvtbatch finetune` wrote or that its store keeps in weights/, "
            "with --set embedding.weights=FILE, of several networks with --set 'embedding=[{weights: FILE}, ...]'",
        )
    return network.name


def read_inputs(source: CaseSource, recipe: Recipe) -> CaseInputs:
    """Read image and outline, and compute what the bundle scores.

    Raises:
        InputError: a file cannot be read, or the outline is none of this image's.
        UnavailableError: the image cannot be had from its archive.
        ResourceError: this machine has too little memory for it.
    """
    with case_at_hand(source.to_case()) as case, within_memory():
        return _read_inputs(case, recipe)


def _read_inputs(case: Case, recipe: Recipe) -> CaseInputs:
    placed = place_case(case, recipe.spacing_mm)
    source, outline, hu_zyx, mask_zyx, grid = placed.source, placed.outline, placed.hu_zyx, placed.mask_zyx, placed.grid
    quality = measure_series(source.hu_zyx, source.stack)
    triage = triage_mask(mask_zyx, hu_zyx, grid, outline.volume_ml)
    features = placed.features(recipe.profile, recipe.engine).values
    of_regions, lacking = _region_features(placed, recipe, tuple(features))

    def read_slices(indices: Sequence[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
        return hu_zyx[list(indices)]

    part = slices_of(recipe.pooling)
    seen = [
        prepare_slices(mask_zyx, read_slices, grid.spacing_mm, network.preprocessing, part)
        for network in recipe.networks
    ]
    index = seen[0].largest
    image_digest = source.image_digest()
    return CaseInputs(
        choice=source.choice,
        flags=tuple(dict.fromkeys([*volume_flags(source, quality), *outline.flags, *triage.flags, *lacking])),
        image_digest=image_digest,
        input_digest=digest(image_digest, outline.mask_digest()),
        volume_ml=int(np.count_nonzero(mask_zyx)) * grid.voxel_ml,
        source_volume_ml=outline.volume_ml,
        features={**features, **of_regions},
        embedding=_embed(seen, recipe),
        largest=OutlinedSlice.facing_up(hu_zyx[index], mask_zyx[index], grid.spacing_mm, grid.direction),
    )


def _region_features(
    placed: PlacedCase, recipe: Recipe, names: Sequence[str]
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return the features of the outline's regions, NaN where there is no such region, and why there is none."""
    values, lacking = dict[str, float](), list[str]()
    inside = cache(placed.inside_of_skull)
    for rule in recipe.regions:
        region = placed.region(rule, inside)
        if isinstance(region, NoRegion):
            lacking.append(f"{rule.name}_{region.reason}")
            found = dict.fromkeys(names, math.nan)
        else:
            found = region.features(recipe.profile, recipe.engine).values
        values |= {region_column(rule.name, name): found[name] for name in names}
    return values, tuple(lacking)


def _embed(seen: Sequence[Slices], recipe: Recipe) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return the embedding of an outline's slices as each network sees them; each slice has the bits that it has among others."""
    most = max(seen, key=lambda slices: len(slices.index))
    found = [_values(network, slices) for network, slices in zip(recipe.networks, seen, strict=True)]
    # A network that sees a box gives each slice that others see the same numbers.
    values = np.concatenate([np.broadcast_to(own, (len(most.index), own.shape[1])) for own in found], axis=1)
    if recipe.pooling is Pooling.ATTENTION:
        return np.asarray(values.ravel(), np.float32)
    if recipe.pooling is not Pooling.LARGEST:
        values = pool_slices(values, np.array(most.area_mm2), np.array([0, len(values)]), recipe.pooling)
    return np.asarray(values[0], np.float32)


def _values(network: Network, slices: Slices) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    from cvtbatch.embedding.backbone import Backbone

    values = np.concatenate(list(Backbone(network.weights, network.compute).embed(iter([slices.gray]))))
    if not np.isfinite(values).all():
        raise InternalError("embedding_not_finite", "the backbone gives values that are not finite for this outline")
    return values
