"""What a validation takes: a centre's scored cases, the facts of the frozen model, and what is known of its training cohort."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

import numpy as np

from cvtbatch.validation.baseline import Kept, Value
from cvtbatch.validation.development_size import DevelopmentCohort
from cvtbatch.validation.kept_columns import KeptNumbers
from cvtbatch.validation.nomogram import Nomogram
from cvtbatch.validation.outcome import CVT, Outcome
from cvtbatch.validation.readers import OtherReading, ReaderStudy
from cvtbatch.validation.recalibration import Method
from cvtbatch.validation.study import Study
from cvtbatch.validation.training_distance import KeptEmbedding
from cvtbatch.validation.values import NO_SCORED_CASE, Estimate, Floats, Maybe, NotComputable, Scored

NO_TRAINING = NotComputable("the training cohort's values are not in this store")
NO_OUT_OF_FOLD = NotComputable("this bundle keeps no out-of-fold scores")

# How a flag ends that names a clinical column without a value.
UNKNOWN = "_unknown"

Scale = Literal["probability", "recalibrated votes", "uncalibrated votes"]
"""What calibration and net benefit of a model rest on: a score that is a probability, votes recalibrated, or votes as they are."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """What a named term or feature adds."""

    name: str
    amount: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a case has its score.

    Attributes:
        points: of the nomogram's terms.
        base, contributions, others: the DLR forest's base share, what its leading features add, and what the rest adds.
    """

    points: tuple[Contribution, ...]
    base: float | None
    contributions: tuple[Contribution, ...]
    others: float | None


@dataclass(frozen=True, slots=True)
class Case:
    """An eligible case of the centre, with its scores.

    Attributes:
        key: pseudonymous; no name, number or date of a patient.
        outcome: None where unknown.
        scores: by model: a probability, or votes; a model that could not score the case is absent.
        clinical: manifest values by name, and the outline's volume on the stored grid (`volume_ml`) and as drawn
            (`source_volume_ml`).
        acquisition: how it was scanned, by name.
        outside: columns whose value lies outside the training range.
        beyond: how far, by column: from the nearer end of that range, in widths of it, negative below; of one that all training
            cases have the same value of, nothing.
        distance_percentile: of its distance from the training cohort among the training cases' own, 0 to 100.
        probabilities: by model whose votes are recalibrated.
        may_be: whether its prediction set holds the event, and the other class; None without a set.
        as_they_are: scores of the centre's features as they are, where it is put on the scale of training by its own cases.
    """

    key: str
    patient: str
    outcome: bool | None
    scores: Mapping[str, float]
    clinical: Mapping[str, Value]
    acquisition: Mapping[str, Value] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    distance_percentile: float | None = None
    explanation: Explanation | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    beyond: Mapping[str, float] = field(default_factory=dict)
    as_they_are: Mapping[str, float] = field(default_factory=dict)
    may_be: tuple[bool, bool] | None = None

    @property
    def lack(self) -> str:
        """Why the case is not judged; empty where it is."""
        return "outcome unknown" if self.outcome is None else ""

    def probability(self, model: str) -> float:
        """Return the probability by a model that scored the case; votes that are not recalibrated stand for themselves."""
        return self.probabilities.get(model, self.scores[model])


@dataclass(frozen=True, slots=True)
class FlowStep:
    """One step from screened to analysed: who left it, and why.

    Attributes:
        excluded: reasons, each with its number of cases.
        keys: of the cases of each reason, in the order of the reasons.
        unrecorded: columns that the step asks about, each with the number of those left whose value is not recorded: nobody is left
            out for that.
    """

    name: str
    left: int
    excluded: tuple[tuple[str, int], ...] = ()
    keys: tuple[tuple[str, ...], ...] = ()
    unrecorded: tuple[tuple[str, int], ...] = ()

    @classmethod
    def leaving_out(
        cls, name: str, left: int, keys: Mapping[str, Sequence[str]], unrecorded: Mapping[str, int] | None = None
    ) -> Self:
        """Return a step that leaves out cases, by reason."""
        excluded = tuple((reason, len(own)) for reason, own in keys.items())
        return cls(name, left, excluded, tuple(map(tuple, keys.values())), tuple((unrecorded or {}).items()))


@dataclass(frozen=True, slots=True)
class Count:
    """How many cases have a thing, e.g. a kind of failure."""

    kind: str
    cases: int


