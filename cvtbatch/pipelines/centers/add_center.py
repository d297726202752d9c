"""Add a centre: check, extract, snapshot, score and validate its archive under a bundle's own specifications.

Every stage picks up where an earlier run left it: what is extracted or scored is left alone, equal content has one snapshot, and
the report is written anew.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from cvtbatch.dlrn.bundle import Bundle, load_bundle
from cvtbatch.engine import Cluster
from cvtbatch.errors import CvtbatchError, FormatError, InputError, StorageError
from cvtbatch.extras import require
from cvtbatch.manifest import Case, Manifest, name_centers
from cvtbatch.own_folders import temporary_folder
from cvtbatch.pipelines.archive.check_files import Problem, check_files
from cvtbatch.pipelines.archive.check_needs import Lack, check_needs
from cvtbatch.pipelines.centers.center_source import refuse_seen_center
from cvtbatch.pipelines.centers.validate import ClassReport, ValidationReport, validate_center
from cvtbatch.pipelines.extraction.bundle_settings import bundle_job, require_bundle_specs
from cvtbatch.pipelines.extraction.case_plan import CasePlan
from cvtbatch.pipelines.extraction.extract import dry_run, extract
from cvtbatch.pipelines.extraction.listeners import Listeners
from cvtbatch.pipelines.extraction.report import ExtractReport
from cvtbatch.pipelines.extraction.settings import Options, Settings, resolve
from cvtbatch.pipelines.models.score import ScoreReport, score_store
from cvtbatch.pipelines.shared.bundle_networks import NetworkWeights, networks_of, require_sections
from cvtbatch.pipelines.shared.bundle_warnings import BundleWarning, bundle_warnings
from cvtbatch.pipelines.shared.job import Job
from cvtbatch.pipelines.shared.pinned_store import open_pinned
from cvtbatch.spec import Spec
from cvtbatch.store import FeatureStore, Location

Stage = Literal["check", "extract", "outline", "region", "embed", "score", "validate"]
OnProgress = Callable[[Stage, int, int, int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is going to be done, once everything that can be refused is refused.

    Attributes:
        settings: of the extraction; its specifications are the bundle's.
        warnings: what speaks against the bundle itself.
        lacks: what the bundle needs and the manifest lacks: cases go without a score, or without a verdict.
        reader: whose outlines are scored and judged; None for whom the bundle was fitted on.
        reviewed: only outlines that a review accepts are scored and judged.
    """

    manifest: Manifest
    center: str
    bundle: Path
    settings: Settings
    warnings: tuple[BundleWarning, ...]
    lacks: tuple[Lack, ...]
    reader: str | None
    reviewed: bool


@dataclass(slots=True)
class CenterReport:
    """What a run did, for people and as the JSON document of `cvtbatch add-center --json`."""

    center: str
    checked: int
    problems: tuple[Problem, ...]
    extraction: ExtractReport
    snapshot: str
    scores: ScoreReport
    validation: ValidationReport | ClassReport
    seconds: dict[str, float] = field(default_factory=dict)

    def to_document(self) -> dict[str, object]:
        """Return the JSON document."""
        return {
            "command": "add-center",
            "center": self.center,
            "checked": self.checked,
            "problems": [problem.to_document() for problem in self.problems],
            "extract": self.extraction.to_document(),
            "snapshot": self.snapshot,
            "score": self.scores.to_document(),
            "validate": self.validation.to_document(),
            "seconds": self.seconds,
        }


@contextmanager
def planned(
    manifest: Manifest, bundle_path: Path, job: Job, store_url: str, given: bool, reader: str | None = None
) -> Iterator[Plan]:
    """Yield what is going to be done; weights that are taken from the store, and settings of radiomics, lie in files until the end.

    Args:
        job: of an extraction; what it says of volumes, features and embeddings gives way to the bundle's specifications.
        given: the user has named the weights.
        reader: whose outlines are to be scored; a method means its newest reader. By default whom the bundle was fitted on.

    Raises:
        InputError: the manifest holds several centres, or one that the bundle was trained on; a folder of its files is away; the
            bundle's specifications cannot be met here, with the settings in which they differ.
        FormatError: the bundle is damaged.
        ResourceError: the device, or the extra `embed` or `fit`, is not here.
    """
    require("adding a centre needs", "torch", "torchvision", "sklearn", "statsmodels", "matplotlib")
    bundle, centers = load_bundle(bundle_path), manifest.centers
    if len(centers) != 1:
        raise InputError(
            "several_centers", f"the manifest holds {len(centers)} centres ({name_centers(centers)}): add one at a time"
        )
    refuse_seen_center(bundle, centers[0])
    manifest.require_folders()
    with temporary_folder("cvtbatch-add-center-") as folder:
        settings = resolve_by_bundle(bundle, job, store_url, given, folder)
        lacks = tuple(check_needs(manifest, bundle, reader))
        warnings = bundle_warnings(bundle.description)
        yield Plan(manifest, centers[0], bundle_path, settings, warnings, lacks, reader, job.cohort.reviewed)


