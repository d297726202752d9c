"""The whole validation of a bundle at a centre, as one frozen value."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cvtbatch.validation import baseline, published
from cvtbatch.validation.baseline import BaselineRow, Value
from cvtbatch.validation.calibration import Calibration, calibrate, log_odds
from cvtbatch.validation.decision_curve import DecisionCurve, Map, decision_curve
from cvtbatch.validation.decisions import Decisions, decide, decide_at_best
from cvtbatch.validation.inputs import (
    NO_OUT_OF_FOLD,
    NO_TRAINING,
    Bundle,
    Case,
    Cohort,
    Count,
    FlowStep,
    Importance,
    ModelFacts,
    Provenance,
    Training,
    TrainingEstimate,
)
from cvtbatch.validation.nomogram import Nomogram
from cvtbatch.validation.power import Power, power
from cvtbatch.validation.readers import ReaderStudy
from cvtbatch.validation.recalibration import TERMS, Method, Recalibration, recalibrations
from cvtbatch.validation.roc import AucComparison, Curve, PrecisionRecall, auc, compare_auc, precision_recall, roc_curve
from cvtbatch.validation.shift import (
    FeatureShift,
    Novelty,
    ScoreDistribution,
    ScoreShift,
    Shift,
    assess,
    covariate_effects,
    find_shifts,
    novelty,
    support,
)
from cvtbatch.validation.subgroups import Subgroup, bands, in_subgroups
from cvtbatch.validation.values import Estimate, Floats, Maybe, NotComputable, Scored

CLINICAL: Mapping[str, str] = {
    "age": "years",
    "sex": "category",
    "epilepsy": "yes/no",
    "hypertension": "yes/no",
    "headache": "yes/no",
    "onset_to_ct_h": "h",
    "location": "category",
    "volume_ml": "ml",
}
"""Variables of the baseline table, with their units."""
AGE_EDGES = (50.0, 65.0)
VOLUME_EDGES_ML = (10.0, 30.0)
"""30 ml: the volume of the ICH score (Hemphill et al., Stroke 2001;32:891)."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What a frozen threshold is worth here."""

    name: str
    decisions: Maybe[Decisions]


@dataclass(frozen=True, slots=True)
class ModelResult:
    """One model at this centre.

    Attributes:
        unscored: cases with an outcome that the model could not score.
        points: the frozen thresholds, the primary one first.
        best: the centre's own best point; optimistic.
    """

    name: str
    n: int
    events: int
    unscored: int
    roc: Maybe[Curve]
    auc: Maybe[Estimate]
    precision_recall: Maybe[PrecisionRecall]
    points: tuple[OperatingPoint, ...]
    best: Maybe[Decisions]
    calibration: Calibration
    decision_curve: Maybe[DecisionCurve]
    training: tuple[TrainingEstimate, ...]
    published_auc: Estimate | None


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """Two models on the cases that both scored."""

    first: str
    second: str
    n: int
    result: Maybe[AucComparison]


@dataclass(frozen=True, slots=True)
class CaseResult:
    """A case with the primary model's decision at its primary threshold; None where it could not be made or judged."""

    number: int
    case: Case
    called: bool | None
    wrong: bool | None


@dataclass(frozen=True, slots=True)
class Validation:
    """Everything that a report shows."""

    provenance: Provenance
    primary: str
    patients: int
    flow: tuple[FlowStep, ...]
    baseline_by_class: tuple[BaselineRow, ...]
    baseline_against_training: Maybe[tuple[BaselineRow, ...]]
    protocol: tuple[BaselineRow, ...]
    failures: tuple[Count, ...]
    flags: tuple[Count, ...]
    models: tuple[ModelResult, ...]
    comparisons: tuple[ModelComparison, ...]
    recalibrations: Mapping[Method, Maybe[Recalibration]]
    nomogram: Maybe[Nomogram]
    importances: tuple[Importance, ...]
    shift: Shift
    readers: tuple[ReaderStudy, ...]
    subgroups: tuple[Subgroup, ...]
    power: Power
    cases: tuple[CaseResult, ...]

    @property
    def primary_result(self) -> ModelResult:
        return next(model for model in self.models if model.name == self.primary)

    @property
    def known(self) -> int:
        """Cases whose outcome is known."""
        return sum(result.case.outcome is not None for result in self.cases)

    @property
    def events(self) -> int:
        return sum(result.case.outcome is True for result in self.cases)


