"""The card of a case by a bundle that tells an event.

The DLRN gives no number where the DLR signature lies outside the range of training's out-of-fold scores, on which the nomogram was
fitted.
"""

from collections.abc import Mapping

from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.clinical_terms import levels_of
from cvtbatch.dlrn.scoring import probability_column
from cvtbatch.dlrn.settings import Model
from cvtbatch.pipelines.cases.scored_case import (
    OUTSIDE,
    Row,
    ScoredCase,
    facts_of,
    known_values,
    missing_nomogram,
    missing_signatures,
    trained_on,
    unfit,
)
from cvtbatch.pipelines.centers.bundle_facts import MODEL_NAMES, scale_of, term_name, training_ranges
from cvtbatch.validation.inputs import Contribution
from cvtbatch.validation.report.card import CaseCard, ModelCard, Moved, conclude_card
from cvtbatch.validation.report.card_facts import TermCard
from cvtbatch.validation.values import Maybe, NotComputable

UNCALIBRATED = NotComputable("votes are uncalibrated")


def event_card(scored: ScoredCase) -> CaseCard:
    """Return the card."""
    bundle, row = scored.bundle, scored.row
    told, missing = bundle.description, _missing(scored)
    models = tuple(_model(bundle, model, row, missing.get(model)) for model in MODEL_NAMES)
    return CaseCard(
        **facts_of(scored),
        trained_on=trained_on(bundle, f"{told.cohort.positive} with {told.outcome.event}"),
        conclusion=conclude_card(models[-1], scored.outside, unfit(bundle), told.outcome),
        models=models,
        terms=_terms(scored, missing),
        total_points=missing.get(Model.DLRN) or float(row["points_total"]),
        moved=missing.get(Model.DLR) or _moved(row),
    )


def _missing(scored: ScoredCase) -> dict[Model, NotComputable]:
    """Return why a model gives no number, for each that does not."""
    found = missing_signatures(scored)
    why, limits = found.get(Model.DLR), training_ranges(scored.bundle)["dlr"]
    if isinstance(limits, NotComputable):
        why = why or limits
    elif why is None and not limits.low <= scored.row[str(Model.DLR)] <= limits.high:
        why = found[Model.DLR] = NotComputable(f"{OUTSIDE} (DLR signature)")
    if (reason := missing_nomogram(scored, why)) is not None:
        found[Model.DLRN] = reason
    return found


def _model(bundle: Bundle, model: Model, row: Row, missing: NotComputable | None) -> ModelCard:
    thresholds = dict(bundle.model.thresholds[model])
    probability = row[probability_column(model)]
    return ModelCard(
        name=MODEL_NAMES[model],
        score=missing or float(row[str(model)]),
        scale=scale_of(bundle, model),
        probability=missing or (UNCALIBRATED if probability is None else float(probability)),
        thresholds=thresholds,
        positive={} if missing else {name: bool(row[f"{model}_{name}"]) for name in thresholds},
    )


def _terms(scored: ScoredCase, missing: Mapping[Model, NotComputable]) -> tuple[TermCard, ...]:
    row, ranges, clinical = scored.row, training_ranges(scored.bundle), scored.bundle.model.clinical
    shown = {"dlr": missing.get(Model.DLR) or float(row[str(Model.DLR)]), **known_values(scored)}
    terms = []
    for name, value in shown.items():
        levels = levels_of(clinical, name)
        points: Maybe[float] = NotComputable("no training case had it")
        if isinstance(value, NotComputable):
            points = value
        elif row[f"points_{name}"] is not None:
            points = float(row[f"points_{name}"])
        terms.append(TermCard(term_name(name), value, None if levels else ranges[name], points, levels))
    return tuple(terms)


def _moved(row: Row) -> Moved:
    pairs = zip(row["top_features"], row["top_contributions"], strict=True)
    return Moved(row["base"], tuple(Contribution(*pair) for pair in pairs), row["other_contributions"])
