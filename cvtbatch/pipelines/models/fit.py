"""Fit: a snapshot's training cohort to a bundle, its tasks spread over workers."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cvtbatch import contracts, engine
from cvtbatch.dlrn.bundle import FUSED, Bundle, load_bundle, write_bundle
from cvtbatch.dlrn.cohort_summary import summarise_cohort
from cvtbatch.dlrn.fit import Fit, fit_model
from cvtbatch.dlrn.settings import FitSettings
from cvtbatch.dlrn.tasks import Task, TaskResult, run_task
from cvtbatch.documents import to_document
from cvtbatch.embedding.architectures import DEFAULT, network_of
from cvtbatch.engine import Cluster
from cvtbatch.errors import InputError
from cvtbatch.extras import require
from cvtbatch.pipelines.models.cohort_source import CohortSource, cohort_source
from cvtbatch.pipelines.models.fit_outlines import resolve_outlines
from cvtbatch.pipelines.models.training_cohort import TrainingData, read_training
from cvtbatch.pipelines.models.training_networks import describe_networks
from cvtbatch.pipelines.shared.job import Job
from cvtbatch.pipelines.shared.pinned_store import PinnedStore, open_pinned
from cvtbatch.pipelines.shared.unfinished import require_done
from cvtbatch.regions.rules import columns_by_region
from cvtbatch.spec import Spec
from cvtbatch.store import FeatureStore, Location
from cvtbatch.validation.cohort_baseline import CLINICAL
from cvtbatch.validation.outcome import Outcome, outcome_of

TELLS_CVT = "tells hematomas caused by cerebral venous thrombosis from hematomas of other causes"
RESEARCH_ALONE = "Not a medical device; not for the care of patients."

# Keys of the section fit that are not said where they are at their default, so that equal fits have equal digests for ever.
LATER = frozenset(
    {
        "classes",
        "clinical",
        "embedding_spec",
        "features",
        "harmonise",
        "harmonise.new_centers",
        "nested.leave_one_center_out",
        "outcome",
        "outline_features",
        "pooling",
        "prediction_sets",
        "regions",
        "selection.volume_correlation",
    }
)


@dataclass(frozen=True, slots=True)
class FitItem:
    """One task for a worker, which reads the cohort for itself."""

    source: CohortSource
    settings: FitSettings
    task: Task


@dataclass(frozen=True, slots=True)
class FitReport:
    """What a fit found, for people and as the JSON document of `cvtbatch fit --json`.

    Attributes:
        bundle: as it was read again.
    """

    out: str
    bundle: Bundle

    def to_document(self) -> dict[str, object]:
        """Return the JSON document."""
        digest, description = self.bundle.digest, self.bundle.document
        return {"command": "fit", "bundle": self.out, "bundle_digest": digest, "description": description}


def run_item(item: FitItem) -> TaskResult:
    """Run a task where the store can be read; a worker reads the cohort once."""
    return run_task(read_training(item.source).cohort, item.settings, item.task)


def fit_bundle(
    job: Job,
    store_url: str,
    snapshot: str | None,
    spec_ids: Sequence[str],
    out: Path,
    cluster: Cluster,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> FitReport:
    """Fit on a snapshot's training cohort and write the bundle.

    Args:
        snapshot: by default one that is recorded for this.
        spec_ids: specifications to which the rows are restricted.
        out: a new folder, or a new file that ends in .tar.
        on_progress: called with the tasks done and all of them.

    Raises:
        InputError: the cohort cannot be fitted on, a reader or table that the job names is not there, or something is at `out`.
        ProblemsError: "leakage", or the job is not valid.
        ResourceError: this installation is one without the extra `fit`; a worker died over a task, or the scheduler went away.
    """
    require("fitting needs", "sklearn", "imblearn", "statsmodels")
    if out.exists():
        raise InputError("bundle_exists", f"--out {out}: there is something already; choose a new name")
    features = FeatureStore(Location.of(store_url).url).features_of(job.fit.features)
    pinned = open_pinned(store_url, snapshot, "fit")
    job, icc_table = resolve_outlines(job, pinned.view, spec_ids, features)
    source = cohort_source(job, pinned, spec_ids, icc_table)
    data = read_training(source)

    def spread(tasks: Sequence[Task]) -> Iterable[TaskResult]:
        return _spread([FitItem(source, job.fit, task) for task in tasks], cluster, on_progress)

    fit = fit_model(data.cohort, job.fit, data.specs, data.surroundings, spread)
    columns = {**{name: data.clinical[name] for name in CLINICAL}, **data.acquisition}
    summary, moments = summarise_cohort(data.cohort, fit.model, columns, CLINICAL)
    document = _document(fit, data, job, pinned)
    document["cohort_summary"] = to_document(summary)
    write_bundle(out, document, fit.model, fit.golden, fit.selection, fit.out_of_fold, moments)
    return FitReport(str(out), load_bundle(out))


def _spread(
    items: Sequence[FitItem], cluster: Cluster, on_progress: Callable[[int, int], None]
) -> Iterator[TaskResult]:
    """Yield the tasks' results as they are done.

    Raises:
        ResourceError: no worker could do a task.
    """
    for done, outcome in enumerate(engine.run(cluster, run_item, items), 1):
        result = require_done(outcome, f"the task {outcome.item.task.name}")
        on_progress(done, len(items))
        yield result


def _document(fit: Fit, data: TrainingData, job: Job, pinned: PinnedStore) -> dict[str, object]:
    """Return bundle.json but for what follows from the model and the files."""
    cohort, outcome = data.cohort, outcome_of(job.fit.outcome, job.fit.classes)
    return {
        "intended_use": f"Research: {_tells(outcome)} on non-enhanced head CT. {RESEARCH_ALONE}",
        **_outcome(outcome, fit),
        "specs": {
            "volume_spec_id": data.volume_spec_id,
            "radiomics_spec_id": data.specs.radiomics_spec_id,
            "embedding_spec_id": data.specs.embedding_spec_id,
        },
        "spec_settings": _settings(data.spec_chain),
        "weights": dict(data.weights),
        "snapshot": {"name": pinned.name, "digest": pinned.content_digest},
        "cohort": {
            "digest": cohort.digest(),
            "training_centers": list(data.centers),
            "cases": len(cohort.keys),
            "patients": len(set(cohort.patients)),
            "positive": 0 if outcome.is_several else int(cohort.outcome.sum()),
            "excluded": dict(data.excluded),
            "image_digests": sorted(set(cohort.image_digests) - {""}),
        },
        "outlines": to_document(data.outlines),
        **_feature_set(fit, data),
        **_backbones(data, pinned.store),
        **_regions(fit, data),
        "job": {"cohort": to_document(job.cohort), "fit": _fit_document(job)},
        **fit.document,
    }


def _tells(outcome: Outcome) -> str:
    if outcome.is_several:
        return f"tells hematomas of {', '.join(outcome.classes[:-1])} and {outcome.classes[-1]} ({outcome.column}) from each other"
    return TELLS_CVT if outcome.is_cvt else f"tells hematomas with {outcome.event} from those with {outcome.other}"


def _outcome(outcome: Outcome, fit: Fit) -> dict[str, object]:
    """Return what bundle.json says of the outcome; nothing of the study's."""
    of_classes = {"by_class": dict(fit.by_class)} if outcome.is_several else {}
    return {} if outcome.is_cvt else {"outcome": {**to_document(outcome), **of_classes}}


