"""What a report shows of a bundle: its models with training's estimates, its nomogram, what it was recalibrated on."""

from collections.abc import Mapping

import numpy as np

from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.clinical_terms import is_yes_or_no, levels_of, names_of, numbers_among
from cvtbatch.dlrn.description import REGRESSION_IN_SAMPLE, Auc, Coefficient, Description, Term
from cvtbatch.dlrn.settings import Model
from cvtbatch.dlrn.thresholds import THRESHOLDS
from cvtbatch.validation.development_size import DevelopmentCohort
from cvtbatch.validation.inputs import (
    NO_OUT_OF_FOLD,
    BundleFacts,
    Importance,
    ModelFacts,
    Recalibrated,
    Scale,
    TrainingEstimate,
)
from cvtbatch.validation.nomogram import NOT_KEPT, Nomogram, TrainingRange
from cvtbatch.validation.nomogram import Term as NomogramTerm
from cvtbatch.validation.report.column_words import variable_in_words
from cvtbatch.validation.values import Estimate, Interval, Maybe, NotComputable, Scored

# How models are called in a report, in its order: the primary one last.
MODEL_NAMES = {Model.RAD: "Rad", Model.DL: "DL", Model.DLR: "DLR", Model.DLRN: "DLRN"}
YES_OR_NO = ((0.0, "no"), (1.0, "yes"))


def term_name(column: str) -> str:
    """Return how a term of the nomogram is called in a report: "dlr", or a clinical column."""
    return "DLR signature" if column == "dlr" else variable_in_words(column)


def bundle_facts(bundle: Bundle) -> BundleFacts:
    """Return what a report shows of a bundle; models in the order of MODEL_NAMES."""
    selected = bundle.description.signatures[Model.DLR].selected
    clinical_numbers = [term.name for term in numbers_among(bundle.model.clinical)]
    return BundleFacts(
        models=tuple(
            ModelFacts(
                shown,
                {name: bundle.model.thresholds[model][name] for name in THRESHOLDS},
                training_estimates(bundle.description, model),
                _out_of_fold(bundle, model),
                scale_of(bundle, model),
            )
            for model, shown in MODEL_NAMES.items()
        ),
        nomogram=_nomogram(bundle),
        importances=tuple(Importance(column.feature, column.importance, column.coefficient) for column in selected),
        columns=len(bundle.model.columns) + sum(not is_yes_or_no(name) for name in clinical_numbers),
        development=_development(bundle.description),
        outcome=bundle.description.outcome,
    )


def _development(description: Description) -> DevelopmentCohort:
    """Return whom the DLRN was developed on: its candidates are all columns that were offered, and the clinical ones."""
    nested = description.metrics.nested
    clinical = [
        *(term.name for term in description.dlrn.terms if term.name not in {"intercept", "dlr"}),
        *(candidate.name for candidate in description.clinical_candidates if not candidate.entered),
    ]
    return DevelopmentCohort(
        cases=description.cohort.cases,
        patients=description.cohort.patients,
        events=description.cohort.positive,
        parameters=description.signatures[Model.DLR].counts["offered"] + len(clinical),
        auc=nested.models[Model.DLRN].auc if nested else None,
    )


def scale_of(bundle: Bundle, model: Model) -> Scale:
    """Return what a model's score is, and whether votes have a probability beside them."""
    if model is Model.DLRN:
        return "probability"
    return "recalibrated votes" if model in bundle.model.recalibrated else "uncalibrated votes"


def uncalibrated(bundle: Bundle) -> list[str]:
    """Return a caution for the signatures whose votes are not recalibrated, with the reasons."""
    votes = bundle.description.votes
    if bundle.model.classes:
        return []
    if not votes:
        return ["votes of Rad, DL and DLR are uncalibrated: a bundle of this format does not recalibrate them"]
    return [
        f"votes of {MODEL_NAMES[name]} are uncalibrated: {found.reason}"
        for name, found in votes.items()
        if found.reason
    ]


def recalibrated(description: Description) -> Recalibrated | None:
    """Return what a bundle was recalibrated on, and how; None for a bundle as it was fitted."""
    origin = description.recalibration
    if origin is None:
        return None
    return Recalibrated(
        parent_digest=origin.parent_digest,
        center=origin.center,
        snapshot=origin.snapshot.name,
        snapshot_digest=origin.snapshot.digest,
        cases=origin.cases,
        events=origin.events,
        method=origin.method,
        intercept=_term(origin.intercept),
        slope=None if origin.slope is None else _term(origin.slope),
    )


def _term(term: Term) -> Estimate:
    return Estimate(term.value, Interval(term.low, term.high))


def _out_of_fold(bundle: Bundle, model: Model) -> Maybe[Scored]:
    if model not in bundle.out_of_fold:
        return NO_OUT_OF_FOLD
    scores = bundle.out_of_fold[model]
    outcome = np.repeat([True, False], [len(scores.events), len(scores.others)])
    return Scored(outcome, np.concatenate([scores.events, scores.others]))


