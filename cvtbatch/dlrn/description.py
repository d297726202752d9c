"""What bundle.json says, as values; of all formats alike, and as much of it as code looks at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cvtbatch import contracts
from cvtbatch.dlrn.bundle_files import DOCUMENT
from cvtbatch.dlrn.clinical_terms import DEFAULT_TERMS, ClinicalTerm
from cvtbatch.dlrn.column_sources import FeatureTable, NamedBackbone, RegionColumns, SlicePooling
from cvtbatch.dlrn.combat import HarmonisedCenters
from cvtbatch.dlrn.model_description import Columns, SetsDescription
from cvtbatch.dlrn.nomogram import NO_NOMOGRAM, Nomogram
from cvtbatch.dlrn.settings import Model
from cvtbatch.embedding.architectures import DEFAULT
from cvtbatch.errors import FormatError
from cvtbatch.manifest import Reading
from cvtbatch.spec import FUSE_NAMES
from cvtbatch.validation.kept_columns import KeptLevels, KeptNumbers
from cvtbatch.validation.outcome import CVT, Outcome

# What the DLRN's out-of-fold estimate must be read with: the signature's scores are out of fold, its regression is not.
REGRESSION_IN_SAMPLE = "the nomogram was fitted on these scores: in sample for its coefficients, optimistic"
NEGATIVE_SIGNATURE = "the DLR signature's coefficient is negative: a higher signature lowers the probability"


@dataclass(frozen=True, slots=True)
class SpecChain:
    """The specifications that inputs must have been made under."""

    volume_spec_id: str
    radiomics_spec_id: str
    embedding_spec_id: str

    def of_kind(self, kind: str) -> str:
        """Return the id of "volume", "radiomics" or "embedding", of fused embeddings all with a plus between them."""
        return {"volume": self.volume_spec_id, "radiomics": self.radiomics_spec_id}.get(kind, self.embedding_spec_id)


@dataclass(frozen=True, slots=True)
class BackboneWeights:
    """The backbone's weights; an empty hash where it is not known."""

    name: str
    sha256: str
    not_for_inference: bool


@dataclass(frozen=True, slots=True)
class SnapshotRef:
    """A snapshot of a store, and the digest of its content."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class TrainingCohort:
    """Whom the model was fitted on.

    Attributes:
        excluded: cases of the training centres that were left out, by reason.
        image_digests: of the training images, sorted: what validation must not contain.
    """

    training_centers: tuple[str, ...]
    cases: int
    patients: int
    positive: int
    excluded: Mapping[str, int]
    image_digests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SelectedColumn:
    """A column of a signature.

    Attributes:
        coefficient: of the LASSO.
        importance: its share in the forest.
        stability: share of the outer folds that selected it; None without nested cross-validation.
    """

    feature: str
    coefficient: float | None
    importance: float
    stability: float | None


@dataclass(frozen=True, slots=True)
class SignatureFit:
    """A signature as it was fitted; counts are the columns that each step of the selection left."""

    counts: Mapping[str, int]
    selected: tuple[SelectedColumn, ...]


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A term of the DLRN's logistic regression; None where it cannot be estimated."""

    name: str
    coefficient: float | None
    low: float | None
    high: float | None
    p_value: float | None
    odds_ratio: float | None
    odds_ratio_low: float | None
    odds_ratio_high: float | None

    def lacks_interval(self) -> str:
        """Say why the odds ratio has no interval; empty where it has one."""
        if self.low is None or self.high is None:
            return "the profile of the penalised likelihood gives no limit"
        if self.odds_ratio_low is None or self.odds_ratio_high is None:
            return f"the coefficient's limits are {self.low:.4g} and {self.high:.4g}, and the odds ratio there is no finite number"
        return ""


@dataclass(frozen=True, slots=True)
class LogisticSummary:
    """The DLRN's logistic regression."""

    terms: tuple[Coefficient, ...]


