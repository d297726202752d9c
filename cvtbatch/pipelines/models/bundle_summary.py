"""What a bundle says of itself: cohort, columns that it needs, weights, thresholds, and what speaks against it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from cvtbatch.dlrn.bundle import load_bundle
from cvtbatch.dlrn.combat import HarmonisedCenters
from cvtbatch.dlrn.description import (
    Auc,
    BackboneWeights,
    CohortSummary,
    Mark,
    Outlines,
    Remark,
    SpecChain,
    VoteRecalibration,
)
from cvtbatch.dlrn.settings import Model
from cvtbatch.pipelines.shared.bundle_networks import NetworkWeights, networks_of
from cvtbatch.pipelines.shared.bundle_warnings import BundleWarning, bundle_warnings
from cvtbatch.validation.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Cohort:
    """Whom a bundle was fitted on; excluded: cases that were left out, by reason."""

    training_centers: tuple[str, ...]
    cases: int
    patients: int
    positive: int
    excluded: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class RecalibratedOn:
    """Whom a bundle was recalibrated on, and of which bundle it is."""

    parent_digest: str
    center: str
    cases: int
    events: int
    method: str


@dataclass(frozen=True, slots=True)
class KeptOfCohort:
    """What a bundle keeps of its cohort, so that a centre can be compared without the cases.

    Attributes:
        features, numbers, levels: columns of which it keeps quantiles, quantiles, and counts.
        embedding: it keeps moments and distances of the embeddings.
    """

    features: tuple[str, ...]
    numbers: tuple[str, ...]
    levels: tuple[str, ...]
    embedding: bool


@dataclass(frozen=True, slots=True)
class SetsSummary:
    """What a bundle says of its prediction sets; see `cvtbatch.dlrn.model_description.SetsDescription`."""

    method: str
    alpha: float
    bound: float
    folds: int


@dataclass(frozen=True, slots=True)
class BundleSummary:
    """A bundle in short, for people and as the JSON document of `cvtbatch bundle show --json`.

    Attributes:
        warnings: what speaks against using it at all, to be read first.
        outcome: what it tells.
        backbone: the image network whose embeddings it takes, or all that are fused.
        networks: each by itself, with its weights and their licence, in the order in which they are fused.
        features: what its radiomics columns are: "radiomics", the study's features, or the name of a feature set.
        regions: of the outlines, that columns come from beside them, by name with the specification that derives each.
        columns: without which it scores nothing.
        thresholds: frozen, by model and name.
        outlines: whose it was fitted on; None in a bundle of format 1 or 2.
        votes: what makes probabilities of them, by signature; empty in a bundle of format 1 or 2.
        kept: None in a bundle of format 1 or 2.
        harmonisation: None where centres stay as they are.
        leave_one_center_out: by training centre, the estimate of models of the others; empty where none was asked for.
        prediction_sets: None where none are made.
    """

    digest: str
    format_version: int
    warnings: tuple[BundleWarning, ...]
    intended_use: str
    protocol: str
    outcome: Outcome
    cohort: Cohort
    recalibrated: RecalibratedOn | None
    specs: SpecChain
    backbone: str
    weights: BackboneWeights
    networks: tuple[NetworkWeights, ...]
    features: str
    regions: Mapping[str, str]
    columns: tuple[str, ...]
    thresholds: Mapping[Model, Mapping[str, float]]
    outlines: Outlines | None
    votes: Mapping[Model, VoteRecalibration]
    kept: KeptOfCohort | None
    harmonisation: HarmonisedCenters | None
    leave_one_center_out: Mapping[str, Mapping[Model, Auc]]
    prediction_sets: SetsSummary | None
    marks: tuple[Mark, ...]
    remarks: tuple[Remark, ...]

    def to_document(self) -> dict[str, object]:
        """Return the JSON document."""
        return {"command": "bundle show", **asdict(self)}


def summarise_bundle(path: Path) -> BundleSummary:
    """Load and verify a bundle, and return what it says of itself.

    Raises:
        InputError: there is no bundle.
        FormatError: it is damaged, or of a format that this version does not know.
    """
    bundle = load_bundle(path)
    told = bundle.description
    cohort, origin = told.cohort, told.recalibration
    return BundleSummary(
        digest=bundle.digest,
        format_version=bundle.document["format_version"],
        warnings=bundle_warnings(told),
        intended_use=told.intended_use,
        protocol=told.protocol,
        outcome=told.outcome,
        cohort=Cohort(cohort.training_centers, cohort.cases, cohort.patients, cohort.positive, dict(cohort.excluded)),
        recalibrated=None
        if origin is None
        else RecalibratedOn(origin.parent_digest, origin.center, origin.cases, origin.events, origin.method),
        specs=told.specs,
        backbone=told.backbone,
        weights=told.weights,
        networks=networks_of(told),
        features=told.features,
        regions=dict(bundle.specs.regions),
        columns=tuple(bundle.needed_columns()),
        thresholds={model: dict(values) for model, values in told.thresholds.items()},
        outlines=told.outlines,
        votes=dict(told.votes),
        kept=_kept(told.cohort_summary),
        harmonisation=told.harmonisation,
        leave_one_center_out={center: dict(found) for center, found in told.metrics.leave_one_center_out.items()},
        prediction_sets=None
        if (sets := told.prediction_sets) is None
        else SetsSummary(sets.method, sets.alpha, sets.bound, len(sets.folds)),
        marks=told.marks,
        remarks=told.remarks,
    )


def _kept(summary: CohortSummary | None) -> KeptOfCohort | None:
    if summary is None:
        return None
    features, numbers, levels = (tuple(sorted(part)) for part in (summary.features, summary.numbers, summary.levels))
    return KeptOfCohort(features, numbers, levels, summary.embedding is not None)