def training_estimates(description: Description, model: Model) -> tuple[TrainingEstimate, ...]:
    """Return what training estimated, each way with what speaks against it and the marks that the bundle gives."""
    metrics = description.metrics
    marks = [entry.mark for entry in description.marks if model in entry.models]
    of_nomogram = [REGRESSION_IN_SAMPLE] if model is Model.DLRN else []
    ways: tuple[tuple[str, Mapping[Model, Auc] | None, list[str]], ...] = (
        ("nested cross-validation", metrics.nested.models if metrics.nested else None, []),
        *((f"{center}, by models of the others", found, []) for center, found in metrics.leave_one_center_out.items()),
        ("out of fold", metrics.out_of_fold, of_nomogram),
        ("in sample", metrics.in_sample, ["in sample, optimistic"]),
        (
            "study protocol",
            metrics.study_protocol.in_sample if metrics.study_protocol else None,
            ["in sample, optimistic"],
        ),
    )
    return tuple(
        TrainingEstimate(name, _estimate(found[model]), "; ".join([*cautions, *marks]))
        for name, found, cautions in ways
        if found is not None and model in found
    )


def _estimate(found: Auc) -> Estimate:
    if found.auc_low is None or found.auc_high is None:
        return Estimate(found.auc, NotComputable("the bundle has no interval for it"))
    if found.auc_low == found.auc_high:
        return Estimate(
            found.auc, NotComputable("every resample has the same AUC: an interval would show no uncertainty")
        )
    return Estimate(found.auc, Interval(found.auc_low, found.auc_high))


def training_ranges(bundle: Bundle) -> dict[str, Maybe[TrainingRange]]:
    """Return the values on which each number of the nomogram was fitted, by "dlr" and clinical column: of the DLR signature
    training's out-of-fold scores.
    """
    signature: Maybe[TrainingRange] = NOT_KEPT
    if (scores := bundle.out_of_fold.get(Model.DLR)) is not None:
        both = np.concatenate([scores.events, scores.others])
        signature = TrainingRange(float(both.min()), float(both.max()))
    clinical = numbers_among(bundle.model.clinical)
    return {"dlr": signature, **{term.name: TrainingRange(float(term.low), float(term.high)) for term in clinical}}


def _nomogram(bundle: Bundle) -> Maybe[Nomogram]:
    """Return the nomogram with coefficients in place of points, and odds ratios as far as they are the model's."""
    own, origin = bundle.model.nomogram, bundle.description.recalibration
    # A slope moves coefficients, and the fit's odds ratios are no longer the model's.
    moved = origin is not None and origin.slope is not None
    fitted = {} if moved else {term.name: term for term in bundle.description.dlrn.terms}
    coefficients = {axis.name: axis.points_per_unit * own.per_point for axis in own.axes}
    signature = NomogramTerm(
        term_name("dlr"),
        coefficients["dlr"],
        own.axes[0].low,
        own.axes[0].high,
        odds_ratio=_odds_ratio(fitted.get("dlr")),
        training=training_ranges(bundle)["dlr"],
    )
    terms = (
        signature,
        *(_clinical_term(bundle, name, coefficients, fitted) for name in names_of(bundle.model.clinical)),
    )
    if not any(coefficients.values()):
        return NotComputable("no term of the model has a coefficient other than 0")
    at_zero = sum(term.effect(term.origin) for term in terms)
    return Nomogram(own.intercept - at_zero, terms)


def _clinical_term(
    bundle: Bundle, name: str, coefficients: Mapping[str, float], fitted: Mapping[str, Coefficient]
) -> NomogramTerm:
    """Return a clinical column's term; a category runs over the numbers of its levels, the reference first."""
    own = [term for term in bundle.model.clinical if term.name == name]
    labels = [label for term in own for label in term.labels()]
    first, *more = (coefficients[label] for label in labels)
    known = levels_of(own, name)
    levels = tuple((float(place), level) for place, level in enumerate(known))
    low, high = (0.0, float(len(own))) if known else (float(own[0].low), float(own[0].high))
    return NomogramTerm(
        term_name(name),
        first,
        low,
        high,
        YES_OR_NO if is_yes_or_no(name) else levels,
        None if more else _odds_ratio(fitted.get(labels[0])),
        TrainingRange(low, high),
        tuple(more),
        own[0].knots,
        name,
    )


def _odds_ratio(term: Coefficient | None) -> Estimate | None:
    if term is None or term.odds_ratio is None:
        return None
    if term.odds_ratio_low is None or term.odds_ratio_high is None:
        return Estimate(term.odds_ratio, NotComputable(term.lacks_interval()))
    return Estimate(term.odds_ratio, Interval(term.odds_ratio_low, term.odds_ratio_high))