@dataclass(frozen=True, slots=True)
class ClassFit:
    """One of several classes: its training cases, and the terms of its odds against the first class, which has none."""

    cases: int
    terms: tuple[Coefficient, ...] = ()


@dataclass(frozen=True, slots=True)
class Auc:
    """An AUC of the training cohort (of several classes M) with its 95 % bootstrap interval; None where there is none."""

    auc: float
    auc_low: float | None
    auc_high: float | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A clinical column that was tested for the nomogram.

    Attributes:
        test: its name, or "none".
        p_value: None where it could not be tested.
        reason: why it was not tested, or did not enter all the same; empty where its P alone decides.
        stability: share of the outer folds, each with a test of its own, in which it entered; None without nested cross-validation.
    """

    name: str
    test: str
    p_value: float | None
    entered: bool
    reason: str = ""
    stability: float | None = None


@dataclass(frozen=True, slots=True)
class ModelAucs:
    """AUCs by model, under the key that an estimate keeps them by."""

    models: Mapping[Model, Auc]


@dataclass(frozen=True, slots=True)
class StudyProtocol:
    """The estimate of the study's own protocol: in sample, optimistic."""

    in_sample: Mapping[Model, Auc]


@dataclass(frozen=True, slots=True)
class Metrics:
    """What training estimated of the models, by the way of estimating it; None for a way that the fit did not go.

    Attributes:
        leave_one_center_out: by centre, of models that were fitted on the others; without a model whose scores there are of one
            outcome.
    """

    study_protocol: StudyProtocol | None = None
    out_of_fold: Mapping[Model, Auc] | None = None
    in_sample: Mapping[Model, Auc] | None = None
    nested: ModelAucs | None = None
    leave_one_center_out: Mapping[str, Mapping[Model, Auc]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mark:
    """What estimates, thresholds and nomogram of some models must be read with."""

    mark: str
    models: tuple[Model, ...]


@dataclass(frozen=True, slots=True)
class Remark:
    """What the audit of the fit remarked, and on how many cases."""

    message: str
    cases: int


@dataclass(frozen=True, slots=True)
class Term:
    """A term of a recalibration with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class VoteRecalibration:
    """What makes probabilities of a forest's votes; see `votes`.

    Attributes:
        cases, events: training cases whose out-of-fold votes it was fitted on.
        intercept, slope: None where votes are not recalibrated.
        reason: why they are not; an empty text where they are.
    """

    cases: int
    events: int
    intercept: Term | None
    slope: Term | None
    reason: str


@dataclass(frozen=True, slots=True)
class Outlines:
    """Whose outlines a model was fitted on.

    Attributes:
        method, outline_spec_id: of outlines that were found; None where people drew them.
    """

    reader: str
    reading: int
    method: str | None
    outline_spec_id: str | None


@dataclass(frozen=True, slots=True)
class KeptDistances:
    """How far training cases' embeddings lie from their mean; see `KeptEmbedding`, whose moments are arrays of the bundle."""

    cases: int
    distances: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CohortSummary:
    """What a bundle keeps of its cohort's values, by column; a column of too few known values is absent.

    Attributes:
        features: the columns in use.
        numbers, levels: clinical values, and how cases were scanned.
        embedding: None with too few cases.
    """

    features: Mapping[str, KeptNumbers]
    numbers: Mapping[str, KeptNumbers]
    levels: Mapping[str, KeptLevels]
    embedding: KeptDistances | None


@dataclass(frozen=True, slots=True)
class RecalibrationOrigin:
    """What a bundle is a recalibration of, and on whom.

    Attributes:
        slope: None where the intercept alone was fitted: it is 1.
        image_digests: of the images, sorted: what validation must not contain.
    """

    parent_digest: str
    method: Literal["intercept", "intercept-slope"]
    intercept: Term
    slope: Term | None
    center: str
    snapshot: SnapshotRef
    cases: int
    patients: int
    events: int
    image_digests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """bundle.json.

    Attributes:
        job: as it ran; see `primary`.
        thresholds, nomogram: by model and name; none of several classes.
        files: SHA-256 of the bundle's other files, by name.
        spec_settings: by kind of specification; None in a bundle of format 1.
        recalibration: None in a bundle as it was fitted.
        votes: by signature; empty in a bundle of format 1 or 2, whose votes are not recalibrated.
        outlines: None in a bundle of format 1 or 2; see `primary`.
        cohort_summary: None in a bundle of format 1 or 2.
        pooling: None where the embedding is that of the largest slice.
        harmonisation: None where centres stay as they are.
        prediction_sets: None where none are made.
        clinical_terms: of the nomogram, in the order of its coefficients after the signature's.
        clinical_candidates: empty where none was tested.
        outcome: what is told; CVT in a bundle that does not say it.
        backbones: the image network in place of the default, or several that are fused; empty for the default alone.
        feature_sets: the one feature set whose features stand in place of the study's; empty for these.
        regions: those that columns come from.
    """

    intended_use: str
    protocol: str
    specs: SpecChain
    weights: BackboneWeights
    snapshot: SnapshotRef
    cohort: TrainingCohort
    job: Mapping[str, Any]
    columns: Columns
    embedding_length: int
    signatures: Mapping[Model, SignatureFit]
    dlrn: LogisticSummary
    missing_feature: str
    metrics: Metrics
    marks: tuple[Mark, ...]
    remarks: tuple[Remark, ...]
    software: Mapping[str, str]
    files: Mapping[str, str]
    thresholds: Mapping[Model, Mapping[str, float]] = field(default_factory=dict)
    nomogram: Nomogram = NO_NOMOGRAM
    spec_settings: Mapping[str, Mapping[str, Any]] | None = None
    recalibration: RecalibrationOrigin | None = None
    votes: Mapping[Model, VoteRecalibration] = field(default_factory=dict)
    outlines: Outlines | None = None
    cohort_summary: CohortSummary | None = None
    clinical_terms: tuple[ClinicalTerm, ...] = DEFAULT_TERMS
    clinical_candidates: tuple[Candidate, ...] = ()
    feature_sets: tuple[FeatureTable, ...] = ()
    pooling: SlicePooling | None = None
    harmonisation: HarmonisedCenters | None = None
    prediction_sets: SetsDescription | None = None
    outcome: Outcome = CVT
    backbones: tuple[NamedBackbone, ...] = ()
    regions: tuple[RegionColumns, ...] = ()

    @property
    def tells_event(self) -> bool:
        """Whether anything is there that only a model of an event has."""
        of_event = (self.thresholds, self.votes, self.recalibration, self.nomogram.axes)
        return any(of_event)

    @property
    def backbone(self) -> str:
        """The image network whose embeddings it takes, or all that are fused."""
        return FUSE_NAMES.join(found.name for found in self.backbones) or DEFAULT.name

    @property
    def features(self) -> str:
        """What the radiomics columns are of: "radiomics", the study's features, or the name of a feature set."""
        return self.features_table.removeprefix(contracts.SET_PREFIX)

    @property
    def features_table(self) -> str:
        """The table that the radiomics columns come from."""
        return next((found.table for found in self.feature_sets), contracts.RADIOMICS)

    @property
    def primary(self) -> Reading:
        """The outlines that the model was fitted on, and that it scores.

        Raises:
            FormatError: "bundle_damaged": the job does not name them; the contract leaves it free what a job says.
        """
        if self.outlines is not None:
            return Reading(self.outlines.reader, self.outlines.reading)
        match self.job:
            case {"cohort": {"primary_reader": str(reader), "primary_reading": int(reading)}}:
                return Reading(reader, reading)
        raise FormatError("bundle_damaged", f"job.cohort of {DOCUMENT} names no primary reader and reading")

    @property
    def reviewed(self) -> bool:
        """Whether the model was fitted on outlines alone that a review had accepted; of earlier versions none was."""
        match self.job:
            case {"cohort": {"reviewed": True}}:
                return True
        return False
