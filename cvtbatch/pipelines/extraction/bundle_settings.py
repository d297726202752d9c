"""The settings of an extraction under which a bundle's inputs are made: taken from the bundle, and held to its specifications."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import yaml

import cvtbatch
from cvtbatch import contracts
from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.pooling import Pooling
from cvtbatch.embedding.architectures import network_of
from cvtbatch.errors import InputError
from cvtbatch.pipelines.extraction.set_settings import grid_of, set_parameters
from cvtbatch.pipelines.shared.job import EmbeddedSlices, EmbeddingSection, Job
from cvtbatch.radiomics import PROFILES, study_settings
from cvtbatch.spec import Difference, Spec, differences, parts_of

SHOWN_DIFFERENCES = 5
# Settings that no user can give: integers that are raised where values move.
REVISIONS = {"volume.ingest_revision", "radiomics.engine_revision", "embedding.revision"}
GIVEN = {
    "volume": "volume.spacing_mm",
    "radiomics": "radiomics.profile",
    "embedding": "embedding.backbone, level_hu, width_hu, windows, field, margin_mm, precision and weights",
}


def bundle_job(job: Job, bundle: Bundle, specs: Mapping[str, Spec], folder: Path) -> Job:
    """Return the job with the settings of the bundle's specifications, as far as they are known, and the slices that it takes.

    Args:
        specs: that are known, by id.
        folder: for a parameter file of PyRadiomics: of the bundle's feature set, or where its settings are none of the named
            profiles'.
    """
    ids = bundle.description.specs
    volume, radiomics = job.volume, job.radiomics
    embeddings = _sections(job, bundle, specs)
    if ids.volume_spec_id in specs:
        volume = replace(volume, spacing_mm=tuple(specs[ids.volume_spec_id].content()["spacing_mm"]))
    if ids.radiomics_spec_id in specs:
        spec = specs[ids.radiomics_spec_id]
        if name := spec.feature_set:
            own = {name: _parameter_file(set_parameters(spec), folder)}
            if grid_of(spec) == "source":
                radiomics = replace(radiomics, source_sets={**radiomics.source_sets, **own})
            else:
                radiomics = replace(radiomics, sets={**radiomics.sets, **own})
        else:
            radiomics = replace(radiomics, profile=_profile(spec.content()["settings"], folder))
    regions = tuple(dict.fromkeys([*job.regions, *bundle.regions]))
    return replace(job, volume=volume, radiomics=radiomics, embedding=embeddings, regions=regions)


def _sections(job: Job, bundle: Bundle, specs: Mapping[str, Spec]) -> tuple[EmbeddingSection, ...]:
    """Return a section for each of the bundle's networks, as far as their settings are known.

    The job's say where they are computed and which weights they have: the first for all, where there are not as many as networks.
    """
    spec_ids = parts_of([bundle.specs.embedding_spec_id])
    given = job.embeddings if len(job.embeddings) == len(spec_ids) else job.embeddings[:1] * len(spec_ids)
    found = []
    for spec_id, own in zip(spec_ids, given, strict=True):
        section = replace(own, slices=slices_of(bundle.model.pooling))
        if spec_id in specs:
            settings = specs[spec_id].content()
            window, windows, seen = settings.get("window", {}), settings.get("windows"), settings["field"]
            section = replace(
                section,
                backbone=network_of(settings),
                level_hu=window.get("level_hu", section.level_hu),
                width_hu=window.get("width_hu", section.width_hu),
                windows=None if windows is None else tuple((level, width) for level, width in windows),
                field=seen["kind"],
                margin_mm=seen.get("margin_mm", section.margin_mm),
                precision=settings["precision"],
            )
        found.append(section)
    return tuple(found)


def slices_of(pooling: Pooling) -> EmbeddedSlices:
    """Return the slices whose embeddings a pooling takes."""
    return "largest" if pooling is Pooling.LARGEST else "all"


def _profile(settings: Mapping[str, object], folder: Path) -> str:
    """Return the name of the profile with these settings of PyRadiomics, or a parameter file with them."""
    for name, profile in PROFILES.items():
        if study_settings(profile) == settings:
            return name
    return _parameter_file({"setting": dict(settings)}, folder)


def _parameter_file(content: Mapping[str, object], folder: Path) -> str:
    file = folder / "radiomics.yaml"
    file.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf-8")
    return str(file)


def require_bundle_specs(made: Sequence[Spec], bundle: Bundle, specs: Mapping[str, Spec]) -> None:
    """Refuse specifications that are not the bundle's; whose outlines it is applied to, a method's too, is not among them.

    Args:
        made: of the job that is to run.
        specs: that are known, by id.

    Raises:
        InputError: "other_spec" or "other_revision".
    """
    own = {spec.spec_id: spec for spec in made}
    missing = [part for part in parts_of([bundle.specs.embedding_spec_id]) if part not in own]
    for spec in made:
        wanted = _wanted(spec, bundle, missing)
        if wanted is None or spec.spec_id == wanted:
            continue
        if spec.kind == "region":
            region = spec.content()["region"]
            raise InputError(
                "other_revision",
                f"the bundle takes region {region} of specification {wanted}, and this version of cvtbatch "
                f"({cvtbatch.__version__}) derives {spec.spec_id}: use the version that fitted it, "
                f"{bundle.description.software['cvtbatch']}, or fit anew",
            )
        told = (
            f"the bundle does not carry its settings, and the store does not know {wanted}: ask who fitted it for the job file, or "
            f"for a bundle that this version writes; --job or --set {GIVEN[spec.kind]} help only where they are exactly those"
        )
        if wanted in specs:
            found = differences({**specs, **own}, wanted, spec.spec_id)
            _refuse_revision(found, bundle)
            told = "; ".join(map(str, found[:SHOWN_DIFFERENCES]))
        raise InputError(
            "other_spec",
            f"the bundle takes {spec.kind} specification {wanted}, and this would make {spec.spec_id}: {told}",
        )


def _wanted(spec: Spec, bundle: Bundle, missing: Sequence[str]) -> str | None:
    """Return the bundle's specification in place of one; None where what a job computes is no input of the bundle.

    Args:
        missing: the bundle's networks that are not made, in their order.
    """
    if spec.kind == "region":
        return bundle.specs.regions.get(spec.content()["region"])
    if spec.kind not in GIVEN or (spec.kind == "radiomics" and not is_of_bundle(spec, bundle)):
        return None
    if spec.kind == "embedding":
        own = parts_of([bundle.specs.embedding_spec_id])
        return spec.spec_id if spec.spec_id in own else next(iter(missing), None)
    return bundle.description.specs.of_kind(spec.kind)


def is_of_bundle(spec: Spec, bundle: Bundle) -> bool:
    """Say whether a specification is of the features that a bundle scores: the study's, or those of its feature set's name."""
    return (spec.feature_set or contracts.RADIOMICS) == bundle.description.features


def _refuse_revision(found: Sequence[Difference], bundle: Bundle) -> None:
    """Refuse to make values that are not those which the bundle's version made."""
    for difference in found:
        if difference.setting in REVISIONS:
            made = bundle.description.software["cvtbatch"]
            raise InputError(
                "other_revision",
                f"the bundle's values were made at {difference.setting} {difference.first}, and this version of cvtbatch "
                f"({cvtbatch.__version__}) makes those of {difference.second}: use the version that fitted it, {made}, or fit anew",
            )
