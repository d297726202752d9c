"""The card of a case by a bundle that tells several classes, which keeps no out-of-fold scores to hold the DLR signature to."""

from cvtbatch.dlrn.clinical_terms import levels_of
from cvtbatch.dlrn.scoring import by_class, classes_held
from cvtbatch.dlrn.settings import Model
from cvtbatch.pipelines.cases.scored_case import (
    ScoredCase,
    facts_of,
    known_values,
    missing_nomogram,
    missing_signatures,
    trained_on,
    unfit,
)
from cvtbatch.pipelines.centers.bundle_facts import MODEL_NAMES, scale_of, term_name, training_ranges
from cvtbatch.validation.report.card_facts import TermCard
from cvtbatch.validation.report.class_card import ClassCard, ClassModelCard
from cvtbatch.validation.report.conclusion import conclude_class
from cvtbatch.validation.values import Maybe, NotComputable


def class_card(scored: ScoredCase) -> ClassCard:
    """Return the card."""
    bundle, missing = scored.bundle, missing_signatures(scored)
    if (why := missing_nomogram(scored, missing.get(Model.DLR))) is not None:
        missing[Model.DLRN] = why
    models = tuple(_model(scored, model, missing.get(model)) for model in MODEL_NAMES)
    how_many = ", ".join(f"{own.cases} {name}" for name, own in bundle.class_fits().items())
    return ClassCard(
        **facts_of(scored),
        trained_on=trained_on(bundle, how_many),
        conclusion=conclude_class(
            models[-1].name, models[-1].by_class, [row.column for row in scored.outside], unfit(bundle)
        ),
        classes=bundle.model.classes,
        models=models,
        prediction_set=_prediction_set(scored, missing.get(Model.DLRN)),
        terms=_terms(scored),
    )


def _model(scored: ScoredCase, model: Model, missing: NotComputable | None) -> ClassModelCard:
    scale = scale_of(scored.bundle, model)
    if missing is not None:
        return ClassModelCard(MODEL_NAMES[model], missing, scale, None)
    shares = dict(zip(scored.bundle.model.classes, scored.row[by_class(model)], strict=True))
    return ClassModelCard(MODEL_NAMES[model], shares, scale, max(shares, key=lambda name: shares[name]))


def _prediction_set(scored: ScoredCase, missing: NotComputable | None) -> Maybe[tuple[str, ...]] | None:
    """Return the classes that may be; none where the DLRN gives no number. None of a bundle that makes no sets."""
    model = scored.bundle.model
    if model.sets is None:
        return None
    held = missing or classes_held(model.classes, scored.row)
    return NotComputable("a fold's model gives no probabilities") if held is None else held


def _terms(scored: ScoredCase) -> tuple[TermCard, ...]:
    ranges, clinical = training_ranges(scored.bundle), scored.bundle.model.clinical
    return tuple(
        TermCard(term_name(name), value, None if (levels := levels_of(clinical, name)) else ranges[name], None, levels)
        for name, value in known_values(scored).items()
    )