def _feature_set(fit: Fit, data: TrainingData) -> dict[str, object]:
    """Return what bundle.json says of a feature set whose features stand in place of the study's; nothing of these."""
    spec_id, columns = data.specs.radiomics_spec_id, list(fit.model.radiomics)
    if data.features == contracts.RADIOMICS:
        return {}
    return {"feature_sets": [{"table": data.features, "spec_id": spec_id, "columns": columns}]}


def _settings(specs: Sequence[Spec]) -> dict[str, object]:
    """Return the settings of specifications by kind; of several fused embeddings those of each."""
    volume, radiomics, *embeddings = specs
    own = [spec.content() for spec in embeddings]
    return {
        volume.kind: volume.content(),
        radiomics.kind: radiomics.content(),
        "embedding": own[0] if len(own) == 1 else {FUSED: own},
    }


def _backbones(data: TrainingData, store: FeatureStore) -> dict[str, object]:
    """Return what bundle.json says of an image network in place of the default one, or of several fused; nothing of that one."""
    if [network_of(spec.content()) for spec in data.embeddings] == [DEFAULT.name]:
        return {}
    return {"backbones": [to_document(network) for network in describe_networks(data.embeddings, data.weights, store)]}


def _regions(fit: Fit, data: TrainingData) -> dict[str, object]:
    """Return what bundle.json says of regions whose features are columns; nothing where there are none."""
    columns = dict.fromkeys(name for model in fit.model.models for name in model.radiomics)
    used = columns_by_region(columns).items()
    found = [{"name": name, "region_spec_id": data.specs.regions[name], "columns": own} for name, own in used]
    return {"regions": found} if found else {}


def _fit_document(job: Job) -> dict[str, object]:
    """Return the section fit of the job as it ran, without keys that are younger than bundles which must stay as they are."""
    defaults = contracts.with_defaults({"version": 1, "kind": "fit"}, "job.json")["fit"]
    return _without_later_defaults(to_document(job.fit), defaults)


def _without_later_defaults(
    section: Mapping[str, object], defaults: Mapping[str, object], above: str = ""
) -> dict[str, object]:
    kept: dict[str, object] = {}
    for name, value in section.items():
        default = defaults.get(name)
        if f"{above}{name}" in LATER and value == default:
            continue
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            kept[name] = _without_later_defaults(value, default, f"{above}{name}.")
        else:
            kept[name] = value
    return kept
