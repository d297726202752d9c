"""Predict: one case and a bundle to a card, without a store, by the values that a store's route gives."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.pipelines.cases.case_inputs import CaseInputs
from cvtbatch.pipelines.cases.class_card import class_card
from cvtbatch.pipelines.cases.event_card import event_card
from cvtbatch.pipelines.cases.scored_case import Row, score_case
from cvtbatch.validation.nomogram import TrainingRange
from cvtbatch.validation.report.card import CaseCard, ModelCard, Moved
from cvtbatch.validation.report.card_facts import RESEARCH_USE, OutsideColumn, TermCard
from cvtbatch.validation.report.class_card import ClassCard, ClassModelCard
from cvtbatch.validation.values import NotComputable


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """A case's scores and their card.

    Attributes:
        row: of the scores, as `Bundle.score` gives it, of an event with explanations, whatever of it the card shows.
    """

    row: Row
    card: CaseCard | ClassCard

    def to_document(self) -> dict[str, object]:
        """Return the JSON document of `cvtbatch predict --json`: what the card shows, numbers in full."""
        card = self.card
        return {
            "command": "predict",
            "research_use": RESEARCH_USE,
            **{name: _plain(getattr(card, name)) for name in type(card).__dataclass_fields__ if name != "largest"},
        }


def predict_case(
    bundle: Bundle, inputs: CaseInputs, clinical: Mapping[str, str], center: str | None = None
) -> Prediction:
    """Score a case and return its card.

    Args:
        clinical: values of the nomogram's clinical terms by column, as a manifest has them; without one of them there is no DLRN.
        center: whose case it is, which a bundle asks that makes centres alike.

    Raises:
        InputError: "no_such_term": the nomogram has no such term; "bad_value": a number is none, or neither 0 nor 1.
    """
    scored = score_case(bundle, inputs, clinical, center)
    return Prediction(scored.row, class_card(scored) if bundle.model.classes else event_card(scored))


def _plain(value: object) -> object:
    """Return a value as JSON has it; what cannot be computed is {"not_computable": reason}."""
    match value:
        case NotComputable():
            return {"not_computable": value.reason}
        case ClassModelCard():
            return {**asdict(value), "by_class": _plain(value.by_class)}
        case ModelCard():
            return {**asdict(value), "score": _plain(value.score), "probability": _plain(value.probability)}
        case TermCard():
            return {name: _plain(getattr(value, name)) for name in TermCard.__dataclass_fields__}
        case OutsideColumn() | TrainingRange() | Moved():
            return asdict(value)
        case tuple():
            return [_plain(entry) for entry in value]
    return value