def evaluate(
    cohort: Cohort,
    bundle: Bundle,
    training: Training | None,
    provenance: Provenance,
    seed: int,
    map_: "Map[np.random.SeedSequence, tuple[Floats, Floats]]" = map,
) -> Validation:
    """Validate a bundle on a centre's cases.

    Args:
        training: None where its values are not at hand: what needs them says so.
        seed: of the bootstrap; equal seeds give equal results over any `map_`.
    """
    models = tuple(_evaluate_model(cohort, facts, seed, map_) for facts in bundle.models)
    primary, facts = models[-1], bundle.models[-1]
    threshold = next(iter(facts.thresholds.values()))
    results = tuple(_judge(number, case, facts.name, threshold) for number, case in enumerate(cohort.cases, 1))
    point = primary.points[0].decisions
    return Validation(
        provenance=provenance,
        primary=primary.name,
        patients=len({case.patient for case in cohort.cases}),
        flow=cohort.flow,
        baseline_by_class=_baseline_by_class(cohort.cases),
        baseline_against_training=_against(training, cohort.cases),
        protocol=_protocol(training, cohort.cases),
        failures=cohort.failures,
        flags=_count_flags(cohort.cases),
        models=models,
        comparisons=_compare_models(cohort, bundle),
        recalibrations=_offer_recalibration(primary, provenance),
        nomogram=bundle.nomogram,
        importances=tuple(sorted(bundle.importances, key=lambda row: -row.importance)),
        shift=_shift(cohort, bundle, training),
        readers=cohort.readers,
        subgroups=_subgroups(cohort.cases, facts.name),
        power=power(
            primary.n,
            primary.events,
            primary.auc,
            point.sensitivity if isinstance(point, Decisions) else point,
            primary.calibration.observed_over_expected,
        ),
        cases=results,
    )


def _scored(cases: tuple[Case, ...], model: str) -> tuple[Scored, tuple[Case, ...]]:
    """Return outcome and score of the cases that have both, and these cases."""
    kept = tuple(case for case in cases if case.outcome is not None and model in case.scores)
    outcome = np.array([case.outcome for case in kept], dtype=bool)
    return Scored(outcome, np.array([case.scores[model] for case in kept], dtype=np.float64)), kept


def _evaluate_model(
    cohort: Cohort, facts: ModelFacts, seed: int, map_: "Map[np.random.SeedSequence, tuple[Floats, Floats]]"
) -> ModelResult:
    scored, kept = _scored(cohort.cases, facts.name)
    return ModelResult(
        name=facts.name,
        n=scored.n,
        events=scored.events,
        unscored=sum(case.outcome is not None for case in cohort.cases) - len(kept),
        roc=roc_curve(scored),
        auc=auc(scored),
        precision_recall=precision_recall(scored),
        points=tuple(OperatingPoint(name, decide(scored, value)) for name, value in facts.thresholds.items()),
        best=decide_at_best(scored),
        calibration=calibrate(scored),
        decision_curve=decision_curve(scored, seed, map_),
        training=facts.training,
        published_auc=published.AUC.get(facts.name),
    )


def _judge(number: int, case: Case, model: str, threshold: float) -> CaseResult:
    score = case.scores.get(model)
    called = None if score is None else score >= threshold
    wrong = None if called is None or case.outcome is None else called != case.outcome
    return CaseResult(number, case, called, wrong)


def _compare_models(cohort: Cohort, bundle: Bundle) -> tuple[ModelComparison, ...]:
    names = [facts.name for facts in bundle.models]
    found = []
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            both = tuple(case for case in cohort.cases if {first, second} <= set(case.scores))
            pair = [_scored(both, name)[0] for name in (second, first)]
            found.append(ModelComparison(second, first, pair[0].n, compare_auc(pair[0], pair[1])))
    return tuple(found)


def _columns(cases: tuple[Case, ...], names: Mapping[str, str]) -> dict[str, list[Value]]:
    return {name: [case.clinical.get(name) for case in cases] for name in names}


def _baseline_by_class(cases: tuple[Case, ...]) -> tuple[BaselineRow, ...]:
    """Compare cases with and without the event."""
    sides = [tuple(case for case in cases if case.outcome is outcome) for outcome in (True, False)]
    return baseline.baseline_table(CLINICAL, *(_columns(side, CLINICAL) for side in sides))


def _against(training: Training | None, cases: tuple[Case, ...]) -> Maybe[tuple[BaselineRow, ...]]:
    """Compare the centre with training, the outcome's share first."""
    if training is None:
        return NO_TRAINING
    outcome: dict[str, str] = {"cvt": "yes/no"}
    own = {"cvt": [None if case.outcome is None else int(case.outcome) for case in cases]}
    shares = baseline.baseline_table(outcome, own, {"cvt": [int(value) for value in training.outcome]})
    return shares + baseline.baseline_table(CLINICAL, _columns(cases, CLINICAL), training.clinical)


def _protocol(training: Training | None, cases: tuple[Case, ...]) -> tuple[BaselineRow, ...]:
    """Compare how cases were scanned; without training values the second group is empty."""
    names = dict.fromkeys(name for case in cases for name in case.acquisition)
    own = {name: [case.acquisition.get(name) for case in cases] for name in names}
    units = {
        name: "category" if any(isinstance(value, str) for value in values) else "" for name, values in own.items()
    }
    return baseline.baseline_table(units, own, training.acquisition if training else {})


