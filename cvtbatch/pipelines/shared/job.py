"""Jobs: a file of the user's or the one that comes with cvtbatch, `--set`, and the contract's defaults, as one typed value."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml

from cvtbatch import contracts
from cvtbatch.contracts import JsonObject
from cvtbatch.dlrn.settings import FitSettings
from cvtbatch.documents import from_document
from cvtbatch.embedding.compute import Compute, Device, Precision
from cvtbatch.embedding.inputs import WINDOWS, NetworkInput
from cvtbatch.embedding.preprocessing import Field, Preprocessing
from cvtbatch.embedding.training import Training
from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.file_errors import why
from cvtbatch.manifest import Reading
from cvtbatch.radiomics import Engine

Kind = Literal["extract", "finetune", "fit", "compare-models", "score", "validate"]
EmbeddedSlices = Literal["all", "largest"]
MethodName = Literal["none", "blast-ct", "threshold", "command"]


@dataclass(frozen=True, slots=True)
class VolumeSection:
    """Volumes as they are stored; spacing in x, y, z."""

    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class CommandSection:
    """A program that outlines; see `schemas/job.json`."""

    line: str | None
    labels: tuple[int, ...]
    version: str | None
    time_limit_s: float
    together: int


@dataclass(frozen=True, slots=True)
class OutlineSection:
    """Outlines that a method finds, and in which cases.

    Attributes:
        least_ml: smaller parts are no hematoma.
        parts: outlines of a case at most.
        models: members of the ensemble.
    """

    method: MethodName
    cases: Literal["without_mask", "all"]
    least_ml: float
    parts: int
    models: int
    device: Device
    command: CommandSection


@dataclass(frozen=True, slots=True)
class RadiomicsSection:
    """Features.

    Attributes:
        profile: a name, or a PyRadiomics parameter file.
        audit: share of the ROIs that stock PyRadiomics computes too.
        sets: by name, PyRadiomics parameter files whose features are computed too, of stored volumes and masks.
        source_sets: such files whose features are computed of the sources, before anything is resampled.
    """

    profile: str
    engine: Engine
    audit: float
    sets: Mapping[str, str]
    source_sets: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AtlasSection:
    """Files of an atlas that locations are told by, both or none."""

    template: str | None
    labels: str | None


@dataclass(frozen=True, slots=True)
class EmbeddingSection:
    """Embeddings: of which backbone, on what of a slice, computed how.

    Attributes:
        backbone: a network, e.g. "torchvision:resnet101".
        weights: a name, a file, "random:SEED" or "none".
        slices: of a hematoma; the one setting of what is computed that is no part of the specification.
        windows: of the channels, by name or as centre and width; None for one window in all of them.
        batch: slices that are computed together; None for the device's own.
        compile: run the backbone through torch.compile.
    """

    backbone: str
    weights: str
    slices: EmbeddedSlices
    level_hu: float
    width_hu: float
    windows: tuple[str | tuple[float, float], ...] | None
    field: Field
    margin_mm: float
    precision: Precision
    device: Device
    batch: int | None
    compile: bool

    def preprocessing(self, taken: NetworkInput) -> Preprocessing:
        """Return what a backbone that takes this sees of a slice.

        Raises:
            InputError: "bad_windows": it cannot see so many windows.
        """
        named = (WINDOWS[window] if isinstance(window, str) else window for window in self.windows or ())
        windows = tuple((float(level), float(width)) for level, width in named) or taken.windows
        window = float(self.level_hu), float(self.width_hu)
        return Preprocessing(*window, self.field, float(self.margin_mm), windows, taken)

    def compute(self) -> Compute:
        """Return how the backbone runs."""
        return Compute(self.precision, self.device, self.batch, self.compile)


@dataclass(frozen=True, slots=True)
class CohortSection:
    """Whom a model may be trained on, and whose outline is the primary one.

    Attributes:
        reviewed: take outlines alone that a review accepts as they are.
    """

    training_centers: tuple[str, ...]
    primary_reader: str
    primary_reading: int
    reviewed: bool

    @property
    def primary(self) -> Reading:
        """The outlines that a model is fitted on."""
        return Reading(self.primary_reader, self.primary_reading)


@dataclass(frozen=True, slots=True)
class VariantSection:
    """What is compared with the reference; see `schemas/job.json`, section compare.variants."""

    model: str | None = None
    fit: Mapping[str, object] = field(default_factory=dict)
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CompareSection:
    """What is compared.

    Attributes:
        variants: by name.
        external_centers: on whose cases the variants are compared too.
        net_benefit_at: threshold probabilities at which net benefits are compared.
    """

    variants: Mapping[str, VariantSection]
    external_centers: tuple[str, ...]
    net_benefit_at: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class RunSection:
    """How a run goes about it.

    Attributes:
        commit_cases: most cases that are committed together.
        commit_seconds: longest time that a finished case waits for its commit.
        time_limit_s: longest time that a worker may take over a case; None for a limit by its size.
    """

    commit_cases: int
    commit_seconds: float
    time_limit_s: float | None


@dataclass(frozen=True, slots=True)
class Job:
    """A job that keeps to `schemas/job.json`, every section in it, whatever its kind.

    Attributes:
        describe: tables of values that describe outlines, e.g. signs.
        regions: names of those that are derived of every outline.
        embedding: as it was written, one section or several.
    """

    version: int
    kind: Kind
    volume: VolumeSection
    outline: OutlineSection
    radiomics: RadiomicsSection
    describe: tuple[str, ...]
    regions: tuple[str, ...]
    atlas: AtlasSection
    embedding: EmbeddingSection | tuple[EmbeddingSection, ...]
    cohort: CohortSection
    finetune: Training
    fit: FitSettings
    compare: CompareSection
    run: RunSection

    @property
    def embeddings(self) -> tuple[EmbeddingSection, ...]:
        """The sections of embeddings, at least one."""
        return self.embedding if isinstance(self.embedding, tuple) else (self.embedding,)


def read_job(kind: Kind, path: Path | None = None, overrides: Sequence[str] = ()) -> Job:
    """Return a valid job with every default filled in.

    Args:
        path: job file; by default the one that comes with cvtbatch.
        overrides: "section.key=value", the value in YAML.

    Raises:
        InputError: the file is missing, is no YAML, or is of another kind; an override is not of that form; "grid_too_large".
        ProblemsError: with every key and value that the contract does not allow.
    """
    source = path or contracts.default_job(kind)
    try:
        document = yaml.safe_load(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("no_job", f"there is no job file {source}") from None
    except OSError as error:
        raise InputError("no_job", f"job file {source} cannot be read: {why(error)}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError("bad_job", f"job file {source} is not YAML: {error}") from None
    if not isinstance(document, dict):
        raise InputError("bad_job", f"job file {source} holds no keys")
    for override in overrides:
        _apply(document, override)
    problems = _not_finite(document) or contracts.problems_of(document, "job.json")
    if not problems and document["kind"] != kind:
        problems = [
            f"kind: {document['kind']}, but the command is {kind}: give a job of kind {kind}, or leave --job out"
        ]
    if problems:
        raise ProblemsError.of("bad_job", f"job file {source}" + (" with --set" if overrides else ""), problems)
    whole = contracts.with_defaults(document, "job.json")
    if isinstance(sections := whole["embedding"], list):
        whole["embedding"] = [contracts.with_defaults(section, "job.json", "embedding") for section in sections]
    return from_document(Job, whole)


def _not_finite(value: object, name: str = "") -> list[str]:
    """Return the keys whose numbers are NaN or infinite: JSON has no word for them, and no range refuses NaN."""
    if isinstance(value, dict):
        return [problem for key, item in value.items() for problem in _not_finite(item, f"{name}.{key}".lstrip("."))]
    if isinstance(value, list):
        return [problem for item in value for problem in _not_finite(item, name)]
    return [f"{name}: {value} is no finite number"] if isinstance(value, float) and not math.isfinite(value) else []


def _apply(document: JsonObject, override: str) -> None:
    name, separator, text = override.partition("=")
    if not separator or not name:
        raise InputError(
            "bad_override", f"--set {override!r} is not of the form KEY=VALUE, e.g. radiomics.profile=onekey-1834"
        )
    *sections, key = name.split(".")
    target = document
    for section in sections:
        target = target.setdefault(section, {})
        if isinstance(target, list):
            raise InputError(
                "bad_override",
                f"--set {override!r}: {section} is a list here: give it whole, --set '{section}=[{{...}}, {{...}}]'",
            )
        if not isinstance(target, dict):
            raise InputError("bad_override", f"--set {override!r}: {section} is no section")
    try:
        target[key] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise InputError("bad_override", f"--set {override!r}: the value is not YAML") from None