def resolve_by_bundle(bundle: Bundle, job: Job, store_url: str, given: bool, folder: Path) -> Settings:
    """Return the settings of an extraction under which a bundle's inputs are made.

    Args:
        job: what it says of volumes, features and embeddings gives way to the bundle's specifications.
        given: the user has named the weights.
        folder: for weights that are taken from the store, and settings of radiomics: they are needed while the extraction lasts.

    Raises:
        InputError: the bundle's specifications cannot be met here, with the settings in which they differ.
        ResourceError: the device, or the extra `embed`, is not here.
    """
    specs = {**_known_specs(store_url), **bundle.known_specs()}
    own = bundle_job(job, bundle, specs, folder)
    networks = networks_of(bundle.description)
    if given:
        require_sections(len(job.embeddings), len(networks))
    else:
        found = [_weights(network, store_url, folder) for network in networks]
        sections = zip(own.embeddings, found, strict=True)
        own = replace(own, embedding=tuple(replace(section, weights=weights) for section, weights in sections))
    settings = _resolve(own, bundle, store_url)
    if not given and settings.embeddings:
        # What a row says of its weights is what the bundle says, wherever this run has found them.
        works = tuple(
            replace(work, weights=replace(work.weights, source=network.name))
            for work, network in zip(settings.embeddings, networks, strict=True)
        )
        settings = replace(settings, embeddings=works)
    if not settings.embeddings:
        raise InputError("no_embeddings", "the bundle takes embeddings: embedding.weights cannot be none")
    require_bundle_specs(settings.specs, bundle, specs)
    return settings


def _resolve(job: Job, bundle: Bundle, store_url: str) -> Settings:
    """Return the extraction resolved; a feature set's name is its bundle's, and cannot be changed where the store has another."""
    try:
        return resolve(job, store_url)
    except InputError as error:
        if error.kind != "set_taken" or bundle.description.features not in {
            *job.radiomics.sets,
            *job.radiomics.source_sets,
        }:
            raise
        raise InputError(
            error.kind,
            f"the bundle scores its feature set {bundle.description.features}, and the store has another under this name: "
            "add the centre to a store of its own (--store NEW)",
        ) from None


def _known_specs(store_url: str) -> dict[str, Spec]:
    try:
        return FeatureStore(Location.of(store_url).url).at(None).specs()
    except CvtbatchError as error:
        if error.kind != "no_store":
            raise
        return {}


def _weights(network: NetworkWeights, store_url: str, folder: Path) -> str:
    """Return where a network's weights are: random ones by their name, others as the store kept them, else by their name.

    Raises:
        InputError: they are nowhere.
    """
    name, sha256 = network.name, network.sha256
    if name.startswith("random:"):
        return name
    try:
        data = FeatureStore(Location.of(store_url).url).read_weights(sha256)
    except (FormatError, StorageError):
        if name == "file":
            raise InputError(
                "no_weights",
                f"the bundle's weights {sha256[:12]} of {network.backbone} are not in this store: name their file with "
                "--set embedding.weights=FILE, of several networks with --set 'embedding=[{weights: FILE}, ...]'",
            ) from None
        return name
    file = folder / f"weights-{sha256[:12]}.safetensors"
    file.write_bytes(data)
    return str(file)


def add_center(
    plan: Plan,
    store_url: str,
    out: Path,
    cluster: Cluster,
    options: Options,
    on_progress: OnProgress = lambda *_: None,
    on_failure: Callable[[str], None] = lambda _: None,
    on_notice: Callable[[str], None] = lambda _: None,
) -> CenterReport:
    """Run all stages.

    Args:
        on_progress: told the stage, how many are done, of how many, and how many failed.
        on_failure: called with the text of each failure, which may hold paths; for the terminal, never for the store.
        on_notice: so too with what else the user should know.

    Raises:
        as `extract`, `score_store` and `validate_center` do.
    """
    times: dict[str, float] = {}

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        times[stage] = round(time.monotonic() - began, 3)

    with timed("check"):
        checked, problems = _check(plan, cluster, options, on_progress)
    with timed("extract"):
        extraction = extract(
            plan.manifest,
            plan.settings,
            cluster,
            options,
            Listeners(
                lambda progress: on_progress(progress.stage, progress.done, progress.total, progress.failed),
                on_failure,
                on_notice,
            ),
        )
    with timed("snapshot"):
        snapshot = open_pinned(store_url, None, "add-center").name
    on_progress("score", 0, 0, 0)
    with timed("score"):
        scores = score_store(
            store_url,
            plan.bundle,
            snapshot,
            (plan.center,),
            cluster,
            reader=plan.reader,
            explain=True,
            reviewed=plan.reviewed,
            on_progress=lambda done, total: on_progress("score", done, total, 0),
        )
    on_progress("validate", 0, 0, 0)
    with timed("validate"):
        validation = validate_center(
            store_url,
            plan.bundle,
            plan.center,
            snapshot,
            out,
            lambda done, total: on_progress("validate", done, total, 0),
            cluster,
            reader=plan.reader,
            reviewed=plan.reviewed,
        )
    return CenterReport(plan.center, checked, problems, extraction, snapshot, scores, validation, times)


def _check(plan: Plan, cluster: Cluster, options: Options, on_progress: OnProgress) -> tuple[int, tuple[Problem, ...]]:
    """Read the files of the cases that are to be extracted, and return how many cases and their problems.

    What an earlier run has extracted was read then, and is not read again.
    """
    fresh: list[Case] = []

    def on_plan(entry: CasePlan) -> None:
        if entry.task is not None:
            fresh.append(entry.case)

    dry_run(plan.manifest, plan.settings, options, on_plan)
    x, y, z = plan.settings.work.spacing_mm
    findings = check_files(
        fresh, (x, y, z), cluster, lambda done, failed: on_progress("check", done, len(fresh), failed)
    )
    return len(fresh), findings.problems