def _count_flags(cases: tuple[Case, ...]) -> tuple[Count, ...]:
    counted = Counter(flag for case in cases for flag in case.flags)
    return tuple(Count(flag, number) for flag, number in sorted(counted.items()))


def _offer_recalibration(primary: ModelResult, provenance: Provenance) -> dict[Method, Maybe[Recalibration]]:
    if provenance.recalibrated:
        again = NotComputable("this bundle is itself recalibrated: recalibrate the one that it was made of")
        return dict.fromkeys(TERMS, again)
    return recalibrations(primary.calibration.terms, primary.n, primary.events)


def _shift(cohort: Cohort, bundle: Bundle, training: Training | None) -> Shift:
    scored, kept = _scored(cohort.cases, bundle.models[-1].name)
    names = dict.fromkeys(name for case in cohort.cases for name in case.acquisition)
    covariates = covariate_effects(
        log_odds(scored.score),
        scored.outcome.astype(np.float64),
        {name: [case.acquisition.get(name) for case in kept] for name in names},
    )
    return assess(
        NO_TRAINING if training is None else _feature_shift(cohort, training),
        _score_shift(cohort.cases, bundle.models),
        NO_TRAINING if training is None else _acquisition_shift(cohort, training),
        support([bool(case.outside) for case in cohort.cases], [case.distance_percentile for case in cohort.cases]),
        NO_TRAINING if training is None else _novelty(cohort, training),
        covariates,
    )


def _feature_shift(cohort: Cohort, training: Training) -> tuple[FeatureShift, ...]:
    return find_shifts(
        {name: training.features[name] for name in cohort.features if name in training.features}, cohort.features
    )


def _novelty(cohort: Cohort, training: Training) -> Maybe[Novelty]:
    if training.embedding is None or cohort.embedding is None:
        return NotComputable("embeddings of training or of this centre are not at hand")
    return novelty(_complete(training.embedding), _complete(cohort.embedding))


def _complete(rows: Floats) -> Floats:
    return rows[np.isfinite(rows).all(axis=1)]


def _score_shift(cases: tuple[Case, ...], models: tuple[ModelFacts, ...]) -> Maybe[ScoreShift]:
    """Compare log odds with training's out-of-fold ones: of all cases, whatever the mix of classes, and class by class."""
    training: dict[str, Floats] = {}
    center: dict[str, Floats] = {}
    for facts in models:
        if isinstance(facts.out_of_fold, NotComputable):
            continue
        every = np.array([case.scores[facts.name] for case in cases if facts.name in case.scores], dtype=np.float64)
        own, seen = _scored(cases, facts.name)[0], facts.out_of_fold
        for group, then, now in (
            ("all cases", seen.score, every),
            ("CVT", seen.score[seen.outcome], own.score[own.outcome]),
            ("other causes", seen.score[~seen.outcome], own.score[~own.outcome]),
        ):
            training[f"{facts.name} ({group})"], center[f"{facts.name} ({group})"] = then, now
    if not training:
        return NO_OUT_OF_FOLD
    primary = models[-1].name
    distributions = tuple(
        ScoreDistribution(
            group, *(tuple(map(float, np.sort(side[f"{primary} ({group})"]))) for side in (training, center))
        )
        for group in ("CVT", "other causes", "all cases")
        if f"{primary} ({group})" in training
    )
    rows = find_shifts(*({name: log_odds(values) for name, values in side.items()} for side in (training, center)))
    return ScoreShift(rows, distributions)


def _acquisition_shift(cohort: Cohort, training: Training) -> tuple[FeatureShift, ...]:
    """Compare the numbers of acquisition, the scaling maximum of four filters among them."""
    columns = {}
    for name, values in training.acquisition.items():
        own = [case.acquisition.get(name) for case in cohort.cases]
        known = [value for value in (*values, *own) if value is not None]
        if known and not any(isinstance(value, str) for value in known):
            columns[name] = (_floats(values), _floats(own))
    return find_shifts(
        {name: pair[0] for name, pair in columns.items()}, {name: pair[1] for name, pair in columns.items()}
    )


def _floats(values: Sequence[Value]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _subgroups(cases: tuple[Case, ...], model: str) -> tuple[Subgroup, ...]:
    scored, kept = _scored(cases, model)
    if scored.n == 0:
        return ()

    def numbers(name: str) -> list[float | None]:
        values = [case.clinical.get(name) for case in kept]
        return [None if value is None else float(value) for value in values]

    def texts(name: str, source: str = "clinical") -> list[str | None]:
        values = [getattr(case, source).get(name) for case in kept]
        return [None if value is None else str(value) for value in values]

    variables = {
        "age": bands(numbers("age"), AGE_EDGES, "years"),
        "sex": texts("sex"),
        "location": texts("location"),
        "hematoma volume": bands(numbers("volume_ml"), VOLUME_EDGES_ML, "ml"),
        "scanner": texts("scanner", "acquisition"),
    }
    return in_subgroups(scored, variables)
