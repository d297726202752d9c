"""The validation of a bundle of several classes at a centre, as one frozen value.

Areas of a class against all others have DeLong's interval; M, which is of all pairs of classes, that of a bootstrap over patients
(`cvtbatch.validation.class_aucs`). Calibration is told of each class against all others by its own probability: the intercept and
slope that a model of two classes has. There is no threshold: a case is of the class of its highest probability.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cvtbatch.validation.calibration import Terms, observed_over_expected, terms
from cvtbatch.validation.class_aucs import macro_auc, single_patients
from cvtbatch.validation.decisions import proportion
from cvtbatch.validation.inputs import Case, CenterCohort, Count, FlowStep, Provenance, TrainingEstimate
from cvtbatch.validation.roc import Curve, auc, roc_curve
from cvtbatch.validation.set_coverage import ClassSetCoverage, class_set_coverage
from cvtbatch.validation.values import Bools, Estimate, Floats, Integers, Interval, Maybe, NotComputable, Scored

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class ClassCase(Case):
    """A case that is told apart as one of several classes, of which it has no yes-or-no outcome.

    Attributes:
        label: its class; None where it is unknown, or not among those that are told.
        unlisted: it is of a class that is not told.
        by_class: by model, its scores of the classes, in their order; a model that could not score the case is absent.
        by_class_as_they_are: the same of the centre's features as they are, where its own cases put it on the scale of training.
        held: classes that its prediction set holds; None without a set.
    """

    label: str | None = None
    unlisted: bool = False
    by_class: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    by_class_as_they_are: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    held: tuple[str, ...] | None = None

    @property
    def lack(self) -> str:
        """Why the case is not judged."""
        if self.unlisted:
            return "of a class that is not told"
        return "" if self.label is not None else "class unknown"


@dataclass(frozen=True, slots=True)
class ClassResult:
    """One class, by one model.

    Attributes:
        auc: against all others, by the class's own score.
        recall: share of its cases that are told to be of it.
        precision: share of those that are told to be of it which are.
        calibration, observed_over_expected: of a probability; None of votes.
    """

    name: str
    n: int
    roc: Maybe[Curve]
    auc: Maybe[Estimate]
    recall: Maybe[Estimate]
    precision: Maybe[Estimate]
    calibration: Terms | None
    observed_over_expected: Maybe[Estimate] | None


@dataclass(frozen=True, slots=True)
class PairResult:
    """Two classes, by one model: A(i, j) on their cases alone."""

    first: str
    second: str
    auc: Maybe[float]


@dataclass(frozen=True, slots=True)
class ClassModelResult:
    """One model of several classes at this centre.

    Attributes:
        unscored: cases of a known class that the model could not score.
        macro: M over all pairs of classes.
        macro_as_they_are: M of the centre's features as they are; None where nothing puts them on the scale of training.
        accuracy: share of cases that are told to be of their class.
        confusion: cases by class (rows) and by what they are told to be of (columns).
        training: M as training estimated it.
    """

    name: str
    n: int
    unscored: int
    macro: Maybe[Estimate]
    macro_as_they_are: Maybe[Estimate] | None
    accuracy: Maybe[Estimate]
    classes: tuple[ClassResult, ...]
    pairs: tuple[PairResult, ...]
    confusion: tuple[tuple[int, ...], ...]
    training: tuple[TrainingEstimate, ...]


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A case as a report shows it.

    Attributes:
        told: class of the primary model's highest probability; None where it has none.
        probabilities: by class.
        held: classes that its prediction set holds; None without a set.
        outside: values beyond the training range.
    """

    key: str
    label: str | None
    told: str | None
    probabilities: Mapping[str, float]
    held: tuple[str, ...] | None
    outside: tuple[str, ...]
    distance_percentile: float | None
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClassValidation:
    """Everything that a report of several classes shows; the last model is the primary one.

    Attributes:
        column: of the manifest, that says the class.
        counts: cases of each class.
        sets: what is seen of the sets of each class's cases; empty where no case has one.
    """

    provenance: Provenance
    primary: str
    column: str
    classes: tuple[str, ...]
    counts: Mapping[str, int]
    patients: int
    flow: tuple[FlowStep, ...]
    failures: tuple[Count, ...]
    models: tuple[ClassModelResult, ...]
    sets: tuple[ClassSetCoverage, ...]
    cases: tuple[ClassRow, ...]

    @property
    def primary_result(self) -> ClassModelResult:
        return self.models[-1]

    @property
    def known(self) -> int:
        """Cases whose class is known."""
        return sum(self.counts.values())


def evaluate_classes(
    cohort: CenterCohort,
    column: str,
    classes: tuple[str, ...],
    training: Mapping[str, tuple[TrainingEstimate, ...]],
    provenance: Provenance,
    seed: int,
) -> ClassValidation:
    """Validate a bundle of several classes on a centre's cases.

    Args:
        training: M as training estimated it, by model, in the order in which models are shown.
        seed: of the bootstrap.
    """
    cases = tuple(case for case in cohort.cases if isinstance(case, ClassCase))
    primary = list(training)[-1]
    return ClassValidation(
        provenance=provenance,
        primary=primary,
        column=column,
        classes=classes,
        counts={name: sum(case.label == name for case in cases) for name in classes},
        patients=len({case.patient for case in cases}),
        flow=cohort.flow,
        failures=cohort.failures,
        models=tuple(_evaluate(cases, name, classes, own, name == primary, seed) for name, own in training.items()),
        sets=_sets(cases, classes),
        cases=tuple(_row(case, primary, classes) for case in cases),
    )


