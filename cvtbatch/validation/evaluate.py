"""The whole validation of a bundle at a centre, as one frozen value."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from cvtbatch.validation import cohort_baseline
from cvtbatch.validation.baseline import BaselineRow
from cvtbatch.validation.decision_curve import Map
from cvtbatch.validation.development_size import DevelopmentSize, development_size
from cvtbatch.validation.first_scans import Repeats, count_repeats, first_scans
from cvtbatch.validation.inputs import (
    BundleFacts,
    Case,
    CenterCohort,
    Count,
    FlowStep,
    Importance,
    Provenance,
    Training,
    scored_cases,
)
from cvtbatch.validation.model_result import (
    ModelComparison,
    ModelResult,
    MovedModel,
    compare_models,
    evaluate_model,
    moved_models,
)
from cvtbatch.validation.nomogram import Nomogram
from cvtbatch.validation.outcome import Outcome
from cvtbatch.validation.power import Power, power
from cvtbatch.validation.readers import OtherReading, ReaderStudy
from cvtbatch.validation.recalibration import TERMS, Method, Recalibration, recalibrations
from cvtbatch.validation.set_coverage import SetCoverage, set_coverage
from cvtbatch.validation.shift import Shift, find_shift
from cvtbatch.validation.subgroups import Subgroup, subgroups
from cvtbatch.validation.values import Floats, Maybe, NotComputable, Scored


@dataclass(frozen=True, slots=True)
class CaseResult:
    """A case with the primary model's decision at its primary threshold; None where it could not be made or judged."""

    case: Case
    called: bool | None
    wrong: bool | None


@dataclass(frozen=True, slots=True)
class Validation:
    """Everything that a report shows.

    Attributes:
        outcome: what the models tell.
        repeats: None where every patient has one scan.
        others: whose outlines of the centre are there and are not scored.
    """

    provenance: Provenance
    primary: str
    outcome: Outcome
    patients: int
    repeats: Repeats | None
    flow: tuple[FlowStep, ...]
    baseline_by_class: tuple[BaselineRow, ...]
    baseline_against_training: Maybe[tuple[BaselineRow, ...]]
    protocol: tuple[BaselineRow, ...]
    failures: tuple[Count, ...]
    flags: tuple[Count, ...]
    models: tuple[ModelResult, ...]
    comparisons: tuple[ModelComparison, ...]
    moved: tuple[MovedModel, ...]
    sets: tuple[SetCoverage, ...]
    recalibrations: Mapping[Method, Maybe[Recalibration]]
    nomogram: Maybe[Nomogram]
    importances: tuple[Importance, ...]
    shift: Shift
    readers: tuple[ReaderStudy, ...]
    others: tuple[OtherReading, ...]
    subgroups: tuple[Subgroup, ...]
    power: Power
    development: Maybe[DevelopmentSize]
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
    cohort: CenterCohort,
    bundle: BundleFacts,
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
    models = tuple(evaluate_model(cohort, facts, seed, map_) for facts in bundle.models)
    if not bundle.outcome.is_cvt:
        # What was published is of CVT.
        models = tuple(replace(model, published_auc=None) for model in models)
    primary, facts = models[-1], bundle.models[-1]
    threshold = next(iter(facts.thresholds.values()))
    results = tuple(_judge(case, facts.name, threshold) for case in cohort.cases)
    point = primary.points[0].decisions
    scored, _ = scored_cases(cohort.cases, facts.name)
    # Baseline and shift take cases as independent.
    single = first_scans(cohort)
    return Validation(
        provenance=provenance,
        primary=primary.name,
        outcome=bundle.outcome,
        patients=len(single.cases),
        repeats=count_repeats(cohort.cases),
        flow=cohort.flow,
        baseline_by_class=cohort_baseline.by_class(single.cases, bundle.nomogram),
        baseline_against_training=cohort_baseline.against_training(training, single.cases, bundle.outcome),
        protocol=cohort_baseline.protocol(training, single.cases),
        failures=cohort.failures,
        flags=_count_flags(cohort.cases),
        models=models,
        comparisons=compare_models(cohort, bundle),
        moved=moved_models(cohort, bundle),
        sets=set_coverage(cohort.cases),
        recalibrations=_offer_recalibration(primary, scored, provenance),
        nomogram=bundle.nomogram,
        importances=tuple(sorted(bundle.importances, key=lambda row: -row.importance)),
        shift=find_shift(single, bundle, training),
        readers=cohort.readers,
        others=cohort.others,
        subgroups=subgroups(cohort.cases, facts.name),
        power=power(scored, primary.auc, point, primary.calibration.terms, primary.calibration.observed_over_expected),
        development=development_size(bundle.development),
        cases=results,
    )


def _judge(case: Case, model: str, threshold: float) -> CaseResult:
    score = case.scores.get(model)
    called = None if score is None else score >= threshold
    wrong = None if called is None or case.outcome is None else called != case.outcome
    return CaseResult(case, called, wrong)


def _count_flags(cases: tuple[Case, ...]) -> tuple[Count, ...]:
    counted = Counter(flag for case in cases for flag in case.flags)
    return tuple(Count(flag, number) for flag, number in sorted(counted.items()))


def _offer_recalibration(
    primary: ModelResult, scored: Scored, provenance: Provenance
) -> dict[Method, Maybe[Recalibration]]:
    if provenance.recalibrated:
        again = NotComputable("this bundle is itself recalibrated: recalibrate the one that it was made of")
        return dict.fromkeys(TERMS, again)
    return recalibrations(primary.calibration.terms, scored)