@dataclass(frozen=True, slots=True, eq=False)
class CenterCohort:
    """A centre's cases; the arrays have a row a case, in order, NaN where unknown.

    Attributes:
        flow: first step: all that were screened.
        features: the model's selected columns by name.
        embedding: float (n, k), or None where the model uses none.
        others: whose outlines of the centre are there and are not scored.
    """

    center: str
    cases: tuple[Case, ...]
    flow: tuple[FlowStep, ...]
    failures: tuple[Count, ...]
    features: Mapping[str, Floats]
    embedding: Floats | None
    readers: tuple[ReaderStudy, ...] = ()
    others: tuple[OtherReading, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingEstimate:
    """How well a model did in its training cohort, by one way of estimating it.

    Attributes:
        protocol: e.g. "nested cross-validation", "study protocol".
        caution: why it is optimistic, or an empty text.
    """

    protocol: str
    auc: Maybe[Estimate]
    caution: str = ""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a bundle says of one of its models.

    Attributes:
        thresholds: frozen, by name; the first is the primary one.
        out_of_fold: what training's cases scored when the model had not seen them, in no order of cases.
    """

    name: str
    thresholds: Mapping[str, float]
    training: tuple[TrainingEstimate, ...] = ()
    out_of_fold: Maybe[Scored] = NO_OUT_OF_FOLD
    scale: Scale = "probability"


@dataclass(frozen=True, slots=True)
class Importance:
    """A selected feature of the fused signature: its share in the forest, and its LASSO coefficient where recorded."""

    feature: str
    importance: float
    coefficient: float | None = None


@dataclass(frozen=True, slots=True)
class Recalibrated:
    """What a recalibrated bundle is of, and on whom it was recalibrated.

    Attributes:
        slope: None where the intercept alone was fitted: it is 1.
    """

    parent_digest: str
    center: str
    snapshot: str
    snapshot_digest: str
    cases: int
    events: int
    method: Method
    intercept: Estimate
    slope: Estimate | None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where everything comes from; stands on the first screen.

    Attributes:
        recalibrated: None for a bundle as it was fitted.
        fitted_reader: whose outlines the bundle was fitted on, e.g. "A, reading 1".
        applied_reader: whose outlines of the centre it scored.
        unfit_outlines: how many of these are marked not for inference.
        weights: of the image network, e.g. "imagenet", "random:0".
        not_for_inference: the weights are untrained.
        settings: lines that say how features were made, by name.
        software: versions by name.
        created: when the report was made, as a text.
        study: what its authors say of it.
    """

    center: str
    training_centers: tuple[str, ...]
    training_cases: int
    intended_use: str
    fitted_reader: str
    applied_reader: str
    unfit_outlines: int
    weights: str
    not_for_inference: bool
    bundle_digest: str
    snapshot: str
    snapshot_digest: str
    settings: Mapping[str, str]
    software: Mapping[str, str]
    created: str
    cautions: tuple[str, ...] = ()
    recalibrated: Recalibrated | None = None
    study: Study | None = None


@dataclass(frozen=True, slots=True)
class BundleFacts:
    """What a validation takes from a frozen bundle.

    Attributes:
        models: in the order in which they are shown; the last is the primary one.
        columns: how many have a training range: those that any of the models uses.
        development: whom the primary one was developed on.
        outcome: what the models tell.
    """

    models: tuple[ModelFacts, ...]
    nomogram: Maybe[Nomogram]
    importances: tuple[Importance, ...]
    columns: int
    development: DevelopmentCohort
    outcome: Outcome = CVT


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """Values of the training cohort, or what a bundle keeps of them; arrays and lists have a row a case, in one order.

    Attributes:
        outcome: 0 or 1.
        ranges: lowest and highest value of features, where their values are not at hand.
    """

    outcome: Floats
    clinical: Mapping[str, Sequence[Value] | Kept]
    acquisition: Mapping[str, Sequence[Value] | Kept]
    features: Mapping[str, Floats | KeptNumbers]
    embedding: Floats | KeptEmbedding | None
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def scored_cases(cases: tuple[Case, ...], model: str) -> tuple[Scored, tuple[Case, ...]]:
    """Return outcome and score of the cases that have both, with their patients, and these cases."""
    kept = tuple(case for case in cases if case.outcome is not None and model in case.scores)
    outcome = np.array([case.outcome for case in kept], dtype=bool)
    numbers = {patient: number for number, patient in enumerate(dict.fromkeys(case.patient for case in kept))}
    patient = np.array([numbers[case.patient] for case in kept], dtype=np.int64)
    none = NO_SCORED_CASE
    if all(case.outcome is None for case in cases):
        none = "no case has an outcome: fill in its column, which is cvt or etiology where CVT is told"
    elif not any(model in case.scores for case in cases):
        # The one model with clinical terms, each of which is flagged where it is unknown.
        flagged = [{flag for flag in case.flags if flag.endswith(UNKNOWN)} for case in cases] if model == "DLRN" else []
        unknown = sorted(flag.removesuffix(UNKNOWN) for flag in (set.intersection(*flagged) if flagged else ()))
        none = f"no case has a score of {model}" + (
            f", and none has {' or '.join(unknown)}: fill in that column" if unknown else ""
        )
    return Scored(outcome, np.array([case.scores[model] for case in kept], dtype=np.float64), patient, none), kept