def _sets(cases: Sequence[ClassCase], classes: Sequence[str]) -> tuple[ClassSetCoverage, ...]:
    if all(case.held is None for case in cases):
        return ()
    by_label = {name: [case for case in cases if case.label == name] for name in classes}
    return tuple(
        class_set_coverage(name, [case.held for case in own], [case.patient for case in own], classes)
        for name, own in by_label.items()
    )


def _row(case: ClassCase, primary: str, classes: Sequence[str]) -> ClassRow:
    own = case.by_class.get(primary)
    return ClassRow(
        key=case.key,
        label=case.label,
        told=None if own is None else classes[int(np.argmax(own))],
        probabilities=dict(zip(classes, own or (), strict=False)),
        held=case.held,
        outside=case.outside,
        distance_percentile=case.distance_percentile,
        flags=case.flags,
    )


def _evaluate(
    cases: Sequence[ClassCase],
    name: str,
    classes: Sequence[str],
    training: tuple[TrainingEstimate, ...],
    are_probabilities: bool,
    seed: int,
) -> ClassModelResult:
    known = [case for case in cases if case.label is not None]
    kept = [case for case in known if name in case.by_class]
    outcome = np.array([classes.index(str(case.label)) for case in kept], dtype=np.int64)
    scores = _scores([case.by_class[name] for case in kept], classes)
    numbers = {patient: number for number, patient in enumerate(dict.fromkeys(case.patient for case in kept))}
    patient = np.array([numbers[case.patient] for case in kept], dtype=np.int64)
    told = scores.argmax(axis=1)
    confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(confusion, (outcome, told), 1)
    lacking = [
        own for own, count in zip(classes, np.bincount(outcome, minlength=len(classes)), strict=True) if not count
    ]
    macro, pairs = _macro(outcome, scores, patient, classes, lacking, seed)
    former = None
    if kept and all(name in case.by_class_as_they_are for case in kept):
        as_they_are = _scores([case.by_class_as_they_are[name] for case in kept], classes)
        former, _ = _macro(outcome, as_they_are, patient, classes, lacking, seed)
    return ClassModelResult(
        name=name,
        n=len(kept),
        unscored=len(known) - len(kept),
        macro=macro,
        macro_as_they_are=former,
        accuracy=_share(told == outcome, np.ones(len(kept), np.bool_), patient, "no case has a class and a score"),
        classes=tuple(
            _of_class(own, number, outcome, scores[:, number], told, patient, are_probabilities)
            for number, own in enumerate(classes)
        ),
        pairs=pairs,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        training=training,
    )


def _scores(rows: Sequence[tuple[float, ...]], classes: Sequence[str]) -> Floats:
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(classes))


def _macro(
    outcome: Integers, scores: Floats, patient: Integers, classes: Sequence[str], lacking: Sequence[str], seed: int
) -> tuple[Maybe[Estimate], tuple[PairResult, ...]]:
    """Return M with its interval, and the areas of every two classes; of classes that are not here neither."""
    absent = NotComputable(f"no case here is of {' or of '.join(lacking)}") if lacking else None
    if len(classes) - len(lacking) < 2:
        found = absent or NotComputable("no case has a class and a score")
        return found, tuple(PairResult(*pair, found) for pair in _pairs(classes))
    there = [number for number, name in enumerate(classes) if name not in lacking]
    # Areas of two classes take their own scores alone, so that classes that are absent change none.
    places = np.searchsorted(there, outcome)
    found_ = macro_auc(places, scores[None][:, :, there], patient, 0 if absent else RESAMPLES, seed)
    by_pair = {(classes[there[i]], classes[there[j]]): value for (i, j), value in found_.pairs.items()}
    pairs = tuple(
        PairResult(*pair, by_pair[pair] if pair in by_pair else absent or NotComputable("no case"))
        for pair in _pairs(classes)
    )
    if absent:
        return absent, pairs
    interval: Maybe[Interval] = Interval(found_.low, found_.high)
    if alone := single_patients(outcome, patient, classes):
        interval = NotComputable(alone)
    elif found_.low == found_.high:
        interval = NotComputable("every resample has the same M: an interval would show no uncertainty")
    return Estimate(found_.value, interval), pairs


def _pairs(classes: Sequence[str]) -> list[tuple[str, str]]:
    return [(first, second) for number, first in enumerate(classes) for second in classes[number + 1 :]]


def _of_class(
    name: str, number: int, outcome: Integers, score: Floats, told: Integers, patient: Integers, is_probability: bool
) -> ClassResult:
    own = outcome == number
    scored = Scored(own, score, patient)
    return ClassResult(
        name=name,
        n=int(own.sum()),
        roc=roc_curve(scored),
        auc=auc(scored),
        recall=_share(told == number, own, patient, f"no case here is of {name}"),
        precision=_share(own, told == number, patient, f"no case here is told to be of {name}"),
        calibration=terms(scored) if is_probability else None,
        observed_over_expected=observed_over_expected(scored) if is_probability else None,
    )


def _share(success: Bools, among: Bools, patient: Integers, none: str) -> Maybe[Estimate]:
    """Return the share of successes (n,) among some cases (n,) with its interval."""
    if not among.any():
        return NotComputable(none)
    kept = Scored(success[among], success[among].astype(np.float64), patient[among])
    return proportion(kept.outcome, kept)
